"""Messages that are worth telling only until a time: a row for each, so that those without one cost nothing.

They stay in their channel and in the mailbox; from that time on the mailbox is read without them.
"""

from __future__ import annotations

from typing import Final

import aiosqlite

from maw.store.database import Database
from maw.store.rows import Insert

EXPIRING: Final = Insert("expiring", ("seq", "at"), verb="INSERT OR REPLACE")
EXPIRED: Final = """EXISTS (SELECT 1 FROM expiring x WHERE x.seq = b.seq
    AND x.at <= (julianday('now') - 2440587.5) * 86400000)"""
"""Of a row ``b`` of the mailbox, by SQLite's clock, which is the daemon's."""
ALIVE: Final = f"NOT {EXPIRED}"
_NEXT: Final = "SELECT seq, at FROM expiring WHERE NOT settled ORDER BY at LIMIT ?"
_UNTOLD: Final = """SELECT b.agent, b.seq FROM local_agents l JOIN mailbox b ON b.agent = l.agent
    WHERE b.seq IN ({}) AND b.delivered IS NULL AND b.read IS NULL AND b.acked IS NULL AND b.failed IS NOT ?"""
A_STEP: Final = 200


async def upcoming(db: Database) -> list[tuple[int, int]]:
    """(seq, at) of messages of whose end nobody was told yet: those that are over, or will be, first."""
    return [(seq, at) for seq, at in await db.rows(_NEXT, (A_STEP,))]


async def unheard(db: Database, seqs: list[int], why: str) -> dict[int, list[int]]:
    """Of these, by agent of this host, those that he was never told of."""
    found: dict[int, list[int]] = {}
    for agent, seq in await db.rows(_UNTOLD.format(", ".join("?" * len(seqs))), (*seqs, why)):
        found.setdefault(agent, []).append(seq)
    return found


async def settle(conn: aiosqlite.Connection, seqs: list[int]) -> None:
    """Within a transaction: what was to be told of their being over is told."""
    await conn.executemany("UPDATE expiring SET settled = 1 WHERE seq = ?", [(seq,) for seq in seqs])
