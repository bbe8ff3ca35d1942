"""Giving others the chunks of blobs that they ask for: a chunk at a time on each link, behind all that is live.

Laws
  1. Of each link one chunk is on its way: it is read when the link has taken what was there before, so that an entry
     never waits behind more than one.
  2. What a link may have asked for and not got yet is bounded: who asks for more breaks the protocol.
  3. What is not here, or not as its list has it, is answered with NoBlob, once for all that was asked of it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from maw.core.effects import Effect, Hangup, Link, ReadChunk, Send
from maw.core.frames import BlobChunk, BlobList, NoBlob, WantBlob

MAX_ASKED: Final = 64
"""Chunks and lists that one link may wait for."""


@dataclass(slots=True)
class _Borrower:
    waiting: deque[tuple[bytes, int | None]] = field(default_factory=deque)
    reading: bool = False


class Lending:
    """All links' wants. Pure: no IO, no clock."""

    def __init__(self) -> None:
        self._borrowers: dict[Link, _Borrower] = {}

    def link_up(self, link: Link) -> None:
        self._borrowers[link] = _Borrower()

    def link_down(self, link: Link) -> None:
        self._borrowers.pop(link, None)

    def wanted(self, link: Link, frame: WantBlob) -> list[Effect]:
        borrower = self._borrowers.get(link)
        if borrower is None:
            return []
        if len(borrower.waiting) + max(1, frame.count) > MAX_ASKED:
            return [Hangup(link, "too_many_wanted", f"it wants more than {MAX_ASKED} chunks at once")]
        if frame.count:
            numbers = range(frame.first, frame.first + frame.count)
            borrower.waiting += [(frame.hash, number) for number in numbers]
        else:
            borrower.waiting.append((frame.hash, None))
        return self._next(link, borrower)

    def read(self, link: Link, name: bytes, number: int | None, data: bytes | None) -> list[Effect]:
        """The answer to a ReadChunk; ``data`` None: it is not here, or damaged."""
        borrower = self._borrowers.get(link)
        if borrower is None:
            return []
        borrower.reading = False
        answer: BlobChunk | BlobList | NoBlob
        if data is None:
            borrower.waiting = deque(one for one in borrower.waiting if one[0] != name)
            answer = NoBlob(name)
        else:
            answer = BlobList(name, data) if number is None else BlobChunk(name, number, data)
        return [Send(link, answer), *self._next(link, borrower)]

    def _next(self, link: Link, borrower: _Borrower) -> list[Effect]:
        if borrower.reading or not borrower.waiting:
            return []
        borrower.reading = True
        return [ReadChunk(link, *borrower.waiting.popleft())]
