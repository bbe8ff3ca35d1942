"""What the daemon itself sees of what agents do, once a minute: messages and their bytes, wakes, pulses.

Messages and wakes are read off their own tables, up to a cursor that is written with what it brought: saying something
costs nothing more for being counted. A wake that was given back within two minutes did not happen.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final

import aiosqlite

from maw.core.spending import DAY_MS, MAX_COUNT, NOTHING, Counts
from maw.errors import MawError
from maw.node.authoring import wall_clock_ms
from maw.node.costs import Costs, account_of
from maw.node.store import Store
from maw.store.state import AgentRow
from maw.store.trust import get_meta, set_meta
from maw.store.wakes import HOLD, RELEASE

EVERY_S: Final = 60.0
PAGE: Final = 20_000
SETTLED_MS: Final = 120_000
NOW_MS: Final = 600_000
"""What was said longer before it came here than this is our own log coming back: it was counted when it was said."""
_SAID: Final = "cost_said"
_WOKEN: Final = "cost_woken"
_MESSAGES: Final = f"""SELECT m.agent, min(m.said / {DAY_MS}, ?), COUNT(*), SUM(length(e.payload))
    FROM messages m JOIN entries e ON e.place = m.place
    WHERE m.seq > ? AND m.seq <= ? AND m.agent IN (SELECT agent FROM local_agents)
    AND abs(m.received - m.said) < {NOW_MS} GROUP BY 1, 2"""  # noqa: S608 - numbers
_WAKES: Final = f"""SELECT agent, min(at / {DAY_MS}, ?), COUNT(*) FROM wakes
    WHERE at > ? AND at <= ? AND via NOT IN ('{HOLD}', '{RELEASE}') GROUP BY 1, 2"""  # noqa: S608 - fixed words

Found = dict[tuple[int, bytes], Counts]
"""By day and account."""


class Tallies:
    """``newest``: the newest seq that is visible."""

    def __init__(
        self,
        store: Store,
        costs: Costs,
        newest: Callable[[], int],
        now_ms: Callable[[], int] = wall_clock_ms,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._costs = costs
        self._newest = newest
        self._now = now_ms
        self._monotonic = monotonic
        self._alone = asyncio.Lock()
        self._next = 0.0
        self._said: int | None = None
        self._woken = 0
        """Cursors: the last message's seq, and ms since 1970."""
        self._pulses: dict[tuple[int, bytes], int] = defaultdict(int)

    def pulsed(self, agent: AgentRow) -> None:
        self._pulses[self._costs.day, account_of(agent)] += 1

    async def keep(self) -> None:
        """Raises MawError where the disk takes nothing: the same is counted the next time."""
        if self._monotonic() < self._next:
            return
        async with self._alone:
            while await self._count():
                pass
        self._next = self._monotonic() + EVERY_S

    async def _count(self) -> bool:
        """One page; True when there may be more."""
        if self._said is None:
            await self._load()
        assert self._said is not None
        newest, day = self._newest(), self._costs.day
        said, woken = min(newest, self._said + PAGE), max(self._woken, self._now() - SETTLED_MS)
        found: Found = defaultdict(lambda: NOTHING)
        for agent, at, count, size in await self._store.db.rows(_MESSAGES, (day, self._said, said)):
            if (account := self._account(agent)) is not None:
                found[at, account] = found[at, account].plus(
                    Counts(messages=count, bytes=min(size or 0, MAX_COUNT))
                )
        for agent, at, count in await self._store.db.rows(_WAKES, (day, self._woken, woken)):
            if (account := self._account(agent)) is not None:
                found[at, account] = found[at, account].plus(Counts(wakes=count))
        pulses, self._pulses = self._pulses, defaultdict(int)
        for key, count in pulses.items():
            found[key] = found[key].plus(Counts(pulses=count))
        if said == self._said and not found:
            self._woken = woken
            return False

        async def write(conn: aiosqlite.Connection) -> None:
            await self._costs.add(conn, found)
            await set_meta(conn, _SAID, said)
            await set_meta(conn, _WOKEN, woken)

        def apply(_: None) -> None:
            self._said, self._woken = said, woken
            self._costs.added(found)

        try:
            await self._store.writer.submit(write, apply)
        except MawError:
            for key, count in pulses.items():
                self._pulses[key] += count
            raise
        return said < newest

    async def _load(self) -> None:
        """What was said and woken before this was kept is not counted."""
        async with self._store.db.reading() as conn:
            said, woken = [await get_meta(conn, key) for key in (_SAID, _WOKEN)]
        self._said = said if type(said) is int else self._newest()
        self._woken = woken if type(woken) is int else self._now() - SETTLED_MS

    def _account(self, n: int) -> bytes | None:
        agent = self._store.state.agent_at.get(n)
        return None if agent is None else account_of(agent)
