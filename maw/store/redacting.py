"""Dropping payloads that a rule names: the text, the words it mentioned, and what could give it away.

The row of a message stays, so that readers see who took it away and when. What a rule covers is dropped in the
transaction that brings the rule while that is little; else at leisure, a step at a time (``drop_due``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiosqlite

from maw.core.colony import Said
from maw.core.entry import Head, decode
from maw.core.identity import NodeId
from maw.core.redaction import RETENTION, Redaction, droppable
from maw.core.rooms import is_member, stored_said
from maw.core.sealing import stored_words
from maw.store import changed
from maw.store.editing import forget
from maw.store.opened import key_at
from maw.store.schema import SEQ_BITS
from maw.store.state import LogRow, State
from maw.store.travelling import ours

DROP_AT_ONCE: Final = 1_000
"""Entries that rules may cover to be carried out in the transaction that brings them."""
DROP_A_STEP: Final = 500
MAX_AHEAD: Final = 10_000
"""Ranges held in memory because a rule came before what it speaks of."""

_ROWS: Final = f"""SELECT place, header, signature, payload, shown, {key_at("entries.place")} FROM entries
    WHERE place BETWEEN ? AND ? AND payload IS NOT NULL ORDER BY place LIMIT ?"""  # noqa: S608
_DUE: Final = """SELECT d.first, d.rule, d.due, d.last, r.why, r.at FROM redactions d JOIN rules r ON r.rule = d.rule
    WHERE d.due IS NOT NULL LIMIT 1"""


@dataclass(frozen=True, slots=True)
class Order:
    """A rule as it is carried out here. ``rule``: the place of the entry that says it, or, for a statement, its
    ``stated_number``; ``at``: ms since 1970."""

    rule: int
    log: LogRow
    redaction: Redaction
    at: int


def stated_number(statement: bytes) -> int:
    """A statement stands at no place: its rule goes by a number below zero, made of its id."""
    return -1 - int.from_bytes(statement[:7], "big")


async def stated_numbers(conn: aiosqlite.Connection) -> set[int]:
    """The rules by statements that were taken in here."""
    return {number for (number,) in await conn.execute_fetchall("SELECT rule FROM rules WHERE rule < 0")}


async def apply(conn: aiosqlite.Connection, state: State, orders: Sequence[Order]) -> None:
    """Keep these rules, and carry them out. Within a transaction."""
    at_once = sum(last - first + 1 for o in orders for first, last in o.redaction.ranges) <= DROP_AT_ONCE
    for order in orders:
        said = order.redaction
        await conn.execute(
            "INSERT OR REPLACE INTO rules VALUES (?, ?, ?, ?, ?, ?)",
            (order.rule, said.why, said.by, said.reason, said.days, order.at),
        )
        for first, last in said.ranges:
            low, high = order.log.place(first), order.log.place(last)
            ahead = last > order.log.head.seq
            if ahead:
                order.log.ahead.append((first, last))
            await conn.execute("DELETE FROM missing WHERE place BETWEEN ? AND ?", (low, high))
            due = None if at_once else low
            state.due = state.due or not at_once
            row = (low, order.rule, high, due, 1 if ahead else None)
            await conn.execute("INSERT OR REPLACE INTO redactions VALUES (?, ?, ?, ?, ?)", row)
            left = low if at_once else None
            while left is not None:
                left = await _drop(conn, state, left, high, said.why, order.at)


async def drop_due(conn: aiosqlite.Connection, state: State) -> bool:
    """One step of what is left to be dropped; False when nothing is. Within a transaction."""
    found = list(await conn.execute_fetchall(_DUE))
    state.due = bool(found)
    if not found:
        return False
    first, rule, due, last, why, at = found[0]
    left = await _drop(conn, state, due, last, why, at)
    await conn.execute("UPDATE redactions SET due = ? WHERE first = ? AND rule = ?", (left, first, rule))
    return True


async def _drop(
    conn: aiosqlite.Connection, state: State, low: int, high: int, why: str, at: int
) -> int | None:
    """A step over the places from ``low`` to ``high``; where to go on, None at the end."""
    rows = list(await conn.execute_fetchall(_ROWS, (low, high, DROP_A_STEP)))
    places: list[tuple[int]] = []
    seqs: list[tuple[int]] = []
    readers: list[tuple[int, int]] = []
    words: list[tuple[str, int]] = []
    for place, header, signature, payload, seq, key in rows:
        kind = decode(header, signature).kind
        if not droppable(kind):
            continue
        places.append((place,))
        if seq is not None:
            seqs.append((seq,))
            words += [(word, seq) for word in _mentions(header, payload, key)]
            readers += [(seq, n) for n in _readers(state, header, payload, key)]
    await conn.executemany("UPDATE entries SET payload = NULL WHERE place = ?", places)
    await conn.executemany("DELETE FROM set_aside WHERE place = ?", places)
    await conn.executemany("DELETE FROM withheld WHERE place = ?", places)
    await forget(conn, [place for (place,) in places])
    await conn.executemany("INSERT OR IGNORE INTO gone_readers VALUES (?, ?)", readers)
    await conn.executemany("DELETE FROM mentions WHERE word = ? AND seq = ?", words)
    # a key's request is a hash over the text: a short one could be guessed from it
    await conn.executemany("UPDATE idempotency SET request = randomblob(16) WHERE seq = ?", seqs)
    if why == RETENTION:  # what time took away is no mail any more; what somebody took back is
        sql = """UPDATE mailbox SET acked = ? WHERE acked IS NULL AND seq = ?
            AND agent IN (SELECT agent FROM local_agents)"""
        await conn.executemany(sql, [(at, seq) for (seq,) in seqs])
    else:
        await changed.note(conn, state, [seq for (seq,) in seqs])
    state.dropped += len(places)
    return rows[-1][0] + 1 if len(rows) == DROP_A_STEP and rows[-1][0] < high else None


async def forget_shown(conn: aiosqlite.Connection, state: State, seqs: Sequence[int]) -> None:
    """Let go of these messages altogether: their entries, redacted, are gone from their log."""
    for seq in seqs:
        rows = list(await conn.execute_fetchall("SELECT channel FROM messages WHERE seq = ?", (seq,)))
        for table in ("messages", "mailbox", "outbox", "progress", "untold", "expiring", "asks"):
            await conn.execute(f"DELETE FROM {table} WHERE seq = ?", (seq,))  # noqa: S608 - a word above
        for (channel,) in rows:
            state.messages -= 1
            if (row := state.channel_at.get(channel)) is not None:
                top = "SELECT coalesce(max(seq), 0) FROM messages WHERE channel = ?"
                row.messages -= 1
                row.last_seq = next(iter(await conn.execute_fetchall(top, (row.n,))))[0]
                sql = "UPDATE channels SET messages = ?, last_seq = ? WHERE n = ?"
                await conn.execute(sql, (row.messages, row.last_seq, row.n))
    if seqs:
        await conn.execute("INSERT OR REPLACE INTO meta VALUES ('messages', ?)", (state.messages,))


def _mentions(header: bytes, payload: bytes, key: bytes | None) -> Sequence[str]:
    try:
        content = stored_words(header, payload, key)
        said = Said.read(content, direct="channel" not in content)
        return said.mentions + said.groups
    except (ValueError, TypeError):
        return ()


def _readers(state: State, header: bytes, payload: bytes, key: bytes | None) -> list[int]:
    """Agents of this host for whom a post in a private channel is: they are told that it is gone. Of a direct message
    their mailboxes say it."""
    if key is None:
        return []
    try:
        said = stored_said(header, payload, key, direct=True)
    except (ValueError, TypeError):
        return []
    if said.channel is None:
        return []
    local = state.local.values()
    return [
        row.n for row in local if is_member(said.to, ours(state, state.node_at[row.node].key, row.id), row.id)
    ]


async def complete_head(conn: aiosqlite.Connection, log: LogRow) -> Head | None:
    """The last entry before the first whose payload is missing; None when none is."""
    low, high = log.place(0), (log.l + 1) << SEQ_BITS
    found = list(
        await conn.execute_fetchall(
            "SELECT m.place, e.header, e.signature FROM missing m JOIN entries e ON e.place = m.place"
            " WHERE m.place > ? AND m.place < ? ORDER BY m.place LIMIT 1",
            (low, high),
        )
    )
    if not found:
        return None
    place, header, signature = found[0]
    return Head(place - low - 1, decode(header, signature).prev)


async def recheck(
    conn: aiosqlite.Connection, state: State, logs: Sequence[tuple[NodeId, int]]
) -> dict[tuple[NodeId, int], Head | None]:
    """Up to where these logs are complete now; kept in ``state`` too."""
    found: dict[tuple[NodeId, int], Head | None] = {}
    for author, epoch in logs:
        row = state.logs[author, epoch]
        found[author, epoch] = row.whole = await complete_head(conn, row)
    return found


async def covering(conn: aiosqlite.Connection, place: int) -> tuple[Any, ...] | None:
    """(why, by, reason, days, at) of a rule that speaks of ``place``."""
    rows = list(await conn.execute_fetchall(COVERING.format("?", "?", "?"), (place, place, place)))
    return tuple(rows[0]) if rows else None


COVERING: Final = """SELECT r.why, r.by, r.reason, r.days, r.at FROM redactions d JOIN rules r ON r.rule = d.rule
    WHERE d.first <= {} AND d.last >= {} AND d.first > ({} >> 40) << 40 ORDER BY d.first DESC LIMIT 1"""
