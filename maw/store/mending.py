"""Reading single places for those who ask, and writing back what others gave us in place of what is damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence

import aiosqlite

from maw.core.colony import AgentCard, read_was
from maw.core.entry import Entry, Kind, Position, decode, unpack_payload
from maw.core.frames import TARGET_BATCH
from maw.core.identity import NodeId
from maw.core.mending import Wanted
from maw.core.redaction import droppable
from maw.core.rooms import read_said
from maw.core.sealing import words_of
from maw.errors import ProtocolViolation
from maw.store.database import Database
from maw.store.opened import SAID, keys_of
from maw.store.redacting import COVERING, covering
from maw.store.replacing import WAS
from maw.store.schema import SEQ_BITS
from maw.store.state import LogRow, State

_ROW = "SELECT header, signature, payload FROM entries WHERE place = ?"
_CLEAR = "DELETE FROM entries WHERE place = ?"
_WRITE = "INSERT INTO entries VALUES (?, ?, ?, ?, ?)"
"""One after the other: SQLite writes nothing where what it remembers of a page is what it is given, and what it
remembers may be whole while the disk is not. For the same reason a message's row is changed and changed back."""
_TOUCH = "UPDATE messages SET received = received + 1 WHERE seq = ?"
_SHOWN = """SELECT e.shown, m.place, (SELECT shown FROM entries WHERE place = m.place) FROM entries e
    LEFT JOIN messages m ON m.seq = e.shown WHERE e.place = ?"""
_REMAKE = """UPDATE messages SET place = ?, direct = ?, channel = ?, agent = ?, received = received - 1
    WHERE seq = ?"""


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


async def whole_here(db: Database, state: State, wanted: Iterable[Wanted]) -> list[Entry]:
    """Those that are as they were written after all: only what was made of them is damaged, and is made again here."""
    found = []
    for item in wanted:
        log = state.logs[item.position.author, item.position.epoch]
        entry = await _whole(db, log, item.position)
        if entry is None or entry.payload is None:
            continue
        if entry.id == item.id or (item.id is None and entry.signature_holds()):
            found.append(entry)
    return found


async def write_back(conn: aiosqlite.Connection, state: State, entries: Iterable[Entry]) -> None:
    """Puts whole entries where damaged ones stand, or such as came without payload, and the row of a message that was
    made of one as it says. Nobody brings a payload back that a rule dropped."""
    for entry in entries:
        place = state.logs[entry.author, entry.epoch].place(entry.seq)
        ruled = droppable(entry.kind) and await covering(conn, place) is not None
        payload = None if ruled else entry.payload
        seq = await _shown_at(conn, place)
        await conn.execute(_CLEAR, (place,))
        await conn.execute(_WRITE, (place, entry.header, entry.signature, payload, seq))
        await conn.execute("DELETE FROM missing WHERE place = ?", (place,))
        if seq is not None and payload is not None and entry.kind in SAID:
            await _remake(conn, state, entry, place, seq)


async def _shown_at(conn: aiosqlite.Connection, place: int) -> int | None:
    """Where this entry is shown: its row and the message's may each be what is damaged."""
    rows = list(await conn.execute_fetchall(_SHOWN, (place,)))
    shown, there, backing = rows[0] if rows else (None, None, None)
    if type(shown) is int and there == place:
        return shown
    found = list(await conn.execute_fetchall("SELECT seq FROM messages WHERE place = ?", (place,)))
    if found:
        return int(found[0][0])
    return shown if type(shown) is int and backing != shown else None


async def _remake(conn: aiosqlite.Connection, state: State, entry: Entry, place: int, seq: int) -> None:
    try:
        kind, content = words_of(entry, (await keys_of(conn, state, [entry])).get(entry.id))
        said = read_said(kind, content, sealed=entry.kind == Kind.PRIVATE)
    except (ValueError, TypeError, KeyError):
        return  # it is set aside
    agent = state.agents.get((state.nodes[entry.author].n, said.agent))
    channel = state.channels.get(said.channel) if said.channel is not None else None
    if agent is None or (channel is None) != (said.channel is None):
        return
    await conn.execute(_TOUCH, (seq,))
    row = (place, channel is None or bool(said.to), channel.n if channel else None, agent.n, seq)
    try:
        await conn.execute(_REMAKE, row)
    except sqlite3.DatabaseError:  # an index does not know of the row as it stands
        await conn.execute("REINDEX messages")
        await conn.execute(_REMAKE, row)


async def is_unseen(conn: aiosqlite.Connection, state: State, me: NodeId, entry: Entry) -> bool:
    """Whether what was made of this entry is lost too, as after a repair of a torn file: a message's row, or that an
    agent is of this host. Then it is folded as if it came now. Not a message that is held back, and none that its
    author has published again."""
    if entry.kind == Kind.AGENT:
        return _is_unknown(state, me, entry)
    place = state.logs[entry.author, entry.epoch].place(entry.seq)
    if entry.kind not in SAID or await _shown_at(conn, place) is not None:
        return False
    if entry.kind == Kind.PRIVATE and not await keys_of(conn, state, [entry]):
        return False  # nobody ever saw it here
    held = "SELECT 1 FROM withheld WHERE place = ? UNION SELECT 1 FROM set_aside WHERE place = ?"
    if list(await conn.execute_fetchall(held, (place, place))):
        return False
    again = "SELECT payload FROM entries WHERE place > ? AND place < ? AND instr(payload, ?)"
    for (author, epoch), log in state.logs.items():
        if author == entry.author and epoch > entry.epoch:
            span = (log.place(0), (log.l + 1) << SEQ_BITS, WAS)
            for (payload,) in await conn.execute_fetchall(again, span):
                if read_was(unpack_payload(payload)) == (entry.epoch, entry.seq, entry.id):
                    return False
    return True


def _is_unknown(state: State, me: NodeId, entry: Entry) -> bool:
    try:
        card = AgentCard.read(unpack_payload(entry.payload or b""))
    except (ValueError, TypeError, KeyError):
        return False
    agent = state.agents.get((state.nodes[entry.author].n, card.id))
    if agent is None:
        return True
    has_left = state.travels.has_left(me, card.id)
    return entry.author == me and agent.uid is None and not agent.gone and not has_left


async def is_missing(conn: aiosqlite.Connection, place: int) -> bool:
    return bool(list(await conn.execute_fetchall("SELECT 1 FROM missing WHERE place = ?", (place,))))


async def lacking(db: Database, state: State, skip: Collection[NodeId], room: int) -> list[Wanted]:
    """What came without payload and rule, up to ``room`` places, without the logs of ``skip``."""
    wanted: list[Wanted] = []
    for (author, epoch), log in state.logs.items():
        if log.whole is None or author in skip or len(wanted) >= room:
            continue
        rows = await db.rows(
            "SELECT e.header, e.signature FROM missing m JOIN entries e ON e.place = m.place"
            " WHERE m.place > ? AND m.place < ? ORDER BY m.place LIMIT ?",
            (log.place(0), (log.l + 1) << SEQ_BITS, room - len(wanted)),
        )
        for header, signature in rows:
            entry = decode(header, signature)
            wanted.append(Wanted(Position(author, epoch, entry.seq), entry.id))
    return wanted


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
