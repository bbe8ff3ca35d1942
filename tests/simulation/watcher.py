"""What must hold at every moment, seen from one node: nothing is said that a power cut could take back.

Around a hostile node its own faults are expected of it, and of nobody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from maw.core.effects import Link
from maw.core.entry import Entry
from maw.core.frames import Entries, Frame, Have
from maw.core.identity import NodeId, short_key
from maw.core.mending import WITHHOLDING
from maw.core.serving import MAX_READS
from tests.simulation.knobs import HOSTILE
from tests.simulation.trace import Violation

if TYPE_CHECKING:
    from tests.simulation.node import SimNode

BIGGEST: Final = 61_000
BIG: Final = 600
"""Bytes of the biggest entry there is in a run, with and without the fault ``big``."""


class Watcher:
    """Remembers what was named and brought on each link."""

    def __init__(self, node: SimNode) -> None:
        self._node = node
        self._named: dict[Link, dict[int, tuple[NodeId, int]]] = {}
        self._brought: dict[Link, set[bytes]] = {}

    def forget(self) -> None:
        self._named.clear()
        self._brought.clear()

    def link_up(self, link: Link) -> None:
        self._named[link] = {}
        self._brought[link] = set()

    def link_down(self, link: Link) -> None:
        self._named.pop(link, None)
        self._brought.pop(link, None)

    def brought(self, link: Link, entries: Sequence[Entry]) -> None:
        if link in self._brought:
            self._brought[link] |= {entry.id for entry in entries}

    def says(self, link: Link, frame: Frame) -> None:
        if isinstance(frame, Entries):
            self._sends(link, frame.entries)
        elif isinstance(frame, Have):
            self._announces(link, frame)

    def _sends(self, link: Link, entries: Sequence[Entry]) -> None:
        node, knobs = self._node, self._node.around.knobs
        # a read goes on with the next epoch while it is below a page
        allowed = -MAX_READS * (2 * knobs.page + (BIGGEST if knobs.has("big") else BIG))
        if node.replicator.serving.credit_of(link) < allowed and not knobs.has("bad_signer"):
            raise Violation("leaky", f"n{node.index} sends on link {link} far beyond its credit")
        revoked = (
            node.around.revoked
        )  # who cut their logs first asks for them again, and is not sent what is void for long
        if any(entry.id in self._brought[link] and entry.author not in revoked for entry in entries):
            raise Violation("duplicated", f"n{node.index} sends back on link {link} what came from there")
        for entry in entries:
            log = node.disk.rows.logs.get((entry.author, entry.epoch), [])
            held = len(log) >= entry.seq and log[entry.seq - 1].id == entry.id
            if not held and entry.id not in node.once:
                raise Violation(
                    "unsafe", f"n{node.index} sends {entry.epoch}:{entry.seq} before it is durable"
                )

    def _announces(self, link: Link, frame: Have) -> None:
        named = self._named[link]
        named.update({name.number: (name.author, name.epoch) for name in frame.names})
        for held in frame.heads:
            durable = self._node.disk.rows.head(*named[held.number]).seq
            if durable < held.head.seq and held.head.id not in self._node.once:
                raise Violation(
                    "unsafe", f"n{self._node.index} announces {held.head.seq} before it is durable"
                )

    def receipt(self, peer: NodeId, epoch: int, seq: int) -> None:
        node = self._node
        other = node.around.by_key[peer]
        if not other.hostile and other.disk.high.get((node.key, epoch), 0) < seq:
            raise Violation(
                "unsafe", f"n{node.index} has a receipt from a peer that does not hold {epoch}:{seq}"
            )

    def received(self, link: Link) -> None:
        node = self._node
        if node.replicator.followed.doubts and not node.around.knobs.has("forked", *HOSTILE):
            raise Violation("reordered", f"n{node.index} was sent a gap or a contradiction on link {link}")

    def follows_no(self, link: Link) -> None:
        node = self._node
        for author in node.around.by_key:
            if node.replicator.followed.through(author) == link:
                name = node.around.names.of[author]
                raise Violation("leaky", f"n{node.index} follows n{name} through a dead link")

    def hangup(self, link: Link, why: str) -> None:
        """Only a hostile peer breaks rules."""
        node = self._node
        ours = [other for other in node.around.nodes if node.linked.get(other.index) == link]
        if not node.hostile and not any(other.hostile for other in ours):
            raise Violation("alarmed", f"n{node.index} hangs up on link {link}: {why}")
        node.note(f"hangs up on link {link}: {why}")
        node.around.trace.count("links of a hostile node ended")

    def alert(self, kind: str, subject: str, text: str) -> None:
        """Only who signs two branches is accused of it; only who lies, of saying that it holds more than it gives."""
        node = self._node
        if (
            node.hostile
        ):  # what it finds amiss is what it did: others hold more of its log than it does, as it told them
            return
        if kind == "own_log" and subject in {short_key(o.key) for o in node.around.nodes if o.hostile}:
            node.around.trace.count("claims in vain noticed")
            return
        if kind == WITHHOLDING and subject in {short_key(o.key) for o in node.around.nodes if o.hostile}:
            node.around.trace.count("withheld payloads noticed")
            return
        forgers = [
            short_key(o.key) for o in node.around.nodes if o.hostile and node.around.knobs.has("forger")
        ]
        if kind == "fork_settled" or node.around.knobs.has("forked"):
            return
        if kind != "fork" or subject not in forgers:
            raise Violation("alarmed", f"n{node.index} raises an alert: {kind} {subject}: {text}")
        node.around.trace.count("forks noticed")
