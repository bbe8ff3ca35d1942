"""What must survive of trust: statements, pins, tombstones, invites, pending joins.

Everything but invites and joins is also written to a file beside the node's key (``pack_copy``), so that a
lost database does not lose whom we trust.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiosqlite
import msgpack

from maw.core.identity import NodeId
from maw.core.members import Pin
from maw.core.pairing import Invite, Use
from maw.core.statement import Statement, read_statement
from maw.errors import BadConfig, ProtocolViolation

COPY_VERSION = 2


@dataclass(slots=True)
class TrustRecords:
    """As read from the database or the copy."""

    colony: bytes
    statements: list[Statement]
    pins: list[Pin]
    forgotten: list[NodeId]
    recoveries: dict[NodeId, bytes] = field(default_factory=dict)
    """The hash of each node's recovery key, as far as it is known."""
    heard: dict[NodeId, bytes] = field(default_factory=dict)
    """The same as each log said it first; in the database alone."""


async def load(conn: aiosqlite.Connection) -> TrustRecords | None:
    """None when the database holds no Colony yet. Statements are checked again as they are read."""
    colony = await get_meta(conn, "colony")
    if colony is None:
        return None
    statements = [
        read_statement(wire)
        for (wire,) in await conn.execute_fetchall("SELECT wire FROM statements ORDER BY at")
    ]
    pins = [
        Pin(NodeId(key), name, tuple(json.loads(addresses)), how, bool(introducer), at)
        for key, name, addresses, how, introducer, at in await conn.execute_fetchall("SELECT * FROM pins")
    ]
    forgotten = [NodeId(key) for (key,) in await conn.execute_fetchall("SELECT key FROM forgotten")]
    known = await conn.execute_fetchall("SELECT key, hash FROM recoveries")
    recoveries = {NodeId(key): hashed for key, hashed in known}
    said = await conn.execute_fetchall("SELECT key, recovery FROM nodes WHERE recovery IS NOT NULL")
    heard = {NodeId(key): recovery for key, recovery in said}
    return TrustRecords(colony, statements, pins, forgotten, recoveries, heard)


async def get_meta(conn: aiosqlite.Connection, key: str) -> Any:
    rows = list(await conn.execute_fetchall("SELECT value FROM meta WHERE key = ?", (key,)))
    return rows[0][0] if rows else None


async def get_meta_bytes(conn: aiosqlite.Connection, key: str) -> bytes:
    """Of a text, as it lies on the disk: it may be damaged. Empty where there is none."""
    rows = list(await conn.execute_fetchall("SELECT CAST(value AS BLOB) FROM meta WHERE key = ?", (key,)))
    return (rows[0][0] or b"") if rows else b""


async def set_meta(conn: aiosqlite.Connection, key: str, value: object) -> None:
    await conn.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


async def add_statements(conn: aiosqlite.Connection, statements: Iterable[Statement], at: int) -> None:
    rows = [(item.id, item.wire, at) for item in statements]
    await conn.executemany("INSERT OR IGNORE INTO statements VALUES (?, ?, ?)", rows)


async def know_recoveries(conn: aiosqlite.Connection, known: Mapping[NodeId, bytes]) -> None:
    """What is known already stays."""
    await conn.executemany("INSERT OR IGNORE INTO recoveries VALUES (?, ?)", list(known.items()))


async def set_pin(conn: aiosqlite.Connection, pin: Pin) -> None:
    row = (pin.key, pin.name, json.dumps(pin.addresses), pin.how, pin.introducer, pin.at_ms)
    await conn.execute("INSERT OR REPLACE INTO pins VALUES (?, ?, ?, ?, ?, ?)", row)
    await conn.execute("DELETE FROM forgotten WHERE key = ?", (pin.key,))


async def forget(conn: aiosqlite.Connection, peer: NodeId, at: int) -> None:
    await conn.execute("DELETE FROM pins WHERE key = ?", (peer,))
    await conn.execute("INSERT OR REPLACE INTO forgotten VALUES (?, ?)", (peer, at))


async def add_records(conn: aiosqlite.Connection, records: TrustRecords, now_ms: int) -> None:
    """All of that, beside what is there already."""
    await add_statements(conn, records.statements, now_ms)
    for pin in records.pins:
        await set_pin(conn, pin)
    for key in records.forgotten:
        await forget(conn, key, now_ms)
    await know_recoveries(conn, records.recoveries)


# -- invites and joins -----------------------------------------------------------------------------


def _pack_invite(invite: Invite) -> bytes:
    packed: bytes = msgpack.packb(
        [
            invite.secret, invite.expires_at, invite.uses,
            [[use.joiner, use.name, use.at] for use in invite.used],
            invite.only_for, invite.confirm, list(invite.confirmed), invite.introducer,
        ]
    )  # fmt: skip
    return packed


async def save_invite(conn: aiosqlite.Connection, invite: Invite) -> None:
    row = (invite.invite_id, _pack_invite(invite), int(invite.expires_at))
    await conn.execute("INSERT OR REPLACE INTO invites VALUES (?, ?, ?)", row)


def read_invites(rows: Iterable[Sequence[Any]]) -> list[Invite]:
    """Invites from rows of one column, ``record``."""
    found = []
    for (record,) in rows:
        secret, expires, uses, used, only_for, confirm, confirmed, introducer = msgpack.unpackb(record)
        found.append(
            Invite(
                secret, expires, uses, tuple(Use(NodeId(key), name, at) for key, name, at in used),
                NodeId(only_for) if only_for else None, confirm,
                tuple(NodeId(key) for key in confirmed), introducer,
            )
        )  # fmt: skip
    return found


async def save_join(conn: aiosqlite.Connection, invite_id: bytes, line: str, at: int) -> None:
    await conn.execute("INSERT OR REPLACE INTO joins VALUES (?, ?, ?)", (invite_id, line, at))


async def end_join(conn: aiosqlite.Connection, invite_id: bytes) -> None:
    await conn.execute("DELETE FROM joins WHERE id = ?", (invite_id,))


# -- the copy beside the key -----------------------------------------------------------------------


def pack_copy(records: TrustRecords) -> bytes:
    packed: bytes = msgpack.packb(
        [
            COPY_VERSION,
            records.colony,
            [item.wire for item in records.statements],
            [[p.key, p.name, list(p.addresses), p.how, p.introducer, p.at_ms] for p in records.pins],
            list(records.forgotten),
            list(records.recoveries.items()),
        ]
    )
    return packed


def unpack_copy(data: bytes, path: str) -> TrustRecords:
    """Raises BadConfig naming the file when it is damaged."""
    try:
        version, colony, wires, pins, forgotten, *more = msgpack.unpackb(data)
        if version not in (1, COPY_VERSION):
            raise ValueError(f"version {version}")
        return TrustRecords(
            colony,
            [read_statement(wire) for wire in wires],
            [
                Pin(NodeId(key), name, tuple(where), how, intro, at)
                for key, name, where, how, intro, at in pins
            ],
            [NodeId(key) for key in forgotten],
            {NodeId(key): recovery for key, recovery in (more[0] if more else ())},
        )
    except (ValueError, TypeError, msgpack.UnpackException, ProtocolViolation) as error:
        raise BadConfig(
            f"{path} is damaged: {error}", code="bad_trust_copy", hint="move it away to start without it"
        ) from None
