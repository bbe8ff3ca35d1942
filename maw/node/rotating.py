"""``maw key rotate``: this host gets a new key, by the word of its recovery key. The daemon is not running.

For a key that was stolen, lost, or lay open. Agents, mail and peers go over to the new key; the old one is
revoked for everybody, at the heads that this host knows. In this order, each step on the disk before the next,
so that whatever stops it, doing it again goes on where it was:

    node.key.next   the new key
    database        the rotation, the agents moved to the new key
    trust.copy      the same rotation
    node.key        the new key takes the old one's place; the old one is kept beside it
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiosqlite

from maw.core.authority import STAND_BYTES
from maw.core.entry import Head
from maw.core.identity import NodeId, Signer, digest, key_text, parse_key, short_key
from maw.core.revocation import Revocation, rotation_statement
from maw.core.statement import Admission
from maw.core.trust import TrustBook
from maw.errors import BadConfig, BadInput, Refused
from maw.node.home import HighWaterMark, NodeHome, key_file_bytes, read_key, replace_file
from maw.store import trust as rows
from maw.store.database import open_database
from maw.store.state import State

REANNOUNCE: Final = "reannounce"
"""Set in the database until the agents were said again in the new key's log."""
_ABOUT_THE_OLD_KEY: Final = "DELETE FROM alerts WHERE kind IN ('revoked', 'silence') AND subject = ?"
"""What it was told as the old key is over: nobody linked with a revoked one."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """``stand``: how many statements of the old key still count; ``admitted``: the names of those it let in and whose
    admits stand, ``void``: of those whose admits do not, for they came since it was stolen."""

    old: str
    new: str
    kept: Path | None
    stand: int
    admitted: tuple[str, ...]
    void: tuple[str, ...]


async def rotate(
    home: NodeHome, recovery: Signer, why: str, old: str | None = None, stolen_ms: int | None = None
) -> Rotated:
    """Under the node's lock. ``old``: the text of the old key, where its file is gone. ``stolen_ms``: since when (ms
    since 1970) it was in wrong hands: statements of it that this host heard since, whatever their date, do not stand.

    Raises BadConfig, BadInput, Refused with nothing changed.
    """
    async with open_database(home.database) as db:
        conn = db.writing
        state = State(owner_uid=os.getuid())
        await state.reload(conn)
        records = await rows.load(conn)
        if records is None:
            raise BadConfig(
                f"{home.database} belongs to no Colony", code="no_colony", hint="restore a backup first"
            )
        before = _old_key(home, old)
        hashed = await rows.get_meta(conn, "recovery") or records.recoveries.get(before)
        if hashed != digest(recovery.node):
            raise Refused(
                f"this recovery key is not that of node {short_key(before)}",
                code="wrong_recovery_key",
                hint="each node has its own: recovery.key, made by its `maw init`",
            )
        records.recoveries[before] = hashed
        after = _next_key(home)
        book = TrustBook(
            before, records.colony, records.statements, records.pins, records.forgotten, records.recoveries,
            records.heard,
        )  # fmt: skip
        stands = book.to_stand({before}, await _heard_since(conn, stolen_ms))
        known = [said for one in book.statements() if isinstance(said := book.said_by(one), Revocation)]
        done = [one for one in known if one.key == before and one.new == after.node]
        if not done:
            cut: Mapping[int, Head] = state.heads().get(before, {})
            now = int(time.time() * 1000)
            word = rotation_statement(recovery, after, records.colony, before, cut, stands, why, now)
            await conn.execute("BEGIN IMMEDIATE")
            await rows.add_statements(conn, [word], now)
            await rows.know_recoveries(conn, {before: hashed, after.node: hashed})
            await _move(conn, state, before, after.node)
            await conn.execute(_ABOUT_THE_OLD_KEY, (short_key(before),))
            await conn.execute("COMMIT")
            records.statements.append(word)
        replace_file(home.trust_copy, rows.pack_copy(records))
    mark = HighWaterMark(home.mark)
    try:
        mark.write(0, 0)
    finally:
        mark.close()
    standing = (
        done[0].stands if done else {item[:STAND_BYTES] for item in stands}
    )  # an earlier try's word counts
    admitted, void = _let_in(book, before, standing)
    kept = _put_in_place(home, before)
    return Rotated(key_text(before), key_text(after.node), kept, len(standing), admitted, void)


def _let_in(
    book: TrustBook, key: NodeId, standing: Collection[bytes]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of those whom ``key`` let in: by words that stand, and by none that does."""
    names: dict[NodeId, str] = {}
    stay: set[NodeId] = set()
    for identity in book.statements():
        said = book.said_by(identity)
        if isinstance(said, Admission) and said.issuer == key and not said.back:
            names[said.subject] = said.name
            if identity[:STAND_BYTES] in standing:
                stay.add(said.subject)
    kept = tuple(name for subject, name in names.items() if subject in stay)
    return kept, tuple(name for subject, name in names.items() if subject not in stay)


async def _heard_since(conn: aiosqlite.Connection, ms: int | None) -> frozenset[bytes]:
    if ms is None:
        return frozenset()
    found = await conn.execute_fetchall("SELECT id FROM statements WHERE at >= ?", (ms,))
    return frozenset(identity for (identity,) in found)


def _old_key(home: NodeHome, old: str | None) -> NodeId:
    if home.key.exists():
        found = read_key(home.key).node
        if old is not None and parse_key(old) != found:
            raise BadInput(f"{home.key} holds another key than the one named", hint="leave --old out")
        return found
    if old is None:
        raise BadConfig(
            f"{home.key} is not there, so it must be said which key is replaced",
            code="no_key",
            hint="--old KEY: `maw peers` on another host shows this node's key",
        )
    return parse_key(old)


def _next_key(home: NodeHome) -> Signer:
    """The new key, on the disk: an earlier try's if there was one."""
    path = home.key.with_name("node.key.next")
    if path.exists():
        return read_key(path)
    made = Signer(secrets.token_bytes(32))
    replace_file(path, key_file_bytes("node", made.seed))
    return made


async def _move(conn: aiosqlite.Connection, state: State, before: NodeId, after: NodeId) -> None:
    """The agents of this host belong to the new key; what they said stays where it stands."""
    n = max(state.node_at, default=0) + 1
    await conn.execute(
        "INSERT INTO nodes (n, key, name, addresses, version, seen, recovery)"
        " SELECT ?, ?, name, addresses, version, seen, recovery FROM nodes WHERE key = ?",
        (n, after, before),
    )
    await conn.execute("INSERT OR IGNORE INTO nodes (n, key) VALUES (?, ?)", (n, after))
    await conn.execute(
        "UPDATE agents SET node = (SELECT n FROM nodes WHERE key = ?) WHERE n IN (SELECT agent FROM local_agents)",
        (after,),
    )
    await rows.set_meta(conn, REANNOUNCE, 1)
    await rows.set_meta(conn, "linked", 1)


def _put_in_place(home: NodeHome, before: NodeId) -> Path | None:
    kept: Path | None = None
    if home.key.exists():
        kept = home.key.with_name(f"node.key.old-{short_key(before)}")
        replace_file(kept, home.key.read_bytes())
    home.key.with_name("node.key.next").replace(home.key)
    return kept
