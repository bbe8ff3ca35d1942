"""What is kept of waking agents: each wake, holds and releases of the last days, and who is not to be disturbed.

A hold and a release are rows among the wakes, with HOLD or RELEASE as their way: read in order they say what was free,
slowed and held when the daemon ended.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, NamedTuple

import aiosqlite

from maw.store.database import Database
from maw.store.spoiled import SPOILED, json_of, text_of, whole

HOLD: Final = "hold"
RELEASE: Final = "release"
KEPT_MS: Final = 7 * 86_400_000

_INSERT: Final = "INSERT INTO wakes (agent, at, via, causes, messages) VALUES (?, ?, ?, ?, ?)"
_COLUMNS: Final = "agent, at, CAST(via AS BLOB), CAST(causes AS BLOB), messages"


class WakeRow(NamedTuple):
    """``causes``: of a wake [[sender, kind, in a group], …]; of a hold [what], of a release [who]."""

    agent: int
    at: int
    via: str
    causes: list[list[object]]
    messages: int


async def note(conn: aiosqlite.Connection, rows: Sequence[WakeRow]) -> None:
    await conn.executemany(_INSERT, [(*row[:3], json.dumps(row.causes), row.messages) for row in rows])


async def strike(conn: aiosqlite.Connection, rows: Sequence[WakeRow]) -> None:
    """They did not happen after all."""
    one = "SELECT max(n) FROM wakes WHERE agent = ? AND at = ? AND via = ?"
    await conn.executemany(f"DELETE FROM wakes WHERE n = ({one})", [row[:3] for row in rows])  # noqa: S608


async def since(conn: aiosqlite.Connection, at: int) -> tuple[list[WakeRow], int]:
    """All of this host's, in the order in which they happened; and how many are left out, for they are damaged."""
    sql = f"SELECT {_COLUMNS} FROM wakes WHERE at > ? ORDER BY n"  # noqa: S608 - fixed words
    found = [_row(*row) for row in await conn.execute_fetchall(sql, (at,))]
    return [row for row in found if row is not None], found.count(None)


async def latest(db: Database, agent: int, at: int, limit: int) -> list[WakeRow]:
    """Of one agent, newest first; without what is damaged."""
    sql = f"SELECT {_COLUMNS} FROM wakes WHERE agent = ? AND at > ? ORDER BY n DESC LIMIT ?"  # noqa: S608
    found = [_row(*row) for row in await db.rows(sql, (agent, at, limit))]
    return [row for row in found if row is not None]


async def forget(conn: aiosqlite.Connection, now_ms: int) -> None:
    await conn.execute("DELETE FROM wakes WHERE at < ?", (now_ms - KEPT_MS,))


async def quiet(conn: aiosqlite.Connection) -> dict[int, bytes]:
    """When agents are not to be disturbed, as it was said: text that may be damaged."""
    sql = "SELECT agent, CAST(quiet AS BLOB) FROM dnd"
    return {row[0]: row[1] for row in await conn.execute_fetchall(sql)}


async def set_quiet(conn: aiosqlite.Connection, agent: int, text: str | None) -> None:
    """None: as the host has it."""
    await conn.execute("DELETE FROM dnd WHERE agent = ?", (agent,))
    if text is not None:
        await conn.execute("INSERT INTO dnd VALUES (?, ?)", (agent, text))


def _row(agent: int, at: int, via: bytes, causes: bytes, messages: int) -> WakeRow | None:
    """None: it is damaged."""
    try:
        whole(at, messages)
        row = WakeRow(agent, at, text_of(via), [list(cause) for cause in json_of(causes)], messages)
        if row.via in (HOLD, RELEASE):
            ((_,),) = row.causes
        elif any(len(cause) != 3 for cause in row.causes):
            return None
    except SPOILED:
        return None
    return row
