"""One branch of a forked log gives way to another; messages that are published again stay the same to readers.

A message is its row in ``messages``: its seq, who has acknowledged it, who replied. When its author publishes
it again, the row is pointed to the new place, and nobody is told of it twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import aiosqlite

from maw.core.colony import read_was
from maw.core.entry import START, Entry, Head, Position, decode, unpack_payload
from maw.core.forks import adoptions
from maw.core.identity import NodeId
from maw.core.message_ids import message_id
from maw.errors import LinkError
from maw.store.opened import key_at
from maw.store.redacting import complete_head
from maw.store.schema import SEQ_BITS
from maw.store.state import LogRow, State

WAS: Final = b"\xa3was"
"""The key as msgpack writes it: what spares every other payload being taken apart."""
_SHOWN: Final = "SELECT shown FROM entries WHERE place > ? AND place < ? AND shown IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Seen:
    """A message that is published again and shown here already: at ``seq``, from ``place``, as ``old_id``."""

    seq: int
    place: int
    old_id: str


@dataclass(frozen=True, slots=True)
class Lifted:
    """An entry that was taken off its log, the seq at which it is shown, if it is, and its content key, if it is sealed
    and was opened here."""

    entry: Entry
    shown: int | None
    key: bytes | None = None


async def seen_before(
    conn: aiosqlite.Connection, state: State, entries: Iterable[Entry]
) -> dict[bytes, Seen]:
    """Of those entries that say ``was``: by their id, what stands for them here already."""
    found: dict[bytes, Seen] = {}
    for entry in entries:
        if entry.payload is None or WAS not in entry.payload:
            continue
        seen = None
        with suppress(ValueError, TypeError, LinkError, RecursionError):
            # set aside where it is folded; or the old one is damaged, and this is a message of its own
            seen = await _seen(conn, state, entry)
        if seen is not None:
            found[entry.id] = seen
    return found


async def _seen(conn: aiosqlite.Connection, state: State, entry: Entry) -> Seen | None:
    """Only what says the same counts: nobody changes his words by publishing them again."""
    content = unpack_payload(entry.payload or b"")
    was = read_was(content)
    log = state.logs.get((entry.author, was[0])) if was else None
    if was is None or log is None:
        return None
    _, seq, entry_id = was
    sql = "SELECT header, signature, payload, shown FROM entries WHERE place = ?"
    rows = list(await conn.execute_fetchall(sql, (log.place(seq),)))
    if not rows or rows[0][2] is None or rows[0][3] is None:
        return None
    old = decode(*rows[0][:3])
    if old.id != entry_id or old.kind != entry.kind or _words(unpack_payload(rows[0][2])) != _words(content):
        return None
    return Seen(rows[0][3], log.place(seq), message_id(old.position))


_OPENS: Final = """SELECT header, signature, payload FROM entries
    WHERE place IN (SELECT (l << ?) + 1 FROM logs WHERE node = ? AND epoch > ?) AND instr(payload, ?) > 0"""
_AGAIN: Final = "SELECT place, payload FROM entries WHERE place > ? AND place <= ? ORDER BY place LIMIT 500"


async def published_again(
    conn: aiosqlite.Connection, state: State, author: NodeId, epoch: int
) -> dict[bytes, tuple[Position, Position]]:
    """What later epochs, as far as they are here, publish again of a branch of this one that their author let go of:
    by id, where it stood and where it stands. Without what was redacted there."""
    found: dict[bytes, tuple[Position, Position]] = {}
    node = state.nodes.get(author)
    asked = (SEQ_BITS, node.n if node else None, epoch, b"adopts")
    for row in await conn.execute_fetchall(_OPENS, asked):
        opened = decode(*row)
        log, adoption = state.logs[author, opened.epoch], adoptions(opened).get(epoch)
        at, end = log.place(1), log.place(adoption.again if adoption else 0)
        while page := list(await conn.execute_fetchall(_AGAIN, (at, end))):
            at = page[-1][0]
            for place, payload in page:
                was = _was(payload)
                if was is not None and was[0] == epoch:
                    now_at = Position(author, opened.epoch, place - log.place(0))
                    found[was[2]] = Position(author, *was[:2]), now_at
    return found


def _was(payload: bytes | None) -> tuple[int, int, bytes] | None:
    if payload is None or WAS not in payload:
        return None
    try:
        return read_was(unpack_payload(payload))
    except ValueError:  # set aside where it is folded
        return None


def _words(content: dict[str, Any]) -> dict[str, Any]:
    """Without what changes when it is published again: the ids in it."""
    return {key: value for key, value in content.items() if key not in ("was", "reply")}


async def head_at(conn: aiosqlite.Connection, log: LogRow, seq: int) -> Head | None:
    """The head that a log had at ``seq``, as this transaction sees it; None when it does not reach so far."""
    if seq == 0:
        return START
    sql = "SELECT header, signature FROM entries WHERE place = ?"
    rows = list(await conn.execute_fetchall(sql, (log.place(seq),)))
    return decode(*rows[0]).head if rows else None


async def cut(conn: aiosqlite.Connection, state: State, log: LogRow, keep: Head) -> None:
    """Let go of everything beyond ``keep``, messages too. Within a transaction."""
    span = (log.place(keep.seq), (log.l + 1) << SEQ_BITS)
    gone = {seq for (seq,) in await conn.execute_fetchall(_SHOWN, span)}
    for mark in [mark for mark, seq in state.words.items() if seq in gone]:
        del state.words[mark]
    counted = list(
        await conn.execute_fetchall(
            f"SELECT channel, count(*) FROM messages WHERE seq IN ({_SHOWN}) GROUP BY channel",  # noqa: S608
            span,
        )
    )
    for table in (
        "mentions",
        "mailbox",
        "outbox",
        "orders",
        "progress",
        "untold",
        "expiring",
        "asks",
        "messages",
    ):
        await conn.execute(f"DELETE FROM {table} WHERE seq IN ({_SHOWN})", span)  # noqa: S608
    state.messages -= sum(count for _, count in counted)
    await conn.execute("INSERT OR REPLACE INTO meta VALUES ('messages', ?)", (state.messages,))
    for n, count in counted:
        if n is None:
            continue
        row = state.channel_at[n]
        top = list(await conn.execute_fetchall("SELECT max(seq) FROM messages WHERE channel = ?", (n,)))
        row.messages, row.last_seq = row.messages - count, top[0][0] or 0
        sql = "UPDATE channels SET messages = ?, last_seq = ? WHERE n = ?"
        await conn.execute(sql, (row.messages, row.last_seq, n))
    await _take_off(conn, log, keep)


async def lift(conn: aiosqlite.Connection, log: LogRow, keep: Head) -> list[Lifted]:
    """Take everything beyond ``keep`` off its log, and leave its messages to be pointed elsewhere."""
    sql = f"""SELECT header, signature, payload, shown, {key_at("entries.place")} FROM entries
        WHERE place > ? AND place < ? ORDER BY place"""  # noqa: S608
    span = (log.place(keep.seq), (log.l + 1) << SEQ_BITS)
    lifted = [Lifted(decode(*row[:3]), *row[3:]) for row in await conn.execute_fetchall(sql, span)]
    await _take_off(conn, log, keep)
    return lifted


async def _take_off(conn: aiosqlite.Connection, log: LogRow, keep: Head) -> None:
    span = (log.place(keep.seq), (log.l + 1) << SEQ_BITS)
    for table in ("entries", "opened", "unopened", "set_aside", "withheld", "edits", "souls"):
        await conn.execute(f"DELETE FROM {table} WHERE place > ? AND place < ?", span)  # noqa: S608
    # what their author said of these seqs he said of entries that are gone; an operator named places, on any branch
    await conn.execute("DELETE FROM missing WHERE place > ? AND place < ?", span)
    await conn.execute("DELETE FROM redactions WHERE first > ? AND first < ? AND rule > 0", span)
    await conn.execute(
        "UPDATE redactions SET last = ?, ahead = NULL WHERE first <= ? AND last > ? AND last < ? AND rule > 0",
        (span[0], *span[:1], *span),
    )
    await conn.execute("UPDATE redactions SET ahead = 1 WHERE last > ? AND last < ? AND rule < 0", span)
    stated = "SELECT first, last FROM redactions WHERE last > ? AND last < ? AND rule < 0"
    rows = await conn.execute_fetchall(stated, span)
    log.ahead[:] = [(first - log.place(0), last - log.place(0)) for first, last in rows]
    log.whole = await complete_head(conn, log)
    log.head = keep
    await conn.execute("UPDATE logs SET seq = ?, id = ? WHERE l = ?", (*keep, log.l))
