from __future__ import annotations

from maw.core.effects import AppendStatements, Hangup
from maw.core.frames import StatementDigest, StatementIds, Statements
from maw.core.gossip import BOOKS_AT_ONCE, ROUND_S, Gossip
from maw.core.members import JOINED, Pin
from maw.core.statement import MAX_STATEMENT, Statement, admit, read_statement, sign_statement
from maw.core.trust import MAX_BY_ISSUER, TrustBook
from tests.unit.core.builders import COLONY, of, sent, signer

ME, INVITER, OTHER, FAR = (signer(n) for n in range(1, 5))
LINK, SECOND = 1, 2


def node(*statements: Statement) -> tuple[Gossip, TrustBook]:
    book = TrustBook(ME.node, COLONY, statements, (Pin(INVITER.node, "i", (), JOINED),))
    gossip = Gossip(book)
    gossip.link_up(LINK)
    gossip.link_up(SECOND)
    return gossip, book


def word(issuer: object = INVITER, subject: object = OTHER, introducer: bool = False) -> Statement:
    return admit(issuer, COLONY, subject.node, "n", (), introducer, 1)  # type: ignore[arg-type, attr-defined]


def test_a_new_link_is_shown_the_digest_first() -> None:
    gossip, _ = node(word())
    (digest,) = sent(gossip.link_up(3), StatementDigest)
    assert not gossip.digest_shown(LINK, digest)
    assert sent(gossip.digest_shown(LINK, StatementDigest(bytes(32))), StatementIds) == [
        StatementIds((word().id,))
    ]


def test_the_other_side_gets_what_it_lacks_and_nothing_else() -> None:
    gossip, _ = node(word(), word(INVITER, FAR))
    assert sent(gossip.ids_shown(LINK, StatementIds((word().id,))), Statements) == [
        Statements((word(INVITER, FAR).wire,))
    ]
    assert not gossip.ids_shown(LINK, StatementIds((word().id, word(INVITER, FAR).id, bytes(32))))


def test_what_is_good_and_new_goes_to_the_disk_once_and_then_to_the_others() -> None:
    gossip, book = node()
    frame = Statements((word().wire,))
    assert of(gossip.received(LINK, frame), AppendStatements) == [AppendStatements(LINK, (word().wire,))]
    assert not gossip.received(SECOND, frame)
    book.add([word()])
    effects = gossip.committed([word()], LINK)
    assert sent(effects, Statements, SECOND) == [frame]
    assert not sent(effects, Statements, LINK)
    assert not gossip.received(SECOND, frame)


def test_a_forged_or_malformed_statement_ends_the_link() -> None:
    gossip, _ = node()
    wire = bytearray(word().wire)
    wire[-1] ^= 1
    for bad in (bytes(wire), b"\xc1", b"x" * MAX_STATEMENT):
        assert of(gossip.received(LINK, Statements((word().wire, bad))), Hangup)


def test_statements_of_strangers_are_passed_over_and_asked_for_again_when_trust_grew() -> None:
    gossip, book = node()
    far = word(OTHER, FAR)
    assert not gossip.received(LINK, Statements((far.wire,)))
    believed = word(INVITER, OTHER, introducer=True)
    gossip.received(SECOND, Statements((believed.wire,)))
    book.add([believed])
    asked = sent(gossip.committed([believed], SECOND), StatementIds, LINK)
    assert asked == [StatementIds((believed.id,))]
    assert of(gossip.received(LINK, Statements((far.wire,))), AppendStatements)
    assert not sent(gossip.trust_changed(), StatementIds)


def test_a_statement_that_stays_unacceptable_is_not_asked_for_without_end() -> None:
    gossip, _ = node()
    gossip.received(LINK, Statements((word(FAR, OTHER).wire,)))
    assert sent(gossip.trust_changed(), StatementIds, LINK)
    assert not gossip.trust_changed()


def test_what_the_disk_refused_is_asked_for_at_the_next_tick() -> None:
    gossip, _ = node()
    gossip.received(LINK, Statements((word().wire,)))
    gossip.discarded((word().wire,))
    assert len(sent(gossip.tick(0.0), StatementIds)) == 2
    assert not gossip.tick(0.0)
    assert of(gossip.received(LINK, Statements((word().wire,))), AppendStatements)


def test_many_statements_are_cut_into_frames() -> None:
    big = [sign_statement(INVITER, "x", COLONY, n, {"pad": "p" * 3500}) for n in range(400)]
    gossip, _ = node(*big)
    parts = sent(gossip.ids_shown(LINK, StatementIds(())), Statements)
    assert len(parts) > 1
    assert sum(len(part.items) for part in parts) == 400
    assert all(sum(map(len, part.items)) < 1 << 20 for part in parts)
    assert {read_statement(wire).id for part in parts for wire in part.items} == {s.id for s in big}


def test_a_link_that_went_down_is_told_nothing() -> None:
    gossip, book = node()
    gossip.link_down(LINK)
    book.add([word()])
    assert not sent(gossip.committed([word()], None), Statements, LINK)


def test_who_asks_for_everything_in_a_loop_is_given_it_a_few_times_a_minute() -> None:
    gossip, _ = node(*(word(INVITER, signer(n)) for n in range(10, 30)))
    gossip.tick(0.0)
    given = sum(len(sent(gossip.ids_shown(LINK, StatementIds(())), Statements)) for _ in range(1000))
    assert 1 < given <= BOOKS_AT_ONCE * 2
    assert sent(gossip.ids_shown(SECOND, StatementIds(())), Statements), "others are not its fault"
    assert not gossip.tick(ROUND_S / 2)
    assert len(sent(gossip.tick(ROUND_S), Statements, LINK)) == 1, "its last question is answered then"
    assert not sent(gossip.tick(2 * ROUND_S), Statements)


def test_one_frame_brings_no_more_than_its_issuer_s_quota() -> None:
    gossip, book = node()
    many = [sign_statement(INVITER, "of-the-future", COLONY, n, {}) for n in range(MAX_BY_ISSUER + 20)]
    half = len(many) // 2
    taken: list[bytes] = []
    for part in (many[:half], many[half:]):
        for effect in of(
            gossip.received(LINK, Statements(tuple(one.wire for one in part))), AppendStatements
        ):
            taken += effect.items
    assert len(taken) == MAX_BY_ISSUER
    book.add(read_statement(wire) for wire in taken)
    gossip.committed([read_statement(wire) for wire in taken], LINK)
    assert not gossip.received(LINK, Statements((many[-1].wire,)))
