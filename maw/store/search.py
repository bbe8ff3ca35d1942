"""The full-text index: ``search.db`` beside the database, made of it, and thrown away rather than mended.

A file of its own, since everything in it can be made again: its writes wait for nobody's commit and nobody's wait for
them, no backup carries it, and a Python without FTS5 opens the database all the same. It is made of *shelves* of
SHELF_MESSAGES messages by ascending seq, each an FTS5 table without the texts (``content=''``): what is taken away is
forgotten by writing its shelf anew and dropping the old one, with which its words leave the file (SQLite before 3.43
cannot delete from such a table, and in no version are words gone from its segments before they are merged). And no
question can cost more than a shelf without being looked at: SQLite's own interrupt does not reach into FTS5.

Everything here blocks; ``maw.node.searching`` calls it in threads.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

FORMAT: Final = 2
SHELF_MESSAGES: Final = 1 << 15
_PENDING_BYTES: Final = 128 << 10
"""Of words that one transaction holds in memory, where FTS5 itself would hold a MiB."""
_STEPS: Final = 5_000
"""Of SQLite's machine between two looks at the clock."""

_TABLES: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE shelves (n INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, messages INTEGER NOT NULL,
    oldest INTEGER NOT NULL, newest INTEGER NOT NULL, live INTEGER NOT NULL, dirty INTEGER NOT NULL DEFAULT 0);
"""
_MAKE: Final = "CREATE VIRTUAL TABLE t{} USING fts5(text, about, content='', tokenize='ascii')"
_ADD: Final = "INSERT INTO t{} (rowid, text, about) VALUES (?, ?, ?)"
_MATCH: Final = """SELECT rowid, {} FROM t{} WHERE t{} MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?"""


class Doc(NamedTuple):
    """A message as the index has it: ``text`` in the words of ``folding.indexed``, ``about`` in marks."""

    seq: int
    said_ms: int
    text: str
    about: str


class Upto(NamedTuple):
    """How far the index goes: this seq, and the place that the message had."""

    seq: int = 0
    place: int = 0


@dataclass(slots=True)
class Shelf:
    """``first`` and ``last``: seqs; ``oldest`` and ``newest``: when its messages were said, ms since 1970.
    ``live`` and ``dirty`` are 0 or 1."""

    n: int
    first: int
    last: int
    messages: int
    oldest: int
    newest: int
    live: int
    dirty: int


class SearchOff(Exception):
    """There can be no index here; the words say why."""


def why_off() -> str | None:
    """Why this Python cannot search, if it cannot."""
    with closing(sqlite3.connect(":memory:")) as conn:
        try:
            conn.execute(_MAKE.format(0))
        except sqlite3.Error as error:
            return f"this Python's SQLite ({sqlite3.sqlite_version}) has no FTS5 ({error})"
    return None


class SearchIndex:
    """One open index: a connection that writes, used by one task, and one that reads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writing: sqlite3.Connection | None = None
        self._reading: sqlite3.Connection | None = None

    def open(self, stamp: str) -> Upto:
        """``stamp`` names the database that it is made of: of another's nothing is kept. A file that cannot be used is
        made anew. Raises sqlite3.Error, OSError."""
        try:
            return self._open(stamp)
        except (sqlite3.DatabaseError, ValueError, TypeError):
            self.discard()
            return self._open(stamp)

    def _open(self, stamp: str) -> Upto:
        conn = self._writing = self._connect()
        (version,) = conn.execute("PRAGMA user_version").fetchone()
        if version != FORMAT or self._meta("stamp") != stamp:
            self.discard()
            conn = self._writing = self._connect()
            conn.execute("PRAGMA auto_vacuum = INCREMENTAL")
            conn.execute("PRAGMA journal_mode = WAL")
            with self._writes() as fresh:
                for statement in _TABLES.split(";")[:-1]:
                    fresh.execute(statement)
                fresh.execute("INSERT INTO meta VALUES ('stamp', ?)", (stamp,))
                fresh.execute(f"PRAGMA user_version = {FORMAT}")
        for shelf in self.shelves():
            if not shelf.live:
                with self._writes() as conn:
                    _drop(conn, shelf.n)
        return self.upto()

    def _connect(self) -> sqlite3.Connection:
        conn = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        for pragma in (
            "secure_delete = ON",
            "synchronous = NORMAL",
            "cache_size = -256",
            "busy_timeout = 5000",
        ):
            conn.execute(f"PRAGMA {pragma}")
        return conn

    def close(self) -> None:
        for conn in (self._reading, self._writing):
            if conn is not None:
                conn.close()
        self._reading = self._writing = None

    def discard(self) -> None:
        """Throw it away: it is made again."""
        self.close()
        for end in ("-wal", "-shm", ""):
            self.path.with_name(self.path.name + end).unlink(missing_ok=True)

    @property
    def _conn(self) -> sqlite3.Connection:
        if self._writing is None:
            raise sqlite3.ProgrammingError("the index is closed")
        return self._writing

    @contextmanager
    def _writes(self) -> Iterator[sqlite3.Connection]:
        self._conn.execute("BEGIN IMMEDIATE")
        try:
            yield self._conn
            self._conn.execute("COMMIT")
        except BaseException:
            if self._conn.in_transaction:
                self._conn.execute("ROLLBACK")
            raise

    def _meta(self, key: str) -> object:
        row = self._conn.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def upto(self) -> Upto:
        rows = dict(self._conn.execute("SELECT key, value FROM meta WHERE key IN ('seq', 'place')"))
        return Upto(int(rows.get("seq", 0)), int(rows.get("place", 0)))

    def shelves(self) -> list[Shelf]:
        """The newest first."""
        return _shelves(self._conn)

    # -- writing -------------------------------------------------------------------------------------

    def add(self, docs: Sequence[Doc], upto: Upto) -> None:
        """Take these in, all newer than what is here; ``upto`` holds once it is written."""
        with self._writes() as conn:
            at = 0
            while at < len(docs):
                n, room = self._room(conn)
                some = docs[at : at + room]
                _put(conn, n, some)
                at += len(some)
            conn.execute("INSERT OR REPLACE INTO meta VALUES ('seq', ?), ('place', ?)", upto)

    def _room(self, conn: sqlite3.Connection) -> tuple[int, int]:
        """The shelf for what is newest, and for how much more there is room."""
        row = conn.execute("SELECT n, messages FROM shelves WHERE live ORDER BY last DESC LIMIT 1").fetchone()
        if row and row[1] < SHELF_MESSAGES:
            return row[0], SHELF_MESSAGES - row[1]
        if row:  # full: in one piece it is smaller, and asked faster
            conn.execute(f"INSERT INTO t{row[0]} (t{row[0]}) VALUES ('optimize')")  # noqa: S608
        return _new_shelf(conn, live=True), SHELF_MESSAGES

    def soil(self, seqs: Iterable[int]) -> None:
        """These messages are not what they were: their shelves are to be written anew."""
        with self._writes() as conn:
            sql = "UPDATE shelves SET dirty = 1 WHERE live AND first <= ? AND last >= ?"
            conn.executemany(sql, [(seq, seq) for seq in seqs])

    def begin_anew(self) -> int:
        """A shelf that takes another's place in the end."""
        with self._writes() as conn:
            return _new_shelf(conn, live=False)

    def put(self, n: int, docs: Sequence[Doc]) -> None:
        with self._writes() as conn:
            _put(conn, n, docs)

    def replace(self, old: int, new: int) -> None:
        """``new`` stands where ``old`` did, and the old one's words leave the file. Empty, none stands there."""
        with self._writes() as conn:
            _drop(conn, old)
            if conn.execute("UPDATE shelves SET live = 1 WHERE n = ? AND messages > 0", (new,)).rowcount:
                conn.execute(f"INSERT INTO t{new} (t{new}) VALUES ('optimize')")  # noqa: S608
            else:
                _drop(conn, new)
        self._conn.execute("PRAGMA incremental_vacuum").fetchall()
        self.fold_in()

    def fold_in(self) -> None:
        """What was deleted leaves the write-ahead log too; a reader in the way leaves it for the next time."""
        self._conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    # -- asking --------------------------------------------------------------------------------------

    def standing(self) -> list[Shelf]:
        """The shelves as a reader sees them, the newest first."""
        return [shelf for shelf in _shelves(self._reader()) if shelf.live]

    @contextmanager
    def limited(self, deadline: float) -> Iterator[None]:
        """Questions end with OperationalError ("interrupted") when it is later than ``deadline`` (monotonic, s)."""
        conn = self._reader()
        conn.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        try:
            yield
        finally:
            conn.set_progress_handler(None, 0)

    def match(
        self, n: int, expression: str, below: int, limit: int, *, ranked: bool
    ) -> list[tuple[int, float]]:
        """The newest messages of one shelf under ``below`` that fit: (seq, how well; 0 when not asked)."""
        rank = f"-bm25(t{n}, 1.0, 0.0)" if ranked else "0.0"
        sql = _MATCH.format(rank, n, n)
        try:
            return self._reader().execute(sql, (expression, below, limit)).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):  # it was replaced this instant
                return []
            raise

    def _reader(self) -> sqlite3.Connection:
        if self._reading is None:
            conn = sqlite3.connect(
                f"file:{str(self.path).replace('%', '%25').replace('?', '%3f').replace('#', '%23')}?mode=ro",
                uri=True, isolation_level=None, check_same_thread=False,
            )  # fmt: skip
            conn.execute("PRAGMA cache_size = -1024")
            conn.execute("PRAGMA busy_timeout = 5000")
            self._reading = conn
        return self._reading

    def bytes(self) -> int:
        """On disk, the write-ahead log too."""
        files = (self.path.with_name(self.path.name + end) for end in ("", "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())


def _shelves(conn: sqlite3.Connection) -> list[Shelf]:
    sql = "SELECT n, first, last, messages, oldest, newest, live, dirty FROM shelves ORDER BY last DESC"
    return [Shelf(*row) for row in conn.execute(sql)]


def _new_shelf(conn: sqlite3.Connection, *, live: bool) -> int:
    (n,) = conn.execute("SELECT coalesce(max(n), 0) + 1 FROM shelves").fetchone()
    conn.execute(_MAKE.format(n))
    conn.execute(f"INSERT INTO t{n} (t{n}, rank) VALUES ('hashsize', {_PENDING_BYTES})")  # noqa: S608
    empty = (n, 1 << 62, 0, 0, 1 << 62, 0, live)
    conn.execute(
        "INSERT INTO shelves (n, first, last, messages, oldest, newest, live) VALUES (?, ?, ?, ?, ?, ?, ?)",
        empty,
    )
    return int(n)


def _drop(conn: sqlite3.Connection, n: int) -> None:
    conn.execute(f"DROP TABLE IF EXISTS t{n}")
    conn.execute("DELETE FROM shelves WHERE n = ?", (n,))


def _put(conn: sqlite3.Connection, n: int, docs: Sequence[Doc]) -> None:
    if not docs:
        return
    conn.executemany(_ADD.format(n), [(doc.seq, doc.text, doc.about) for doc in docs])
    said = [doc.said_ms for doc in docs]
    sql = """UPDATE shelves SET first = min(first, ?), last = max(last, ?), messages = messages + ?,
        oldest = min(oldest, ?), newest = max(newest, ?) WHERE n = ?"""
    conn.execute(sql, (docs[0].seq, docs[-1].seq, len(docs), min(said), max(said), n))
