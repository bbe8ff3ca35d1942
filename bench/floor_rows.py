"""The floor of catching up: the rows of a replica, put into an empty database and nothing besides.

    python -m bench.floor_rows REPLICA.db NEW.db     prints the seconds that inserting took

Same tables, same indexes, same settings as the daemon's writer, 1,000 messages a commit. Rows are read a
commit ahead, outside the clock, so that this process stays as small as a daemon.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from maw.store.database import WRITER_CACHE_KIB
from maw.store.writer import TRUNCATE_ABOVE_BYTES

ROWS_A_COMMIT: Final = 1_000
BY_SEQ: Final = ("messages", "mentions", "mailbox", "outbox")

Chunk = list[tuple[str, list[tuple[Any, ...]]]]


def _settings(conn: sqlite3.Connection) -> None:
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "wal_autocheckpoint = 0",
        f"cache_size = -{WRITER_CACHE_KIB}",
    ):
        conn.execute(f"PRAGMA {pragma}")


def _chunks(replica: sqlite3.Connection) -> Iterator[Chunk]:
    """What each commit holds: (table, rows)."""
    low, high = replica.execute("SELECT min(seq), max(seq) FROM messages").fetchone()
    while low <= high:
        span = (low, low + ROWS_A_COMMIT - 1)
        entries = replica.execute(
            "SELECT e.* FROM messages m JOIN entries e ON e.place = m.place"
            " WHERE m.seq BETWEEN ? AND ? ORDER BY m.seq",
            span,
        ).fetchall()
        rest = [
            (table, replica.execute(f"SELECT * FROM {table} WHERE seq BETWEEN ? AND ?", span).fetchall())
            for table in BY_SEQ
        ]
        yield [("entries", entries), *((table, rows) for table, rows in rest if rows)]
        low += ROWS_A_COMMIT


def copy_rows(replica: Path, new: Path, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds spent inserting everything that ``replica`` shows into the new database."""
    source = sqlite3.connect(f"file:{replica}?mode=ro", uri=True)
    conn = sqlite3.connect(new, isolation_level=None)
    _settings(conn)
    for (statement,) in source.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"):
        conn.execute(statement)
    spent = 0.0
    for chunk in _chunks(source):
        began = clock()
        conn.execute("BEGIN IMMEDIATE")
        for table, rows in chunk:
            conn.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
        conn.execute("COMMIT")
        if new.with_name(new.name + "-wal").stat().st_size > TRUNCATE_ABOVE_BYTES:
            conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        spent += clock() - began
    source.close()
    conn.close()
    return spent


if __name__ == "__main__":
    print(copy_rows(Path(sys.argv[1]), Path(sys.argv[2])))
