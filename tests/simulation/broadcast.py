"""25 nodes at 100 ms links in steady state: what a message costs, and when everybody has it.

The load is that of Maelstrom's broadcast test: 100 operations a second over 10 seconds, half of them a write, half a
read of all that is there, each at a random node. A read is answered by a node for itself and costs no message.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from statistics import quantiles

from maw.core.frames import Credit, Entries, Frame, Have, encode
from tests.simulation.knobs import Knobs, draw
from tests.simulation.node import SimNode
from tests.simulation.world import World

LATENCY_S = 0.1
SECONDS = 10.0
WRITES = 500
READS = 500
SIZE = 100
SETTLE_S = 120.0


class Steady(World):
    """A world in which every link takes exactly as long, and what is sent is counted."""

    def __init__(self, knobs: Knobs) -> None:
        super().__init__(knobs)
        network = self.around.network
        network.jitter = False
        self.sent: Counter[type] = Counter()
        """Frames by kind."""
        self.sent_bytes = 0
        network.sent = self._count

    def _count(self, frame: Frame) -> None:
        self.sent[type(frame)] += 1
        self.sent_bytes += len(encode(frame))

    def count_anew(self) -> None:
        self.sent.clear()
        self.sent_bytes = 0

    def settle(self, seconds: float = SETTLE_S) -> None:
        self.introduce()
        for node in self.nodes:
            node.disk.sync()
            node.start()
        self.clockwork.run_until(seconds)
        for node in self.nodes:
            node.received.clear()
            node.posts.clear()
        self.count_anew()


def steady(shape: str, nodes: int, seed: int, latency: float, commit: float = 0.001) -> Steady:
    drawn = draw(seed, nodes)
    return Steady(
        replace(
            drawn, shape=shape, faults=frozenset(), invites="star", latency=latency, commit=commit,
            wire=False, credit=4 << 20, page=100_000,
        )
    )  # fmt: skip


def deliveries(world: World) -> dict[bytes, list[float]]:
    """By entry: when each other node had it on its disk. To be called before anything is said."""
    seen: dict[bytes, list[float]] = {}
    for node in world.nodes:

        def brought(link: int, entries: Sequence[object], node: SimNode = node) -> None:
            for entry in entries:
                seen.setdefault(entry.id, []).append(world.clockwork.now)  # type: ignore[attr-defined]

        node.watcher.brought = brought  # type: ignore[method-assign]
    return seen


def measure(shape: str, nodes: int = 25, seed: int = 1) -> str:
    """A row of the table."""
    world = steady(shape, nodes, seed, LATENCY_S)
    world.settle()
    seen = deliveries(world)
    rng = random.Random(seed)
    begin = world.clockwork.now
    for _ in range(WRITES):
        world.clockwork.at(begin + rng.uniform(0, SECONDS), rng.choice(world.nodes).post, 1, SIZE)
    world.clockwork.run_until(begin + SECONDS + 10)
    said = {entry.id: when for node in world.nodes for entry, when in node.posts}
    whole = [max(seen[key]) - at for key, at in said.items() if len(seen[key]) == nodes - 1]
    each = [when - at for key, at in said.items() for when in seen[key]]
    assert len(whole) == WRITES, f"{WRITES - len(whole)} messages are not everywhere"
    twice = sum(times - 1 for node in world.nodes for times in node.received.values())
    total, operations = world.sent.total(), WRITES + READS
    known = (Entries, Have, Credit)
    other = total - sum(world.sent[kind] for kind in known)
    cuts = quantiles(whole, n=100)
    per = [world.sent[kind] / operations for kind in known]
    return (
        f"| {shape} | {total / operations:.1f} | {per[0]:.1f} | {per[1]:.1f} | {per[2]:.1f} |"
        f" {other / operations:.1f} |"
        f" {cuts[49] * 1000:.0f} | {cuts[98] * 1000:.0f} | {max(whole) * 1000:.0f} |"
        f" {quantiles(each, n=100)[49] * 1000:.0f} | {twice} |"
    )


def report() -> int:
    """Prints the table of docs/testing.md."""
    print(
        "| shape | messages an operation | entries | have | credit | other | everywhere: median, ms | p99 | most |"
        " one other node: median, ms | sent twice |\n" + "|---" * 11 + "|"
    )
    for shape in ("tree", "star", "random", "line"):
        print(measure(shape), flush=True)
    return 0
