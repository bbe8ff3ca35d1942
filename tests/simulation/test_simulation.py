"""A few hundred seeds; ``python -m tests.simulation --seeds N`` runs as many as you like."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.found import FOUND
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


@pytest.mark.parametrize(("seed", "nodes", "what"), FOUND, ids=lambda value: str(value)[:60])
def test_seeds_that_found_something(seed: int, nodes: int, what: str) -> None:
    assert run_seed(seed, nodes).trace.counts is not None, what


@pytest.mark.parametrize(("seed", "nodes"), [(3, 3), (5, 3), (2, 10)])
def test_a_seed_is_the_same_run_each_time(seed: int, nodes: int) -> None:
    first, second = run_seed(seed, nodes), run_seed(seed, nodes)
    assert first.trace.digest() == second.trace.digest()
    assert first.clockwork.events == second.clockwork.events


def test_another_seed_is_another_run() -> None:
    assert run_seed(3, 3).trace.digest() != run_seed(4, 3).trace.digest()


def test_steady_runs_are_among_the_seeds() -> None:
    assert [seed for seed in range(MANY) if not draw(seed, 3).faults]


def test_the_simulator_bites() -> None:
    """With a disk that forgets what it acknowledged, the run must fail."""
    world = World(draw(3, 3))
    node = world.nodes[0]
    world.clockwork.at(2.0, lambda: node.disk.rows.logs.clear())
    world.clockwork.at(2.0, lambda: node.disk.rows.visible.clear())
    with pytest.raises((Violation, KeyError)):
        world.run()
