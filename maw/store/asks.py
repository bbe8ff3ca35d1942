"""Asks: a row for each, so that what asks nothing costs nothing. Who has answered is read off the replies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import aiosqlite

from maw.store.database import Database
from maw.store.rows import Insert

ASKS: Final = Insert("asks", ("seq", "agent", "due"), verb="INSERT OR REPLACE")
NEWEST: Final = 500
"""Of one agent's asks so many are looked at: what is older and open is past asking."""
_OF: Final = """SELECT k.seq FROM asks k JOIN mailbox b ON b.agent = ? AND b.seq = k.seq
    WHERE k.seq > coalesce((SELECT seq FROM asks ORDER BY seq DESC LIMIT 1 OFFSET 20000), 0)
    ORDER BY k.seq DESC LIMIT ?"""
_LATE: Final = """SELECT k.seq FROM asks k JOIN mailbox b ON b.agent = ? AND b.seq = k.seq WHERE k.due <= ?
    AND k.seq > coalesce((SELECT seq FROM asks ORDER BY seq DESC LIMIT 1 OFFSET 20000), 0)
    ORDER BY k.seq DESC LIMIT ?"""
_BY: Final = "SELECT seq FROM asks WHERE agent = ? ORDER BY seq DESC LIMIT ?"
_NEXT: Final = "SELECT seq, due FROM asks WHERE due IS NOT NULL AND NOT reminded ORDER BY due LIMIT ?"
_REPLIERS: Final = "SELECT DISTINCT reply, agent FROM messages WHERE reply IN ({})"
_WHY: Final = "SELECT b.agent, b.why FROM local_agents l JOIN mailbox b ON b.agent = l.agent WHERE b.seq = ?"
_AGAIN: Final = """UPDATE mailbox SET delivered = NULL, via = NULL
    WHERE agent = ? AND seq = ? AND acked IS NULL AND delivered IS NOT NULL"""
A_STEP: Final = 50


async def asked_of(db: Database, agent: int) -> list[int]:
    """The newest asks in the mailbox of an agent of this host, newest first."""
    return [seq for (seq,) in await db.rows(_OF, (agent, NEWEST))]


async def late_of(db: Database, agent: int, now_ms: int) -> list[int]:
    """Of those, the ones whose time has passed."""
    return [seq for (seq,) in await db.rows(_LATE, (agent, now_ms, A_STEP))]


async def asked_by(db: Database, agent: int) -> list[int]:
    return [seq for (seq,) in await db.rows(_BY, (agent, NEWEST))]


async def repliers(db: Database, ids: Sequence[str]) -> dict[str, set[int]]:
    """Who has answered each of these messages, by number."""
    found: dict[str, set[int]] = {one: set() for one in ids}
    for message, agent in await db.rows(_REPLIERS.format(", ".join("?" * len(ids))), ids):
        found[message].add(agent)
    return found


async def upcoming(db: Database) -> list[tuple[int, int]]:
    """(seq, due) of asks of which nobody was reminded: those whose time has passed, or will, first."""
    return [(seq, due) for seq, due in await db.rows(_NEXT, (A_STEP,))]


async def addressed(db: Database, seq: int) -> list[tuple[int, str]]:
    """Agents of this host in whose mailbox a message is, and why."""
    return [(agent, why) for agent, why in await db.rows(_WHY, (seq,))]


async def remind(conn: aiosqlite.Connection, seqs: Sequence[int], whom: Sequence[tuple[int, int]]) -> None:
    """Within a transaction: of these asks nobody is reminded again; those (agent, seq) are to be announced once
    more."""
    await conn.executemany(_AGAIN, whom)
    await conn.executemany("UPDATE asks SET reminded = 1 WHERE seq = ?", [(seq,) for seq in seqs])
