"""How often each agent speaks, hour by hour, kept for a week; a human is told when one floods or falls silent, or when
all of it grows. Every minute what became visible since is counted.

Of an agent its own host tells. What grows, and a flood from elsewhere, each host tells its owner.

The counts are in the database. Memory holds what this hour brought and the sums of all hours; an agent's own counts are
read when something of them changed that could be told: it spoke, or an hour went by.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

import aiosqlite

from maw.core.effects import Alert
from maw.core.rhythm import FLOOD_AT, KEPT_HOURS, Counts, flood, growth, silent_for, usual
from maw.node.authoring import wall_clock_ms
from maw.node.store import Store
from maw.store import trust as rows
from maw.store.state import AgentRow

EVERY_S: Final = 60.0
HOUR_MS: Final = 3_600_000
PAGE: Final = 20_000
QUIET: Final = "quiet"
SURGE: Final = "surge"
FAR_SURGE: Final = "far_surge"
GROWTH: Final = "growth"
_CURSOR: Final = "rhythm"
_SUMS: Final = "SELECT hour, SUM(messages) FROM rhythm GROUP BY hour"
_IN_HOUR: Final = "SELECT agent, messages FROM rhythm WHERE hour = ?"
_OF_AGENT: Final = "SELECT hour, messages FROM rhythm WHERE agent = ?"
_NEW: Final = "SELECT seq, agent, said / 3600000 FROM messages WHERE seq > ? ORDER BY seq LIMIT ?"
_TOLD: Final = "SELECT kind, subject FROM alerts WHERE kind IN (?, ?, ?, ?)"
"""By an earlier run: what is over by now is to be settled."""
_ADD: Final = """INSERT INTO rhythm VALUES (?, ?, ?)
ON CONFLICT (agent, hour) DO UPDATE SET messages = messages + excluded.messages"""


class _Found(NamedTuple):
    """``alerts`` of the agent that was called ``name``, by kind and subject."""

    name: str
    alerts: dict[tuple[str, str], str]


class Rhythm:
    """``keep`` is called each second; it looks when it is time. ``newest``: the newest seq that is visible."""

    def __init__(
        self,
        store: Store,
        newest: Callable[[], int],
        address: Callable[[AgentRow], str],
        alert: Callable[[Alert], None],
        settle: Callable[[str, str], None],
        wall_ms: Callable[[], int] = wall_clock_ms,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._newest = newest
        self._address = address
        self._alert = alert
        self._settle = settle
        self._wall_ms = wall_ms
        self._monotonic = monotonic
        self._next = 0.0
        self._cursor: int | None = None
        self._hour = -1
        """That ``_said`` is of: agent -> messages."""
        self._said: dict[int, int] = {}
        self._sums: dict[int, int] = {}
        self._of_agent: dict[int, _Found] = {}
        self._told: set[tuple[str, str]] = set()

    async def keep(self) -> None:
        """Raises MawError where the disk takes nothing: the same is counted the next time."""
        now = self._monotonic()
        if now < self._next:
            return
        if self._cursor is None:
            await self._load()
        while await self._count():
            pass
        self._next = now + EVERY_S
        await self._tell()

    async def _load(self) -> None:
        self._sums = dict(await self._store.db.rows(_SUMS))
        told = await self._store.db.rows(_TOLD, (QUIET, SURGE, FAR_SURGE, GROWTH))
        self._told = {(kind, subject) for kind, subject in told}
        async with self._store.db.reading() as conn:
            found = await rows.get_meta_bytes(conn, _CURSOR)
        # what was said before this was kept is not counted: it says when it came, not how often one speaks
        self._cursor = int(found) if found and found.isdigit() else self._newest()

    async def _count(self) -> bool:
        """One page; True when there may be more."""
        assert self._cursor is not None
        page = await self._store.db.rows(_NEW, (self._cursor, PAGE))
        hour = self._wall_ms() // HOUR_MS
        if hour != self._hour:
            self._said = dict(await self._store.db.rows(_IN_HOUR, (hour,)))
            self._of_agent.clear()
            self._hour = hour
        oldest = hour - KEPT_HOURS
        new = Counter((agent, min(at, hour)) for _, agent, at in page if at > oldest)
        old = [at for at in self._sums if at <= oldest]
        cursor = page[-1][0] if page else self._cursor
        if cursor == self._cursor and not old:
            return False

        async def write(conn: aiosqlite.Connection) -> None:
            await conn.executemany(_ADD, [(*about, count) for about, count in new.items()])
            if old:
                await conn.execute("DELETE FROM rhythm WHERE hour <= ?", (oldest,))
            await rows.set_meta(conn, _CURSOR, str(cursor).encode())

        await self._store.writer.submit(write)
        self._cursor = cursor
        for (agent, at), count in new.items():
            self._sums[at] = self._sums.get(at, 0) + count
            if at == hour:
                self._said[agent] = self._said.get(agent, 0) + count
            self._of_agent.pop(agent, None)
        for at in old:
            del self._sums[at]
        return len(page) == PAGE

    # -- telling -------------------------------------------------------------------------------------

    async def _tell(self) -> None:
        found: dict[tuple[str, str], str] = {}
        for n, row in list(self._store.state.agent_at.items()):
            if not row.gone and not row.away and (row.uid is not None or self._said.get(n, 0) >= FLOOD_AT):
                found |= await self._of_now(n, row)
        if (grown := growth(self._sums, self._hour)) is not None:
            found[GROWTH, "messages"] = self._growth_text(grown)
        for about, text in found.items():
            if about not in self._told:
                self._alert(Alert(*about, text))
        for about in self._told - found.keys():
            self._settle(*about)
        self._told = set(found)

    async def _of_now(self, n: int, row: AgentRow) -> dict[tuple[str, str], str]:
        """What there is to tell of this agent; read only where that may have changed."""
        name = self._address(row)
        last = self._of_agent.get(n)
        if last is None or last.name != name:
            counts: dict[int, int] = dict(await self._store.db.rows(_OF_AGENT, (n,)))
            last = self._of_agent[n] = _Found(name, self._of(row, name, counts))
        return last.alerts

    def _of(self, row: AgentRow, name: str, counts: Counts) -> dict[tuple[str, str], str]:
        hour = self._hour
        if (said := flood(counts, hour)) is not None:
            mine = row.uid is not None
            do = f"maw agent stop {row.name}, or " if mine else ""
            text = (
                f"{name} said {said} messages within this hour; it usually says {usual(counts, hour)}."
                f" If it runs away: {do}an operator's maw freeze @{name}"
            )
            return {(SURGE if mine else FAR_SURGE, name): text}
        if row.uid is not None and (silent := silent_for(counts, hour)) is not None:
            text = (
                f"{name} has said nothing for {silent} hours, which is unlike it. If it should:"
                f" maw agent show {row.name}, maw agent peek {row.name}"
            )
            return {(QUIET, name): text}
        return {}

    def _growth_text(self, grown: int) -> str:
        loudest = sorted(self._said.items(), key=lambda item: -item[1])[:3]
        names = [
            f"{self._address(row)} ({count})"
            for n, count in loudest
            if (row := self._store.state.agent_at.get(n)) is not None
        ]
        return (
            f"{grown} messages within this hour, usually {usual(self._sums, self._hour)}; most by {', '.join(names)}."
            " `maw tail` shows what is said; an operator's maw freeze ends it"
        )
