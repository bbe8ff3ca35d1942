"""Content keys of sealed entries that were opened here.

What was opened once stays readable after the host's sealing key is deleted, and after a repair: the words are in the
payload, sealed as they came, and the key to these alone is here. It goes when the payload does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, Final

import aiosqlite

from maw.core.colony import Said
from maw.core.entry import Entry, Kind
from maw.core.identity import NodeId
from maw.core.sealing import Sealed, open_box, unwrap
from maw.store.rows import Insert
from maw.store.state import State
from maw.store.travelling import is_here

OPENED: Final = Insert("opened", ("place", "key"), verb="INSERT OR REPLACE")
UNOPENED: Final = Insert("unopened", ("place", "at"), verb="INSERT OR REPLACE")
BORROWED: Final = Insert(
    "borrowed", ("author", "epoch", "seq", "id", "key", "lender"), verb="INSERT OR REPLACE"
)
RETURN: Final = "DELETE FROM borrowed WHERE author = ? AND epoch = ? AND seq = ?"
TO_LEND: Final = Insert("to_lend", ("place",), verb="INSERT OR IGNORE")
MOVE_KEY: Final = "INSERT OR IGNORE INTO opened SELECT ?, key FROM opened WHERE place = ?"
"""Of what is published again, from the place where it stood."""
SET_SEAL_KEY: Final = "INSERT OR REPLACE INTO seal_keys VALUES (?, ?, ?, ?)"

SAID: Final = frozenset((Kind.POST, Kind.DIRECT, Kind.PRIVATE))
"""Kinds of which an entry may be a message."""


def key_at(place: str) -> str:
    """SQL: the content key of the entry at ``place`` (an expression), NULL where it is not sealed."""
    return f"(SELECT o.key FROM opened o WHERE o.place = {place})"  # noqa: S608 - names of columns


def has_opened(conn: sqlite3.Connection) -> bool:
    """A database of before there was sealing has no such table, and of a torn one it may be what is lost."""
    try:
        conn.execute("SELECT 1 FROM opened LIMIT 0")
    except sqlite3.Error:
        return False
    return True


async def keys_of(conn: aiosqlite.Connection, state: State, entries: Iterable[Entry]) -> dict[bytes, bytes]:
    """By id, the content keys of those entries that were opened before."""
    found: dict[bytes, bytes] = {}
    for entry in entries:
        log = state.logs.get((entry.author, entry.epoch))
        if entry.kind != Kind.PRIVATE or log is None:
            continue
        sql = "SELECT key FROM opened WHERE place = ?"
        for (key,) in await conn.execute_fetchall(sql, (log.place(entry.seq),)):
            found[entry.id] = key
    return found


def find_key(state: State, me: NodeId, entry: Entry, sealed: Sealed) -> bytes | None:
    """The content key, by this host's own keys; None where it is not sealed for this host. Raises ValueError."""
    return unwrap(sealed, entry.colony, entry.author, (me, *state.former_me), state.halves)


def open_for(state: State, me: NodeId, entry: Entry, sealed: Sealed, key: bytes) -> dict[str, Any]:
    """What is within. Raises ValueError; also for what is for nobody on this host, and by nobody who lives here."""
    content = open_box(sealed, entry.colony, entry.author, key)
    if content["kind"] == Kind.DIRECT and not is_here(state, me, entry.author, sealed.agent):
        said = Said.read(content, direct=True)
        if not any(is_here(state, me, to.node, to.agent) for to in said.to):
            raise ValueError("it is sealed for this host, and for nobody on it")
    return content
