"""Forks: what proves one, who is told, what its author's word does, and where branches part."""

from __future__ import annotations

from itertools import pairwise

import pytest

import maw.core.forks
from maw.core.colony import Open
from maw.core.effects import (
    Alert,
    CheckAdoption,
    CheckFork,
    CheckProof,
    Hangup,
    KeepOwn,
    ReadBranch,
    Seek,
    Settled,
)
from maw.core.entry import START, Entry, Head, Kind, make, pack_payload
from maw.core.forks import (
    KEEP_OWN_S,
    MAX_SHOWN,
    SEEK_S,
    Forks,
    Parting,
    Verdict,
    adoptions,
    check_proof,
    common_end,
    compact,
    judge,
    ladder,
    where_they_part,
)
from maw.core.frames import Fork, Locate, Proof
from maw.core.held import HeldLogs
from maw.core.identity import NodeId
from maw.core.log import Adoption
from maw.errors import ProtocolViolation
from tests.unit.core.builders import COLONY, chain, forged, of, sent, signer

ME, AUTHOR, OTHER = signer(1), signer(2), signer(3)
A, B, C = 1, 2, 3
LOG = chain(AUTHOR, 10)
BRANCH = [*LOG[:4], *chain(AUTHOR, 6, after=LOG[3].head, text="another branch")]
PROOF = Proof(AUTHOR.node, 1, compact(LOG[4:]), compact(BRANCH[4:]))


def forks(*links: int, me: NodeId = ME.node) -> Forks:
    held = HeldLogs({AUTHOR.node: {1: LOG[-1].head}})
    machine = Forks(me, COLONY, held, lambda author: author in (AUTHOR.node, me))
    for link in links:
        assert not machine.link_up(link)
    return machine


def opening(adopts: tuple[tuple[int, int, bytes], ...], *, epoch: int = 2, again: int = 2) -> Entry:
    said = Open(None, bytes(16), None, "forked", adopts, again)
    payload = pack_payload(bytes(16), said.content())
    return make(AUTHOR, COLONY, epoch, START, 1, Kind.OPEN, payload)


# -- where two runs part --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begin", "found"), [(0, (5, True)), (3, (5, True)), (4, (5, True)), (5, (6, False)), (9, (10, False))]
)
def test_branches_part_where_the_entry_before_is_the_same(begin: int, found: tuple[int, bool]) -> None:
    assert where_they_part(LOG[begin:], BRANCH[begin:]) == found


def test_runs_of_one_branch_part_nowhere() -> None:
    assert where_they_part(LOG[2:5], LOG[2:]) is None
    assert where_they_part([], LOG) is None
    assert where_they_part(LOG[:3], BRANCH[:4]) is None


@pytest.mark.parametrize("top", [0, 1, 2, 3, 10, 1000, 1 << 40])
def test_a_ladder_is_dense_above_short_and_ends_at_the_first(top: int) -> None:
    steps = ladder(top)
    assert len(steps) <= 44
    assert steps == sorted(set(steps), reverse=True)
    if top:
        assert (steps[0], steps[-1]) == (top, 1)
        gaps = [one - other for one, other in pairwise(steps)]
        assert all(gap <= 2 * (top - below) for gap, below in zip(gaps, steps[1:], strict=True)), (
            "within a factor"
        )


# -- what to do about it ----------------------------------------------------------------------------------


def parting(author: NodeId = AUTHOR.node, **more: object) -> Parting:
    fields = {"author": author, "epoch": 1, "since": 5, "exact": True, "run": tuple(BRANCH[4:]), **more}
    return Parting(**fields)  # type: ignore[arg-type]


THEIRS = Adoption(BRANCH[9].head, 2, 2)
OURS = Adoption(LOG[9].head, 2, 2)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (parting(), Verdict.DISPUTE),
        (parting(exact=False), Verdict.DISPUTE),
        (parting(ME.node), Verdict.RECLAIM),
        (parting(ME.node, exact=False), Verdict.LOCATE),
        (parting(ME.node, run=compact(BRANCH[4:])), Verdict.LOCATE),
        (parting(ME.node, run=(*compact(BRANCH[4:]), *BRANCH[5:])), Verdict.RECLAIM),
        (parting(adoption=THEIRS), Verdict.TAKE),
        (parting(adoption=THEIRS, run=(*compact(BRANCH[4:]), *BRANCH[5:])), Verdict.TAKE),
        (parting(adoption=THEIRS, exact=False), Verdict.LOCATE),
        (parting(adoption=OURS, settled=True), Verdict.NOTHING),
        (parting(ME.node, adoption=OURS, settled=True), Verdict.NOTHING),
        (parting(ME.node, adoption=THEIRS), Verdict.RECLAIM),
        (parting(ME.node, adoption=THEIRS, exact=False), Verdict.LOCATE),
        (parting(ME.node, adoption=OURS), Verdict.RECLAIM),
        (parting(adoption=OURS, settled=False), Verdict.DISPUTE),
        (parting(adoption=Adoption(LOG[2].head, 2, 2), settled=True), Verdict.DISPUTE),
        (parting(adoption=Adoption(Head(40, b"x" * 32), 2, 2)), Verdict.GATHER),
    ],
    ids=lambda value: value.name if isinstance(value, Verdict) else "",
)
def test_what_follows_from_a_contradiction(found: Parting, verdict: Verdict) -> None:
    assert judge(ME.node, found) is verdict


@pytest.mark.parametrize(
    ("found", "head"),
    [
        (parting(ME.node), BRANCH[-1].head),
        (parting(ME.node, adoption=THEIRS), BRANCH[-1].head),
        (parting(ME.node, adoption=THEIRS, run=tuple(BRANCH[4:7])), BRANCH[9].head),
        (parting(ME.node, adoption=Adoption(Head(6, b"x" * 32), 2, 2)), Head(6, b"x" * 32)),
        (
            parting(
                ME.node, since=8, run=tuple(BRANCH[7:]), adoption=Adoption(LOG[6].head, 2, 2), settled=True
            ),
            BRANCH[-1].head,
        ),
    ],
    ids=("nothing adopted", "it goes on from there", "it stops short of it", "a third branch", "beyond it"),
)
def test_what_was_adopted_once_stays_adopted(found: Parting, head: Head) -> None:
    assert found.through == head


def test_an_adoption_of_ours_that_others_give_back_is_carried_out() -> None:
    machine = forks(A, me=AUTHOR.node)
    given_back = opening(((1, *BRANCH[9].head),), again=1)
    machine._held.advance([given_back])
    assert of(machine.committed([given_back]), CheckAdoption) == [
        CheckAdoption(AUTHOR.node, 1, Adoption(BRANCH[9].head, 2, 1))
    ]


# -- proofs -------------------------------------------------------------------------------------------------


def test_a_proof_carries_no_payloads_and_no_more_than_a_signature_needs() -> None:
    assert [entry.payload for entry in PROOF.one + PROOF.other] == [None, None]
    run = [forged(LOG[4]), *LOG[5:]]
    assert [entry.seq for entry in compact(run)] == [5, 6]
    check_proof(COLONY, PROOF)


@pytest.mark.parametrize(
    "bad",
    [
        Proof(AUTHOR.node, 1, compact(LOG[4:]), compact(LOG[4:])),
        Proof(AUTHOR.node, 1, compact(LOG[4:]), compact(BRANCH[5:])),
        Proof(AUTHOR.node, 1, compact(LOG[4:]), ()),
        Proof(AUTHOR.node, 2, compact(LOG[4:]), compact(BRANCH[4:])),
        Proof(OTHER.node, 1, compact(LOG[4:]), compact(BRANCH[4:])),
        Proof(AUTHOR.node, 1, compact(LOG[4:]), (forged(BRANCH[4]),)),
    ],
)
def test_what_proves_nothing_ends_the_link(bad: Proof) -> None:
    with pytest.raises(ProtocolViolation):
        check_proof(COLONY, bad)
    if bad.author == AUTHOR.node:
        assert of(forks(A).proof(A, bad), Hangup)


def test_a_run_that_is_shown_is_checked_before_it_is_looked_at() -> None:
    machine = forks(A)
    (check,) = of(machine.fork(A, Fork(AUTHOR.node, 1, tuple(BRANCH[4:6]))), CheckFork)
    assert check.entries == tuple(BRANCH[4:6])
    for bad in (
        Fork(AUTHOR.node, 1, (*BRANCH[4:6], forged(BRANCH[6]))),
        Fork(AUTHOR.node, 1, (BRANCH[4], LOG[5])),
        Fork(AUTHOR.node, 2, tuple(BRANCH[4:6])),
    ):
        assert of(machine.fork(A, bad), Hangup)
    assert not machine.fork(A, Fork(AUTHOR.node, 1, ()))
    assert not machine.fork(A, Fork(OTHER.node, 1, tuple(chain(OTHER, 1)))), "a stranger's"


def test_a_dispute_is_told_to_all_but_who_told_it_and_to_who_comes_later() -> None:
    machine = forks(A, B)
    (check,) = of(machine.proof(A, PROOF), CheckProof)
    assert (check.one, check.other) == (PROOF.one, PROOF.other)
    machine._held.disputed.add((AUTHOR.node, 1))
    effects = machine.disputed(PROOF)
    assert sent(effects, Proof, B) == [PROOF]
    assert not sent(effects, Proof, A)
    assert not machine.proof(B, PROOF), "who is told tells back, and nothing follows"
    assert sent(machine.link_up(C), Proof, C) == [PROOF]
    assert not machine.fork(B, Fork(AUTHOR.node, 1, tuple(BRANCH))), "it is known"


def test_proofs_without_end_are_neither_taken_nor_told() -> None:
    machine = forks(A, B)
    told = 0
    for epoch in range(1, MAX_SHOWN + 20):
        one, other = chain(AUTHOR, 1, epoch=epoch), chain(AUTHOR, 1, epoch=epoch, text="x")
        proof = Proof(AUTHOR.node, epoch, compact(one), compact(other))
        if machine.proof(A, proof):
            told += len(sent(machine.disputed(proof), Proof, B))
    assert told == MAX_SHOWN


# -- adoption -----------------------------------------------------------------------------------------------


def test_only_an_open_adopts_and_only_older_epochs() -> None:
    head = BRANCH[9].head
    assert adoptions(opening(((1, *head),))) == {1: Adoption(head, 2, 2)}
    assert adoptions(opening(((2, *head), (3, *head)))) == {}
    assert adoptions(LOG[0]) == {}
    garbage = make(AUTHOR, COLONY, 2, START, 1, Kind.OPEN, pack_payload(bytes(16), {"adopts": 7}))
    assert adoptions(garbage) == {}


def test_an_adoption_counts_when_all_that_is_said_again_is_here() -> None:
    machine = forks(A)
    said = opening(((1, *BRANCH[9].head),), again=4)
    machine._held.advance([said])
    assert not machine.committed([said])
    rest = chain(AUTHOR, 3, epoch=2, after=said.head)
    machine._held.advance(rest)
    assert of(machine.committed(rest), CheckAdoption) == [
        CheckAdoption(AUTHOR.node, 1, Adoption(BRANCH[9].head, 2, 4))
    ]
    assert not machine.tick(0.0), "once"


def test_of_two_adoptions_the_later_counts() -> None:
    machine = forks(A)
    for epoch, head in ((3, LOG[9].head), (2, BRANCH[9].head)):
        first = opening(((1, *head),), epoch=epoch, again=1)
        machine._held.advance([first])
        machine.adopted(AUTHOR.node, adoptions(first))
    (check,) = of(machine.tick(0.0), CheckAdoption)
    assert check.adoption == Adoption(LOG[9].head, 3, 1)


def test_the_branch_that_counts_is_sought_on_one_link_after_the_other() -> None:
    machine = forks(A, B)
    machine._held.disputed.add((AUTHOR.node, 1))
    asked = [seek.link for seek in of(machine.seek(AUTHOR.node, 1, 0.0), Seek)]
    assert not machine.tick(SEEK_S / 2)
    for step in (1, 2, 3):
        asked += [seek.link for seek in of(machine.tick(step * SEEK_S), Seek)]
    assert asked == [A, B, A, B]
    assert of(machine.fork(A, Fork(AUTHOR.node, 1, tuple(BRANCH))), CheckFork), "an answer is looked at"
    effects = machine.settled(AUTHOR.node, 1)
    assert of(effects, Settled)
    assert of(effects, Alert)[0].kind == "fork_settled"
    assert not machine.tick(100.0)


def test_a_node_with_another_dispute_left_keeps_its_alert() -> None:
    machine = forks(A)
    machine._held.disputed |= {(AUTHOR.node, 1), (AUTHOR.node, 7)}
    assert not machine.settled(AUTHOR.node, 1)
    assert of(machine.settled(AUTHOR.node, 7), Settled)


def test_our_own_branch_is_kept_when_nobody_shows_the_other() -> None:
    machine = forks(A, me=AUTHOR.node)
    assert of(machine.own_disputed(1, 5, 0.0), Seek)
    assert not of(machine.tick(KEEP_OWN_S - 1), KeepOwn)
    assert of(machine.tick(KEEP_OWN_S), KeepOwn) == [KeepOwn(1, 5)]
    assert not machine.tick(KEEP_OWN_S + 5)


# -- asked for our branch -------------------------------------------------------------------------------------


def test_one_read_at_a_time_is_done_for_a_link() -> None:
    machine = forks(A)
    ask = Locate(AUTHOR.node, 1, (LOG[3].head,))
    assert machine.locate(A, ask) == [ReadBranch(A, AUTHOR.node, 1, (LOG[3].head,))]
    assert not machine.locate(A, ask)
    assert sent(machine.branch_read(A, AUTHOR.node, 1, LOG[4:]), Fork, A)[0].entries == tuple(LOG[4:])
    assert machine.locate(A, ask)
    machine.link_down(A)
    assert not machine.branch_read(A, AUTHOR.node, 1, LOG[4:])


def test_the_search_goes_on_where_an_answer_did_not_reach_the_parting() -> None:
    assert common_end(LOG[:4], BRANCH[:3], top=10) == LOG[2].head
    assert common_end(LOG[1:3], BRANCH[1:4], top=10) == LOG[2].head
    assert common_end(LOG, LOG, top=10) is None, "nothing of ours lies beyond"
    assert common_end(LOG[:5], BRANCH[:5], top=10) is None, "they differ"
    assert common_end([], BRANCH, top=10) is None


def test_a_branch_longer_than_an_answer_is_gathered_until_it_shows_the_adopted_head() -> None:
    machine = forks(A)
    assert of(machine.seek(AUTHOR.node, 1, 10.0), Seek) == [Seek(A, AUTHOR.node, 1)]
    (first,) = of(machine.fork(A, Fork(AUTHOR.node, 1, tuple(BRANCH[4:6]))), CheckFork)
    (ask,) = machine.gather(A, AUTHOR.node, 1, first.entries, 10.1)
    assert ask == Seek(A, AUTHOR.node, 1, BRANCH[5].head)
    assert not machine.tick(10.0 + SEEK_S), "it is under way"
    (second,) = of(machine.fork(A, Fork(AUTHOR.node, 1, tuple(BRANCH[6:9]))), CheckFork)
    assert second.entries == tuple(BRANCH[4:9])
    machine.gather(A, AUTHOR.node, 1, second.entries, 10.2)
    (third,) = of(machine.fork(A, Fork(AUTHOR.node, 1, tuple(BRANCH[9:]))), CheckFork)
    assert judge(ME.node, parting(run=third.entries, adoption=THEIRS)) is Verdict.TAKE
    machine.settled(AUTHOR.node, 1)
    (anew,) = of(machine.fork(A, Fork(AUTHOR.node, 1, tuple(BRANCH[9:]))), CheckFork)
    assert anew.entries == tuple(BRANCH[9:])


def test_a_run_that_does_not_follow_what_was_gathered_begins_anew() -> None:
    machine = forks(A)
    machine.seek(AUTHOR.node, 1, 10.0)
    machine.gather(A, AUTHOR.node, 1, tuple(BRANCH[4:6]), 10.1)
    (check,) = of(machine.fork(A, Fork(AUTHOR.node, 1, tuple(LOG[6:9]))), CheckFork)
    assert check.entries == tuple(LOG[6:9])


def test_what_nobody_looks_for_is_not_gathered() -> None:
    machine = forks(A)
    assert machine.gather(A, AUTHOR.node, 1, tuple(BRANCH[4:6]), 10.0) == []


def test_a_branch_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maw.core.forks, "MAX_GATHERED", 2 * BRANCH[4].size - 1)
    machine = forks(A)
    machine.seek(AUTHOR.node, 1, 10.0)
    assert machine.gather(A, AUTHOR.node, 1, tuple(BRANCH[4:5]), 10.1)
    assert not machine.gather(A, AUTHOR.node, 1, tuple(BRANCH[4:6]), 10.2)


def test_what_was_never_said_again_is_shown_now_and_then() -> None:
    machine = forks(A, B)
    run = tuple(LOG[4:])
    assert sent(machine.show_author([A, B], AUTHOR.node, 1, run, 10.0), Fork, A) == [
        Fork(AUTHOR.node, 1, run)
    ]
    assert machine.show_author([A], AUTHOR.node, 1, run, 10.5) == []
    assert machine.show_author([A], AUTHOR.node, 1, run, 10.0 + SEEK_S)
