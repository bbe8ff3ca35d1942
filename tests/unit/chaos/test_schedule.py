"""The schedule of a chaos run: the same for a seed, within its time, every kind, never too much at once."""

from collections import Counter
from itertools import pairwise

import pytest

from tests.chaos.schedule import ABOUT, CLOCK, DISASTERS, KINDS, PAIRS, ROLLBACK, Fault, plan

SEEDS = range(40)


def test_a_seed_gives_one_schedule() -> None:
    assert plan(7, 600, 5) == plan(7, 600, 5) != plan(8, 600, 5)


@pytest.mark.parametrize("seconds", [45, 75, 600])
def test_all_is_over_in_time(seconds: float) -> None:
    for seed in SEEDS:
        faults = plan(seed, seconds, 5)
        assert faults
        assert all(0 < fault.at < fault.ends <= seconds for fault in faults)


def test_two_hosts_at_most_are_struck_at_once_and_each_by_one_fault() -> None:
    for seed in SEEDS:
        faults = plan(seed, 600, 5)
        for one in faults:
            struck = [host for other in faults if other.at <= one.at < other.ends for host in other.hosts]
            assert len(struck) == len(set(struck)) <= 2


def test_ten_minutes_have_every_kind_and_they_overlap() -> None:
    for seed in SEEDS:
        faults = plan(seed, 600, 5)
        count = Counter(fault.kind for fault in faults)
        assert set(count) == set(KINDS) == set(ABOUT)
        assert any(one.at < other.at < one.ends for one in faults for other in faults)


def test_databases_are_lost_one_at_a_time() -> None:
    for seed in SEEDS:
        lost = [fault for fault in plan(seed, 600, 5) if fault.kind in DISASTERS]
        assert all(later.at >= earlier.ends + 10 for earlier, later in pairwise(lost))


def test_amounts_mean_something() -> None:
    for fault in plan(1, 600, 5):
        assert len(fault.hosts) == len(set(fault.hosts)) == (2 if fault.kind in PAIRS else 1)
        if fault.kind == CLOCK:
            assert 1800 <= abs(fault.amount) <= 6 * 3600
        elif fault.kind == ROLLBACK:
            assert 0 < fault.amount <= fault.at
        else:
            assert fault.amount == 0


def test_what_a_machine_cannot_have_is_left_out() -> None:
    assert CLOCK not in {fault.kind for fault in plan(3, 600, 5, without={CLOCK})}


def test_a_fault_says_whom_and_how_much() -> None:
    assert Fault(CLOCK, 1, 2, (3,), -5400).describe() == "h4 clock -1.5 h"
    assert Fault(ROLLBACK, 1, 2, (0,), 40).describe() == "h1 rolled back to 40 s before"
