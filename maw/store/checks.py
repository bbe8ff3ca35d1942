"""Counters against what they count, at every start: bookkeeping that drifted is mended and told of."""

from __future__ import annotations

import aiosqlite

from maw.store.schema import SEQ_BITS
from maw.store.state import State


async def recount(conn: aiosqlite.Connection, state: State) -> list[str]:
    """Compares heads, counters and channel counts with the rows. Returns what was wrong; mends it.

    To be called within a transaction.
    """
    wrong: list[str] = []
    for row in state.log_at.values():
        low, high = row.l << SEQ_BITS, (row.l + 1) << SEQ_BITS
        sql = "SELECT max(place) FROM entries WHERE place > ? AND place < ?"
        found = list(await conn.execute_fetchall(sql, (low, high)))
        stored = (found[0][0] or low) - low
        if stored != row.head.seq:
            wrong.append(f"log {row.l} says it ends at {row.head.seq}, its entries end at {stored}")
    totals = list(await conn.execute_fetchall("SELECT count(*), coalesce(max(seq), 0) FROM messages"))
    messages, last = totals[0]
    if messages != state.messages or last > state.seq:
        wrong.append(
            f"{state.messages} messages up to {state.seq} were counted, there are {messages} up to {last}"
        )
        state.messages, state.seq = messages, max(state.seq, last)
        counters = "INSERT OR REPLACE INTO meta VALUES ('seq', ?), ('messages', ?)"
        await conn.execute(counters, (state.seq, state.messages))
    counts = "SELECT channel, count(*), max(seq) FROM messages WHERE channel IS NOT NULL GROUP BY channel"
    for channel, count, last_seq in await conn.execute_fetchall(counts):
        row_ = state.channel_at[channel]
        if (row_.messages, row_.last_seq) != (count, last_seq):
            wrong.append(f"channel {row_.name} counted {row_.messages} messages, there are {count}")
            row_.messages, row_.last_seq = count, last_seq
            sql = "UPDATE channels SET messages = ?, last_seq = ? WHERE n = ?"
            await conn.execute(sql, (count, last_seq, channel))
    return wrong
