"""Many rows in few statements.

Every step of a statement lets go of the GIL and must get it back, which costs up to a switch interval while
the event loop is busy. So rows go in by multi-row INSERTs: one step for up to CHUNKS[0] rows. The sizes are
fixed, so that SQLite's statement cache holds all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final

CHUNKS: Final = (256, 32, 8, 1)


class Insert:
    """An INSERT into one table, for any number of rows."""

    __slots__ = ("_head", "_row", "_texts")

    def __init__(self, table: str, columns: Sequence[str], *, verb: str = "INSERT") -> None:
        self._head = f"{verb} INTO {table} ({', '.join(columns)}) VALUES "
        self._row = f"({', '.join('?' * len(columns))})"
        self._texts = {size: self._head + ", ".join([self._row] * size) for size in CHUNKS}

    def statements(self, rows: Sequence[Sequence[Any]]) -> Iterator[tuple[str, list[Any]]]:
        """(sql, parameters) for all ``rows``, in order."""
        at = 0
        for size in CHUNKS:
            while len(rows) - at >= size:
                yield self._texts[size], list(chain.from_iterable(rows[at : at + size]))
                at += size
