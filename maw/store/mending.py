"""Reading single places for those who ask, and writing back what others gave us in place of what is damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence

import aiosqlite

from maw.core.entry import Entry, Position, decode
from maw.core.frames import TARGET_BATCH
from maw.core.identity import NodeId
from maw.core.mending import Wanted
from maw.core.redaction import droppable
from maw.errors import ProtocolViolation
from maw.store.database import Database
from maw.store.redacting import COVERING, covering
from maw.store.schema import SEQ_BITS
from maw.store.state import LogRow, State

_ROW = "SELECT header, signature, payload FROM entries WHERE place = ?"
_WRITE = """INSERT INTO entries VALUES (?, ?, ?, ?, (SELECT seq FROM messages WHERE place = ?))
    ON CONFLICT (place) DO UPDATE SET header = excluded.header, signature = excluded.signature,
    payload = excluded.payload, shown = excluded.shown"""


async def read_places(
    db: Database, state: State, places: Sequence[Position]
) -> tuple[list[Entry], list[Position]]:
    """What is held at ``places``, in their order, up to about TARGET_BATCH bytes; and those that are not held.

    A damaged row is one that is not held.
    """
    found: list[Entry] = []
    lacking: list[Position] = []
    size = 0
    for position in places:
        log = state.logs.get((position.author, position.epoch))
        entry = await _whole(db, log, position) if log and position.seq <= log.head.seq else None
        if entry is None:
            lacking.append(position)
            continue
        found.append(entry)
        size += entry.size
        if size >= TARGET_BATCH:
            break
    return found, lacking


async def demanded(db: Database, state: State, places: Iterable[Position]) -> list[Wanted]:
    """What the chain demands at each of ``places``, from the top of each log down; places beyond a head are left
    out. The entry above says it, so where that one is damaged too, its repair must say it."""
    wanted: list[Wanted] = []
    asked = set(places)
    for position in sorted(asked, reverse=True):
        log = state.logs.get((position.author, position.epoch))
        if log is None or not 0 < position.seq <= log.head.seq:
            continue
        needs = not await db.rows(COVERING.format("?", "?", "?"), (log.place(position.seq),) * 3)
        if position.seq == log.head.seq:
            wanted.append(Wanted(position, log.head.id, needs))
            continue
        above = position._replace(seq=position.seq + 1)
        entry = None if above in asked else await _whole(db, log, above)
        wanted.append(Wanted(position, entry.prev if entry else None, needs))
    return wanted


async def write_back(conn: aiosqlite.Connection, state: State, entries: Iterable[Entry]) -> None:
    """Puts whole entries where damaged ones stand, or such as came without payload. Nobody brings a payload back that
    a rule dropped."""
    for entry in entries:
        place = state.logs[entry.author, entry.epoch].place(entry.seq)
        ruled = droppable(entry.kind) and await covering(conn, place) is not None
        payload = None if ruled else entry.payload
        await conn.execute(_WRITE, (place, entry.header, entry.signature, payload, place))
        await conn.execute("DELETE FROM missing WHERE place = ?", (place,))


async def is_missing(conn: aiosqlite.Connection, place: int) -> bool:
    return bool(list(await conn.execute_fetchall("SELECT 1 FROM missing WHERE place = ?", (place,))))


async def lacking(
    db: Database, state: State, skip: Collection[NodeId], room: int
) -> tuple[list[Wanted], set[NodeId]]:
    """What came without payload and rule, up to ``room`` places, without the logs of ``skip``; and the authors of whom
    anything is missing."""
    wanted: list[Wanted] = []
    authors: set[NodeId] = set()
    for (author, epoch), log in state.logs.items():
        if log.whole is None:
            continue
        authors.add(author)
        if author in skip or len(wanted) >= room:
            continue
        rows = await db.rows(
            "SELECT e.header, e.signature FROM missing m JOIN entries e ON e.place = m.place"
            " WHERE m.place > ? AND m.place < ? ORDER BY m.place LIMIT ?",
            (log.place(0), (log.l + 1) << SEQ_BITS, room - len(wanted)),
        )
        for header, signature in rows:
            entry = decode(header, signature)
            wanted.append(Wanted(Position(author, epoch, entry.seq), entry.id))
    return wanted, authors


async def _whole(db: Database, log: LogRow, position: Position) -> Entry | None:
    """The entry in its row, if that can be read and is the one that belongs there."""
    try:
        row = await db.row(_ROW, (log.place(position.seq),))
        entry = decode(*row) if row else None
    except (
        ProtocolViolation,
        sqlite3.Error,
    ):  # the latter: what should be bytes is marked as text that is none
        return None
    return entry if entry is not None and entry.position == position else None
