"""Taking a node that has been alone into another Colony: what it said is signed again, in one transaction.

Messages keep their place in everybody's cursor: only where they stand in our log changes. The old epoch, of
the old Colony, is gone; nobody else ever had it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiosqlite

from maw.core.clock import HybridClock
from maw.core.colony import Card, Open
from maw.core.entry import SALT_BYTES, START, Entry, Kind, decode, make, pack_payload
from maw.core.identity import KEY_BYTES, NodeId, Signer
from maw.core.log import EPOCH_CHANCE_BITS, fresh_epoch
from maw.core.message_ids import message_id
from maw.core.sealing import SEALED_ID_BYTES, Chances, seal, words_of
from maw.store.opened import SET_SEAL_KEY, key_at
from maw.store.redacting import forget_shown
from maw.store.schema import SEQ_BITS
from maw.store.state import LogRow, State


@dataclass(frozen=True, slots=True)
class Own:
    """One old entry of ours and the seq at which it is visible, if it is."""

    entry: Entry
    shown: int | None
    place: int
    key: bytes | None = None
    """Its content key, if it is sealed."""


async def sign_again(
    conn: aiosqlite.Connection,
    state: State,
    signer: Signer,
    colony: bytes,
    own: Sequence[Own],
    *,
    clock: HybridClock,
    card: Card,
    instance: bytes,
    recovery: bytes | None,
    now_ms: int,
) -> None:
    """Replaces our log by one of ``colony``; within a transaction, after which ``state`` must be reread."""
    node = state.nodes[signer.node].n if signer.node in state.nodes else None
    old_epoch, _ = state.newest_epoch(signer.node)
    epoch = fresh_epoch(old_epoch, now_ms, secrets.randbits(EPOCH_CHANCE_BITS))
    log = LogRow(max(state.log_at, default=0) + 1, node or 1, epoch)
    if node is None:
        await conn.execute("INSERT INTO nodes (n, key) VALUES (1, ?)", (signer.node,))
    head = START
    renamed: dict[str, str] = {}
    begun = own[0].entry.hlc if own else clock.tick(now_ms)
    begin = Open(None, instance, recovery, "joined a Colony").content()
    fresh: list[tuple[Kind | int, dict[str, object], Own | None]] = [
        (Kind.OPEN, begin, None),
        (Kind.CARD, card.content(), None),
    ]
    fresh += [
        (item.entry.kind, words_of(item.entry, item.key)[1], item)
        for item in own
        if item.entry.kind not in (Kind.OPEN, Kind.CARD, Kind.REDACT) and item.entry.payload is not None
    ]
    await _forget_redacted(conn, state, own)
    for item in own:
        await conn.execute("DELETE FROM entries WHERE place = ?", (item.place,))
        await conn.execute("DELETE FROM opened WHERE place = ?", (item.place,))
    await conn.execute("DELETE FROM logs WHERE node = ?", (log.node,))
    for kind, content, was in fresh:
        for key in content.keys() & {"reply", "edits"}:
            content[key] = renamed.get(str(content[key]), content[key])
        content_key = None
        if was is not None and was.key is not None:
            sealed, content_key = seal_again(state, signer.node, colony, content)
            payload = pack_payload(os.urandom(SALT_BYTES), sealed)
        else:
            payload = pack_payload(os.urandom(SALT_BYTES), content)
        hlc = was.entry.hlc if was else begun  # what was said keeps its time
        entry = make(signer, colony, epoch, head, hlc, int(kind), payload)
        head = entry.head
        place = log.place(entry.seq)
        shown = was.shown if was else None
        row = (place, entry.header, entry.signature, entry.payload, shown)
        await conn.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", row)
        if content_key is not None:
            await conn.execute("INSERT INTO opened VALUES (?, ?)", (place, content_key))
        elif kind == Kind.SEAL_KEY:
            await conn.execute(SET_SEAL_KEY, (log.node, epoch, entry.seq, content["key"]))
        if was is not None:
            renamed[message_id(was.entry.position)] = message_id(entry.position)
            moved = (place, epoch, entry.seq, was.place)
            await conn.execute("UPDATE edits SET place = ?, epoch = ?, seq = ? WHERE place = ?", moved)
            await conn.execute("UPDATE edits SET target = ? WHERE target = ?", (place, was.place))
            await conn.execute("UPDATE souls SET place = ?, epoch = ?, seq = ? WHERE place = ?", moved)
        if shown is not None:
            sql = "UPDATE messages SET place = ?, reply = ? WHERE seq = ?"
            await conn.execute(sql, (place, content.get("reply"), shown))
    row_ = (log.l, log.node, epoch, head.seq, head.id, 0)
    await conn.execute("INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?)", row_)
    name = "UPDATE nodes SET name = ? WHERE n = ?"
    await conn.execute(name, (card.name, log.node))


async def _forget_redacted(conn: aiosqlite.Connection, state: State, own: Sequence[Own]) -> None:
    """What was taken back before anybody else heard it leaves no trace: neither the place it had nor the rule."""
    gone = [item.shown for item in own if item.entry.payload is None and item.shown is not None]
    await forget_shown(conn, state, gone)
    for item in own:
        await conn.execute("DELETE FROM redactions WHERE rule = ?", (item.place,))
        await conn.execute("DELETE FROM rules WHERE rule = ?", (item.place,))
    for table in ("redactions", "rules"):  # and of statements of the Colony that this was
        await conn.execute(f"DELETE FROM {table} WHERE rule < 0")  # noqa: S608 - a word above


async def own_entries(conn: aiosqlite.Connection, state: State, signer: Signer) -> list[Own]:
    """Everything we ever said, oldest first."""
    found: list[Own] = []
    logs = sorted((row.epoch, row) for (node, _), row in state.logs.items() if node == signer.node)
    for _, row in logs:
        columns = f"place, header, signature, payload, shown, {key_at('entries.place')}"
        sql = f"SELECT {columns} FROM entries WHERE place > ? AND place < ? ORDER BY place"  # noqa: S608
        bounds = (row.l << SEQ_BITS, (row.l + 1) << SEQ_BITS)
        for place, header, signature, payload, shown, key in await conn.execute_fetchall(sql, bounds):
            found.append(Own(decode(header, signature, payload), shown, place, key))
    return found


def seal_again(
    state: State, me: NodeId, colony: bytes, content: Mapping[str, Any]
) -> tuple[dict[str, Any], bytes]:
    """What was sealed for agents of this host alone, for nobody else was ever met: bound to the Colony it now is in."""
    key = state.seal_keys[state.nodes[me].n].key
    chances = Chances(os.urandom(SEALED_ID_BYTES), os.urandom(KEY_BYTES), os.urandom(KEY_BYTES))
    sealed = seal(content["kind"], content, colony, me, content["agent"], {me: key}, chances)
    return sealed.content(), chances.key
