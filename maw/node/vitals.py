"""What each agent's processes take, hour by hour: kept for a while, so that a leak of weeks shows.

The keeper measures and reports; here is the memory of it. A row an agent and hour, written once a minute.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import aiosqlite

from maw.core.vitals import Hour, Trend, merge, trend
from maw.node.store import Store

HOUR_MS: Final = 3_600_000
KEPT_HOURS: Final = 24 * 60
"""Sixty days."""
_SAVE: Final = """INSERT INTO vitals VALUES (?, ?, ?, ?, ?) ON CONFLICT (agent, hour) DO UPDATE SET
low = CASE started WHEN excluded.started THEN min(low, excluded.low) ELSE excluded.low END,
high = CASE started WHEN excluded.started THEN max(high, excluded.high) ELSE excluded.high END,
started = excluded.started"""


class Vitals:
    """By an agent's number in this database."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._now: dict[int, Hour] = {}
        self._unsaved: dict[tuple[int, int], Hour] = {}
        self._newest = 0

    def take(self, agent: int, started_ms: int, taken: int, now_ms: int) -> None:
        """One look at an agent: when its process began, and what it and its children take (bytes)."""
        hour = now_ms // HOUR_MS
        merged = merge(self._now.get(agent), hour, started_ms, taken)
        self._now[agent] = self._unsaved[agent, hour] = merged

    async def trends(self, agents: Iterable[int]) -> dict[int, Trend]:
        """Of whom there is enough to tell."""
        found = {}
        for agent in agents:
            sql = "SELECT hour, started, low, high FROM vitals WHERE agent = ? ORDER BY hour DESC LIMIT ?"
            rows = await self._store.db.rows(sql, (agent, KEPT_HOURS))
            if (told := trend(Hour(*row) for row in rows)) is not None:
                found[agent] = told
        return found

    async def save(self) -> None:
        """Raises MawError where the disk takes nothing: what was taken is kept for the next time."""
        if not self._unsaved:
            return
        taken = dict(self._unsaved)
        rows = [(agent, hour, one.started, one.low, one.high) for (agent, hour), one in taken.items()]
        newest = max(hour for _, hour in taken)
        begun, self._newest = newest > self._newest, newest

        async def write(conn: aiosqlite.Connection) -> None:
            await conn.executemany(_SAVE, rows)
            if begun:
                await conn.execute("DELETE FROM vitals WHERE hour < ?", (newest - KEPT_HOURS,))

        await self._store.writer.submit(write)
        self._unsaved = {key: one for key, one in self._unsaved.items() if taken.get(key) is not one}
