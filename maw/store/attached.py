"""Which messages have which files, and whose uploads nobody has sent yet.

``attached`` is filled with each message that has some, and cleared by a trigger when its payload is dropped, whoever
drops it. What opens an upload is kept for a day; till then it is sent.

A blob that no row names is not therefore nobody's: rows are lost with a database, a blob is not, and it may be the only
one there is. ``loose`` has those that are here and unnamed. One whose message was dropped *here*, or whose upload
nobody sent, goes at once; of any other we cannot say what it was of, and it stays for STAY_LOOKS looks at a log of our
own that is here in full. Looks, not days: a clock may jump.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

import aiosqlite

from maw.core.files import File
from maw.store.database import Database
from maw.store.rows import Insert
from maw.store.schema import SEQ_BITS

ATTACHED: Final = Insert("attached", ("seq", "n", "hash"), verb="INSERT OR IGNORE")
INSERT: Final = "INSERT OR REPLACE INTO attached VALUES (?, ?, ?)"
UPLOAD_MS: Final = 86_400_000
LOOK_S: Final = 600
STAY_LOOKS: Final = 30 * 86_400 // LOOK_S
"""Thirty days in which the daemon runs."""
_SAYS: Final = """SELECT 1 FROM messages m JOIN entries e ON e.place = m.place
    WHERE m.seq = ? AND e.payload IS NOT NULL"""
_UNSENT: Final = """SELECT coalesce(sum(size), 0) FROM uploads u
    WHERE agent = ? AND NOT EXISTS (SELECT 1 FROM attached a WHERE a.hash = u.hash)"""
_NAMED: Final = "SELECT hash FROM attached UNION SELECT hash FROM uploads UNION SELECT hash FROM move_files"
_COPIES: Final = f"""
    WITH said AS (SELECT a.hash, l.node IN ({{}}) AS ours FROM attached a JOIN messages m ON m.seq = a.seq
        JOIN logs l ON l.l = m.place >> {SEQ_BITS})
    SELECT hash FROM said WHERE NOT ours EXCEPT SELECT hash FROM said WHERE ours EXCEPT SELECT hash FROM uploads"""  # noqa: S608
_UNREAD: Final = f"""
    SELECT 1 FROM (SELECT place FROM missing UNION ALL SELECT place FROM withheld UNION ALL
        SELECT place FROM set_aside) p
    JOIN logs l ON l.l = p.place >> {SEQ_BITS} WHERE l.node IN ({{}}) LIMIT 1"""  # noqa: S608


class Upload(NamedTuple):
    """``agent``: the stable id of who may send it; ``at``: ms."""

    hash: bytes
    key: bytes
    size: int
    agent: bytes
    name: str
    type: str
    at: int

    def file(self) -> File:
        return File(self.name, self.size, self.hash, self.key, self.type)


def rows(seq: int, files: Sequence[File]) -> list[tuple[int, int, bytes]]:
    """Of the message at ``seq``."""
    return [(seq, n, file.hash) for n, file in enumerate(files, 1)]


def has_attached(conn: sqlite3.Connection) -> bool:
    """A database of before there were files has no such table."""
    try:
        conn.execute("SELECT 1 FROM attached LIMIT 0")
    except sqlite3.Error:
        return False
    return True


async def add_upload(conn: aiosqlite.Connection, upload: Upload) -> None:
    """Within a transaction."""
    await conn.execute("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?)", upload)


async def upload(db: Database, name: bytes) -> Upload | None:
    row = await db.row("SELECT hash, key, size, agent, name, type, at FROM uploads WHERE hash = ?", (name,))
    return None if row is None else Upload(*row)


async def unsent(db: Database, agent: bytes) -> int:
    """Bytes that this agent uploaded and no message named yet."""
    ((size,),) = await db.rows(_UNSENT, (agent,))
    return int(size)


async def note(conn: aiosqlite.Connection, seq: int, files: Sequence[File]) -> bool:
    """Within a transaction: a message that came before there was this table. False: it says nothing any more."""
    if not list(await conn.execute_fetchall(_SAYS, (seq,))):
        return False
    for statement in ATTACHED.statements(rows(seq, files)):
        await conn.execute(*statement)
    return True


async def is_unread(conn: aiosqlite.Connection, nodes: Sequence[int]) -> bool:
    """Whether something of these nodes' logs (this one's numbers) is held and not looked into: it may name files."""
    return bool(list(await conn.execute_fetchall(_UNREAD.format(_marks(nodes)), nodes)))


async def copies(db: Database, nodes: Sequence[int]) -> set[bytes]:
    """Blobs of others' messages, and of none of these nodes' (this one's numbers): their authors have them too."""
    rows = await db.rows(_COPIES.format(_marks(nodes)), nodes)
    return {name for (name,) in rows}


async def look(
    conn: aiosqlite.Connection, here: Collection[bytes], before_ms: int, *, certain: bool
) -> set[bytes]:
    """Within a transaction: which of those that are ``here`` go now. Uploads of before then are nobody's any more.
    ``certain``: all of our own log is here and read; else no look counts, and what was looked at begins anew."""
    await conn.execute(
        "INSERT OR IGNORE INTO loose SELECT hash, ? FROM uploads WHERE at < ?",
        (0 if certain else STAY_LOOKS, before_ms),
    )
    await conn.execute("DELETE FROM uploads WHERE at < ?", (before_ms,))
    await conn.execute(f"DELETE FROM loose WHERE hash IN ({_NAMED})")  # noqa: S608 - a constant
    if certain:
        await conn.execute("UPDATE loose SET looks = looks - 1 WHERE looks > 0")
    else:
        await conn.execute(
            "UPDATE loose SET looks = ? WHERE looks BETWEEN 1 AND ?", (STAY_LOOKS, STAY_LOOKS - 1)
        )
    named = {name for (name,) in await conn.execute_fetchall(_NAMED)}
    loose = {row[0]: int(row[1]) for row in await conn.execute_fetchall("SELECT hash, looks FROM loose")}
    strange = [(name, STAY_LOOKS) for name in here if name not in named and name not in loose]
    await conn.executemany("INSERT INTO loose VALUES (?, ?)", strange)
    await conn.executemany(
        "DELETE FROM loose WHERE hash = ?", [(name,) for name in loose if name not in here]
    )
    return {name for name in here if loose.get(name) == 0}


def _marks(nodes: Sequence[int]) -> str:
    return ", ".join("?" * len(nodes))
