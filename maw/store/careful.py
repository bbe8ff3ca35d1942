"""Folding entries one at a time, for a job whose rows the database refused: the one at fault is set aside.

Slow, and hardly ever needed: every payload is checked before its rows are made. It is there for the fault
that nobody has thought of yet, which otherwise would stop its author's log on every node, at every start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import aiosqlite

from maw.core.entry import Entry
from maw.store.asides import UnfoldableError
from maw.store.fold import Fold


async def take_carefully(
    conn: aiosqlite.Connection,
    entries: Iterable[Entry],
    fold: Callable[[], Fold],
    reread: Callable[[], Awaitable[None]],
) -> list[Fold]:
    """Writes each entry with a ``fold`` of its own, in order, within the writer's transaction.

    What had been made in memory for one that is refused is forgotten by ``reread``, and the entry is kept
    without being looked into. Raises what Fold.write raises when even that is refused.
    """
    done: list[Fold] = []
    for entry in entries:
        await conn.execute("SAVEPOINT entry")
        one = fold()
        one.add(entry)
        try:
            await one.write(conn)
        except UnfoldableError as error:
            await conn.execute("ROLLBACK TO entry")
            await reread()
            one = fold()
            one.hold(entry, str(error))
            await one.write(conn)
        await conn.execute("RELEASE entry")
        done.append(one)
    return done
