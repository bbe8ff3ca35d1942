"""Telling every link what is durable here: coalesced, with short numbers for logs.

From a direct link a Have is the durability receipt, so it is said only after the commit; saying it at most
every HAVE_INTERVAL_S keeps it from costing as much as the messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from maw.core.effects import Effect, Link, Send
from maw.core.entry import Entry
from maw.core.frames import Closed, Have, Held, LogName
from maw.core.held import HeldLogs
from maw.core.identity import NodeId

HAVE_INTERVAL_S: Final = 0.05
MAX_LOGS_A_FRAME: Final = 4_000


@dataclass(slots=True)
class _Ear:
    numbers: dict[tuple[NodeId, int], int] = field(default_factory=dict)


class Announcing:
    """Remembers what changed since the last Have, and says it to all links at once."""

    def __init__(self, held: HeldLogs) -> None:
        self._held = held
        self._ears: dict[Link, _Ear] = {}
        self._dirty: dict[NodeId, set[int]] = {}
        self._last = float("-inf")

    def link_up(self, link: Link) -> list[Effect]:
        """Everything we hold, for a link that is new."""
        self._ears[link] = _Ear()
        everything = {author: set(self._held.live_epochs(author)) for author in self._held.authors()}
        return self._say(link, everything)

    def link_down(self, link: Link) -> None:
        self._ears.pop(link, None)

    def committed(self, entries: Iterable[Entry], now: float) -> list[Effect]:
        for entry in entries:
            self._dirty.setdefault(entry.author, set()).add(entry.epoch)
        return self.tick(now)

    def changed(self, author: NodeId, epoch: int, now: float) -> list[Effect]:
        """Payloads of this log came, or are missing, or another branch of it is held now."""
        self._dirty.setdefault(author, set()).add(epoch)
        return self.tick(now)

    def _heads(self, number: int, author: NodeId, epoch: int) -> list[Held]:
        """The head; where payloads are missing below it, first up to where it is complete: that much is a receipt."""
        head, complete = self._held.head(author, epoch), self._held.complete(author, epoch)
        if complete == head:
            return [Held(number, head, complete=True)]
        whole = [Held(number, complete, complete=True)] if complete.seq else []
        return [*whole, Held(number, head, complete=False)]

    def wake_at(self) -> float | None:
        return self._last + HAVE_INTERVAL_S if self._dirty else None

    def tick(self, now: float) -> list[Effect]:
        if not self._dirty or now < self._last + HAVE_INTERVAL_S:
            return []
        dirty, self._dirty, self._last = self._dirty, {}, now
        return [effect for link in self._ears for effect in self._say(link, dirty)]

    def _say(self, link: Link, changed: dict[NodeId, set[int]]) -> list[Effect]:
        numbers = self._ears[link].numbers
        names: list[LogName] = []
        heads: list[Held] = []
        closed: list[Closed] = []
        for author, epochs in changed.items():
            live = self._held.live_epochs(author)
            for epoch in sorted(epochs):
                named = (author, epoch) in numbers and epoch in self._held.of(author)
                if epoch not in live and not named:  # what was named is told of still: it may have moved back
                    continue
                if (author, epoch) not in numbers:
                    numbers[author, epoch] = len(numbers)
                    names.append(LogName(numbers[author, epoch], author, epoch))
                heads += self._heads(numbers[author, epoch], author, epoch)
            if len(self._held.of(author)) > len(live):
                closed.append(Closed(author, live[0], self._held.closed_digest(author, live[0])))
        if not heads and not closed:
            return []
        return [
            Send(link, Have(tuple(names[at:end]), tuple(heads[at:end]), tuple(closed[at:end])))
            for at in range(0, max(len(names), len(heads), len(closed)), MAX_LOGS_A_FRAME)
            for end in (at + MAX_LOGS_A_FRAME,)
        ]
