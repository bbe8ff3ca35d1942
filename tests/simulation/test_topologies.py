"""Every shape carries everything to everybody, nothing twice in peace, and little twice when follows move."""

from __future__ import annotations

import pytest

from tests.simulation.topologies import DAY_S, SHAPES, Shape, apart, ring_without_its_author, steady


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_comes_twice_in_a_steady_run(shape: Shape, seed: int) -> None:
    seen = steady(shape, seed)
    assert seen.entries
    assert not seen.repeats


@pytest.mark.parametrize(
    ("seconds", "nodes", "one_way"), [(DAY_S / 4, 4, False), (600.0, 6, False), (600.0, 6, True)]
)
def test_halves_that_were_apart_become_one(seconds: float, nodes: int, one_way: bool) -> None:
    seen = apart(3, seconds, nodes=nodes, one_way=one_way)
    assert seen.moves
    assert seen.repeats < seen.entries / 50, str(seen)


@pytest.mark.parametrize("seed", range(4))
def test_an_author_that_comes_and_goes_is_heard_in_a_ring_of_followers(seed: int) -> None:
    seen = ring_without_its_author(seed)
    assert seen.repeats < seen.entries / 10, str(seen)
