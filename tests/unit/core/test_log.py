from __future__ import annotations

import pytest

from maw.core.entry import START, Head
from maw.core.identity import digest
from maw.core.log import (
    Forked,
    Gap,
    check_run,
    closed_digest,
    cut_at_signature,
    fresh_epoch,
    head_of,
    runs,
    unheld,
)
from maw.errors import ProtocolViolation
from tests.unit.core.builders import COLONY, chain, forged, signer

ONE, TWO = signer(1), signer(2)
LOG = chain(ONE, 6)


def test_a_run_that_follows_is_taken_at_any_cut() -> None:
    for cut in range(len(LOG)):
        head = LOG[cut - 1].head if cut else START
        check_run(COLONY, head, LOG[cut:])


def test_only_the_last_signature_is_checked() -> None:
    bad = forged(LOG[3])
    rest = chain(ONE, 2, after=bad.head)
    check_run(COLONY, LOG[2].head, [bad, *rest])
    with pytest.raises(ProtocolViolation) as caught:
        check_run(COLONY, LOG[2].head, [bad])
    assert caught.value.code == "forged"


def test_a_gap_is_no_crime() -> None:
    with pytest.raises(Gap):
        check_run(COLONY, LOG[0].head, LOG[2:])


def test_another_predecessor_at_our_head_is_a_fork() -> None:
    other = chain(ONE, 3, text="another branch")
    with pytest.raises(Forked):
        check_run(COLONY, LOG[1].head, other[2:])


def test_a_log_that_does_not_begin_at_nothing_is_no_fork_but_wrong() -> None:
    stray = chain(ONE, 1, after=Head(0, b"x" * 32))
    with pytest.raises(ProtocolViolation) as caught:
        check_run(COLONY, START, stray)
    assert not isinstance(caught.value, Forked)


def test_a_run_that_breaks_inside_is_refused() -> None:
    other = chain(ONE, 3, text="another branch")
    for run in ([LOG[0], LOG[1], other[2]], [LOG[0], LOG[2]]):
        with pytest.raises(ProtocolViolation) as caught:
            check_run(COLONY, START, run)
        assert not isinstance(caught.value, Gap)


def test_another_colony_is_refused() -> None:
    with pytest.raises(ProtocolViolation) as caught:
        check_run(digest(b"elsewhere"), START, LOG)
    assert caught.value.code == "wrong_colony"


def test_what_is_held_already_is_stripped_and_a_contradiction_at_the_head_is_seen() -> None:
    assert unheld(LOG[2].head, LOG) == LOG[3:]
    assert unheld(LOG[2].head, LOG[3:]) == LOG[3:]
    assert unheld(LOG[2].head, LOG[:2]) == []
    assert unheld(LOG[5].head, LOG) == []
    with pytest.raises(Forked):
        unheld(LOG[2].head, chain(ONE, 5, text="another branch"))


def test_runs_are_cut_where_log_or_epoch_changes() -> None:
    second, other = chain(ONE, 2, epoch=2), chain(TWO, 1)
    assert [len(run) for run in runs([*LOG, *second, *other, *second])] == [6, 2, 1, 2]


def test_a_run_is_cut_at_its_last_good_signature() -> None:
    bad = chain(ONE, 2, after=LOG[-1].head)
    assert cut_at_signature([*LOG, *map(forged, bad)]) == LOG
    assert not cut_at_signature(list(map(forged, bad)))


def test_the_digest_of_closed_epochs_tells_any_difference_below_and_none_above() -> None:
    heads = {1: LOG[0].head, 2: LOG[1].head, 3: LOG[2].head}
    base = closed_digest(heads, 3)
    assert closed_digest({**heads, 3: LOG[5].head, 4: LOG[4].head}, 3) == base
    assert closed_digest(dict(reversed(heads.items())), 3) == base
    assert closed_digest({**heads, 2: LOG[2].head}, 3) != base
    assert closed_digest({2: LOG[1].head}, 3) != base


def test_the_head_of_what_is_not_held_is_the_start() -> None:
    assert head_of({}, ONE.node, 1) == START
    assert head_of({ONE.node: {1: LOG[0].head}}, ONE.node, 1) == LOG[0].head


def test_an_epoch_begins_by_the_clock_or_by_chance_above_the_newest() -> None:
    assert fresh_epoch(7, 1_000, 5) == 1_000
    assert fresh_epoch(1_000, 1_000, 0) == 1_001
    assert fresh_epoch(2_000, 1_000, 5) != fresh_epoch(2_000, 1_000, 6)
    assert min(fresh_epoch(2_000, 1_000, chance) for chance in (0, 5)) > 2_000
