"""Files that are to go with messages: taken in, encrypted, kept; and opened again for who may read the message."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Final

import nacl.utils

from maw.core.blobs import CHUNK, KEY_BYTES, chunk_count, open_chunk, seal_chunk, sealed_size
from maw.core.filenames import file_type, safe_name, size_words
from maw.core.files import MAX_FILES, File
from maw.core.text import shown
from maw.errors import BadInput, NotFound, TooLarge, Unavailable
from maw.node.authoring import wall_clock_ms
from maw.node.indexing import in_thread
from maw.node.shelf import Shelf, disk_trouble
from maw.node.store import Store
from maw.store import attached
from maw.store.attached import Upload
from maw.store.blobs import Draft
from maw.store.state import AgentRow

log = logging.getLogger(__name__)

AT_ONCE: Final = 4
"""Files taken in at once; more wait for their turn, before anything of them is read."""
UNSENT_SHARE: Final = 4
"""One part in so many of the quota is what an agent may have uploaded and not sent; one file in any case."""
LAST_MS: Final = 600_000
BATCH: Final = 4
"""Chunks that one visit to a thread seals and writes."""


class Uploads:
    def __init__(self, store: Store, shelf: Shelf) -> None:
        self._store = store
        self._shelf = shelf
        self._turns = asyncio.Semaphore(AT_ONCE)

    @property
    def most(self) -> int:
        return self._shelf.config.max_mib << 20

    def check_size(self, size: int) -> None:
        """Raises TooLarge."""
        if size > self.most:
            raise TooLarge(
                f"a file of {size:,} bytes or more; at most {self.most:,} ({size_words(self.most)}) go with a message",
                hint="pack it (gzip, zstd), send it in parts, or send where it is",
            )

    async def _check_share(self, agent: AgentRow, size: int) -> None:
        """Uploads stay for a day, sent or not, and nothing makes them go sooner: one agent alone must not keep all
        others from sending files for so long. By what is under way, AT_ONCE files, it may be more. Raises
        Unavailable."""
        share = max(self._shelf.quota // UNSENT_SHARE, self.most)
        waiting = await attached.unsent(self._store.db, agent.id)
        if waiting + size > share:
            raise Unavailable(
                f"{agent.name} has uploaded {size_words(waiting)} that no message names, and may have"
                f" {size_words(share)}",
                code="files_full",
                hint="send what is uploaded; what no message names within a day goes by itself",
            )

    async def take(
        self, agent: AgentRow, name: str, kind: str, size: int | None, stream: AsyncIterator[bytes]
    ) -> Upload:
        """Durable when it returns. ``size``: what was announced. Raises TooLarge, Unavailable (quota, disk), and what
        the stream raises; nothing is left of it then."""
        self.check_size(size or 0)
        async with self._turns:
            await self._check_share(agent, size or 0)
            room = sealed_size(self.most if size is None else size) + 32 * chunk_count(size or self.most)
            await self._shelf.reserve(room)
            try:
                return await self._take(agent, safe_name(name), file_type(kind), stream)
            except OSError as error:
                raise disk_trouble(error, "the file") from None
            finally:
                self._shelf.release(room)

    async def _take(self, agent: AgentRow, name: str, kind: str, stream: AsyncIterator[bytes]) -> Upload:
        key = nacl.utils.random(KEY_BYTES)
        draft = await in_thread(Draft, self._shelf.folder)
        try:
            size = await self._seal(draft, key, stream)
            hash_ = await in_thread(draft.finish)
            upload = Upload(hash_, key, size, agent.id, name, kind, wall_clock_ms())
            await self._store.writer.submit(lambda conn: attached.add_upload(conn, upload))
            self._shelf.look_at(hash_)
            return upload
        finally:
            await in_thread(draft.drop)

    async def _seal(self, draft: Draft, key: bytes, stream: AsyncIterator[bytes]) -> int:
        """The bytes there were. What is last is known only when nothing comes behind it."""
        waiting = bytearray()
        size = number = 0
        async for data in stream:
            size += len(data)
            self.check_size(size)
            waiting += data
            while len(waiting) > BATCH * CHUNK:
                plain = bytes(waiting[: BATCH * CHUNK])
                del waiting[: BATCH * CHUNK]
                await in_thread(_add, draft, key, number, plain, False)
                number += BATCH
        await in_thread(_add, draft, key, number, bytes(waiting), True)
        return size

    async def named(self, agent: AgentRow, wanted: Sequence[tuple[bytes, str | None]]) -> tuple[File, ...]:
        """What a message of this agent's says of files that were uploaded, each by hash and perhaps by another name.
        Raises BadInput, NotFound."""
        if len(wanted) > MAX_FILES:
            raise BadInput(
                f"a message takes at most {MAX_FILES} files", code="bad_field", hint="send two messages"
            )
        found = []
        for hash_, name in wanted:
            upload = await attached.upload(self._store.db, hash_)
            # not in its last minutes: a sweep could take it while the message that names it is written
            old = upload is not None and wall_clock_ms() - upload.at > attached.UPLOAD_MS - LAST_MS
            if upload is None or old or upload.agent != agent.id or not self._shelf.has(hash_):
                raise NotFound(
                    f"{agent.name} has uploaded no file {hash_.hex()[:16]}…, or it was more than a day ago",
                    code="no_upload",
                    hint="POST the file to /api/files first; the command: maw send … --attach FILE",
                )
            file = upload.file()
            found.append(file if name is None else file._replace(name=safe_name(name)))
        return tuple(found)

    async def open(self, file: File, first: int, end: int) -> AsyncIterator[bytes]:
        """The bytes of a file that is here from ``first`` to before ``end``. Everything that is needed of it was read
        and found sound before this returns; raises Unavailable when it is not, and keeps what is."""
        last = chunk_count(file.size) - 1
        numbers = range(first // CHUNK, min(max(end - 1, first) // CHUNK, last) + 1)
        sound = await in_thread(self._sound, file.hash, numbers)
        if not sound:
            if not await self.damaged(file):
                raise Unavailable(
                    f"{shown(file.name)} is not as large as its message says",
                    code="file_unreadable",
                    hint="the host that sent it said something else of it than it has: ask there",
                )
            raise Unavailable(
                f"the copy of {shown(file.name)} on this disk is damaged",
                code="file_damaged",
                hint="`maw fetch` gets it again from a host that has it",
            )
        try:
            await in_thread(self._plain, file, numbers[0], numbers[0] == last)
        except ValueError as error:
            raise Unavailable(
                f"{file.name} cannot be read: {error}",
                code="file_unreadable",
                hint="the host that sent it said something else of it than it has: ask there",
            ) from None
        self._shelf.use(file.hash)
        return self._opened(file, numbers, first, end)

    async def check(self, file: File) -> None:
        """Looks through one that is here. What is damaged of it is not here any more when this returns."""
        if not await in_thread(self._sound, file.hash, range(chunk_count(file.size))):
            await self.damaged(file)

    def _sound(self, name: bytes, numbers: range) -> bool:
        return all(self._shelf.folder.chunk(name, number) is not None for number in numbers)

    async def _opened(self, file: File, numbers: range, first: int, end: int) -> AsyncIterator[bytes]:
        last = chunk_count(file.size) - 1
        for number in numbers:
            plain = await in_thread(self._plain, file, number, number == last)
            at = number * CHUNK
            yield plain[max(0, first - at) : max(0, end - at)]

    def _plain(self, file: File, number: int, last: bool) -> bytes:
        data = self._shelf.folder.chunk(file.hash, number)
        if data is None:
            raise ConnectionError("the file was damaged or dropped while it was being read")
        return open_chunk(file.key, number, data, last=last)

    async def damaged(self, file: File) -> bool:
        """Whether it is. What is sound before the damage stays, as of one that is being fetched; of what was sent from
        here all stays, aside: there may be no other, and a person may get something out of it."""
        async with self._shelf.moving:
            aside = file.hash not in await self._shelf.copies()
            found = await in_thread(lambda: self._shelf.folder.demote(file.hash, aside=aside))
            self._shelf.look_at(file.hash)
        if found and aside:
            path = self._shelf.folder.file(file.hash)
            log.warning("%s is damaged, and kept as %s.damaged until a host gives it again", path, path.name)
        return found


def _add(draft: Draft, key: bytes, number: int, plain: bytes, end: bool) -> None:
    """Seal and write ``plain``, the last of the file where it is the ``end``."""
    count = chunk_count(len(plain))
    for at in range(count):
        part = plain[at * CHUNK : (at + 1) * CHUNK]
        draft.add(seal_chunk(key, number + at, part, last=end and at == count - 1))
