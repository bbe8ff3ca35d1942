"""Giving disk back: free pages go from the file a few at a time.

Only a database whose ``auto_vacuum`` is INCREMENTAL can: see ``database.make_shrinkable``.
"""

from __future__ import annotations

from typing import Any, Final

import aiosqlite

from maw.store.database import Database
from maw.store.rows import execute_all

PAGES_A_STEP: Final = 512
KEPT_FREE_PAGES: Final = 256
"""So much stays for what is written next: giving a page back and taking it again costs twice."""
KEPT_FREE_SHARE: Final = 0.05


async def free_bytes(db: Database) -> int:
    """Bytes of the file that hold nothing."""
    free, _ = await _pages(db)
    return free * await _number(db, "page_size")


async def worth_shrinking(db: Database) -> bool:
    free, pages = await _pages(db)
    return free > max(KEPT_FREE_PAGES, KEPT_FREE_SHARE * pages)


async def give_back(conn: aiosqlite.Connection) -> None:
    """A step: the file is shorter after the next checkpoint. Within a transaction."""
    # the pragma makes a row of no columns for each page, and Python's sqlite3 takes one step of such a statement
    await execute_all(conn, [("PRAGMA incremental_vacuum(1)", ())] * PAGES_A_STEP)


async def _pages(db: Database) -> tuple[int, int]:
    return await _number(db, "freelist_count"), await _number(db, "page_count")


async def _number(db: Database, pragma: str) -> int:
    row: tuple[Any, ...] | None = await db.row(f"PRAGMA {pragma}")
    return int(row[0]) if row else 0
