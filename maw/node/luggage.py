"""The files of a move: what is packed here for another host, and what is fetched from one.

They are blobs like those of messages (sealed, checked chunk by chunk, resumed where they broke), and named by no
message: ``move_files`` keeps them from being swept while the move needs them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final

import aiosqlite

from maw.core.blobs import chunk_count, open_chunk
from maw.core.files import FILES, File, read_files
from maw.core.sealing import Sealed, open_box, unwrap
from maw.errors import Unavailable
from maw.node.borrowing import Borrowing
from maw.node.indexing import in_thread
from maw.node.shelf import Shelf
from maw.node.store import Store
from maw.node.uploads import Uploads
from maw.store.state import AgentRow
from maw.store.travelling import SET_MOVE, MoveRow

FETCH_S: Final = 5.0
HERE: Final = "here"


class Luggage:
    """``progress``: by move, in words, what is under way."""

    def __init__(
        self, store: Store, shelf: Shelf, uploads: Uploads, borrowing: Borrowing, colony: Callable[[], bytes]
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._uploads = uploads
        self._borrowing = borrowing
        self._colony = colony
        self.progress: dict[bytes, str] = {}
        self._opened: dict[bytes, tuple[File, ...]] = {}

    # -- on the old host --------------------------------------------------------------------------------

    async def pack(
        self, row: MoveRow, agent: AgentRow, name: str, size: int | None, stream: AsyncIterator[bytes]
    ) -> File:
        """Durable when it returns. Raises TooLarge, Unavailable, and what the stream raises."""
        taken = await self._uploads.take(agent, name, "application/octet-stream", size, stream)
        await self._note(row, [taken.hash])
        return taken.file()

    async def _note(self, row: MoveRow, hashes: list[bytes]) -> None:
        async def write(conn: aiosqlite.Connection) -> None:
            rows = [(one, row.move) for one in hashes]
            await conn.executemany("INSERT OR REPLACE INTO move_files VALUES (?, ?)", rows)

        await self._store.writer.submit(write)

    async def drop_mailbox(self, row: MoveRow) -> None:
        """All that is needed here still is the folder."""
        await self.drop(row, keep=self.files(row)[1:2])

    async def drop(self, row: MoveRow, keep: tuple[File, ...] = ()) -> None:
        """The files of this move are needed here no more, but for those."""
        kept = {file.hash for file in keep}

        async def write(conn: aiosqlite.Connection) -> list[bytes]:
            sql = "SELECT hash FROM move_files WHERE move = ?"
            found = await conn.execute_fetchall(sql, (row.move,))
            gone = [name for (name,) in found if name not in kept]
            rows = [(name,) for name in gone]
            await conn.executemany("DELETE FROM move_files WHERE hash = ?", rows)
            await conn.executemany("DELETE FROM uploads WHERE hash = ?", rows)
            named = "SELECT 1 FROM attached WHERE hash = ?"
            return [name for name in gone if not list(await conn.execute_fetchall(named, (name,)))]

        self.progress.pop(row.move, None)
        async with self._shelf.moving:
            for name in await self._store.writer.submit(write):
                await self._shelf.drop(name)

    # -- on the new host --------------------------------------------------------------------------------

    def files(self, row: MoveRow) -> tuple[File, ...]:
        """What was handed over: the mailbox, and the folder where it comes along. Empty where nothing was, or it was
        not for this host."""
        if row.leaving or row.box is None:
            return ()
        if row.move not in self._opened:
            try:
                self._opened[row.move] = self._open(row)
            except ValueError:
                return ()
        return self._opened[row.move]

    def _open(self, row: MoveRow) -> tuple[File, ...]:
        """Raises ValueError."""
        sealed = Sealed.read(row.box or {})
        state = self._store.state
        key = unwrap(sealed, self._colony(), row.node, (self._store.me, *state.former_me), state.halves)
        if key is None:
            raise ValueError("what was handed over is sealed for another host")
        content = open_box(sealed, self._colony(), row.node, key)
        if content["agent"] != row.agent:
            raise ValueError("what was handed over is another agent's")
        return read_files({FILES: content.get(FILES)})

    async def fetch(self, row: MoveRow) -> tuple[File, ...] | None:
        """All that was handed over, once it is here, whole; None while some is on its way. Raises ValueError for what
        is not for this host, MawError for what the disk does not take."""
        files = self._open(row)
        if not files:
            raise ValueError("nothing was handed over")
        self._opened[row.move] = files
        await self._note(row, [file.hash for file in files])
        for file in files:
            found = await self._borrowing.fetch(file, row.node, FETCH_S, anew=True)
            if found.state != HERE:
                self.progress[row.move] = f"{file.name}: {found.bytes} of {file.size} bytes ({found.state})"
                return None
        self.progress.pop(row.move, None)
        return files

    def has(self, file: File) -> bool:
        """Whether it is here, whole."""
        return self._shelf.has(file.hash)

    async def bytes_of(self, file: File) -> bytes:
        """A small one, whole. Raises Unavailable."""
        parts = [part async for part in await self._uploads.open(file, 0, file.size)]
        return b"".join(parts)

    async def look(self, file: File, check: object) -> None:
        """Runs ``check`` over the bytes of a file that is here, in a thread. Raises what it does, and Unavailable."""
        assert callable(check)
        await in_thread(check, Reading(self._shelf, file))

    async def set(self, row: MoveRow) -> None:
        """What was decided here of it, durable when it returns."""

        def apply(_: None) -> None:
            self._store.state.moves[row.move] = row

        async def write(conn: aiosqlite.Connection) -> None:
            await conn.execute(SET_MOVE, row.row())

        await self._store.writer.submit(write, apply)


class Reading:
    """A file that is here as what ``tarfile`` reads from, one chunk at a time. For threads."""

    def __init__(self, shelf: Shelf, file: File) -> None:
        self._shelf = shelf
        self._file = file
        self._next = 0
        self._left = b""

    def read(self, size: int = -1) -> bytes:
        """Raises Unavailable for what is damaged."""
        last = chunk_count(self._file.size) - 1
        while (size < 0 or len(self._left) < size) and self._next <= last:
            data = self._shelf.folder.chunk(self._file.hash, self._next)
            if data is None:
                raise Unavailable(
                    "the file was damaged or dropped while it was being read", code="file_damaged"
                )
            self._left += open_chunk(self._file.key, self._next, data, last=self._next == last)
            self._next += 1
        size = len(self._left) if size < 0 else size
        taken, self._left = self._left[:size], self._left[size:]
        return taken
