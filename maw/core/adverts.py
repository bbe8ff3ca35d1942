"""What the other end of a link says it holds; bounded, for it may say anything."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from maw.core.entry import START, Head
from maw.core.frames import Closed, Have, LogName
from maw.core.identity import NodeId
from maw.core.log import Heads
from maw.errors import ProtocolViolation

MAX_STRANGERS: Final = 1_000
"""Authors we do not trust (yet) whose heads a link may advertise before we stop remembering them."""
MAX_NAMES: Final = 50_000
"""Logs that a link may name in its life."""
MAX_EPOCHS: Final = 64
"""Epochs of one author whose advertised heads are remembered, the latest."""


@dataclass(slots=True)
class Advert:
    """What one link says it holds of one author."""

    heads: Heads = field(default_factory=dict)
    _partly: dict[int, int] | None = None
    """epoch -> the seq up to which it says to hold every payload too, where that is not the head. Seldom needed, and
    there is an advert for each link and author."""
    closed: tuple[int, bytes] | None = None
    exhausted: bytes | None = None
    """The closed digest at which the link said it had sent all: differing then means *it* lacks something."""

    def remember(self, epoch: int, head: Head, complete: bool = False) -> None:
        if not complete:
            self._partly = {**(self._partly or {}), epoch: self.complete(epoch)}
        elif self._partly is not None:
            self._forget_partly(epoch)
        self.heads[epoch] = head
        if len(self.heads) > MAX_EPOCHS:
            oldest = min(self.heads)
            del self.heads[oldest]
            self._forget_partly(oldest)

    def _forget_partly(self, epoch: int) -> None:
        self._partly = {one: seq for one, seq in (self._partly or {}).items() if one != epoch} or None

    def complete(self, epoch: int) -> int:
        """The seq up to which it says to hold every payload too."""
        return (self._partly or {}).get(epoch, self.head(epoch).seq)

    def head(self, epoch: int) -> Head:
        return self.heads.get(epoch, START)

    def top(self) -> tuple[int, int]:
        """The highest (epoch, seq)."""
        return max(((epoch, head.seq) for epoch, head in self.heads.items()), default=(0, 0))


@dataclass(slots=True)
class Inlet:
    """One link from the receiving side."""

    peer: NodeId
    names: dict[int, tuple[NodeId, int]] = field(default_factory=dict)
    adverts: dict[NodeId, Advert] = field(default_factory=dict)
    owed: int = 0
    """Bytes of entries that came and whose credit has not gone back."""

    def learn_names(self, names: Collection[LogName]) -> None:
        """Raises ProtocolViolation when the link names more than any honest node has."""
        for name in names:
            self.names[name.number] = (name.author, name.epoch)
        if len(self.names) > MAX_NAMES:
            raise ProtocolViolation(f"a link may name {MAX_NAMES} logs", code="too_many_logs")

    def learn_heads(self, frame: Have, wanted: Collection[NodeId]) -> list[tuple[NodeId, int, Head, bool]]:
        """(author, epoch, head, complete) of what is remembered of this frame. Raises ProtocolViolation.

        Heads of strangers are remembered too (their admission may be on its way), but not without end.
        """
        learned: list[tuple[NodeId, int, Head, bool]] = []
        for item in frame.heads:
            if item.number not in self.names:
                raise ProtocolViolation("a head of a log that was never named", code="unknown_log")
            author, epoch = self.names[item.number]
            if advert := self._advert(author, wanted):
                advert.remember(epoch, item.head, item.complete)
                learned.append((author, epoch, item.head, item.complete))
        return learned

    def learn_closed(self, closed: Collection[Closed], wanted: Collection[NodeId]) -> list[NodeId]:
        """The authors of whom something was remembered."""
        learned: list[NodeId] = []
        for item in closed:
            if advert := self._advert(item.author, wanted):
                advert.closed = (item.below, item.digest)
                learned.append(item.author)
        return learned

    def _advert(self, author: NodeId, wanted: Collection[NodeId]) -> Advert | None:
        if author not in self.adverts:
            if author not in wanted and len(self.adverts) >= MAX_STRANGERS + len(wanted):
                return None
            self.adverts[author] = Advert()
        return self.adverts[author]
