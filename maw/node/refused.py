"""The record of refusals: who asked at which door for what, and was not given it. For who administers this host."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

import aiosqlite

from maw.core.refused import HOUR_MS, Attempt, Count, Pending
from maw.node.authoring import wall_clock_ms
from maw.node.presenting import Json, iso
from maw.node.store import Store

log = logging.getLogger(__name__)

EVERY_S: Final = 10.0
KEPT_HOURS: Final = 90 * 24
MOST_ROWS: Final = 10_000
_ADD: Final = """INSERT INTO refusals VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (hour, who, door, what, code) DO UPDATE SET last = excluded.last, times = times + excluded.times"""
_DROP: Final = """DELETE FROM refusals WHERE hour <= ? OR (hour, who, door, what, code) IN
(SELECT hour, who, door, what, code FROM refusals ORDER BY hour DESC LIMIT -1 OFFSET ?)"""
_NEWEST: Final = """SELECT hour, who, door, what, code, first, last, times FROM refusals WHERE last >= ?
ORDER BY last DESC, who, door, what, code LIMIT ?"""


class RefusalRecord:
    """``note`` costs no write; ``keep`` is called each second and writes what was noted every ten."""

    def __init__(
        self,
        store: Store,
        wall_ms: Callable[[], int] = wall_clock_ms,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._wall_ms = wall_ms
        self._monotonic = monotonic
        self._pending = Pending()
        self._next = 0.0

    def note(self, attempt: Attempt) -> None:
        self._pending.note(attempt, self._wall_ms())

    async def keep(self) -> None:
        """Raises MawError where the disk takes nothing: it is tried again."""
        if self._pending and self._monotonic() >= self._next:
            await self.save()

    async def save(self) -> None:
        """All that was noted. Raises MawError, as above."""
        counts = self._pending.all()
        if not counts:
            return
        self._next = self._monotonic() + EVERY_S
        oldest = self._wall_ms() // HOUR_MS - KEPT_HOURS

        async def write(conn: aiosqlite.Connection) -> None:
            await conn.executemany(_ADD, [_row(one) for one in counts])
            await conn.execute(_DROP, (oldest, MOST_ROWS))

        await self._store.writer.submit(write, lambda _: self._pending.written(counts))

    async def newest(self, *, since_ms: int, limit: int) -> list[Json]:
        """The last first, what is not written yet included."""
        found = {
            (hour, Attempt(*attempt)): Count(hour, Attempt(*attempt), first, last, times)
            for hour, *attempt, first, last, times in await self._store.db.rows(_NEWEST, (since_ms, limit))
        }
        for one in self._pending.all():
            if one.last >= since_ms:
                was = found.get((one.hour, one.attempt))
                found[one.hour, one.attempt] = one if was is None else one.after(was)
        newest = sorted(found.values(), key=lambda one: (-one.last, one.attempt))
        return [_told(one) for one in newest[:limit]]


def _row(one: Count) -> tuple[object, ...]:
    return one.hour, *one.attempt, one.first, one.last, one.times


def _told(one: Count) -> Json:
    return {**one.attempt._asdict(), "first": iso(one.first), "last": iso(one.last), "times": one.times}
