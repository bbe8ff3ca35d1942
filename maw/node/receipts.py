"""Which host has our log on its disk up to where; the ground of every ``replicated``.

Kept in memory and written along at leisure: a receipt lost in a crash is given again at the next link.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

import aiosqlite

from maw.core.identity import NodeId
from maw.store.state import State

STEPS_KEPT: Final = 32
"""Of each host's rises, to say since when it has what was sent lately."""

Saved = dict[tuple[NodeId, int], int]
"""(peer, epoch) -> when its receipt last rose."""


class Receipts:
    """Heads of our own epochs as other nodes reported them."""

    def __init__(self) -> None:
        self._held: dict[NodeId, dict[int, int]] = {}
        self._dirty: Saved = {}
        self._steps: dict[tuple[NodeId, int], deque[tuple[int, int]]] = {}
        self._moved = asyncio.Event()

    async def load(self, conn: aiosqlite.Connection, state: State) -> None:
        for node, epoch, seq in await conn.execute_fetchall("SELECT node, epoch, seq FROM receipts"):
            self._held.setdefault(state.node_at[node].key, {})[epoch] = seq

    def note(self, peer: NodeId, epoch: int, seq: int, now_ms: int) -> None:
        """Receipts only ever rise: a peer that lost its disk does not take back what it said."""
        epochs = self._held.setdefault(peer, {})
        if seq > epochs.get(epoch, 0):
            if epoch in epochs:  # what it had before it first said so, it may have had for long
                steps = self._steps.setdefault((peer, epoch), deque(maxlen=STEPS_KEPT))
                if not steps:
                    steps.append((epochs[epoch], 0))
                steps.append((seq, now_ms))
            epochs[epoch] = seq
            self._dirty[peer, epoch] = now_ms
            self.stir()

    def stir(self) -> None:
        """Wakes who waits: a message may have got further."""
        self._moved.set()
        self._moved = asyncio.Event()

    def void(self, epoch: int, above: int, now_ms: int) -> None:
        """What stood above this seq of our own log stands there no more: who held it holds nothing now."""
        for peer, epochs in self._held.items():
            if epochs.get(epoch, 0) > above:
                epochs[epoch] = above
                self._dirty[peer, epoch] = now_ms

    def has(self, peer: NodeId, epoch: int, seq: int) -> bool:
        return self._held.get(peer, {}).get(epoch, 0) >= seq

    def since(self, peer: NodeId, epoch: int, seq: int) -> int | None:
        """When (ms) this host first said that it has our log up to there; None where that is not known any more."""
        for number, (top, at) in enumerate(self._steps.get((peer, epoch), ())):
            if top >= seq:
                return at if number else None  # the first is what it had before
        return None

    def holders(self, epoch: int, seq: int) -> list[NodeId]:
        return [peer for peer, epochs in self._held.items() if epochs.get(epoch, 0) >= seq]

    @property
    def next_move(self) -> asyncio.Event:
        """Set when any receipt rises, or a message of ours gets further, from now on."""
        return self._moved

    @property
    def unsaved(self) -> bool:
        return bool(self._dirty)

    async def save(self, conn: aiosqlite.Connection, state: State) -> Saved:
        """Within a transaction; what it gives back goes to ``saved`` when that is durable."""
        dirty = dict(self._dirty)
        rows = [
            (state.nodes[peer].n, epoch, self._held[peer][epoch], at)
            for (peer, epoch), at in dirty.items()
            if peer in state.nodes
        ]
        await conn.executemany("INSERT OR REPLACE INTO receipts VALUES (?, ?, ?, ?)", rows)
        return dirty

    def saved(self, done: Saved) -> None:
        for place, at in done.items():
            if self._dirty.get(place) == at:
                del self._dirty[place]
