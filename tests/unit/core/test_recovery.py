"""Whose recovery key is believed: that of who let the node in, and of nobody who has stolen its key."""

from __future__ import annotations

import itertools

from maw.core.identity import Signer, digest
from maw.core.members import INVITED, JOINED, Pin
from maw.core.revocation import revocation_statement, rotation_statement
from maw.core.statement import (
    Statement,
    admit,
    colony_id,
    found,
    read_admission,
    read_statement,
    sign_statement,
)
from maw.core.trust import TrustBook
from tests.unit.core.builders import signer

ME, ROOT, INVITER, VICTIM, HELPER, OWN = (signer(n) for n in range(1, 7))
FOUNDER, RECOVERY, THIEFS, HEIR, TAKEN, ROOTS = (signer(n) for n in range(11, 17))
TRUE, FALSE, ROOTS_HASH = digest(RECOVERY.node), digest(THIEFS.node), digest(ROOTS.node)
FOUNDED = found(FOUNDER, "c", bytes(16), 1, ROOT.node, ROOTS_HASH)
COLONY = colony_id(FOUNDED)


def lets_in(issuer: Signer, subject: Signer, recovery: bytes | None = None, at: int = 5) -> Statement:
    return admit(issuer, COLONY, subject.node, "n", (), True, at, recovery=recovery)


def joined(guest: Signer, host: Signer) -> Statement:
    return admit(guest, COLONY, host.node, "n", (), False, 5, back=True)


def rotated(recovery: Signer, key: Signer, new: Signer) -> Statement:
    return rotation_statement(recovery, new, COLONY, key.node, {}, [], "", 50)


CHAIN = (
    FOUNDED, lets_in(ROOT, INVITER), joined(INVITER, ROOT), lets_in(INVITER, VICTIM, TRUE), joined(VICTIM, INVITER),
    lets_in(ROOT, HELPER), joined(HELPER, ROOT),
)  # fmt: skip
OLD = (*CHAIN[:3], lets_in(INVITER, VICTIM), *CHAIN[4:])
"""The same by versions that did not say it."""


def book(*statements: Statement, pins: tuple[Pin, ...] | None = None) -> TrustBook:
    """Of a newcomer whom ROOT invited, and who has heard no log yet."""
    invited_by = (Pin(ROOT.node, "root", (), JOINED),)
    return TrustBook(ME.node, COLONY, statements, invited_by if pins is None else pins)


def test_who_let_a_node_in_is_believed_before_what_a_thief_writes_into_its_log() -> None:
    made = book(*CHAIN)
    assert made.recoveries[VICTIM.node] == TRUE
    assert not made.learn_recoveries({VICTIM.node: FALSE}), (
        "the thief's epoch comes before the true first one"
    )
    assert made.recoveries[VICTIM.node] == TRUE
    assert made.disputed_recoveries == {VICTIM.node: {VICTIM.node}}
    made.add([rotated(THIEFS, VICTIM, TAKEN)])
    assert VICTIM.node in made.trusted and TAKEN.node not in made.trusted
    made.add([rotated(RECOVERY, VICTIM, HEIR)])
    assert HEIR.node in made.trusted and VICTIM.node in made.revoked


def test_without_such_a_word_the_log_is_believed_as_before() -> None:
    made = book(*OLD)
    assert VICTIM.node not in made.recoveries
    assert made.learn_recoveries({VICTIM.node: TRUE})
    made.add([rotated(RECOVERY, VICTIM, HEIR)])
    assert HEIR.node in made.trusted


def test_what_is_known_stays_whatever_those_above_say_later() -> None:
    made = book(*OLD)
    made.learn_recoveries({VICTIM.node: TRUE})
    made.add([rotated(RECOVERY, VICTIM, HEIR)])
    made.add([lets_in(INVITER, VICTIM, FALSE, at=9), lets_in(INVITER, HEIR, FALSE, at=9)])
    assert made.recoveries[VICTIM.node] == made.recoveries[HEIR.node] == TRUE
    assert made.disputed_recoveries[VICTIM.node] == {INVITER.node}
    made.add([rotated(THIEFS, HEIR, TAKEN)])
    assert HEIR.node in made.trusted and TAKEN.node not in made.trusted


def test_two_above_who_contradict_each_other_bind_nothing_until_one_is_revoked() -> None:
    """HELPER is nearer to the founding node than VICTIM, and who has VICTIM's key says that HELPER let it in."""
    lie = [lets_in(HELPER, VICTIM, FALSE), joined(VICTIM, HELPER)]
    for order in itertools.permutations([*CHAIN[3:5], *lie]):
        made = book(*CHAIN[:3], *CHAIN[5:], *order)
        made.learn_recoveries({VICTIM.node: FALSE})
        assert VICTIM.node not in made.recoveries
        assert made.disputed_recoveries == {VICTIM.node: {INVITER.node, HELPER.node, VICTIM.node}}
        made.add([rotated(THIEFS, VICTIM, TAKEN)])
        assert VICTIM.node in made.trusted
    made.add([revocation_statement(FOUNDER, COLONY, HELPER.node, {}, [], "lies", 9)])
    assert made.recoveries[VICTIM.node] == TRUE


def test_a_lie_does_not_stand_when_its_author_is_revoked_by_who_knows() -> None:
    lie = [lets_in(HELPER, VICTIM, FALSE), joined(VICTIM, HELPER)]
    other = lets_in(HELPER, OWN)
    knows = book(*CHAIN)
    knows.add([*lie, other])
    stands = knows.to_stand({HELPER.node})
    assert lie[0].id not in stands and other.id in stands
    ended = revocation_statement(FOUNDER, COLONY, HELPER.node, {}, stands, "lies", 9)
    assert book(*CHAIN, *lie, other, ended).recoveries[VICTIM.node] == TRUE, "newcomers know again"


def test_one_inviter_who_says_two_things_binds_nothing() -> None:
    made = book(*CHAIN, lets_in(INVITER, VICTIM, FALSE, at=9))
    assert VICTIM.node not in made.recoveries


def test_who_is_not_above_binds_nothing_and_can_only_cast_doubt_where_nobody_knows() -> None:
    guests_guest = [
        lets_in(VICTIM, OWN),
        joined(OWN, VICTIM),
        lets_in(OWN, VICTIM, FALSE),
        joined(VICTIM, OWN),
    ]
    assert book(*CHAIN, *guests_guest).recoveries[VICTIM.node] == TRUE
    stranger = lets_in(HELPER, VICTIM, FALSE)
    assert book(*CHAIN, stranger).recoveries[VICTIM.node] == TRUE
    unsure = book(*OLD, stranger)
    assert VICTIM.node not in unsure.recoveries, "his word alone is none"
    unsure.learn_recoveries({VICTIM.node: TRUE})
    assert VICTIM.node not in unsure.recoveries
    assert unsure.disputed_recoveries == {VICTIM.node: {HELPER.node, VICTIM.node}}


def test_a_guest_s_own_word_on_his_recovery_key_binds_nobody() -> None:
    told = admit(VICTIM, COLONY, INVITER.node, "n", (), False, 9, back=True, recovery=FALSE, own=FALSE)
    made = book(*CHAIN, told)
    assert made.recoveries[VICTIM.node] == TRUE and INVITER.node not in made.recoveries


def test_the_founding_binds_the_first_node_and_no_guest_does() -> None:
    made = book(*CHAIN, lets_in(INVITER, ROOT, FALSE), lets_in(HELPER, ROOT, FALSE))
    assert made.recoveries[ROOT.node] == ROOTS_HASH
    plain = found(FOUNDER, "c", bytes(16), 1, ROOT.node)
    old = TrustBook(ME.node, colony_id(plain), [plain], [Pin(ROOT.node, "root", (), JOINED)])
    assert ROOT.node not in old.recoveries
    old.learn_recoveries({ROOT.node: TRUE})
    assert old.recoveries[ROOT.node] == TRUE


def test_our_own_word_binds_where_nobody_is_above_anybody() -> None:
    made = book(
        lets_in(ME, VICTIM, TRUE), lets_in(OWN, VICTIM, FALSE), pins=(Pin(VICTIM.node, "v", (), INVITED),)
    )
    made.learn_recoveries({VICTIM.node: FALSE})
    assert made.recoveries[VICTIM.node] == TRUE


def test_a_thief_s_node_that_the_stolen_key_replaces_gives_it_no_recovery_key() -> None:
    """He founds nothing: his own node is let in, rotated into the stolen key by its own recovery key, and then that one
    again into a key of his."""
    his = [lets_in(HELPER, OWN, FALSE), joined(OWN, HELPER)]
    words = [rotated(THIEFS, OWN, VICTIM), rotated(THIEFS, VICTIM, TAKEN)]
    for start in (CHAIN, OLD):
        for order in itertools.permutations([*his, *words]):
            made = book(*start, *order)
            assert made.recoveries.get(VICTIM.node) == (TRUE if start == CHAIN else None)
            assert TAKEN.node not in made.trusted and VICTIM.node not in made.revoked
    by_hand = book(FOUNDED, *CHAIN[5:], *his, *words, pins=(Pin(VICTIM.node, "v", (), INVITED),))
    assert VICTIM.node in by_hand.trusted and TAKEN.node not in by_hand.trusted


def test_an_heir_inherits_and_a_thief_of_his_key_names_no_other() -> None:
    made = book(*CHAIN, rotated(RECOVERY, VICTIM, HEIR))
    made.learn_recoveries({HEIR.node: FALSE})
    assert made.recoveries[HEIR.node] == TRUE
    made.add([lets_in(HELPER, HEIR, FALSE), joined(HEIR, HELPER), rotated(THIEFS, HEIR, TAKEN)])
    assert HEIR.node in made.trusted
    made.add([rotated(RECOVERY, HEIR, TAKEN)])
    assert TAKEN.node in made.trusted


def test_statements_of_older_versions_stay_valid_and_what_is_malformed_says_nothing() -> None:
    plain = read_admission(lets_in(INVITER, VICTIM))
    assert (plain.recovery, plain.own) == (None, None)
    assert set(lets_in(INVITER, VICTIM).fields) == {"key", "name", "addresses", "introducer"}
    fields = {**lets_in(INVITER, VICTIM).fields, "recovery": "x" * 32, "own": b"short"}
    odd = read_statement(sign_statement(INVITER, "admit", COLONY, 6, fields).wire)
    made = book(*OLD)
    assert made.acceptable(odd), "an older version takes it too, and both hold one set"
    assert (read_admission(odd).recovery, read_admission(odd).own) == (None, None)


def test_a_word_on_a_recovery_key_is_heard_in_any_order() -> None:
    seen: set[bytes | None] = set()
    rest = [*CHAIN[1:5], rotated(RECOVERY, VICTIM, HEIR)]
    for order in itertools.permutations(rest):
        made = book(FOUNDED)
        for one in order:
            made.add([one])
        seen.add(made.recoveries.get(HEIR.node))
    assert seen == {TRUE}
