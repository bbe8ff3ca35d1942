"""Which messages say something else than when they became visible: edited, or taken back.

A change has a number of the same count as messages have (``State.seq``), so that one cursor goes over both. Of each
message its last change is kept: whoever reads it finds the message as it is now. What time takes away (retention) is
no change: the rule is known to all, and it would be told of every message that ever was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import aiosqlite

from maw.store.database import Database
from maw.store.rows import Statement
from maw.store.state import State

_AT_PLACE: Final = """INSERT OR REPLACE INTO changed (n, seq)
    SELECT ?, shown FROM entries WHERE place = ? AND shown < ?"""
"""What is not here yet comes as it is by then."""
_AT_SEQ: Final = "INSERT OR REPLACE INTO changed (n, seq) VALUES (?, ?)"
_SET_SEQ: Final = "INSERT OR REPLACE INTO meta VALUES ('seq', ?)"
_SINCE: Final = "SELECT n, seq FROM changed WHERE n > ? AND n <= ? ORDER BY n LIMIT ?"


def number(state: State) -> int:
    """Of the next change."""
    state.seq += 1
    state.last_change = state.seq
    return state.seq


def statements(rows: Sequence[tuple[int, int]]) -> Iterator[Statement]:
    """(number, place of what changed), where the entries of this job are written already."""
    for n, place in rows:
        yield _AT_PLACE, (n, place, n)


async def note(conn: aiosqlite.Connection, state: State, seqs: Sequence[int]) -> None:
    """Within a transaction: these messages are others than they were."""
    await conn.executemany(_AT_SEQ, [(number(state), seq) for seq in seqs])
    if seqs:
        await conn.execute(_SET_SEQ, (state.seq,))


async def since(db: Database, after: int, upto: int, limit: int) -> list[tuple[int, int]]:
    """(number, seq of the message), ascending, above ``after`` and not above ``upto``."""
    return [(n, seq) for n, seq in await db.rows(_SINCE, (after, upto, limit))]
