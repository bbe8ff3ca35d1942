from __future__ import annotations

from maw.core.identity import NodeId, Signer
from maw.core.statement import Statement, admit, found, sign_statement
from maw.core.trust import BY_HAND, INVITED, JOINED, Pin, TrustBook
from tests.unit.core.builders import COLONY, signer

ME, INVITER, OTHER, STRANGER, THIRD = (signer(n) for n in range(1, 6))


def word(
    issuer: Signer, subject: Signer, *, introducer: bool = False, at: int = 1, name: str = "n"
) -> Statement:
    return admit(issuer, COLONY, subject.node, name, (f"{name}:6290",), introducer, at)


def pin(key: Signer, how: str = INVITED, *, introducer: bool = False) -> Pin:
    return Pin(key.node, "pinned", ("p:6290",), how, introducer)


def book(*statements: Statement, pins: tuple[Pin, ...] = (), forgotten: tuple[NodeId, ...] = ()) -> TrustBook:
    return TrustBook(ME.node, COLONY, statements, pins, forgotten)


def test_the_pinned_are_trusted_and_nobody_else() -> None:
    assert set(book(pins=(pin(OTHER),)).trusted) == {OTHER.node}


def test_who_invited_us_introduces_those_it_admits() -> None:
    made = book(word(INVITER, OTHER), pins=(pin(INVITER, JOINED),))
    assert set(made.trusted) == {INVITER.node, OTHER.node}
    assert made.trusted[OTHER.node].vouched_by == (INVITER.node,)


def test_whom_one_admits_that_is_no_introducer_is_pending() -> None:
    made = book(word(OTHER, STRANGER), pins=(pin(OTHER),))
    assert set(made.trusted) == {OTHER.node}
    assert set(made.pending) == {STRANGER.node}


def test_the_right_to_introduce_is_passed_on_only_where_it_says_so() -> None:
    with_right = book(
        word(INVITER, OTHER, introducer=True), word(OTHER, STRANGER), pins=(pin(INVITER, JOINED),)
    )
    assert STRANGER.node in with_right.trusted
    without = book(word(INVITER, OTHER), word(OTHER, STRANGER), pins=(pin(INVITER, JOINED),))
    assert STRANGER.node in without.pending


def test_whom_we_admitted_as_introducer_introduces() -> None:
    made = book(word(ME, OTHER, introducer=True), word(OTHER, THIRD), pins=(pin(OTHER),))
    assert THIRD.node in made.trusted


def test_the_order_in_which_statements_came_does_not_matter() -> None:
    said = [word(INVITER, OTHER, introducer=True), word(OTHER, THIRD, at=2), word(OTHER, STRANGER, at=3)]
    ordered = book(*said, pins=(pin(INVITER, JOINED),))
    late = book(pins=(pin(INVITER, JOINED),))
    for statement in reversed(said):
        late.add([statement])
    assert dict(late.trusted) == dict(ordered.trusted)


def test_forgotten_stays_forgotten_whatever_others_say_until_a_local_invite() -> None:
    made = book(word(INVITER, OTHER), pins=(pin(INVITER, JOINED), pin(OTHER)))
    made.forget(OTHER.node)
    assert OTHER.node not in made.trusted
    made.add([word(INVITER, OTHER, at=99)])
    made.set_by_hand([pin(OTHER, BY_HAND)])
    assert OTHER.node not in {**made.trusted, **made.pending}
    assert not made.would_trust(OTHER.node, word(INVITER, OTHER, at=100))
    made.pin(pin(OTHER))
    assert OTHER.node in made.trusted


def test_a_forgotten_introducer_introduces_nobody() -> None:
    made = book(word(INVITER, OTHER), pins=(pin(INVITER, JOINED),))
    made.forget(INVITER.node)
    assert not made.trusted


def test_what_is_gone_from_peers_toml_is_no_longer_trusted() -> None:
    made = book()
    made.set_by_hand([pin(OTHER, BY_HAND)])
    assert set(made.trusted) == {OTHER.node}
    made.set_by_hand([])
    assert not made.trusted


def test_the_book_never_lists_its_own_node() -> None:
    made = book(word(INVITER, ME), pins=(pin(INVITER, JOINED), pin(ME)))
    assert ME.node not in {**made.trusted, **made.pending}
    assert made.admission_for_me() == word(INVITER, ME).wire


def test_the_latest_admit_gives_name_and_address_but_a_pin_gives_its_own() -> None:
    made = book(
        word(INVITER, OTHER, at=1, name="old"),
        word(INVITER, OTHER, at=2, name="new"),
        pins=(pin(INVITER, JOINED),),
    )
    assert made.trusted[OTHER.node].name == "new"
    made.pin(pin(OTHER))
    assert made.trusted[OTHER.node].name == "pinned"
    assert made.trusted[OTHER.node].addresses == ("p:6290", "new:6290")


def test_who_brings_an_admit_by_our_introducer_is_let_in() -> None:
    made = book(pins=(pin(INVITER, JOINED),))
    assert made.would_trust(OTHER.node, word(INVITER, OTHER))
    assert not made.would_trust(OTHER.node, None)
    assert not made.would_trust(STRANGER.node, word(INVITER, OTHER))
    assert not made.would_trust(OTHER.node, word(STRANGER, OTHER))
    elsewhere = admit(INVITER, bytes(32), OTHER.node, "n", (), False, 1)
    assert not made.would_trust(OTHER.node, elsewhere)


def test_only_what_somebody_known_says_of_this_colony_is_acceptable() -> None:
    made = book(pins=(pin(INVITER, JOINED),))
    assert made.acceptable(word(INVITER, OTHER))
    assert made.acceptable(sign_statement(INVITER, "of-the-future", COLONY, 1, {}))
    assert not made.acceptable(word(STRANGER, OTHER))
    assert not made.acceptable(found(INVITER, "c", bytes(16), 1))
    assert not made.acceptable(admit(INVITER, bytes(32), OTHER.node, "n", (), False, 1))
    assert not made.acceptable(sign_statement(INVITER, "admit", COLONY, 1, {"key": b"short"}))
    made.add([word(INVITER, OTHER)])
    assert not made.acceptable(word(INVITER, OTHER))
