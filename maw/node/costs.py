"""What each agent of this host costs, by day of UTC: runs as they are told, and what the daemon itself sees.

Runs are on the disk before they are answered. Messages and wakes are read off their own tables once a minute, up to a
cursor that is written together with what it brought: after a crash they are counted on, neither lost nor twice. Only
pulses without a run are in memory, and those of the last minute are lost with it: they cost nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import aiosqlite

from maw.core.identity import NodeId
from maw.core.ledger import Account
from maw.core.spending import NOTHING, Counts, Run, day_of, total
from maw.node.authoring import wall_clock_ms
from maw.node.store import Store
from maw.store import costs as rows
from maw.store.spoiled import whole
from maw.store.state import AgentRow
from maw.store.trust import get_meta, set_meta

_DAY: Final = "cost_day"
HOUR_MS: Final = 3_600_000


class DayRead(NamedTuple):
    """What was counted of everybody on a day."""

    day: int
    counts: rows.OfDay


class Costs:
    """``day`` is the day of account: that of the clock, and never before one that something was counted in.
    ``believes``: whether what a node says counts, by whatever key it said it."""

    def __init__(
        self, store: Store, believes: Callable[[NodeId], bool], now_ms: Callable[[], int] = wall_clock_ms
    ) -> None:
        self._store = store
        self._believes = believes
        self._now = now_ms
        self.life = secrets.randbits(53)
        """Of the database, as long as this daemon runs: see maw/core/spending.py."""
        self._reached = 0
        """The last day in which something was counted."""
        self._counted_on = -1
        self._today: dict[bytes, Counts] = {}
        """Of this host's agents, on that day."""
        self._of_host = self._elsewhere = NOTHING
        """The same of all of them, and of all other hosts'."""
        self.counted: Callable[[], None] = lambda: None
        """Called when there is more than there was."""

    async def load(self) -> list[str]:
        """Returns what is left out, for it is damaged."""
        damaged = []
        reached = await get_meta(self._store.db.writing, _DAY)
        try:
            whole(0 if reached is None else reached)
            self._reached = reached or 0
        except ValueError:
            damaged.append("the last day of which costs were counted")
        self.took_day(await self.read_day(self._store.db.writing))
        return damaged

    async def read_day(self, conn: aiosqlite.Connection) -> DayRead:
        """Of the day of account, as it is on the disk. To be read by the writer, so that nothing comes between it and
        ``took_day``."""
        return DayRead(day := self.day, await rows.of_day(conn, day, self._ours()))

    def took_day(self, read: DayRead) -> None:
        found: dict[bytes, Counts] = {}
        for (_, agent), counts in read.counts.ours.items():
            found[agent] = found.get(agent, NOTHING).plus(counts)
        self._today, self._counted_on = found, read.day
        self._of_host = total(found.values())
        keys = self._store.state.node_at
        self._elsewhere = total(
            counts
            for node, counts in read.counts.others.items()
            if node in keys and self._believes(keys[node].key)
        )

    def _ours(self) -> set[int]:
        """This node, by its key of today and those before: the day goes on when a key is rotated."""
        state = self._store.state
        return {state.nodes[key].n for key in (self._store.me, *state.former_me) if key in state.nodes}

    @property
    def of_host(self) -> Counts:
        return self._of_host if self._counted_on == self.day else NOTHING

    @property
    def elsewhere(self) -> Counts:
        """Of other hosts' agents today, as far as those have said it here."""
        return self._elsewhere if self._counted_on == self.day else NOTHING

    async def add(self, conn: aiosqlite.Connection, found: Mapping[tuple[int, bytes], Counts]) -> None:
        """What was seen, by day and account; ``added`` when it is on the disk."""
        if not found:
            return
        await self._begin_day(conn)
        node = self._store.state.nodes[self._store.me].n
        accounts = [Account(day, agent, self.life, "", counts) for (day, agent), counts in found.items()]
        await rows.count(conn, node, accounts)

    def added(self, found: Mapping[tuple[int, bytes], Counts]) -> None:
        for (day, agent), counts in found.items():
            self._note(day, agent, counts)
        if found:
            self.counted()

    async def forget(self, keep_days: int) -> None:
        """To be called once an hour. Raises MawError."""
        oldest, now = self.day - keep_days, self._now()
        await self._store.writer.submit(lambda conn: rows.forget(conn, oldest, now))

    @property
    def day(self) -> int:
        return max(day_of(self._now()), self._reached)

    @property
    def is_ahead(self) -> bool:
        """The clock says a day before the day of account, and not for the seconds by which clocks are put right."""
        return day_of(self._now() + HOUR_MS) < self._reached

    async def follow_clock(self) -> None:
        """The day of account is the clock's, though that goes back: a human says that it was ahead."""
        day = day_of(self._now())

        def apply(_: None) -> None:
            self._reached, self._counted_on = day, -1

        await self._store.writer.submit(lambda conn: set_meta(conn, _DAY, day), apply)

    def today(self, agent: AgentRow) -> Counts:
        return self._today.get(account_of(agent), NOTHING) if self._counted_on == self.day else NOTHING

    async def take(self, agent: AgentRow, run: Run) -> bool:
        """A run of the agent's ended. Durable when it returns; False when it was told before. Raises Unavailable."""
        who = account_of(agent)

        async def write(conn: aiosqlite.Connection) -> tuple[bool, int]:
            day = await self._begin_day(conn)
            return await rows.take_run(conn, agent.node, who, run, self.life, day, self._now()), day

        def apply(done: tuple[bool, int]) -> None:
            if done[0]:
                self._note(done[1], who, run.counts)
                self.counted()

        counted, _ = await self._store.writer.submit(write, apply)
        return counted

    async def _begin_day(self, conn: aiosqlite.Connection) -> int:
        """The day of account, noted where it is a new one."""
        if (day := self.day) > self._reached:
            await set_meta(conn, _DAY, day)
        return day

    def _note(self, day: int, agent: bytes, counts: Counts) -> None:
        """On the disk."""
        self._reached = max(self._reached, day)
        if day > self._counted_on:
            self._today, self._counted_on = {}, day
            self._of_host = self._elsewhere = NOTHING
        if day == self._counted_on:
            self._today[agent] = self._today.get(agent, NOTHING).plus(counts)
            self._of_host = self._of_host.plus(counts)


def account_of(agent: AgentRow) -> bytes:
    """Whose account it is on: a role's costs are its bearer's."""
    return agent.profile.of or agent.id
