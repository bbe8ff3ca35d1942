"""Direct messages that one agent of this host sent or got: where they are."""

from __future__ import annotations

from typing import Final

from maw.store.database import Database

_GOT: Final = """SELECT b.seq, b.acked IS NULL AS waits FROM mailbox b
    WHERE b.agent = ? AND b.why = 'direct' AND b.seq {} ? ORDER BY b.seq {} LIMIT ?"""
_SENT: Final = """SELECT o.seq, 0 AS waits FROM outbox o JOIN messages m ON m.seq = o.seq
    WHERE o.agent = ? AND m.direct AND m.channel IS NULL AND o.seq {} ? ORDER BY o.seq {} LIMIT ?"""


async def direct(
    db: Database, agent: int, *, after: int | None, before: int | None, limit: int
) -> dict[int, bool]:
    """seq -> whether it waits to be acknowledged; ascending. With ``after`` the oldest above it, else the latest
    (below ``before``)."""
    way, bound = ("ASC", ">") if after is not None else ("DESC", "<")
    start = after if after is not None else before or 1 << 62
    got, sent = (f"SELECT * FROM ({part.format(bound, way)})" for part in (_GOT, _SENT))  # noqa: S608
    # what one sends to himself is in both
    sql = f"SELECT seq, max(waits) FROM ({got} UNION ALL {sent}) GROUP BY seq ORDER BY seq {way} LIMIT ?"  # noqa: S608
    rows = await db.rows(sql, (agent, start, limit, agent, start, limit, limit))
    return {seq: bool(waits) for seq, waits in sorted(rows)}
