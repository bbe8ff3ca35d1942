"""One database file: one writing connection, a few reading ones.

WAL with synchronous=FULL: a commit that returned is on the disk. Only ``writer.Writer`` may use ``writing``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import aiosqlite

from maw.errors import BadConfig
from maw.store.connection import WritingConnection
from maw.store.schema import migrate

READERS: Final = 2
WRITER_CACHE_KIB: Final = 2048
READER_CACHE_KIB: Final = 256

SMALL_BYTES: Final = 64 << 20
WORTHWHILE: Final = 0.25
"""The share of a larger database that is free when it is worth being written anew."""

Row = tuple[Any, ...]
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Database:
    """An open database. ``fresh``: this call made it."""

    path: Path
    writing: WritingConnection
    fresh: bool
    _readers: asyncio.Queue[aiosqlite.Connection]
    _since: dict[aiosqlite.Connection, float] = field(default_factory=dict)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[aiosqlite.Connection]:
        """A reading connection of one's own for as long as the block lasts. Keep it short."""
        conn = await self._readers.get()
        self._since[conn] = time.monotonic()
        try:
            yield conn
        finally:
            del self._since[conn]
            self._readers.put_nowait(conn)

    def reading_s(self) -> float:
        """Seconds that the longest of the reads at hand has taken so far; 0 when there is none."""
        return time.monotonic() - min(self._since.values()) if self._since else 0.0

    async def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows of one bounded query, in its own snapshot."""
        async with self.reading() as conn:
            return list(await conn.execute_fetchall(sql, parameters))  # type: ignore[arg-type]

    async def row(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        found = await self.rows(sql, parameters)
        return found[0] if found else None


C = TypeVar("C", bound=aiosqlite.Connection)


async def _connect(kind: type[C], uri: str, cache_kib: int) -> C:
    conn = kind(
        lambda: sqlite3.connect(uri, uri=True, isolation_level=None, cached_statements=256),
        iter_chunk_size=64,
    )
    try:
        await conn
    except BaseException:
        # aiosqlite tells its thread to stop and does not wait: it would speak to a loop that is closed
        await asyncio.to_thread(conn._thread.join)
        raise
    try:
        await conn.execute(f"PRAGMA cache_size = -{cache_kib}")
        await conn.execute("PRAGMA busy_timeout = 5000")
    except BaseException:
        await conn.close()  # else its thread keeps the process from ending
        raise
    return conn


@asynccontextmanager
async def open_database(path: Path) -> AsyncIterator[Database]:
    """Opens (or makes) the database and closes it in the end. BadConfig says what stands in the way."""
    async with AsyncExitStack() as stack:
        try:
            writing = await stack.enter_async_context(
                _closing(await _connect(WritingConnection, f"file:{_quoted(path)}", WRITER_CACHE_KIB))
            )
            if not await _number(
                writing, "page_count"
            ):  # said of an older one it would write to what is refused below
                await writing.execute("PRAGMA auto_vacuum = INCREMENTAL")
            for pragma in (
                "secure_delete = ON",  # what is redacted must leave the file, not only the tables
                "journal_mode = WAL",
                "synchronous = FULL",
                "wal_autocheckpoint = 0",
                "foreign_keys = OFF",
            ):
                await writing.execute(f"PRAGMA {pragma}")
            fresh = await migrate(writing, str(path))
            await _make_shrinkable(writing, path)
            readers: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue(READERS)
            for _ in range(READERS):
                reader = await _connect(
                    aiosqlite.Connection, f"file:{_quoted(path)}?mode=ro", READER_CACHE_KIB
                )
                readers.put_nowait(await stack.enter_async_context(_closing(reader)))
        except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter: a damaged schema
            raise BadConfig(
                f"the database {path} cannot be opened: {error}",
                code="bad_database",
                hint="`maw doctor` looks at directory and disk; if the file itself is damaged, `maw verify --repair`"
                " writes it anew from what can be read, and `maw restore` puts a backup back. Nothing was changed",
            ) from None
        yield Database(path, writing, fresh, readers)


async def _make_shrinkable(conn: aiosqlite.Connection, path: Path) -> None:
    """A database from before files could shrink is written anew, once: at once while it is small, else when enough of
    it is free and the disk has the room."""
    if await _number(conn, "auto_vacuum"):
        return
    pages = max(1, await _number(conn, "page_count"))
    size = pages * await _number(conn, "page_size")
    free = await _number(conn, "freelist_count") / pages
    disk = os.statvfs(path.parent)
    room = disk.f_bavail * disk.f_frsize > 3 * size  # the copy, and the write-ahead log it goes through
    if room and (size <= SMALL_BYTES or free >= WORTHWHILE):
        log.info("%s is written anew, once, so that it can shrink", path)
        await conn.execute("PRAGMA auto_vacuum = INCREMENTAL")
        await conn.execute("VACUUM")
        await conn.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")


async def _number(conn: aiosqlite.Connection, pragma: str) -> int:
    rows = list(await conn.execute_fetchall(f"PRAGMA {pragma}"))
    return int(rows[0][0])


@asynccontextmanager
async def _closing(conn: C) -> AsyncIterator[C]:
    try:
        yield conn
    finally:
        await conn.close()


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
