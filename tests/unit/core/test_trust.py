from __future__ import annotations

import pytest

from maw.core.authority import MAX_STANDS
from maw.core.identity import NodeId, Signer, digest
from maw.core.members import BY_HAND, INVITED, JOINED, Pin
from maw.core.revocation import revocation_statement, rotation_statement
from maw.core.statement import Statement, admit, colony_id, found, sign_statement
from maw.core.trust import MAX_BY_ISSUER, Tally, TrustBook
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


def joined(issuer: Signer, inviter: Signer) -> Statement:
    """A newcomer's word on who let it in."""
    return admit(issuer, COLONY, inviter.node, "n", (), False, 1, back=True)


def test_below_a_tree_of_introducers_everybody_knows_everybody() -> None:
    """A root let INVITER and THIRD in, with the right; INVITER invited us, THIRD the stranger."""
    root = OTHER
    said = [
        word(root, INVITER, introducer=True),
        joined(INVITER, root),
        word(root, THIRD, introducer=True),
        joined(THIRD, root),
        word(THIRD, STRANGER),
    ]
    everybody = {INVITER.node, root.node, THIRD.node, STRANGER.node}
    made = book(*said, pins=(pin(INVITER, JOINED),))
    assert set(made.trusted) == everybody
    assert made.introducers == everybody - {STRANGER.node}
    made.forget(root.node)
    assert set(made.trusted) == {INVITER.node}, "whoever is forgotten here introduces nobody"


def test_that_takes_both_the_right_and_the_guests_own_word() -> None:
    ours = (pin(INVITER, JOINED),)
    plain = book(word(OTHER, INVITER), joined(INVITER, OTHER), word(OTHER, THIRD), pins=ours)
    assert set(plain.trusted) == {INVITER.node, OTHER.node}, "our inviter had no right to introduce"
    claimed = book(word(STRANGER, INVITER, introducer=True), word(STRANGER, THIRD), pins=ours)
    assert set(claimed.trusted) == {INVITER.node}, "a stranger says that it let our inviter in"
    passed = book(word(OTHER, INVITER, introducer=True), word(INVITER, OTHER), word(OTHER, THIRD), pins=ours)
    assert THIRD.node in passed.pending, "our inviter admitted it without that right, and never joined it"


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


# -- what operators, recovery keys and those above have ended -------------------------------------------

FOUNDER, RECOVERY, HEIR = signer(31), signer(32), signer(33)
FOUNDED = found(FOUNDER, "c", bytes(16), 1, INVITER.node)
HOME = colony_id(FOUNDED)


def settled(*statements: Statement, pins: tuple[Pin, ...] = ()) -> TrustBook:
    return TrustBook(
        ME.node, HOME, [FOUNDED, *statements], pins, recoveries={OTHER.node: digest(RECOVERY.node)}
    )


def ended(issuer: Signer = FOUNDER, key: Signer = OTHER) -> Statement:
    return revocation_statement(issuer, HOME, key.node, {}, [], "stolen", 5)


def test_the_revoked_are_out_whatever_pins_and_files_say() -> None:
    made = settled(ended(), pins=(pin(OTHER, BY_HAND), pin(THIRD)))
    assert set(made.trusted) == {THIRD.node}
    assert made.former == {OTHER.node}
    made.pin(pin(OTHER))
    assert OTHER.node not in made.trusted, "a new pin brings a revoked key back no more than an old file"
    assert not made.would_trust(OTHER.node, admit(THIRD, HOME, OTHER.node, "n", (), False, 9))


def test_an_old_copy_of_the_book_undoes_nothing() -> None:
    made = settled(pins=(pin(OTHER),))
    made.add([ended()])
    made.add([admit(INVITER, HOME, OTHER.node, "n", (), True, 99)])
    assert OTHER.node not in made.trusted


def test_an_heir_inherits_pin_name_and_right() -> None:
    rotated = rotation_statement(RECOVERY, HEIR, HOME, OTHER.node, {}, [], "", 5)
    made = settled(pins=(pin(OTHER, introducer=True),))
    assert made.would_trust(HEIR.node, rotated), "it brings the proof along when it dials"
    made.add([rotated])
    assert made.trusted[HEIR.node].name == "pinned"
    assert OTHER.node not in made.trusted
    made.add([admit(HEIR, HOME, STRANGER.node, "n", (), False, 9)])
    assert STRANGER.node in made.trusted, "it introduces as the old key did"


def test_whom_the_old_key_introduced_stays() -> None:
    admitted = admit(OTHER, HOME, STRANGER.node, "n", (), False, 2)
    rotated = rotation_statement(RECOVERY, HEIR, HOME, OTHER.node, {}, [admitted.id], "", 5)
    made = settled(admitted, rotated, pins=(pin(OTHER, JOINED),))
    assert set(made.trusted) == {HEIR.node, STRANGER.node}
    assert made.trusted[STRANGER.node].vouched_by == (HEIR.node,)


def test_an_heir_shows_its_rotation() -> None:
    rotated = rotation_statement(RECOVERY, ME, HOME, OTHER.node, {}, [], "", 5)
    assert settled(rotated).admission_for_me(INVITER.node) == rotated.wire


def test_a_heir_of_the_forgotten_stays_forgotten() -> None:
    made = settled(pins=(pin(OTHER),))
    made.forget(OTHER.node)
    made.add([rotation_statement(RECOVERY, HEIR, HOME, OTHER.node, {}, [], "", 5)])
    assert HEIR.node not in made.trusted


def test_a_revocation_by_a_recovery_key_is_taken_once_that_key_is_known() -> None:
    made = TrustBook(ME.node, HOME, [FOUNDED], (pin(OTHER),))
    word_ = ended(RECOVERY)
    assert not made.acceptable(word_)
    assert made.learn_recoveries({OTHER.node: digest(RECOVERY.node)})
    assert made.acceptable(word_)
    assert not made.learn_recoveries({OTHER.node: bytes(32)}), "the first word on it counts"


def test_an_operator_lets_in_everywhere() -> None:
    assert STRANGER.node in settled(admit(FOUNDER, HOME, STRANGER.node, "n", (), False, 3)).trusted
    assert settled().would_trust(STRANGER.node, admit(FOUNDER, HOME, STRANGER.node, "n", (), False, 3))


def test_our_own_revocation_is_known() -> None:
    assert ME.node in settled(ended(key=ME)).revoked


# -- who says much ---------------------------------------------------------------------------------------


def told(issuer: Signer, count: int, *, room: int = 0, first: int = 0) -> list[Statement]:
    """Statements of no use, each about ``room`` bytes; unsigned, for the book takes them as checked."""
    return [
        Statement(
            b"x" * room, digest(issuer.node, bytes([n % 256, n // 256])), "of-the-future", HOME, issuer.node, 1, {}
        )
        for n in range(first, first + count)
    ]  # fmt: skip


def test_a_book_filled_by_a_thief_s_guests_still_hears_founder_and_recovery_key_and_is_emptied_by_them() -> (
    None
):
    guests = [signer(n) for n in range(40, 50)]
    made = settled(*(admit(INVITER, HOME, one.node, "n", (), False, 1) for one in guests),
                   pins=(pin(INVITER, JOINED), pin(THIRD)))  # fmt: skip
    for one in guests:
        made.add(told(one, MAX_BY_ISSUER))
    assert not made.acceptable(told(THIRD, 1)[0]), "it is full"
    assert made.acceptable(ended())
    assert made.acceptable(ended(RECOVERY)), "it says so of itself"
    assert not made.acceptable(ended(RECOVERY, THIRD)), "and of nobody else"
    made.add([ended(key=guests[0])])
    assert made.acceptable(told(THIRD, 1)[0])


def test_who_has_said_all_he_may_can_still_shut_a_thief_out() -> None:
    made = settled(pins=(pin(THIRD),))
    made.add(told(THIRD, MAX_BY_ISSUER))
    more = told(THIRD, 1, first=MAX_BY_ISSUER)[0]
    assert not made.acceptable(more) and made.is_full_for(more)
    assert made.acceptable(ended(THIRD))
    assert not made.is_full_for(told(STRANGER, 1)[0])


def test_large_statements_fill_a_quota_too() -> None:
    made = settled(pins=(pin(THIRD),))
    made.add(told(THIRD, 128, room=16 * 1024))
    assert not made.acceptable(told(THIRD, 1, room=100, first=500)[0])
    assert made.acceptable(told(INVITER, 1)[0]) is False, "a stranger here"


def test_those_under_way_count_like_those_held() -> None:
    made = settled(pins=(pin(THIRD),))
    coming = Tally()
    for one in told(THIRD, MAX_BY_ISSUER + 50):
        if made.acceptable(one, coming):
            coming.add(one)
    assert coming.count[THIRD.node] == MAX_BY_ISSUER


def test_when_a_key_is_ended_whom_it_shut_out_stays_out_however_much_a_thief_says() -> None:
    shut = ended(INVITER, THIRD)
    entering = admit(INVITER, HOME, THIRD.node, "n", (), False, 1)
    chosen = admit(THIRD, HOME, INVITER.node, "n", (), False, 1, back=True)
    made = settled(*told(INVITER, 500), entering, chosen, shut, pins=(pin(INVITER, JOINED),))
    assert THIRD.node in made.revoked
    stands = made.to_stand({INVITER.node})
    assert len(stands) == MAX_STANDS and stands[:2] == [shut.id, entering.id]


def test_who_shows_what_looks_like_a_rotation_costs_no_book(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member can sign as many as he likes, for strangers who dial again and again."""
    made = settled(pins=(pin(THIRD), pin(OTHER)))
    shown = rotation_statement(THIRD, HEIR, HOME, OTHER.node, {}, [], "lost", 1)
    monkeypatch.setattr(TrustBook, "__init__", None)
    assert not made.would_trust(HEIR.node, shown)
