"""The modelled network: wires between pairs of nodes, FIFO and reliable while they live.

A wire that dies takes what is in flight with it; each end notices in its own time. Dials are refused across
a partition, or one way only.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from maw.core.effects import Link
from maw.core.frames import Entries, Frame, decode_frame, encode
from tests.simulation.clockwork import Clockwork
from tests.simulation.trace import Trace

if TYPE_CHECKING:
    from tests.simulation.node import SimNode

NOTICED_S = 3.0
"""How long an end may take to see that its wire is dead."""


@dataclass(slots=True)
class End:
    """One end of a wire: where frames for ``node`` come out."""

    node: SimNode
    up: bool = True
    arrival: float = 0.0
    busy_until: float = 0.0


@dataclass(slots=True)
class Wire:
    """``rate``: bytes a second, 0 for as fast as it gets."""

    link: Link
    ends: tuple[End, End]
    latency: float
    rate: float
    dead: bool = False

    def end_of(self, node: SimNode) -> End:
        return self.ends[0] if self.ends[0].node is node else self.ends[1]

    def other(self, node: SimNode) -> End:
        return self.ends[1] if self.ends[0].node is node else self.ends[0]


@dataclass(slots=True)
class Network:
    clockwork: Clockwork
    trace: Trace
    rng: random.Random
    latency: float
    wire_codec: bool
    edges: set[frozenset[int]] = field(default_factory=set)
    slow: dict[frozenset[int], float] = field(default_factory=dict)
    deaf: set[int] = field(default_factory=set)
    """Hosts that can dial and not be dialled, for good."""
    cut: set[tuple[int, int]] = field(default_factory=set)
    """Directions (from, to) in which nobody can dial now."""
    wires: dict[Link, Wire] = field(default_factory=dict)
    next_link: Link = 1
    frames: int = 0
    jitter: bool = True
    sent: Callable[[Frame], None] | None = None
    """Told of every frame."""

    def can_dial(self, source: int, target: int) -> bool:
        if target in self.deaf:
            self.trace.count("dials refused by a host that only dials")
            return False
        return frozenset((source, target)) in self.edges and (source, target) not in self.cut

    def connect(self, dialler: SimNode, listener: SimNode) -> Wire:
        link, self.next_link = self.next_link, self.next_link + 1
        pair = frozenset((dialler.index, listener.index))
        latency = self.latency * (self.rng.uniform(0.5, 2.0) if self.jitter else 1.0)
        wire = Wire(link, (End(dialler), End(listener)), latency, self.slow.get(pair, 0.0))
        self.wires[link] = wire
        return wire

    def send(self, link: Link, sender: SimNode, frame: Frame) -> None:
        """On its way, unless the wire is dead: then it is lost, as the sender will learn."""
        self.frames += 1
        if self.sent is not None:
            self.sent(frame)
        wire = self.wires.get(link)
        if wire is None or wire.dead:
            self.trace.count("frames lost with their link")
            return
        end = wire.other(sender)
        start = self.clockwork.now
        if wire.rate:
            size = 40 + (sum(entry.size for entry in frame.entries) if isinstance(frame, Entries) else 100)
            if end.busy_until > start:
                self.trace.count("frames behind a slow link")
            start = end.busy_until = max(start, end.busy_until) + size / wire.rate
        end.arrival = max(
            end.arrival, start + wire.latency * (self.rng.uniform(1.0, 1.5) if self.jitter else 1.0)
        )
        data = encode(frame) if self.wire_codec else frame
        self.clockwork.at(end.arrival, self._deliver, wire, end, data)

    def _deliver(self, wire: Wire, end: End, data: bytes | Frame) -> None:
        if wire.dead or not end.up:
            self.trace.count("frames lost with their link")
            return
        end.node.receive(wire.link, decode_frame(data) if isinstance(data, bytes) else data)

    def kill(self, wire: Wire) -> None:
        """Both directions are gone at once; the ends see it one after the other."""
        if wire.dead:
            return
        wire.dead = True
        self.trace.note(self.clockwork.now, f"wire {wire.link} dies")
        for end in wire.ends:
            slow = self.rng.random() < 0.3
            self.clockwork.after(self.rng.uniform(0, NOTICED_S if slow else 0.01), self.notice, wire, end)

    def notice(self, wire: Wire, end: End) -> None:
        """This end knows now."""
        if end.up:
            end.up = False
            end.node.link_lost(wire.link)
        if not any(end.up for end in wire.ends):
            self.wires.pop(wire.link, None)

    def living(self) -> list[Wire]:
        return [wire for wire in self.wires.values() if not wire.dead]
