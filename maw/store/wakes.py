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

HOLD: Final = "hold"
RELEASE: Final = "release"
KEPT_MS: Final = 7 * 86_400_000

_INSERT: Final = "INSERT INTO wakes (agent, at, via, causes, messages) VALUES (?, ?, ?, ?, ?)"
_COLUMNS: Final = "agent, at, via, causes, messages"


class WakeRow(NamedTuple):
    """``causes``: of a wake [[sender, kind, in a group], …]; of a hold [what], of a release [who]."""

    agent: int
    at: int
    via: str
    causes: list[list[object]]
    messages: int


async def note(conn: aiosqlite.Connection, rows: Sequence[WakeRow]) -> None:
    await conn.executemany(_INSERT, [(*row[:3], json.dumps(row.causes), row.messages) for row in rows])


async def since(conn: aiosqlite.Connection, at: int) -> list[WakeRow]:
    """All of this host's, in the order in which they happened."""
    sql = f"SELECT {_COLUMNS} FROM wakes WHERE at > ? ORDER BY n"  # noqa: S608 - fixed words
    return [_row(*row) for row in await conn.execute_fetchall(sql, (at,))]


async def latest(db: Database, agent: int, at: int, limit: int) -> list[WakeRow]:
    """Of one agent, newest first."""
    sql = f"SELECT {_COLUMNS} FROM wakes WHERE agent = ? AND at > ? ORDER BY n DESC LIMIT ?"  # noqa: S608
    return [_row(*row) for row in await db.rows(sql, (agent, at, limit))]


async def forget(conn: aiosqlite.Connection, now_ms: int) -> None:
    await conn.execute("DELETE FROM wakes WHERE at < ?", (now_ms - KEPT_MS,))


async def quiet(conn: aiosqlite.Connection) -> dict[int, str]:
    """When agents are not to be disturbed, as it was said."""
    return {row[0]: row[1] for row in await conn.execute_fetchall("SELECT agent, quiet FROM dnd")}


async def set_quiet(conn: aiosqlite.Connection, agent: int, text: str | None) -> None:
    """None: as the host has it."""
    await conn.execute("DELETE FROM dnd WHERE agent = ?", (agent,))
    if text is not None:
        await conn.execute("INSERT INTO dnd VALUES (?, ?)", (agent, text))


def _row(agent: int, at: int, via: str, causes: str, messages: int) -> WakeRow:
    return WakeRow(agent, at, via, json.loads(causes), messages)
