"""What this replica holds: the durable head of every log, and which epochs are disputed."""

from __future__ import annotations

from collections.abc import Iterable

from maw.core.entry import START, Entry, Head
from maw.core.identity import NodeId
from maw.core.log import Heads

LIVE_EPOCHS = 4
"""So many epochs of an author are named one by one in a Have; older ones share a digest."""


class HeldLogs:
    """Durable heads. Only ``advance`` moves them, and only for what was committed."""

    __slots__ = ("_heads", "disputed")

    def __init__(self, heads: dict[NodeId, Heads], disputed: Iterable[tuple[NodeId, int]] = ()) -> None:
        self._heads = heads
        self.disputed = set(disputed)

    def authors(self) -> tuple[NodeId, ...]:
        return tuple(self._heads)

    def of(self, author: NodeId) -> Heads:
        return self._heads.get(author, {})

    def head(self, author: NodeId, epoch: int) -> Head:
        return self.of(author).get(epoch, START)

    def advance(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._heads.setdefault(entry.author, {})[entry.epoch] = entry.head

    def live_epochs(self, author: NodeId) -> list[int]:
        """The latest epochs, oldest first."""
        return sorted(self.of(author))[-LIVE_EPOCHS:]

    def total(self) -> int:
        """Entries held in all."""
        return sum(head.seq for heads in self._heads.values() for head in heads.values())
