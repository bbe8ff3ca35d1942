"""A run: nodes, their network and trust, what they say, what befalls them, and the healing."""

from __future__ import annotations

import random
from collections.abc import Callable

from maw.core.identity import Signer
from maw.core.statement import admit, colony_id, found
from maw.core.trust import INVITED, JOINED, Pin
from tests.simulation.clockwork import Clockwork
from tests.simulation.disk import Rows
from tests.simulation.invariants import check_end, converged, why_not
from tests.simulation.knobs import Knobs, draw
from tests.simulation.network import Network
from tests.simulation.node import SimNode, Surroundings
from tests.simulation.pairing import Pairing
from tests.simulation.shapes import edges_of, inviters_of
from tests.simulation.trace import Trace, Violation

PATIENCE_S = 1500.0
"""How long after the healing everything may take to be everywhere (slow links are slow)."""
QUIET_S = 60.0
SETTLED_S = 60.0
LAST_FAULT_S = 12.0
"""Every fault is over so long after the last thing was planned."""


class World:
    """Builds a run from its knobs; ``run`` carries it through and checks it."""

    def __init__(self, knobs: Knobs) -> None:
        self.knobs = knobs
        self.rng = random.Random(f"world {knobs.seed} {knobs.nodes}")
        self.clockwork = Clockwork()
        self.trace = Trace()
        edges = edges_of(knobs.shape, knobs.nodes, self.rng)
        network = Network(self.clockwork, self.trace, self.rng, knobs.latency, knobs.wire, edges)
        if knobs.has("slow_link"):
            for edge in sorted(edges, key=sorted):
                if self.rng.random() < 0.4:
                    network.slow[edge] = self.rng.choice((3_000.0, 20_000.0, 200_000.0))
        operator = Signer(self.rng.randbytes(32))
        founding = found(operator, "sim", self.rng.randbytes(16), 0)
        self.around = Surroundings(knobs, self.clockwork, network, self.trace, self.rng, colony_id(founding))
        self.nodes = [SimNode(self.around, i, Signer(self.rng.randbytes(32))) for i in range(knobs.nodes)]
        self.around.nodes.extend(self.nodes)
        self.around.by_key.update({node.key: node for node in self.nodes})
        self.around.names.of.update({node.key: node.index for node in self.nodes})
        self._old: dict[int, Rows] = {}

    # -- the beginning -----------------------------------------------------------------------------------

    def _introduce(self) -> None:
        """Each node knows what its invite told it, no more."""
        how = "tree" if self.knobs.has("pairing") else self.knobs.invites
        inviters = inviters_of(how, self.knobs.nodes, self.around.network.edges, self.rng)
        for joiner, inviter in inviters.items():
            if self.knobs.has("pairing"):
                pairing = Pairing(self.nodes[inviter], self.nodes[joiner], self._restart)
                self.clockwork.at(self.rng.uniform(0, self.knobs.span / 2), pairing.start)
            else:
                self._invite(self.nodes[inviter], self.nodes[joiner])

    def _invite(self, inviter: SimNode, joiner: SimNode) -> None:
        colony = self.around.colony
        word = admit(inviter.signer, colony, joiner.key, f"n{joiner.index}", (), True, joiner.index)
        answer = admit(joiner.signer, colony, inviter.key, f"n{inviter.index}", (), True, joiner.index)
        inviter.disk.rows.statements[word.id] = word
        inviter.disk.rows.pins[joiner.key] = Pin(joiner.key, f"n{joiner.index}", (), INVITED)
        joiner.disk.rows.statements[word.id] = word
        joiner.disk.rows.pins[inviter.key] = Pin(inviter.key, f"n{inviter.index}", (), JOINED)
        if self.knobs.invites == "tree":
            joiner.disk.rows.statements[answer.id] = answer

    # -- what befalls them -------------------------------------------------------------------------------

    def _plan(self, start: float) -> None:
        knobs, rng = self.knobs, self.rng
        for _ in range(knobs.posts):
            node = rng.choice(self.nodes)
            size = rng.randint(10, 300)
            count = 1
            if knobs.has("big") and rng.random() < 0.15:
                size = rng.randint(5_000, 60_000)
                self.trace.count("big posts")
            if knobs.has("bursts") and rng.random() < 0.1:
                count, size = rng.randint(10, 60), min(size, 300)
                self.trace.count("posts in bursts")
            self.clockwork.at(start + rng.uniform(0, knobs.span), node.post, count, size)
        for fault, befall in self._faults().items():
            if knobs.has(fault):
                for _ in range(rng.randint(1, 3 + len(self.nodes) // 2)):
                    self.clockwork.at(start + rng.uniform(0, knobs.span), befall)

    def _faults(self) -> dict[str, Callable[[], None]]:
        return {
            "link_loss": self._lose_link,
            "partition": self._part,
            "one_way": self._part_one_way,
            "crash": self._crash,
            "disk_refuses": self._refuse,
            "slow_disk": self._slow_disk,
            "restored": self._take_copy,
            "clock_jump": self._jump_clock,
        }

    def _lose_link(self) -> None:
        living = self.around.network.living()
        if living:
            self.around.network.kill(self.rng.choice(living))

    def _groups(self) -> tuple[set[int], set[int]]:
        size = self.rng.randint(1, max(1, self.knobs.nodes // 2))
        one = set(self.rng.sample(range(self.knobs.nodes), size))
        return one, set(range(self.knobs.nodes)) - one

    def _part(self) -> None:
        one, other = self._groups()
        self._cut({(a, b) for a in one for b in other} | {(b, a) for a in one for b in other})

    def _part_one_way(self) -> None:
        one, other = self._groups()
        self._cut({(a, b) for a in one for b in other})

    def _cut(self, directions: set[tuple[int, int]]) -> None:
        network = self.around.network
        fresh = directions - network.cut
        network.cut |= fresh
        for wire in network.living():
            if (wire.ends[0].node.index, wire.ends[1].node.index) in fresh:
                self.trace.count("links cut by a partition")
                network.kill(wire)
        self.clockwork.after(self.rng.uniform(0.2, 6), network.cut.difference_update, fresh)

    def _crash(self) -> None:
        node = self.rng.choice(self.nodes)
        if node.alive:
            node.crash()
            self.clockwork.after(self.rng.uniform(0.05, 5), self._restart, node)

    def _restart(self, node: SimNode) -> None:
        if node.alive:
            return
        same = self.knobs.has("same_epoch") and self.rng.random() < 0.5
        if same and node.disk.rows.epochs(node.key):
            self.trace.count("restarts within an epoch")
        node.start(new_epoch=not same)

    def _refuse(self) -> None:
        node = self.rng.choice(self.nodes)
        if self.rng.random() < 0.5:
            node.disk.refuse_one = True
            return
        node.disk.refusing = True
        self.clockwork.after(self.rng.choice((0.05, 1.0, 4.0)), self._accept, node)

    def _accept(self, node: SimNode) -> None:
        node.disk.refusing = False

    def _slow_disk(self) -> None:
        node = self.rng.choice(self.nodes)
        node.disk.slowness = self.rng.choice((10.0, 100.0))
        self.clockwork.after(self.rng.uniform(0.5, 4), self._quick_disk, node)

    def _quick_disk(self, node: SimNode) -> None:
        node.disk.slowness = 1.0

    def _jump_clock(self) -> None:
        for node in self.rng.sample(self.nodes, self.rng.randint(1, 2)):
            node.jump_clock()

    def _take_copy(self) -> None:
        """A copy of a database is taken, and some time later it replaces the database."""
        node = self.rng.choice(self.nodes)
        copy = node.disk.copy()
        self.clockwork.after(self.rng.uniform(0.1, 3), self._put_back, node, copy)

    def _put_back(self, node: SimNode, copy: Rows) -> None:
        if not node.alive:
            return
        node.crash()
        lost = set(node.disk.rows.visible) - set(copy.visible)
        node.disk.restore(copy)
        self.trace.count("entries lost by a restored database", len(lost))
        self.trace.note(
            self.clockwork.now, f"n{node.index} has an old database now, {len(lost)} entries less"
        )
        elsewhere = {p for other in self.nodes for p in other.disk.rows.visible}
        for position in lost - elsewhere:
            self.around.acknowledged.pop(position, None)
        self.clockwork.after(self.rng.uniform(0.05, 2), self._start_restored, node)

    def _start_restored(self, node: SimNode) -> None:
        if not node.alive:
            node.start(new_epoch=True)

    # -- the end ------------------------------------------------------------------------------------------

    def _heal(self) -> None:
        self.trace.note(self.clockwork.now, "healing")
        self.around.network.cut.clear()
        for node in self.nodes:
            node.disk.refusing = node.disk.refuse_one = False
            node.disk.slowness = 1.0
            if not node.alive:
                node.start(new_epoch=True)

    def run(self) -> None:
        """Raises Violation when anything does not hold."""
        self._introduce()
        for node in self.nodes:
            node.start(new_epoch=True)
        if not self.knobs.faults:
            self.clockwork.run_until(SETTLED_S)  # steady runs begin when everybody is linked
        start = self.clockwork.now
        self._plan(start)
        self.clockwork.run_until(start + self.knobs.span + LAST_FAULT_S)
        self._heal()
        self._await_convergence()
        self._check_quiet()
        check_end(self.around)

    def _await_convergence(self) -> None:
        end = self.clockwork.now + PATIENCE_S
        while not converged(self.around):
            if self.clockwork.now > end:
                raise Violation(f"no convergence: {why_not(self.around)}")
            self.clockwork.run_until(self.clockwork.now + 1)

    def _check_quiet(self) -> None:
        """Hold-offs run out within minutes; then nothing may be said any more."""
        self.clockwork.run_until(self.clockwork.now + 10)
        for _ in range(10):
            before = self.around.network.frames
            self.clockwork.run_until(self.clockwork.now + QUIET_S)
            if self.around.network.frames == before:
                return
        raise Violation(f"{self.around.network.frames - before} frames in the last {QUIET_S} s of idleness")


def run_seed(seed: int, nodes: int) -> World:
    """One run. On a Violation the world is attached to it as ``world``."""
    world = World(draw(seed, nodes))
    try:
        world.run()
    except Exception as error:
        error.world = world  # type: ignore[attr-defined]
        raise
    return world
