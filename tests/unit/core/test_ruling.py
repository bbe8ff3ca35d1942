"""Revocation, rotation and freezes, as all statements together say; whatever the order they came in."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import pytest

from maw.core.authority import FREEZING, REDACTING, REVOKING, dismissal_statement, grant_statement
from maw.core.entry import Head
from maw.core.freezing import AGENT, ALL, NODE, Target, freeze_statement, read_freeze, thaw_statement
from maw.core.identity import NodeId, Signer, digest
from maw.core.redaction import REDACT, redaction_fields, redaction_statement
from maw.core.revocation import read_revocation, revocation_statement, rotation_statement
from maw.core.ruling import READERS, Ruling, rule
from maw.core.statement import Statement, admit, found, sign_statement
from maw.errors import ProtocolViolation
from tests.unit.core.builders import COLONY, signer

FOUNDER, ROOT, UPPER, LOWER, THIEF, OPERATOR, RECOVERY, NEW = (signer(n) for n in range(1, 9))
FOUNDING = found(FOUNDER, "c", bytes(16), 1, ROOT.node)


def head(seq: int) -> Head:
    return Head(seq, digest(bytes([seq])))


def let_in(issuer: Signer, subject: Signer, *, back: bool = False) -> Statement:
    return admit(issuer, COLONY, subject.node, "n", (), False, 5, back=back)


def revoke(
    issuer: Signer, key: Signer, cut: dict[int, Head] | None = None, stands: Sequence[bytes] = ()
) -> Statement:
    return revocation_statement(issuer, COLONY, key.node, cut or {}, stands, "stolen", 50)


def judged(*statements: Statement, recoveries: dict[NodeId, bytes] | None = None) -> Ruling:
    pairs = [(one, READERS[one.type](one) if one.type in READERS else None) for one in statements]
    found_ = rule(pairs, recoveries or {})
    backwards = rule(pairs[::-1], recoveries or {})
    assert set(found_.revoked) == set(backwards.revoked), "the order does not matter"
    assert {k: v.cut for k, v in found_.revoked.items()} == {k: v.cut for k, v in backwards.revoked.items()}
    assert found_.freezes.active == backwards.freezes.active
    assert found_.redactions == backwards.redactions
    return found_


TREE = (
    FOUNDING, let_in(ROOT, UPPER), let_in(UPPER, ROOT, back=True), let_in(UPPER, LOWER),
    let_in(LOWER, UPPER, back=True),
)  # fmt: skip


def test_an_operator_revokes_anybody() -> None:
    assert LOWER.node in judged(*TREE, revoke(FOUNDER, LOWER)).revoked
    given = grant_statement(FOUNDER, COLONY, OPERATOR.node, "o", [REVOKING], None, [], 2)
    assert LOWER.node in judged(*TREE, given, revoke(OPERATOR, LOWER)).revoked
    freezer = grant_statement(FOUNDER, COLONY, OPERATOR.node, "o", [FREEZING], None, [], 2)
    assert not judged(*TREE, freezer, revoke(OPERATOR, LOWER)).revoked


def test_who_stands_above_revokes_and_nobody_else() -> None:
    assert LOWER.node in judged(*TREE, revoke(UPPER, LOWER)).revoked
    assert LOWER.node in judged(*TREE, revoke(ROOT, LOWER)).revoked
    assert not judged(*TREE, revoke(LOWER, UPPER)).revoked
    assert not judged(*TREE, revoke(UPPER, ROOT)).revoked
    assert not judged(*TREE, revoke(THIEF, LOWER)).revoked


def test_who_admits_somebody_else_s_guest_does_not_stand_above_him() -> None:
    aunt = [let_in(ROOT, THIEF), let_in(THIEF, ROOT, back=True), let_in(THIEF, LOWER)]
    assert not judged(*TREE, *aunt, revoke(THIEF, LOWER)).revoked
    by_hand = [let_in(ROOT, THIEF), let_in(THIEF, ROOT, back=True), let_in(THIEF, NEW)]
    assert not judged(*TREE, *by_hand, revoke(THIEF, NEW)).revoked, "who was let in by nobody"


def test_who_does_not_say_who_let_it_in_is_below_introducers() -> None:
    introducer = admit(ROOT, COLONY, UPPER.node, "n", (), True, 5)
    assert NEW.node in judged(*TREE, introducer, let_in(UPPER, NEW), revoke(UPPER, NEW)).revoked


def test_an_heir_stands_where_the_old_key_stood_which_stands_nowhere() -> None:
    known = {UPPER.node: digest(RECOVERY.node)}
    replaced = rotation(key=UPPER)
    assert LOWER.node in judged(*TREE, replaced, revoke(NEW, LOWER), recoveries=known).revoked
    assert NEW.node in judged(*TREE, replaced, revoke(ROOT, NEW), recoveries=known).revoked
    thiefs = judged(*TREE, replaced, revoke(UPPER, LOWER), revoke(UPPER, NEW), recoveries=known)
    assert set(thiefs.revoked) == {UPPER.node}


def test_rotations_count_whatever_their_dates() -> None:
    known = {LOWER.node: digest(RECOVERY.node)}
    third = rotation(key=NEW, new=OPERATOR, at=10)
    fourth = rotation(key=OPERATOR, new=THIEF, at=5)
    assert judged(*TREE, rotation(), third, fourth, recoveries=known).successor(LOWER.node) == THIEF.node


def test_a_new_key_lifts_no_freeze() -> None:
    known = {LOWER.node: digest(RECOVERY.node)}
    node = freeze_statement(FOUNDER, COLONY, Target(NODE, LOWER.node, name="l"), "", 5)
    agent = freeze_statement(FOUNDER, COLONY, Target(AGENT, LOWER.node, bytes(16), name="l"), "", 5)
    for word in (node, agent):
        ruled = judged(*TREE, word, rotation(), recoveries=known)
        assert ruled.freezes.on(NEW.node, bytes(16), "general") is not None
        thaw = thaw_statement(FOUNDER, COLONY, [word.id], 6)
        assert not judged(*TREE, word, rotation(), thaw, recoveries=known).freezes.active


def test_many_thaws_of_many_freezes_are_judged_in_no_time() -> None:
    """By anybody: whether he may is found out here."""
    words = [freeze_statement(THIEF, COLONY, Target(ALL, name="all"), "", n) for n in range(600)]
    lifts = [digest(bytes([n])) for n in range(200)]
    words += [thaw_statement(THIEF, COLONY, lifts, n) for n in range(600)]
    pairs = [(one, READERS[one.type](one)) for one in words]
    began = time.process_time()
    rule([(FOUNDING, None), *pairs], {})
    assert time.process_time() - began < 1


def test_a_thief_does_not_climb_by_inviting_those_above_him() -> None:
    climbing = [let_in(LOWER, UPPER), let_in(LOWER, ROOT), let_in(LOWER, FOUNDER)]
    ruled = judged(*TREE, *climbing, revoke(LOWER, UPPER), revoke(UPPER, LOWER))
    assert set(ruled.revoked) == {LOWER.node}


def test_what_a_revoked_key_says_against_others_counts_only_if_it_stands() -> None:
    word = revoke(UPPER, LOWER)
    assert set(judged(*TREE, word, revoke(ROOT, UPPER)).revoked) == {UPPER.node}
    kept = judged(*TREE, word, revoke(ROOT, UPPER, stands=[word.id]))
    assert set(kept.revoked) == {UPPER.node, LOWER.node}


def test_admissions_of_a_revoked_key_count_only_if_they_stand() -> None:
    entering = let_in(UPPER, LOWER)
    gone = judged(FOUNDING, let_in(ROOT, UPPER), entering, revoke(FOUNDER, UPPER))
    assert [admission.subject for admission, _ in gone.admissions] == [UPPER.node]
    kept = judged(FOUNDING, let_in(ROOT, UPPER), entering, revoke(FOUNDER, UPPER, stands=[entering.id]))
    assert {admission.subject for admission, _ in kept.admissions} == {UPPER.node, LOWER.node}


def test_the_recovery_key_revokes_its_own_node_and_no_other() -> None:
    known = {LOWER.node: digest(RECOVERY.node)}
    assert LOWER.node in judged(*TREE, revoke(RECOVERY, LOWER), recoveries=known).revoked
    assert not judged(*TREE, revoke(RECOVERY, UPPER), recoveries=known).revoked
    assert not judged(*TREE, revoke(RECOVERY, LOWER)).revoked, "unknown, it is a stranger's word"


def test_several_cuts_combine_by_the_lowest() -> None:
    first = revoke(FOUNDER, LOWER, {1: head(9), 2: head(4), 3: head(1)})
    second = revoke(UPPER, LOWER, {1: head(5), 2: head(8)})
    assert judged(*TREE, first, second).revoked[LOWER.node].cut == {1: head(5), 2: head(4)}


def rotation(recovery: Signer = RECOVERY, new: Signer = NEW, key: Signer = LOWER, at: int = 60) -> Statement:
    return rotation_statement(recovery, new, COLONY, key.node, {1: head(3)}, [], "lost", at)


def test_a_rotation_by_the_recovery_key_names_the_heir() -> None:
    known = {LOWER.node: digest(RECOVERY.node)}
    ruled = judged(*TREE, rotation(), recoveries=known)
    assert ruled.revoked[LOWER.node].new == NEW.node
    assert ruled.successor(LOWER.node) == NEW.node
    assert ruled.successor(UPPER.node) == UPPER.node


def test_a_thief_does_not_win_the_name_by_rotating_first() -> None:
    known = {LOWER.node: digest(RECOVERY.node)}
    thiefs = rotation(THIEF, THIEF, at=1)
    assert not judged(*TREE, thiefs, recoveries=known).revoked
    both = judged(*TREE, thiefs, rotation(), recoveries=known)
    assert both.successor(LOWER.node) == NEW.node
    assert not judged(*TREE, rotation(FOUNDER), recoveries=known).revoked, (
        "not even an operator names the heir"
    )


def test_an_heir_has_the_same_recovery_key() -> None:
    known = {LOWER.node: digest(RECOVERY.node)}
    newest = signer(20)
    ruled = judged(*TREE, rotation(), rotation(new=newest, key=NEW, at=70), recoveries=known)
    assert ruled.successor(LOWER.node) == newest.node


def test_an_heir_that_did_not_agree_is_none() -> None:
    fields = dict(rotation().fields)
    fields["new"] = THIEF.node
    with pytest.raises(ProtocolViolation):
        read_revocation(sign_statement(RECOVERY, "rotate", COLONY, 1, fields))


def test_rotations_in_a_circle_end() -> None:
    known = {LOWER.node: digest(RECOVERY.node), NEW.node: digest(RECOVERY.node)}
    ruled = judged(rotation(), rotation(new=LOWER, key=NEW), recoveries=known)
    assert ruled.successor(LOWER.node) in (LOWER.node, NEW.node)


def test_a_freeze_holds_until_a_thaw_names_it() -> None:
    frozen = freeze_statement(FOUNDER, COLONY, Target(NODE, node=LOWER.node, name="l"), "hush", 9)
    again = freeze_statement(FOUNDER, COLONY, Target(ALL, name="all"), "hush", 10)
    ruled = judged(FOUNDING, frozen, again)
    assert ruled.freezes.on(LOWER.node, None, None) is not None
    assert ruled.freezes.on(UPPER.node, None, None) is not None, "all is all"
    thaw = thaw_statement(FOUNDER, COLONY, [again.id], 8)
    ruled = judged(FOUNDING, frozen, again, thaw)
    assert ruled.freezes.on(UPPER.node, None, None) is None
    assert ruled.freezes.on(LOWER.node, b"a" * 16, "general") == read_freeze(frozen)


def test_agents_and_channels_are_frozen_by_themselves() -> None:
    ann = Target("agent", node=LOWER.node, agent=b"a" * 16, name="ann@lower")
    ruled = judged(
        FOUNDING,
        freeze_statement(FOUNDER, COLONY, ann, "", 9),
        freeze_statement(FOUNDER, COLONY, Target("channel", channel="noise", name="#noise"), "", 9),
    )
    on = ruled.freezes.on
    assert on(LOWER.node, b"a" * 16, None) and not on(LOWER.node, b"b" * 16, None)
    assert not on(UPPER.node, b"a" * 16, None)
    assert on(UPPER.node, b"z" * 16, "noise") and not on(UPPER.node, b"z" * 16, "general")


def test_only_who_has_the_right_freezes_and_thaws() -> None:
    hush = freeze_statement(THIEF, COLONY, Target(ALL, name="all"), "", 9)
    assert not judged(FOUNDING, hush).freezes.active
    real = freeze_statement(FOUNDER, COLONY, Target(ALL, name="all"), "", 9)
    assert judged(FOUNDING, real, thaw_statement(THIEF, COLONY, [real.id], 10)).freezes.active
    given = grant_statement(FOUNDER, COLONY, OPERATOR.node, "o", [FREEZING], None, [], 2)
    thaw = thaw_statement(OPERATOR, COLONY, [real.id], 10)
    assert not judged(FOUNDING, real, given, thaw).freezes.active
    gone = dismissal_statement(FOUNDER, COLONY, OPERATOR.node, [given.id], [], 20)
    assert judged(FOUNDING, real, given, thaw, gone).freezes.active, "his thaw went with him"
    kept = dismissal_statement(FOUNDER, COLONY, OPERATOR.node, [given.id], [thaw.id], 20)
    assert not judged(FOUNDING, real, given, thaw, kept).freezes.active


def test_every_order_of_a_family_of_statements_rules_alike() -> None:
    known = {LOWER.node: digest(RECOVERY.node)}
    family = [revoke(UPPER, LOWER), revoke(ROOT, UPPER), rotation(), let_in(LOWER, THIEF)]
    seen = set()
    for order in itertools.permutations(family):
        ruled = judged(*TREE, *order, recoveries=known)
        seen.add((frozenset(ruled.revoked), ruled.successor(LOWER.node)))
    assert len(seen) == 1


def redact(issuer: Signer, author: Signer = LOWER, at_ms: int = 50) -> Statement:
    return redaction_statement(issuer, COLONY, author.node, 7, [(3, 4), (9, 9)], "a secret", at_ms)


def test_only_an_operator_with_that_right_redacts_what_others_said() -> None:
    (found_,) = judged(*TREE, redact(FOUNDER)).redactions
    assert (found_.author, found_.epoch, found_.ranges) == (LOWER.node, 7, ((3, 4), (9, 9)))
    given = grant_statement(FOUNDER, COLONY, OPERATOR.node, "o", [REDACTING], None, [], 2)
    assert len(judged(*TREE, given, redact(OPERATOR)).redactions) == 1
    assert not judged(*TREE, redact(OPERATOR)).redactions, "before he is appointed"
    other = grant_statement(FOUNDER, COLONY, OPERATOR.node, "o", [FREEZING], None, [], 2)
    assert not judged(*TREE, other, redact(OPERATOR)).redactions, "another right"
    for nobody in (ROOT, UPPER, LOWER, THIEF):
        assert not judged(*TREE, redact(nobody)).redactions, (
            "whoever invited it, and its own key, say it in their log"
        )


def test_an_operator_of_some_hosts_redacts_on_those() -> None:
    given = grant_statement(FOUNDER, COLONY, OPERATOR.node, "o", [REDACTING], None, [LOWER.node], 2)
    assert judged(*TREE, given, redact(OPERATOR, LOWER)).redactions
    assert not judged(*TREE, given, redact(OPERATOR, UPPER)).redactions
    ended = grant_statement(FOUNDER, COLONY, OPERATOR.node, "o", [REDACTING], 40, [], 2)
    assert not judged(*TREE, ended, redact(OPERATOR, at_ms=50)).redactions


def test_what_a_dismissed_operator_redacted_before_stands() -> None:
    given = grant_statement(FOUNDER, COLONY, OPERATOR.node, "o", [REDACTING], None, [], 2)
    before, after = redact(OPERATOR, at_ms=50), redact(OPERATOR, at_ms=51)
    end = dismissal_statement(FOUNDER, COLONY, OPERATOR.node, [given.id], [before.id], 60)
    assert [one.id for one in judged(*TREE, given, before, after, end).redactions] == [before.id]


@pytest.mark.parametrize(
    "wrong",
    [
        {"seqs": []}, {"seqs": [[0, 1]]}, {"seqs": [[4, 3]]}, {"seqs": [[1, 2], [2, 3]]}, {"seqs": [[1, 1 << 63]]},
        {"seqs": [[n, n] for n in range(2, 1100, 2)]}, {"seqs": None}, {"epoch": -1}, {"epoch": True}, {"epoch": None},
        {"author": b"x"}, {"author": None}, {"why": None}, {"why": "x" * 201},
    ],
)  # fmt: skip
def test_a_malformed_redaction_is_refused(wrong: dict[str, object]) -> None:
    fields = {**redaction_fields(LOWER.node, 7, [(3, 4)], ""), **wrong}
    with pytest.raises(ProtocolViolation):
        READERS[REDACT](sign_statement(FOUNDER, REDACT, COLONY, 5, fields))
