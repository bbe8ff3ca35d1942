"""Many rows in few statements, many statements in one visit to the connection's thread.

Every step of a statement lets go of the GIL and must get it back, which costs up to a switch interval while
the event loop is busy. So rows go in by multi-row INSERTs: one step for up to CHUNKS[0] rows. The sizes are
fixed, so that SQLite's statement cache holds all of them.

A visit (into the thread's queue, and back through the loop) costs as much as several small statements, and a
post is a dozen of those: ``execute_all`` makes one visit of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final

import aiosqlite

CHUNKS: Final = (256, 64, 16, 4, 1)

Statement = tuple[str, Sequence[Any]]
"""SQL and its parameters."""


class Insert:
    """An INSERT into one table, for any number of rows."""

    __slots__ = ("_head", "_row", "_texts")

    def __init__(self, table: str, columns: Sequence[str], *, verb: str = "INSERT") -> None:
        self._head = f"{verb} INTO {table} ({', '.join(columns)}) VALUES "
        self._row = f"({', '.join('?' * len(columns))})"
        self._texts = {size: self._head + ", ".join([self._row] * size) for size in CHUNKS}

    def statements(self, rows: Sequence[Sequence[Any]]) -> Iterator[Statement]:
        """Statements for all ``rows``, in order."""
        at = 0
        for size in CHUNKS:
            while len(rows) - at >= size:
                yield self._texts[size], list(chain.from_iterable(rows[at : at + size]))
                at += size


async def execute_all(conn: aiosqlite.Connection, statements: Sequence[Statement]) -> None:
    """Runs them in order; the first that fails ends it and raises its sqlite3.Error."""
    # aiosqlite has a call for one statement only; this is what each of its own methods comes down to
    await conn._execute(_execute_all, conn._conn, statements)  # type: ignore[no-untyped-call]


def _execute_all(conn: sqlite3.Connection, statements: Iterable[Statement]) -> None:
    for sql, parameters in statements:
        conn.execute(sql, parameters)
