"""Keys that others took the place of, as a database says it that nobody uses: what a former key of this node said
is its own agents'."""

from __future__ import annotations

import sqlite3
from contextlib import suppress

from maw.core.identity import NodeId
from maw.core.members import Pin
from maw.core.revocation import ROTATE, read_revocation
from maw.core.statement import read_statement
from maw.core.trust import TrustBook
from maw.errors import ProtocolViolation


def former_keys(conn: sqlite3.Connection, me: NodeId | None) -> frozenset[NodeId]:
    """By the rotations among its statements that lead to ``me``. Whether each counts is not asked here: at the worst
    a row is taken for ours that another of our keys made."""
    heir: dict[NodeId, NodeId] = {}
    try:
        rows = conn.execute("SELECT wire FROM statements").fetchall()
    except sqlite3.Error:  # told by whoever checks the statements
        return frozenset()
    for (wire,) in rows:
        try:
            statement = read_statement(wire)
            if statement.type == ROTATE and (said := read_revocation(statement)).new is not None:
                heir[said.key] = said.new
        except (ProtocolViolation, TypeError):
            continue
    return frozenset(key for key in heir if me is not None and key != me and _leads_to(heir, key, me))


def replaced_by(conn: sqlite3.Connection, me: NodeId) -> dict[NodeId, NodeId]:
    """By key that was rotated: the one that took its place, by the rotations that count. What of it is damaged counts
    for nothing."""
    statements = []
    try:
        (colony,) = conn.execute("SELECT value FROM meta WHERE key = 'colony'").fetchone() or (b"",)
        wires = conn.execute("SELECT wire FROM statements ORDER BY at").fetchall()
        known = {NodeId(key): hashed for key, hashed in conn.execute("SELECT key, hash FROM recoveries")}
        sql = "SELECT key, recovery FROM nodes WHERE recovery IS NOT NULL"
        heard = {NodeId(key): hashed for key, hashed in conn.execute(sql)}
        pinned = conn.execute("SELECT key FROM pins").fetchall()
    except sqlite3.Error:
        return {}
    for (wire,) in wires:
        with suppress(ProtocolViolation, TypeError):
            statements.append(read_statement(wire))
    pins = [Pin(NodeId(key), "", (), "", False, 0) for (key,) in pinned]
    book = TrustBook(me, colony, statements, pins, (), known, heard)
    return {key: gone.new for key, gone in book.revoked.items() if gone.new is not None}


def _leads_to(heir: dict[NodeId, NodeId], key: NodeId, me: NodeId) -> bool:
    seen: set[NodeId] = set()
    while key in heir and key not in seen:
        seen.add(key)
        key = heir[key]
    return key == me
