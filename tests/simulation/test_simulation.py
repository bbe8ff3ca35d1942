"""A few hundred seeds; ``python -m tests.simulation --seeds N`` runs as many as you like."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.found import FAULTS_KNOWN, Fault
from tests.simulation.knobs import FAULTS, SHOWS, draw
from tests.simulation.trace import Violation
from tests.simulation.world import World, run_seed

MANY = 40
"""Seeds in one test: enough that every fault has its effect in each."""


def run_all(seeds: range, nodes: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for seed in seeds:
        try:
            counts += run_seed(seed, nodes).trace.counts
        except Violation as violation:
            world: World = violation.world  # type: ignore[attr-defined]
            again = f"python -m tests.simulation --start {seed} --seeds 1 --nodes {nodes}"
            pytest.fail(f"{violation}\n{draw(seed, nodes)}\n{world.trace.tail(40)}\nmore: {again}")
    return counts


def without_effect(counts: Counter[str]) -> list[str]:
    return [what for what in SHOWS.values() if not counts[what]]


def test_every_fault_has_a_count_by_which_it_shows() -> None:
    assert set(SHOWS) == set(FAULTS)


@pytest.mark.parametrize("start", range(0, 240, MANY))
def test_three_nodes(start: int) -> None:
    assert not without_effect(run_all(range(start, start + MANY), 3))


@pytest.mark.parametrize("start", range(0, 24, 6))
def test_ten_nodes(start: int) -> None:
    assert run_all(range(start, start + 6), 10)


@pytest.mark.parametrize("seed", [1, 2])
def test_fifty_nodes(seed: int) -> None:
    assert run_all(range(seed, seed + 1), 50)


def test_ten_nodes_meet_every_fault() -> None:
    assert not without_effect(run_all(range(100, 118), 10))


CASES = [
    pytest.param(fault, seed, nodes, id=f"{fault.put_back.__name__}-{seed}")
    for fault in FAULTS_KNOWN
    for seed, nodes in fault.seeds
]


@pytest.mark.parametrize(("fault", "seed", "nodes"), CASES)
def test_seeds_that_found_something(
    fault: Fault, seed: int, nodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The simulator bites: with the old fault put back the run fails, and without it does not."""
    run_seed(seed, nodes)
    monkeypatch.setattr(fault.owner, fault.name, fault.put_back)
    with pytest.raises(Violation):
        run_seed(seed, nodes)


@pytest.mark.parametrize(("seed", "nodes"), [(3, 3), (5, 3), (2, 10)])
def test_a_seed_is_the_same_run_each_time(seed: int, nodes: int) -> None:
    first, second = run_seed(seed, nodes), run_seed(seed, nodes)
    assert first.trace.digest() == second.trace.digest()
    assert first.clockwork.events == second.clockwork.events


def test_another_seed_is_another_run() -> None:
    assert run_seed(3, 3).trace.digest() != run_seed(4, 3).trace.digest()


def test_steady_runs_are_among_the_seeds() -> None:
    assert [seed for seed in range(MANY) if not draw(seed, 3).faults]
