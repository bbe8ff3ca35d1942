"""Entries of kinds that nobody knew here when they came: held, passed on, and read by the version that does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import aiosqlite

from maw.core.entry import Kind, decode
from maw.core.redaction import droppable
from maw.store.asides import UnfoldableError, unread
from maw.store.database import Database
from maw.store.fold import Fold
from maw.store.redacting import covering

ROWS_A_STEP: Final = 500

_UNREAD: Final = """SELECT w.place, e.header, e.signature, e.payload FROM withheld w
    JOIN entries e ON e.place = w.place WHERE w.why = ? AND w.place > ? ORDER BY w.place LIMIT ?"""


async def legible(db: Database) -> list[Kind]:
    """Kinds that are known now, of which entries are held that nobody here has read."""
    waiting = {why for (why,) in await db.rows("SELECT DISTINCT why FROM withheld")}
    return [kind for kind in Kind if unread(kind) in waiting]


async def read_step(
    conn: aiosqlite.Connection,
    kind: Kind,
    after: int,
    new_fold: Callable[[], Fold],
    reread: Callable[[], Awaitable[None]],
) -> tuple[list[Fold], int | None]:
    """Fold some of them, within the writer's transaction, each by itself: one that the database will not have is set
    aside alone. Also the place to go on after; None when all was looked at."""
    rows = list(await conn.execute_fetchall(_UNREAD, (unread(kind), after, ROWS_A_STEP)))
    done: list[Fold] = []
    for place, header, signature, payload in rows:
        entry = decode(header, signature, payload)
        if droppable(kind) and await covering(conn, place) is not None:
            # what a rule spoke of while nobody here knew that it may be dropped
            await conn.execute("UPDATE entries SET payload = NULL WHERE place = ?", (place,))
            await conn.execute("DELETE FROM withheld WHERE place = ?", (place,))
            continue
        await conn.execute("SAVEPOINT entry")
        fold = new_fold()
        fold.show(entry)
        try:
            await fold.write(conn)
        except UnfoldableError as error:
            await conn.execute("ROLLBACK TO entry")
            await reread()
            fold = new_fold()
            fold.give_up(entry, str(error))
            await fold.write(conn)
        await conn.execute("RELEASE entry")
        done.append(fold)
    return done, rows[-1][0] if len(rows) == ROWS_A_STEP else None
