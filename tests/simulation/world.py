"""A run: nodes, their network and trust, what they say, what befalls them, and the healing."""

from __future__ import annotations

import random
from typing import TextIO

from maw.core.identity import Signer
from maw.core.members import INVITED, JOINED, Pin
from maw.core.mending import REST_MAX_S
from maw.core.statement import admit, colony_id, found
from tests.simulation.checkers import check_end, converged, why_not
from tests.simulation.clockwork import Clockwork
from tests.simulation.faults import DAY_S, Faults
from tests.simulation.hostile import HostileNode
from tests.simulation.knobs import Knobs, draw
from tests.simulation.network import Network
from tests.simulation.node import SimNode, Surroundings
from tests.simulation.pairing import Pairing
from tests.simulation.progress import Progress
from tests.simulation.shapes import around_the_last, edges_of, inviters_of
from tests.simulation.trace import Trace, Violation

PATIENCE_S = 1500.0
"""How long after the healing everything may take to be everywhere (slow links are slow)."""
QUIET_S = 60.0
SETTLED_S = 60.0
MURMUR = 6
"""Frames a pair of nodes may exchange in QUIET_S where one node never tells the truth."""
LAST_FAULT_S = 14.0
"""Every fault is over so long after the last thing was planned."""


class World:
    """Builds a run from its knobs; ``run`` carries it through and checks it."""

    node: type[SimNode] = SimNode

    def __init__(self, knobs: Knobs, out: TextIO | None = None) -> None:
        self.knobs = knobs
        self.rng = random.Random(f"world {knobs.seed} {knobs.nodes}")
        self.clockwork = Clockwork()
        self.trace = Trace(out)
        edges = edges_of(knobs.shape, knobs.nodes, self.rng)
        if knobs.hostile or knobs.has("revoked"):
            edges |= around_the_last(edges, knobs.nodes)
        network = Network(self.clockwork, self.trace, self.rng, knobs.latency, knobs.wire, edges)
        if knobs.has("slow_link"):
            share = self.rng.choice((0.4, 0.4, 1.0))
            for edge in sorted(edges, key=sorted):
                if self.rng.random() < share:
                    network.slow[edge] = self.rng.choice((3_000.0, 20_000.0, 200_000.0))
        operator = Signer(self.rng.randbytes(32))
        founding = found(operator, "sim", self.rng.randbytes(16), 0)
        self.founding = founding
        self.around = Surroundings(
            knobs, self.clockwork, network, self.trace, self.rng, colony_id(founding), operator
        )
        self.around.marking = random.Random(f"marking {knobs.seed} {knobs.nodes}")
        kinds = [self.node] * (knobs.nodes - 1) + [HostileNode if knobs.hostile else self.node]
        self.nodes = [kind(self.around, i, Signer(self.rng.randbytes(32))) for i, kind in enumerate(kinds)]
        self.around.nodes.extend(self.nodes)
        self.around.by_key.update({node.key: node for node in self.nodes})
        self.around.names.of.update({node.key: node.index for node in self.nodes})
        self.faults = Faults(self.around, self.rng)
        self.clockwork.watch = Progress(self)

    # -- the beginning -----------------------------------------------------------------------------------

    def introduce(self) -> None:
        """Each node knows what its invite told it, no more."""
        for node in self.nodes:
            node.disk.rows.statements[self.founding.id] = self.founding
        how = "tree" if self.knobs.has("pairing") else self.knobs.invites
        inviters = inviters_of(how, self.knobs.nodes, self.around.network.edges, self.rng)
        if self.knobs.has("outbound"):
            leaves = sorted(inviters.keys() - set(inviters.values()))
            self.around.network.deaf.add(self.rng.choice(leaves))
        for joiner, inviter in inviters.items():
            if self.knobs.has("pairing"):
                pairing = Pairing(self.nodes[inviter], self.nodes[joiner], self.faults.start)
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

    # -- what they say -----------------------------------------------------------------------------------

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
            if knobs.has("bad_signer") and node.hostile:
                count = max(count, rng.randint(2, 20))
            self.clockwork.at(start + rng.uniform(0, knobs.span), node.post, count, size)
        self.faults.plan(start)

    # -- the end ------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Raises Violation when anything does not hold."""
        self.introduce()
        for node in self.nodes:
            node.disk.sync()
            node.start()
        if not self.knobs.faults:
            self.clockwork.run_until(SETTLED_S)  # steady runs begin when everybody is linked
            for node in self.nodes:
                node.received.clear()
        start = self.clockwork.now
        self._plan(start)
        day = DAY_S if self.knobs.has("apart") else 0.0
        self.clockwork.run_until(start + self.knobs.span + LAST_FAULT_S + day)
        self.faults.heal()
        self._await_convergence()
        self._check_quiet()
        for node in self.around.honest:
            node.reader.poll()
        check_end(self.around)

    def _await_convergence(self) -> None:
        end = self.clockwork.now + PATIENCE_S + (REST_MAX_S if self.knobs.has("censor") else 0.0)
        while not converged(self.around):
            if self.clockwork.now > end:
                raise Violation("stale", f"no convergence: {why_not(self.around)}")
            self.clockwork.run_until(self.clockwork.now + 1)

    def _check_quiet(self) -> None:
        """Hold-offs run out within minutes; then nothing may be said any more. Who lies may be asked again
        each time its hold-off ends, and no more often."""
        self.clockwork.run_until(self.clockwork.now + 10)
        allowed = MURMUR * len(self.nodes) ** 2 if self.knobs.hostile else 0
        for _ in range(10):
            before = self.around.network.frames
            self.clockwork.run_until(self.clockwork.now + QUIET_S)
            said = self.around.network.frames - before
            if said <= allowed:
                return
        raise Violation("noisy", f"{said} frames in the last {QUIET_S} s of idleness")


def run_knobs(knobs: Knobs, out: TextIO | None = None) -> World:
    """One run. On a Violation, or any other error, the world is attached to it as ``world``."""
    world = World(knobs, out)
    try:
        world.run()
    except Exception as error:
        error.world = world  # type: ignore[attr-defined]
        raise
    return world


def run_seed(seed: int, nodes: int, out: TextIO | None = None) -> World:
    return run_knobs(draw(seed, nodes), out)
