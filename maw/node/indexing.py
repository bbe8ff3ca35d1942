"""The full-text index kept up with what is visible, behind it and never in its way.

One task reads what became visible since, a few messages at a time, while the writer has nothing to do; the index is a
file of its own (``maw/store/search.py``), so that no commit waits for it. What was taken away, replaced or mended is
noted by triggers in the transaction that does it (table ``stale``), and its shelf is written anew a little later.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import aiosqlite

from maw.core.editing import Edit
from maw.core.folding import indexed
from maw.core.queries import day_marks
from maw.core.rooms import stored_said
from maw.core.sealing import stored_words
from maw.errors import Unavailable
from maw.node.store import Store
from maw.node.visible import Visible
from maw.store.editing import LAST
from maw.store.opened import key_at
from maw.store.search import Doc, SearchIndex, Shelf, Upto, why_off

log = logging.getLogger(__name__)

T = TypeVar("T")
READ: Final = 64
"""Messages read at once: of the longest ones 4 MiB."""
WRITE: Final = 1_024
"""Messages in one transaction of the index while it is far behind."""
FAR_BEHIND: Final = 2_000
LOOK_S: Final = 15.0
"""How often it is looked for what was taken away; what was said wakes the task at once."""
REST_S: Final = 20.0
"""How long a shelf of which something was taken away waits for more of that before it is written anew."""
PATIENCE: Final = 100
LOOK_AGAIN_S: Final = 0.0025
"""How often a batch looks whether the writer has nothing to do, and how far apart, before it goes on all the same."""
SHARE_BUSY: Final = 4.0
SHARE_QUIET: Final = 0.25
"""How long a pause is, in times of the batch before it: while others write, and while nobody does."""
STALE_AT_ONCE: Final = 500
FULL_PAUSE_S: Final = 5.0
"""Before it tries again on a disk that took nothing."""
_OF_THE_DISK: Final = frozenset(
    (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
)
COUNTED: Final = 100_000
_LAST: Final = 1 << 62

_ROWS: Final = f"""SELECT m.seq, m.place, m.direct, m.channel, m.agent, m.said,
    e.payload, e.header, {key_at("m.place")},
    x.payload, x.header, {key_at("x.place")}
    FROM messages m LEFT JOIN entries e ON e.place = m.place LEFT JOIN entries x ON x.place = {LAST}
    WHERE m.seq > ? AND m.seq <= ? ORDER BY m.seq LIMIT ?"""  # noqa: S608
_BEHIND: Final = "SELECT count(*) FROM (SELECT 1 FROM messages WHERE seq > ? LIMIT ?)"


class Indexing:
    """``may_write``: whether the disk has room; ``wanted``: whether there is to be an index at all. ``seq``: everything
    up to it can be found; ``off``: why there is no index, while there is none."""

    def __init__(
        self,
        store: Store,
        visible: Visible,
        path: Path,
        may_write: Callable[[], bool],
        wanted: bool = True,
    ) -> None:
        self._wanted = wanted
        self._store = store
        self._visible = visible
        self._may_write = may_write
        self.index = SearchIndex(path)
        self.reading = asyncio.Lock()
        """Held by whoever uses the index's reading connection: there is one."""
        self.seq = 0
        self.off: str | None = "the index is not open yet"
        self._commits = 0
        self._damaged = False
        self.rest_s = REST_S
        self.look_s = LOOK_S

    async def run(self, beat: Callable[[], None]) -> None:
        """Until cancelled. Raises sqlite3.Error, OSError when this disk is damaged: then it begins anew."""
        why = why_off() if self._wanted else "[search] index = false in maw.toml"
        if why is not None:
            self.off = why
            log.warning("search is off: %s", why)
            await self._discard()
            await asyncio.Event().wait()
        while True:
            try:
                await self._run(beat)
            except (sqlite3.OperationalError, Unavailable) as error:
                if not _of_the_disk(error):
                    raise
                log.info("the search index waits for the disk: %s", error)  # whoever watches that tells of it
                self.off = f"the index waits for the disk: {error}"
            except sqlite3.DatabaseError:
                await self._discard()  # it is made again
                raise
            finally:
                self.off = self.off or "the index is not open"
                async with self.reading:
                    self.index.close()
            beat()
            await asyncio.sleep(FULL_PAUSE_S)

    async def _run(self, beat: Callable[[], None]) -> None:
        while True:
            beat()
            if not self._may_write():
                await asyncio.sleep(self.look_s)
                continue
            upto = await self._open()
            while not self._damaged:
                beat()
                upto = await self._catch_up(upto, beat)
                upto = await self._renew(upto, beat)
                await self._await_more()
            await self._discard()

    def damaged(self, error: Exception) -> None:
        """A question found the index in pieces: it is made again."""
        log.warning("the search index is damaged (%s) and made again", error)
        self.off = "the index was damaged and is being made again"
        self._damaged = True

    async def _discard(self) -> None:
        async with self.reading:
            await in_thread(self.index.discard)
        self._damaged = False

    # -- which database it is of ---------------------------------------------------------------------

    async def _open(self) -> Upto:
        """Of a database that was put back or made again the index is another's: it begins anew."""
        stamp = await self._stamp()
        async with self.reading:
            upto = await in_thread(self.index.open, stamp)
            if upto.seq and not await self._stands(upto):
                await in_thread(self.index.discard)
                upto = await in_thread(self.index.open, stamp)
        if not upto.seq:
            await self._forget_stale(None)
        self.seq, self.off = upto.seq, None
        return upto

    async def _stamp(self) -> str:
        row = await self._store.db.row("SELECT value FROM meta WHERE key = 'search'")
        if row and isinstance(row[0], str):
            return row[0]
        stamp = os.urandom(16).hex()

        async def write(conn: aiosqlite.Connection) -> None:
            await conn.execute("INSERT OR REPLACE INTO meta VALUES ('search', ?)", (stamp,))

        await self._store.writer.submit(write)
        return stamp

    async def _stands(self, upto: Upto) -> bool:
        """Whether the last message that was indexed is where it was: then so is all below it, but for what triggers
        noted. A copy put in the database's place by hand ends earlier, or goes on otherwise."""
        row = await self._store.db.row("SELECT place FROM messages WHERE seq = ?", (upto.seq,))
        if row is None:
            return await self._store.db.row("SELECT 1 FROM stale WHERE seq = ?", (upto.seq,)) is not None
        return bool(row[0] == upto.place)

    # -- catching up ---------------------------------------------------------------------------------

    async def _await_more(self) -> None:
        if self._may_write():
            await self._visible.wait(self.seq, self.look_s)
        else:
            await asyncio.sleep(self.look_s)

    async def _catch_up(self, upto: Upto, beat: Callable[[], None]) -> Upto:
        while self._may_write() and not self._damaged:
            beat()
            newest = self._visible.seq
            await self._let_writer_go()
            begun = time.monotonic()
            rows = await self._rows(upto.seq, _LAST, READ)
            if not rows:
                self.seq = max(self.seq, newest)
                break
            docs = _docs(rows)
            last = rows[-1]
            while newest - last[0] > FAR_BEHIND and len(docs) < WRITE:
                if not (rows := await self._rows(last[0], _LAST, READ)):
                    break
                docs += _docs(rows)
                last = rows[-1]
            upto = Upto(last[0], last[1])
            await in_thread(self.index.add, docs, upto)
            self.seq = upto.seq
            await self._pause(time.monotonic() - begun)
        return upto

    async def _rows(self, after: int, last: int, limit: int) -> list[tuple[Any, ...]]:
        return await self._store.db.rows(_ROWS, (after, last, limit))

    async def _let_writer_go(self) -> None:
        for _ in range(PATIENCE):
            if not self._store.writer.busy_s():
                return
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _pause(self, took: float) -> None:
        """Others first: while somebody writes, most of the time is theirs."""
        commits, self._commits = self._commits, self._store.writer.commits
        await asyncio.sleep(took * (SHARE_QUIET if commits == self._commits else SHARE_BUSY))

    # -- what is not as it was ---------------------------------------------------------------------------

    async def _renew(self, upto: Upto, beat: Callable[[], None]) -> Upto:
        """Notes what was taken away, and writes one shelf anew, the newest first. How far the index goes then."""
        await self._take_stale()
        if (dirty := await self._dirty()) is None:
            return upto
        until = time.monotonic() + self.rest_s
        while (left := until - time.monotonic()) > 0 and not self._damaged:
            # more may be taken away in a moment; what is said meanwhile is found all the same
            await self._visible.wait(self.seq, left)
            upto = await self._catch_up(upto, beat)
        await self._take_stale()
        if (dirty := await self._dirty()) is not None and self._may_write():
            await self._anew(dirty, beat)
        return upto

    async def _take_stale(self) -> None:
        while self._may_write() and (stale := await self._stale()):
            await in_thread(self.index.soil, stale)
            await self._forget_stale(stale)

    async def _dirty(self) -> Shelf | None:
        return next((shelf for shelf in await in_thread(self.index.shelves) if shelf.dirty), None)

    async def _stale(self) -> list[int]:
        rows = await self._store.db.rows("SELECT seq FROM stale LIMIT ?", (STALE_AT_ONCE,))
        return [seq for (seq,) in rows]

    async def _forget_stale(self, seqs: Sequence[int] | None) -> None:
        if seqs is None and not await self._stale():
            return

        async def write(conn: aiosqlite.Connection) -> None:
            if seqs is None:
                await conn.execute("DELETE FROM stale")
            else:
                await conn.executemany("DELETE FROM stale WHERE seq = ?", [(seq,) for seq in seqs])

        await self._store.writer.submit(write)

    async def _anew(self, old: Shelf, beat: Callable[[], None]) -> None:
        """From the messages as they are now. What is taken away from here on is noted, and soils the new one."""
        new = await in_thread(self.index.begin_anew)
        after = old.first - 1
        while rows := await self._rows(after, old.last, READ):
            beat()
            begun = time.monotonic()
            after = rows[-1][0]
            await in_thread(self.index.put, new, _docs(rows))
            await self._let_writer_go()
            await self._pause(time.monotonic() - begun)
        async with self.reading:
            await in_thread(self.index.replace, old.n, new)

    # -- what it says of itself ------------------------------------------------------------------------

    async def behind(self) -> int:
        """How many messages cannot be found yet, at most COUNTED are counted."""
        row = await self._store.db.row(_BEHIND, (self.seq, COUNTED))
        return int(row[0]) if row else 0

    async def json(self) -> dict[str, Any]:
        """For status: ``state`` is on, behind or off."""
        behind = await self.behind()
        size = 0
        with suppress(OSError):
            size = self.index.bytes()
        return {
            "state": "off" if self.off else "behind" if behind else "on",
            "why": self.off,
            "indexed_seq": self.seq,
            "behind": behind,
            "bytes": size,
        }


async def in_thread(work: Callable[..., T], *args: Any) -> T:
    """``work`` in a thread; not left behind there when the caller is cancelled, for it uses what is closed next."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *args))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(Exception):
            await task
        raise


def _docs(rows: Sequence[tuple[Any, ...]]) -> list[Doc]:
    return [doc for row in rows if (doc := _doc(*row)) is not None]


def _doc(
    seq: int,
    place: int,
    direct: int,
    channel: int | None,
    agent: int,
    said_ms: int,
    payload: bytes | None,
    header: bytes | None,
    key: bytes | None,
    edit: bytes | None = None,
    edit_header: bytes | None = None,
    edit_key: bytes | None = None,
) -> Doc | None:
    """None where there is nothing to be found: redacted, or not as it was written."""
    if payload is None:
        return None
    try:
        said = stored_said(header, payload, key, direct=bool(direct))
        if edit is not None and said.word is None:
            last = Edit.read(stored_words(edit_header, edit, edit_key))
            said = said._replace(text=last.text, mentions=last.mentions)
        marks = [f"a{agent}", *day_marks(said_ms)]
        if direct:
            marks += [PRIVATE, reader_mark(said.agent), *(reader_mark(to.agent) for to in said.to)]
            marks += [] if channel is None else [f"c{channel}"]
        else:
            marks += [PUBLIC, f"c{channel}"]
        if heard := (*said.mentions, *said.groups):
            marks += [MENTIONS, *map(mention_mark, heard)]
        return Doc(seq, said_ms, indexed(said.text), " ".join(marks))
    except (ValueError, TypeError, KeyError):
        return None


PUBLIC: Final = "p"
PRIVATE: Final = "x"
MENTIONS: Final = "m"


def reader_mark(agent_key: bytes) -> str:
    return f"r{agent_key[:8].hex()}"


def mention_mark(word: str) -> str:
    """A name may have signs in it that divide words."""
    return f"m{word.encode().hex()}"


def _of_the_disk(error: Exception) -> bool:
    """Whether it is the disk that takes nothing now, and not the index or a fault of ours."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, Unavailable) or (code is not None and code & 0xFF in _OF_THE_DISK)
