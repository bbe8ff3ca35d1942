"""A database put back from a backup knows less of trust than the copy beside the key: what it lacks is added.

Statements are never taken back, so both sets are joined; so are tombstones, for a copy put back by hand cannot
always be told from one that ran on. Whether a tombstone was lifted again is believed of the copy only where the
database is known to be the older one.
"""

from __future__ import annotations

import aiosqlite

from maw.store import trust as rows
from maw.store.trust import TrustRecords


async def catch_up(
    conn: aiosqlite.Connection, records: TrustRecords, copy: TrustRecords, now_ms: int, *, older: bool
) -> int:
    """Adds to the database, and to ``records`` as read from it, what ``copy`` knows beyond it; how many words of
    trust that were. ``older``: the database was put back from a backup. Nothing is taken from the copy of another
    Colony. To be called within a transaction."""
    if copy.colony != records.colony:
        return 0
    known = {item.id for item in records.statements}
    statements = [item for item in copy.statements if item.id not in known]
    tombstones = [key for key in copy.forgotten if key not in records.forgotten]
    pinned = {pin.key for pin in records.pins}
    ended = set(copy.forgotten) if older else {*copy.forgotten, *records.forgotten}
    pins = [pin for pin in copy.pins if pin.key not in ended and pin.key not in pinned]
    await rows.add_statements(conn, statements, now_ms)
    for key in tombstones:
        await rows.forget(conn, key, now_ms)
    for pin in pins:
        await rows.set_pin(conn, pin)
    records.recoveries = {**copy.recoveries, **records.recoveries}
    await rows.know_recoveries(conn, records.recoveries)
    added = len(statements) + len(tombstones) + len(pins)
    if added:
        fresh = await rows.load(conn)
        assert fresh is not None
        records.statements, records.pins, records.forgotten = fresh.statements, fresh.pins, fresh.forgotten
    return added
