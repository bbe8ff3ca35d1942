"""Fetching blobs that are not here: of whom, in which order, and what is believed of what comes.

    want ──► WantBlob (its list) ──► BlobList ──► WantBlob (chunks) ──► BlobChunk… ──► Whole

Laws
  1. The author's own node is asked first, then every other link, each once; a link that is new is asked at once.
  2. One blob at a time is fetched over a link, and of it WINDOW chunks are under way: what waits in memory is bounded,
     and a slow disk slows the link. More is asked for only when what came is written.
  3. Nothing is taken that its hash does not vouch for: the list by the blob's name, each chunk by the list. So it does
     not matter who gives it. Who gives something else breaks the protocol.
  4. What is written stays. Another link goes on where the last one ended.
  5. A link that gives nothing within ANSWER_S is passed over.
  6. Only what somebody here asked for within INTEREST_S is looked for; what is coming comes to its end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from maw.core.blobs import HASH_BYTES, blob_hash, chunk_count, chunk_hash, chunk_size, hash_in
from maw.core.effects import Effect, Hangup, KeepChunk, KeepList, Link, Send, Whole
from maw.core.frames import BlobChunk, BlobList, NoBlob, WantBlob
from maw.core.identity import NodeId

WINDOW: Final = 16
"""Chunks asked for and not written yet: one MiB."""
ANSWER_S: Final = 30.0
INTEREST_S: Final = 60.0
MAX_FETCHES: Final = 64


class Progress(NamedTuple):
    """How far a fetch is. ``through``: who gives it now; ``asked``: whether all that are linked were asked in vain."""

    kept: int
    chunks: int
    through: NodeId | None
    asked: bool


@dataclass(slots=True)
class _Fetch:
    size: int
    author: NodeId
    hashes: bytes | None
    kept: int
    """Chunks that are written."""
    came: int
    """Chunks that came, and are written or on their way to the disk."""
    interest: float
    asked: int = 0
    """Up to here chunks are asked of the link at hand."""
    link: Link | None = None
    tried: set[Link] = field(default_factory=set)
    deadline: float = 0.0
    whole: bool = False

    @property
    def chunks(self) -> int:
        return chunk_count(self.size)


@dataclass(slots=True)
class _Partner:
    peer: NodeId
    busy: bytes | None = None


class Fetching:
    """All fetches of one node. Pure: ``now`` is seconds of a clock that only grows."""

    def __init__(self) -> None:
        self._partners: dict[Link, _Partner] = {}
        self._fetches: dict[bytes, _Fetch] = {}

    @property
    def under_way(self) -> frozenset[bytes]:
        return frozenset(self._fetches)

    @property
    def is_full(self) -> bool:
        return len(self._fetches) >= MAX_FETCHES

    def progress(self, name: bytes) -> Progress | None:
        """None: nobody fetches it."""
        if (fetch := self._fetches.get(name)) is None:
            return None
        through = None if fetch.link is None else self._partners[fetch.link].peer
        asked = fetch.link is None and not fetch.whole and fetch.tried >= self._partners.keys()
        return Progress(fetch.kept, fetch.chunks, through, asked)

    def want(
        self, name: bytes, size: int, author: NodeId, hashes: bytes | None, kept: int, now: float
    ) -> list[Effect]:
        """Fetch this blob, of which ``kept`` chunks are here already, in order, and perhaps its list. Of one that is
        being fetched: somebody still waits for it."""
        if (fetch := self._fetches.get(name)) is not None:
            fetch.interest = now + INTEREST_S
            return []
        self._fetches[name] = fetch = _Fetch(size, author, hashes, kept, kept, now + INTEREST_S)
        if hashes is not None and kept >= fetch.chunks:
            fetch.whole = True
            return [Whole(name)]
        return self._turn(now)

    def again(self, name: bytes, now: float) -> list[Effect]:
        """Ask those once more that had nothing."""
        if (fetch := self._fetches.get(name)) is None or fetch.link is not None:
            return []
        fetch.tried.clear()
        return self._turn(now)

    def drop(self, name: bytes, now: float) -> list[Effect]:
        """Let go of it: nothing can be written, or nobody may read it any more."""
        fetch = self._fetches.pop(name, None)
        if fetch is not None and fetch.link is not None:
            self._partners[fetch.link].busy = None
        return self._turn(now)

    # -- links --------------------------------------------------------------------------------------

    def link_up(self, link: Link, peer: NodeId, now: float) -> list[Effect]:
        self._partners[link] = _Partner(peer)
        return self._turn(now)

    def link_down(self, link: Link, now: float) -> list[Effect]:
        partner = self._partners.pop(link, None)
        for fetch in self._fetches.values():
            fetch.tried.discard(link)
        if partner is not None and partner.busy is not None:
            self._fetches[partner.busy].link = None
        return self._turn(now)

    # -- what comes ---------------------------------------------------------------------------------

    def is_due(self, link: Link, frame: BlobList | BlobChunk | NoBlob) -> bool:
        """Whether this was asked of this link; what was asked of it before it was passed over is not."""
        fetch = self._of(link, frame.hash)
        if fetch is None:
            return False
        match frame:
            case BlobChunk():
                return fetch.hashes is not None and fetch.came == frame.number < fetch.asked
            case BlobList():
                return fetch.hashes is None
            case NoBlob():
                return True

    def received(self, link: Link, frame: BlobList | BlobChunk | NoBlob, now: float) -> list[Effect]:
        fetch = self._of(link, frame.hash)
        if fetch is None or not self.is_due(link, frame):
            return []
        match frame:
            case NoBlob():
                self._pass_over(link, fetch)
                return self._turn(now)
            case BlobList():
                return self._list(link, fetch, frame, now)
            case BlobChunk():
                return self._chunk(link, fetch, frame, now)

    def _list(self, link: Link, fetch: _Fetch, frame: BlobList, now: float) -> list[Effect]:
        if blob_hash(frame.hashes) != frame.hash:
            return self._lied(link, fetch, "a list that is not this blob's", now)
        if (
            len(frame.hashes) != fetch.chunks * HASH_BYTES
        ):  # the blob is as named: it is the message that is wrong
            self._pass_over(link, fetch)
            return self._turn(now)
        fetch.hashes = frame.hashes
        return [KeepList(frame.hash, frame.hashes), *self._ask(frame.hash, fetch, now)]

    def _chunk(self, link: Link, fetch: _Fetch, frame: BlobChunk, now: float) -> list[Effect]:
        assert fetch.hashes is not None
        if chunk_hash(frame.data) != hash_in(fetch.hashes, frame.number):
            return self._lied(link, fetch, f"chunk {frame.number} otherwise than its list has it", now)
        if len(frame.data) != chunk_size(fetch.size, frame.number):  # as with the list: the message is wrong
            self._pass_over(link, fetch)
            return self._turn(now)
        fetch.came += 1
        fetch.deadline = now + ANSWER_S
        effects: list[Effect] = [KeepChunk(frame.hash, frame.number, frame.data)]
        if fetch.came == fetch.chunks:
            self._let_go(fetch)
            return [*effects, *self._turn(now)]
        return effects

    def kept(self, name: bytes, number: int, now: float) -> list[Effect]:
        """A KeepChunk is written."""
        fetch = self._fetches.get(name)
        if fetch is None:
            return []
        fetch.kept = max(fetch.kept, number + 1)
        if fetch.kept == fetch.chunks and not fetch.whole:
            fetch.whole = True
            return [Whole(name)]
        return self._ask(name, fetch, now)

    def done(self, name: bytes) -> None:
        """It is among the others."""
        self._fetches.pop(name, None)

    def tick(self, now: float) -> list[Effect]:
        for name, fetch in list(self._fetches.items()):
            if fetch.link is not None and now >= fetch.deadline:
                if fetch.came > fetch.kept:
                    fetch.deadline = now + ANSWER_S  # it is our disk that is slow
                else:
                    self._pass_over(fetch.link, fetch)
            elif fetch.link is None and not fetch.whole and now >= fetch.interest:
                del self._fetches[name]
        return self._turn(now)

    # -- whom to ask --------------------------------------------------------------------------------

    def _turn(self, now: float) -> list[Effect]:
        """Give each fetch that has no link one that is free."""
        effects: list[Effect] = []
        for name, fetch in self._fetches.items():
            if fetch.link is not None or fetch.came == fetch.chunks:
                continue
            free = [
                link
                for link, partner in self._partners.items()
                if partner.busy is None and link not in fetch.tried
            ]
            if not free:
                continue
            link = min(free, key=lambda one: self._partners[one].peer != fetch.author)
            self._partners[link].busy = name
            fetch.link, fetch.asked, fetch.deadline = link, fetch.came, now + ANSWER_S
            effects += (
                [Send(link, WantBlob(name, 0, 0))] if fetch.hashes is None else self._ask(name, fetch, now)
            )
        return effects

    def _ask(self, name: bytes, fetch: _Fetch, now: float) -> list[Effect]:
        """Half a window at a time, so that few frames ask for many chunks."""
        end = min(fetch.chunks, fetch.kept + WINDOW)
        if fetch.link is None or fetch.hashes is None or fetch.asked >= end:
            return []
        if end - fetch.asked < WINDOW // 2 and end < fetch.chunks:
            return []
        first, fetch.asked = fetch.asked, end
        fetch.deadline = now + ANSWER_S
        return [Send(fetch.link, WantBlob(name, first, end - first))]

    def _of(self, link: Link, name: bytes) -> _Fetch | None:
        fetch = self._fetches.get(name)
        return fetch if fetch is not None and fetch.link == link else None

    def _lied(self, link: Link, fetch: _Fetch, what: str, now: float) -> list[Effect]:
        hangup = Hangup(link, "bad_blob", f"of a file that was asked for it gave {what}")
        self._pass_over(link, fetch)
        return [hangup, *self._turn(now)]

    def _pass_over(self, link: Link, fetch: _Fetch) -> None:
        fetch.tried.add(link)
        self._let_go(fetch)

    def _let_go(self, fetch: _Fetch) -> None:
        if fetch.link is not None:
            self._partners[fetch.link].busy = None
            fetch.link = None
