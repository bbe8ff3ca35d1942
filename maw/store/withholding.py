"""Entries that are held and not shown: kept back by a rule, shown when it ends, or hidden when one begins."""

from __future__ import annotations

from typing import Final

import aiosqlite

from maw.core.entry import Kind, decode, unpack_payload
from maw.core.heeding import Heed
from maw.core.identity import NodeId
from maw.store.fold import Fold
from maw.store.opened import key_at
from maw.store.revoked_rooms import unsay_rooms
from maw.store.schema import SEQ_BITS
from maw.store.state import LogRow, State
from maw.store.travelling import unsay_travels

FROZEN: Final = "frozen"
REVOKED: Final = "revoked"
PENDING: Final = "pending"
ROWS_A_STEP: Final = 500

_HELD_BACK: Final = f"""SELECT w.place, e.header, e.signature, e.payload, {key_at("e.place")} FROM withheld w
    JOIN entries e ON e.place = w.place WHERE w.why = ? AND w.place > ? ORDER BY w.place LIMIT ?"""  # noqa: S608


async def release(conn: aiosqlite.Connection, fold: Fold, why: str, after: int = 0) -> int | None:
    """Fold a step of what was withheld for ``why`` again, within a transaction; ``fold.withhold`` decides anew.

    Returns the place to go on after, None when all was looked at.
    """
    rows = list(await conn.execute_fetchall(_HELD_BACK, (why, after, ROWS_A_STEP)))
    for _, header, signature, payload, key in rows:
        entry = decode(header, signature, payload)
        if key is not None:
            fold.keys[entry.id] = key
        fold.show(entry)
    await fold.write(conn)
    return rows[-1][0] if len(rows) == ROWS_A_STEP else None


async def hide_beyond(
    conn: aiosqlite.Connection, state: State, author: NodeId, cut: dict[int, int], now_ms: int
) -> int:
    """Take what stands above ``cut`` (epoch -> last seq that counts) in an author's logs out of sight.

    Within a transaction. Returns how many messages are no longer shown; the entries stay as they are.
    """
    hidden = 0
    for log in [row for (key, _), row in state.logs.items() if key == author]:
        last = cut.get(log.epoch, 0)
        hidden += await _hide(conn, state, log, last, now_ms)
        await _unheed(conn, log, last)
    await unsay_rooms(conn, state, author, cut, REVOKED, now_ms)
    await unsay_travels(conn, state, author, cut)
    if hidden:
        await conn.execute("INSERT OR REPLACE INTO meta VALUES ('messages', ?)", (state.messages,))
    return hidden


async def _unheed(conn: aiosqlite.Connection, log: LogRow, last: int) -> None:
    """What a log says above ``last`` of orders and statements is not told any more."""
    sql = """SELECT header, signature, payload FROM entries
        WHERE place > ? AND place < ? AND shown IS NULL AND payload IS NOT NULL"""
    span = (log.place(last), (log.l + 1) << SEQ_BITS)
    for header, signature, payload in list(await conn.execute_fetchall(sql, span)):
        if decode(header, signature).kind != Kind.HEED:
            continue
        try:
            heed = Heed.read(unpack_payload(payload))
        except Exception:  # whatever it is, it was set aside for it, and told nothing
            heed = Heed()
        await conn.executemany(
            "DELETE FROM answers WHERE nonce = ? AND node = ? AND agent = ? AND state = ? AND note = ?",
            [(one.nonce, log.node, *one[1:]) for one in heed.answers],
        )
        await conn.executemany(
            "DELETE FROM heeded WHERE statement = ? AND node = ?", [(one, log.node) for one in heed.keeps]
        )


async def _hide(conn: aiosqlite.Connection, state: State, log: LogRow, last: int, now_ms: int) -> int:
    span = (log.place(last), (log.l + 1) << SEQ_BITS)
    sql = "SELECT place, shown FROM entries WHERE place > ? AND place < ? AND shown IS NOT NULL"
    rows = list(await conn.execute_fetchall(sql, span))
    seqs = [(seq,) for _, seq in rows]
    counted = await conn.execute_fetchall(
        "SELECT channel, count(*) FROM messages WHERE seq IN (SELECT shown FROM entries WHERE place > ?"
        " AND place < ? AND shown IS NOT NULL) AND channel IS NOT NULL GROUP BY channel",
        span,
    )
    await conn.executemany(
        "INSERT OR REPLACE INTO withheld VALUES (?, ?, ?)", [(place, REVOKED, now_ms) for place, _ in rows]
    )
    await conn.executemany("DELETE FROM messages WHERE seq = ?", seqs)
    gone = {seq for _, seq in rows}
    for mark in [mark for mark, seq in state.words.items() if seq in gone]:
        del state.words[mark]
    for table in ("mentions", "mailbox", "outbox", "orders", "progress", "untold", "expiring", "asks"):
        if seqs:
            low, high = min(seqs)[0], max(seqs)[0]
            sql = f"DELETE FROM {table} WHERE seq BETWEEN ? AND ? AND seq NOT IN (SELECT seq FROM messages)"  # noqa: S608
            await conn.execute(sql, (low, high))
    await conn.execute("UPDATE entries SET shown = NULL WHERE place > ? AND place < ?", span)
    for table in ("edits", "souls"):
        sql = f"INSERT OR REPLACE INTO withheld SELECT place, ?, ? FROM {table} WHERE place > ? AND place < ?"  # noqa: S608
        await conn.execute(sql, (REVOKED, now_ms, *span))
        await conn.execute(f"DELETE FROM {table} WHERE place > ? AND place < ?", span)  # noqa: S608
    state.messages -= len(rows)
    for n, count in counted:
        row = state.channel_at[n]
        row.messages -= count
        top = list(await conn.execute_fetchall("SELECT max(seq) FROM messages WHERE channel = ?", (n,)))
        row.last_seq = top[0][0] or 0
        await conn.execute(
            "UPDATE channels SET messages = ?, last_seq = ? WHERE n = ?", (row.messages, row.last_seq, n)
        )
    return len(rows)
