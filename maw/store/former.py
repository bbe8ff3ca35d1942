"""Keys that this node had before its key was rotated: what they said is its own agents', as the database says it."""

from __future__ import annotations

import sqlite3

from maw.core.identity import NodeId
from maw.core.revocation import ROTATE, read_revocation
from maw.core.statement import read_statement
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


def _leads_to(heir: dict[NodeId, NodeId], key: NodeId, me: NodeId) -> bool:
    seen: set[NodeId] = set()
    while key in heir and key not in seen:
        seen.add(key)
        key = heir[key]
    return key == me
