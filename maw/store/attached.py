"""Which messages have which files, and whose uploads nobody has sent yet.

``attached`` is filled with each message that has some, and cleared by a trigger when its payload is dropped, whoever
drops it: a blob that no row names is nobody's any more. What opens an upload is kept for a day; till then it is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import aiosqlite

from maw.core.files import File
from maw.store.database import Database
from maw.store.rows import Insert
from maw.store.schema import SEQ_BITS

ATTACHED: Final = Insert("attached", ("seq", "n", "hash"), verb="INSERT OR IGNORE")
UPLOAD_MS: Final = 86_400_000
_NAMED: Final = "SELECT hash FROM attached UNION SELECT hash FROM uploads"
_OWN: Final = """SELECT a.hash FROM attached a JOIN messages m ON m.seq = a.seq JOIN logs l ON l.l = m.place >> {}
    WHERE l.node IN ({}) UNION SELECT hash FROM uploads"""


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


async def add_upload(conn: aiosqlite.Connection, upload: Upload) -> None:
    """Within a transaction."""
    await conn.execute("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?)", upload)


async def upload(db: Database, name: bytes) -> Upload | None:
    row = await db.row("SELECT hash, key, size, agent, name, type, at FROM uploads WHERE hash = ?", (name,))
    return None if row is None else Upload(*row)


async def drop_uploads(conn: aiosqlite.Connection, before_ms: int) -> None:
    """Within a transaction: those that were made before then."""
    await conn.execute("DELETE FROM uploads WHERE at < ?", (before_ms,))


async def note(conn: aiosqlite.Connection, seq: int, files: Sequence[File]) -> None:
    """Within a transaction: a message that came before there was this table."""
    for statement in ATTACHED.statements(rows(seq, files)):
        await conn.execute(*statement)


async def named(db: Database) -> set[bytes]:
    """Blobs that a message or a fresh upload names."""
    return {name for (name,) in await db.rows(_NAMED)}


async def own(db: Database, nodes: Sequence[int]) -> set[bytes]:
    """Blobs of which these nodes (this one's numbers) are the author's, and fresh uploads: perhaps nobody else has
    them."""
    found = await db.rows(_OWN.format(SEQ_BITS, ", ".join("?" * len(nodes))), nodes)
    return {name for (name,) in found}
