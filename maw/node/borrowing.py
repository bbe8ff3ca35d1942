"""Blobs over links: carries out what ``Fetching`` and ``Lending`` ask for, and tells who waits how far a fetch is.

What is fetched is written by one task, in order, some chunks at a time; what others want is read in threads, two at a
time. Both machines are asked on the event loop only.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from maw.core.blobs import CHUNK, HASH_BYTES, chunk_count, sealed_size
from maw.core.effects import Effect, KeepChunk, KeepList, Link, ReadChunk, Whole
from maw.core.fetching import Fetching
from maw.core.files import File
from maw.core.frames import BlobChunk, BlobList, NoBlob, WantBlob
from maw.core.identity import NodeId
from maw.core.lending import Lending
from maw.errors import MawError, TooMany
from maw.node.indexing import in_thread
from maw.node.shelf import Shelf, disk_trouble
from maw.store.blobs import BlobFolder

log = logging.getLogger(__name__)

BlobFrame = WantBlob | BlobList | BlobChunk | NoBlob
Kept = KeepList | KeepChunk | Whole
MAX_READS: Final = 2
BEAT_S: Final = 5.0


class Fetched(NamedTuple):
    """How a fetch stands. ``state``: here, coming, looking (a link is busy with another), or in_vain: all that are
    linked were asked. ``bytes``: of the file, that are here; ``through``: who gives it."""

    state: str
    bytes: int
    through: NodeId | None = None


class Borrowing:
    """``carry_out`` takes the machines' effects."""

    def __init__(self, shelf: Shelf, carry_out: Callable[[Sequence[Effect]], None]) -> None:
        self._shelf = shelf
        self._carry_out = carry_out
        self.fetching = Fetching()
        self._lending = Lending()
        self._queue: asyncio.Queue[Kept] = asyncio.Queue()
        self._reads = asyncio.Semaphore(MAX_READS)
        self._waiting: set[asyncio.Event] = set()
        self._failed: dict[bytes, MawError] = {}
        self._rooms: dict[bytes, int] = {}
        """Bytes reserved for what is being fetched."""

    @property
    def _folder(self) -> BlobFolder:
        return self._shelf.folder

    # -- links: called by the runtime ---------------------------------------------------------------

    def link_up(self, link: Link, peer: NodeId) -> None:
        self._lending.link_up(link)
        self._do(self.fetching.link_up(link, peer, time.monotonic()))

    def link_down(self, link: Link) -> None:
        self._lending.link_down(link)
        self._do(self.fetching.link_down(link, time.monotonic()))

    def tick(self) -> None:
        if self.fetching.under_way:
            self._do(self.fetching.tick(time.monotonic()))

    def receive(self, link: Link, frame: BlobFrame) -> bool:
        """Whether it was asked for, and so costs its sender nothing."""
        if isinstance(frame, WantBlob):
            self._do(self._lending.wanted(link, frame))
            return False
        due = self.fetching.is_due(link, frame)
        self._do(self.fetching.received(link, frame, time.monotonic()))
        return due

    def _do(self, effects: Sequence[Effect]) -> None:
        if effects:
            self._carry_out(effects)
        for event in tuple(self._waiting):  # few wait
            event.set()
        for name in self._rooms.keys() - self.fetching.under_way:
            self._over(name)

    def _over(self, name: bytes) -> None:
        """Nobody fetches it any more: what was reserved for it is free, and what came of it counts."""
        self._shelf.release(self._rooms.pop(name))
        self._shelf.look_at(name)

    # -- lending ------------------------------------------------------------------------------------

    async def read(self, effect: ReadChunk) -> None:
        """To be called when the link has taken what it was given."""
        data: bytes | None = None
        if self._shelf.has(effect.hash):
            if effect.number is None:
                self._shelf.use(effect.hash)
            async with self._reads:
                try:
                    data = await in_thread(self._read, effect.hash, effect.number)
                except OSError as error:
                    log.warning("a file that was asked for cannot be read: %s", error)
        self._do(self._lending.read(effect.link, effect.hash, effect.number, data))

    def _read(self, name: bytes, number: int | None) -> bytes | None:
        if number is None:
            return self._folder.hashes(name)
        return self._folder.chunk(name, number)

    # -- fetching -----------------------------------------------------------------------------------

    async def fetch(self, file: File, author: NodeId, seconds: float, *, anew: bool) -> Fetched:
        """Begin, or go on; how it stands when it is here or in vain, or after ``seconds``. ``anew``: ask again those
        that had nothing. Raises Unavailable (quota, disk) and TooMany."""
        name = file.hash
        if not self._shelf.has(name):
            await self._begin(file, author)
            if anew:
                self._do(self.fetching.again(name, time.monotonic()))
        deadline = time.monotonic() + seconds
        while True:
            found = self._stands(file)
            left = deadline - time.monotonic()
            if found.state in ("here", "in_vain") or left <= 0:
                return found
            event = asyncio.Event()
            self._waiting.add(event)
            try:
                async with asyncio.timeout(left):
                    await event.wait()
            except TimeoutError:
                pass
            finally:
                self._waiting.discard(event)

    async def _begin(self, file: File, author: NodeId) -> None:
        name, size = file.hash, file.size
        if self.fetching.progress(name) is not None:
            self._do(self.fetching.want(name, size, author, None, 0, time.monotonic()))
            return
        if self.fetching.is_full:
            raise TooMany(
                "too many files are being fetched already",
                hint="try again when some are here",
                retry_after=5.0,
            )
        before = self._shelf.held.get(name)
        room = sealed_size(size) + HASH_BYTES * chunk_count(size) - (before.size if before else 0)
        await self._shelf.reserve(max(0, room))
        try:
            hashes, kept = await in_thread(self._folder.begun, name)
        except OSError as error:
            self._shelf.release(max(0, room))
            raise disk_trouble(error, "the file") from None
        if self.fetching.progress(name) is not None or self._shelf.has(name):
            self._shelf.release(max(0, room))  # another was quicker
            return
        if hashes is not None and len(hashes) != HASH_BYTES * chunk_count(size):
            hashes, kept = (
                None,
                0,
            )  # of a message that says another size: those who have it tell which is right
        self._rooms[name] = max(0, room)
        self._failed.pop(name, None)
        self._do(self.fetching.want(name, size, author, hashes, kept, time.monotonic()))

    def _stands(self, file: File) -> Fetched:
        """Raises what kept it from being written."""
        if self._shelf.has(file.hash):
            return Fetched("here", file.size)
        progress = self.fetching.progress(file.hash)
        if progress is None:
            if (error := self._failed.pop(file.hash, None)) is not None:
                raise error
            return Fetched("in_vain", 0)
        got = min(file.size, progress.kept * CHUNK)
        if progress.through is not None:
            return Fetched("coming", got, progress.through)
        return Fetched("in_vain" if progress.asked else "looking", got)

    # -- the disk -----------------------------------------------------------------------------------

    def keep(self, effect: Kept) -> None:
        self._queue.put_nowait(effect)

    async def run(self, beat: Callable[[], None]) -> None:
        """Writes what comes, for ever."""
        while True:
            beat()
            try:
                async with asyncio.timeout(BEAT_S):
                    first = await self._queue.get()
            except TimeoutError:
                continue
            batch = [first]
            while not self._queue.empty():
                batch.append(self._queue.get_nowait())
            for effect in batch:
                await self._keep(effect)

    async def _keep(self, effect: Kept) -> None:
        name = effect.hash
        if name not in self.fetching.under_way:
            return  # it failed at an earlier chunk
        try:
            match effect:
                case KeepList():
                    await in_thread(self._folder.keep_list, name, effect.hashes)
                case KeepChunk():
                    await in_thread(self._folder.keep_chunk, name, effect.number, effect.data)
                    self._do(self.fetching.kept(name, effect.number, time.monotonic()))
                case Whole():
                    await in_thread(self._folder.finish, name)
                    self._shelf.look_at(name)
                    self.fetching.done(name)
                    self._do(())
        except OSError as error:
            self._failed[name] = disk_trouble(error, "the file")
            await self._shelf.drop(name)
            self._do(self.fetching.drop(name, time.monotonic()))
