"""Runs in shapes that matter: what is linked, and in which direction, is given; nothing else befalls the nodes.

A run without faults asserts by itself that nothing was sent twice over any link (``check_end``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from tests.simulation.knobs import draw
from tests.simulation.shapes import Edges
from tests.simulation.world import SETTLED_S, World

DAY_S: Final = 86_400.0
APART: Final = frozenset({"apart"})
"""No fault that the simulator knows: the run is no steady one, and what befalls it is planned here."""
Directions = set[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Shape:
    """``edges``: who may be linked at all; ``cut``: directions in which nobody can dial."""

    name: str
    nodes: int
    edges: Edges
    cut: frozenset[tuple[int, int]] = frozenset()


def _all_of(*members: int) -> Edges:
    return {frozenset((a, b)) for a in members for b in members if a < b}


def _random_of_degree_4(count: int) -> Edges:
    """A ring and the same ring with every third node next to each other: four neighbours each."""
    steps = (1, 3)
    return {frozenset((a, (a + step) % count)) for a in range(count) for step in steps}


SHAPES: Final = (
    Shape("line", 12, {frozenset((a, a + 1)) for a in range(11)}),
    Shape("ring", 12, {frozenset((a, (a + 1) % 12)) for a in range(12)}),
    Shape("star", 12, {frozenset((0, a)) for a in range(1, 12)}),
    Shape("four neighbours each", 13, _random_of_degree_4(13)),
    Shape("two cliques and one host", 11, _all_of(*range(6)) | _all_of(*range(5, 11))),
    Shape("one that only dials out", 6, _all_of(*range(6)), frozenset((a, 0) for a in range(1, 6))),
    Shape("each dials only the later", 6, _all_of(*range(6)), frozenset((b, a) for b in range(6) for a in range(b))),
)  # fmt: skip


@dataclass(slots=True)
class Seen:
    """What a run showed. ``repeats``: entries that came to a node once more; ``moves``: follows taken from a link."""

    entries: int = 0
    repeats: int = 0
    moves: int = 0
    discarded: int = 0

    def __str__(self) -> str:
        share = 100 * self.repeats / max(1, self.entries)
        return (
            f"{self.entries} entries received, {self.repeats} of them again ({share:.2f} %),"
            f" {self.moves} follows moved, {self.discarded} discarded"
        )


def _seen(world: World) -> Seen:
    seen = Seen()
    for node in world.nodes:
        seen.entries += sum(node.received.values())
        seen.repeats += sum(times - 1 for times in node.received.values())
        seen.moves += node.replicator.followed.moves
        seen.discarded += node.replicator.followed.discarded_entries
    return seen


def equal(world: World) -> bool:
    """Every replica holds the same entries."""
    first = world.nodes[0].disk.rows.heads()
    return bool(first) and all(node.disk.rows.heads() == first for node in world.nodes)


def steady(shape: Shape, seed: int, posts: int = 60) -> Seen:
    """Raises Violation when an entry comes twice or is lost, AssertionError when it is not everywhere in time."""
    knobs = replace(
        draw(seed, shape.nodes), faults=frozenset(), posts=posts, span=10.0, invites="tree", credit=1 << 20
    )
    world = World(knobs)
    world.around.network.edges = set(shape.edges)
    world.around.network.cut |= shape.cut
    late: list[bool] = []
    world.clockwork.at(SETTLED_S + knobs.span + 11.0, lambda: late.append(equal(world)))
    world.run()
    if late != [True]:
        raise AssertionError("the replicas differ a moment after the last message")
    return _seen(world)


def apart(seed: int, seconds: float, *, nodes: int = 6, posts: int = 400, one_way: bool = False) -> Seen:
    """Two halves that cannot reach each other for so long, and both go on talking."""
    knobs = replace(draw(seed, nodes), faults=APART, shape="mesh", posts=posts, span=seconds, latency=0.005)
    world = World(knobs)
    half = nodes // 2
    across = {(a, b) for a in range(half) for b in range(half, nodes)}
    directions = across if one_way else across | {(b, a) for a, b in across}
    world.clockwork.at(5.0, _cut(world, directions))
    world.clockwork.at(seconds - 5.0, lambda: world.around.network.cut.difference_update(directions))
    world.run()
    if not world.trace.counts["links cut by a partition"]:
        raise AssertionError("nothing was cut")
    return _seen(world)


def _cut(world: World, directions: Directions) -> Callable[[], None]:
    def cut() -> None:
        network = world.around.network
        network.cut |= directions
        for wire in network.living():
            if (wire.ends[0].node.index, wire.ends[1].node.index) in directions:
                world.trace.count("links cut by a partition")
                network.kill(wire)

    return cut


def ring_without_its_author(seed: int) -> Seen:
    """All follow an author that is gone through each other, then one who has more of it comes along: it is heard."""
    shape = Shape(
        "ring", 6, {frozenset((a, (a + 1) % 5)) for a in range(5)} | {frozenset((0, 5)), frozenset((2, 5))}
    )
    knobs = replace(draw(seed, 6), faults=APART, posts=40, span=30.0, invites="tree", latency=0.005)
    world = World(knobs)
    world.around.network.edges = set(shape.edges)
    for begin in (4.0, 12.0, 20.0):
        world.clockwork.at(begin, _cut(world, {(0, 5), (5, 0), (2, 5), (5, 2)}))
        world.clockwork.at(begin + 4.0, world.around.network.cut.clear)
    world.run()
    return _seen(world)


if __name__ == "__main__":
    for one in SHAPES:
        print(f"{one.name}: {steady(one, 1)}")
    print(f"two halves apart for a day: {apart(1, DAY_S)}")
    print(f"one way for an hour: {apart(1, 3600.0, one_way=True)}")
    print(f"an author that comes and goes: {ring_without_its_author(1)}")
