"""Entries that were checked and are on their way to the disk.

Laws
  1. A run is checked against what we hold or, where something is on its way, against that (*tentative*).
  2. A discarded batch takes those after it along (*doomed*): they may build on what was lost, and an author's
     epochs must become visible in their order. The runtime asks ``doomed`` before it writes a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maw.core.effects import Append, Link
from maw.core.entry import Entry, Head
from maw.core.held import HeldLogs
from maw.core.identity import NodeId

Place = tuple[NodeId, int]
"""A log: author and epoch."""


@dataclass(frozen=True, slots=True)
class Batch:
    """``size``: the bytes of its frame, which is the credit to give back. ``tops``: where each log stands after it."""

    link: Link
    size: int
    entries: tuple[Entry, ...]
    tops: Mapping[Place, Head]


class Arriving:
    """Batches between ``Append`` and its answer, and the heads there will be when all of them are durable."""

    __slots__ = ("_batches", "_first_sound", "_held", "_next", "_tentative")

    def __init__(self, held: HeldLogs) -> None:
        self._held = held
        self._batches: dict[int, Batch] = {}
        self._tentative: dict[Place, Head] = {}
        self._next = 1
        self._first_sound = 1

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, number: int) -> Batch:
        return self._batches[number]

    def reached(self, author: NodeId, epoch: int) -> Head:
        return self._tentative.get((author, epoch)) or self._held.head(author, epoch)

    def forget(self, place: Place) -> None:
        """Another branch was taken: what is on its way there does not fit any more, and the disk will refuse it."""
        self._tentative.pop(place, None)

    def awaits(self, author: NodeId) -> bool:
        """Something of ``author`` is on its way to the disk."""
        return any(who == author for who, _ in self._tentative)

    def came_by(self, link: Link | None) -> bool:
        """Something that ``link`` brought has not been answered by the disk."""
        return any(batch.link == link for batch in self._batches.values())

    def take(self, link: Link, size: int, entries: Sequence[Entry], tops: Mapping[Place, Head]) -> Append:
        """``tops``: where each log will stand."""
        self._tentative.update(tops)
        number, self._next = self._next, self._next + 1
        self._batches[number] = Batch(link, size, tuple(entries), dict(tops))
        return Append(number, link, self._batches[number].entries)

    def committed(self, number: int) -> Batch:
        done = self._batches.pop(number)
        for place, top in done.tops.items():
            if self._tentative.get(place) == top:
                del self._tentative[place]
        return done

    def doomed(self, number: int) -> bool:
        return number < self._first_sound

    def discarded(self, number: int) -> tuple[Batch, list[NodeId]]:
        """The batch, and the authors of whom something is lost now (those of all that are doomed with it)."""
        lost: list[NodeId] = []
        if not self.doomed(number):
            self._first_sound = self._next
            self._tentative.clear()
            lost = list(dict.fromkeys(e.author for batch in self._batches.values() for e in batch.entries))
        return self._batches.pop(number), lost
