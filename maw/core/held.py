"""What this replica holds: the durable head of every log, and which epochs are disputed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from maw.core.entry import MAX_COUNT, START, Entry, Head
from maw.core.identity import NodeId
from maw.core.log import Heads, closed_digest

LIVE_EPOCHS = 4
"""So many epochs of an author are named one by one in a Have; older ones share a digest."""
_DIGESTS_KEPT = 8
"""Digests kept of one author: our own, and what links that know another newest epoch compare with."""


class HeldLogs:
    """Durable heads. Only ``advance`` moves them, and only for what was committed, and ``put_back``, where one branch
    of a log gave way to another.

    Of a revoked author only what lies below the cut is held, as far as anybody else is concerned: what is above
    it is not announced, not sent on and not taken.
    """

    __slots__ = ("_closed", "_complete", "_cuts", "_heads", "_live", "disputed")

    def __init__(
        self,
        heads: dict[NodeId, Heads],
        disputed: Iterable[tuple[NodeId, int]] = (),
        cuts: Mapping[NodeId, Heads] | None = None,
        incomplete: Mapping[tuple[NodeId, int], Head] | None = None,
    ) -> None:
        """``incomplete``: logs of which payloads are missing, and the last entry before the first such."""
        self._heads = heads
        self._live: dict[NodeId, list[int]] = {}
        self._closed: dict[NodeId, dict[int, bytes]] = {}
        self.disputed = set(disputed)
        self._complete = dict(incomplete or {})
        self._cuts: Mapping[NodeId, Heads] = {}
        self.cut(cuts or {})

    def cut(self, cuts: Mapping[NodeId, Heads]) -> None:
        """These authors are revoked: what is above their cuts is held no more."""
        self._cuts = cuts
        for author, last in cuts.items():
            self._changed(author, 0)
            self._heads[author] = {
                epoch: min(head, last[epoch], key=lambda one: one.seq)
                for epoch, head in self.of(author).items()
                if epoch in last
            }

    def last(self, author: NodeId, epoch: int) -> int:
        """The highest seq of this log that may ever be held."""
        if author not in self._cuts:
            return MAX_COUNT
        return self._cuts[author].get(epoch, START).seq

    def within(self, run: Sequence[Entry]) -> Sequence[Entry]:
        """``run`` (of one log) without what lies above a cut."""
        if not self._cuts or not run or run[0].author not in self._cuts:
            return run
        last = self.last(run[0].author, run[0].epoch)
        return run[: max(0, last - run[0].seq + 1)]

    def authors(self) -> tuple[NodeId, ...]:
        return tuple(self._heads)

    def of(self, author: NodeId) -> Heads:
        return self._heads.get(author, {})

    def head(self, author: NodeId, epoch: int) -> Head:
        return self.of(author).get(epoch, START)

    def complete(self, author: NodeId, epoch: int) -> Head:
        """Up to here every payload is held too, but for those that a rule dropped."""
        head, complete = self.head(author, epoch), self._complete.get((author, epoch))
        return head if complete is None else min(head, complete, key=lambda one: one.seq)

    def limit(self, author: NodeId, epoch: int, complete: Head | None) -> bool:
        """Payloads are missing above ``complete``; none are where it is None. True when that is news."""
        before = self._complete.get((author, epoch))
        if complete is None:
            self._complete.pop((author, epoch), None)
        else:
            self._complete[author, epoch] = complete
        return before != complete

    def incomplete(self) -> dict[tuple[NodeId, int], Head]:
        return dict(self._complete)

    def advance(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry.author in self._cuts and entry.seq > self.last(entry.author, entry.epoch):
                continue
            heads = self._heads.setdefault(entry.author, {})
            if entry.epoch not in heads:
                self._live.pop(entry.author, None)
            if entry.author in self._closed:
                self._changed(entry.author, entry.epoch)
            heads[entry.epoch] = entry.head

    def put_back(self, author: NodeId, epoch: int, head: Head) -> None:
        """Another branch was taken, and is durable up to here: the one way by which a head moves back."""
        if head.seq <= self.last(author, epoch):
            self._changed(author, 0)
            self._heads.setdefault(author, {})[epoch] = head

    def _changed(self, author: NodeId, epoch: int) -> None:
        """What was worked out of epochs from here on is not true any more."""
        if epoch == 0:
            self._live.pop(author, None)
        digests = self._closed.get(author, {})
        if any(epoch < below for below in digests):
            self._closed[author] = {below: known for below, known in digests.items() if epoch >= below}

    def live_epochs(self, author: NodeId) -> list[int]:
        """The latest epochs, oldest first. Kept: an author may have thousands, and each Have asks for them."""
        if author not in self._live:
            self._live[author] = sorted(self.of(author))[-LIVE_EPOCHS:]
        return self._live[author]

    def closed_digest(self, author: NodeId, below: int) -> bytes:
        """See ``log.closed_digest``; kept as well."""
        digests = self._closed.setdefault(author, {})
        if below not in digests:
            if len(digests) >= _DIGESTS_KEPT:
                digests.clear()
            digests[below] = closed_digest(self.of(author), below)
        return digests[below]

    def total(self) -> int:
        """Entries held in all."""
        return sum(head.seq for heads in self._heads.values() for head in heads.values())
