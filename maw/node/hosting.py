"""The machine under the agents: what it has left, what its giver allows, who takes how much. A human is told, once,
when a line is crossed.

The keeper of each Unix user measures and reports; the kernel is asked here. What is to stop is decided here too, and
carried out by the keeper.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import aiosqlite

from maw.config import Config
from maw.core.effects import Alert
from maw.core.hosting import Allowance, Running, refusals
from maw.core.transcript import plain_words
from maw.core.vitals import Trend, days_left, more_fit
from maw.node.alerts import Alerts
from maw.node.authoring import wall_clock_ms
from maw.node.disk import DiskGuard
from maw.node.host_facts import HostFacts, read_facts
from maw.node.presenting import Json, iso
from maw.node.store import Store
from maw.node.vitals import Vitals
from maw.store import trust as rows
from maw.store.spoiled import SPOILED, json_of
from maw.store.state import AgentRow

PAUSED: Final = "host_paused"
STOPPED: Final = "host_stopped"
LOST: Final = "which agents were stopped here cannot be read any more"
EVERY_S: Final = 10.0
STALE_MS: Final = 300_000
"""A measurement older than this says nothing of now."""
BUSY: Final = 4.0
"""Processes waiting for each core, from which on the machine is told to be too busy; for so long:"""
BUSY_S: Final = 600.0
DISK_TIMES: Final = 4
"""How many times what the node keeps in reserve is told to be little."""
OTHERS_LOOKED_AT: Final = 5
"""Session logs of a Unix user that are no agent's: so many of them are told of."""
EASE: Final = 1.1
"""What was told is over when it is better by a tenth: nothing flaps."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What an agent's processes take: bytes, how many they are, since when (ms) the first runs, when it was seen."""

    memory: int
    processes: int
    started: int
    at: int


@dataclass(slots=True)
class Report:
    """What one Unix user's keeper measured beside its agents. ``logs``: session logs; ``folders``: the largest."""

    at: int = 0
    logs: Sequence[Json] = ()
    folders: Sequence[Json] = ()


@dataclass(slots=True)
class Lines:
    """Which lines are crossed, as far as was told. What an earlier run told may be over: that is settled at the first
    look."""

    alerts: Alerts
    crossed: dict[tuple[str, str], bool] = field(default_factory=dict)

    def look(self, kind: str, subject: str, text: str | None, *, over: bool) -> None:
        """``text``: what to tell, None where the line is not crossed; ``over``: that it is well behind us again."""
        about = (kind, subject)
        before = self.crossed.get(about)
        if text is not None and not before:
            self.crossed[about] = True
            self.alerts.raise_alert(Alert(kind, subject, text))
        elif over and before is not False:
            self.crossed[about] = False
            self.alerts.settle(kind, subject)


class Hosting:
    """``wanted``: the agents of this host that are to run; ``look`` is called each second."""

    def __init__(
        self,
        config: Config,
        store: Store,
        alerts: Alerts,
        disk: DiskGuard,
        wanted: Callable[[], Iterable[AgentRow]] = tuple,
        facts: Callable[[], HostFacts] = read_facts,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = config.name
        self._given = config.host
        self._little_disk = (config.limits.min_free_disk_mib << 20) * DISK_TIMES
        self._store = store
        self._lines = Lines(alerts)
        self._disk = disk
        self._wanted = wanted
        self._read = facts
        self._monotonic = monotonic
        self._next = 0.0
        self._busy_since: float | None = None
        self.vitals = Vitals(store)
        self.facts = facts()
        self.paused: str | None = None
        self.stopped: dict[str, str] = {}
        self._taken: dict[int, Taken] = {}
        self._reports: dict[int, Report] = {}
        self._trends: dict[int, Trend] = {}

    async def load(self) -> list[str]:
        """What outlasts a restart. Returns what is left out, for it is damaged."""
        async with self._store.db.reading() as conn:
            paused = await rows.get_meta_bytes(conn, PAUSED)
            stopped = await rows.get_meta_bytes(conn, STOPPED)
        # that it is paused is known, whatever is left of the reason
        self.paused = paused.decode(errors="replace") or None
        try:
            self.stopped = {str(name): str(why) for name, why in json_of(stopped or b"{}").items()}
        except SPOILED:
            # who was stopped must not run because a bit fell: nobody does, until a human has looked
            self.paused = self.paused or LOST
            return ["which agents whoever gives this host has stopped"]
        return []

    # -- what the giver says --------------------------------------------------------------------------

    async def pause(self, why: str | None) -> None:
        """No agent runs here from now on, for this reason; None: they may again. Durable on return."""
        stopped = json.dumps(self.stopped)  # once more: it may be what could not be read

        async def write(conn: aiosqlite.Connection) -> None:
            await rows.set_meta(conn, PAUSED, why or "")
            await rows.set_meta(conn, STOPPED, stopped)

        await self._store.writer.submit(write)
        self.paused = why

    async def stop(self, name: str, why: str | None) -> None:
        """This agent does not run here from now on, for this reason; None: it may again. Durable on return."""
        stopped = {key: told for key, told in self.stopped.items() if key != name}
        if why is not None:
            stopped[name] = why
        kept = json.dumps(stopped)
        await self._store.writer.submit(lambda conn: rows.set_meta(conn, STOPPED, kept))
        self.stopped = stopped

    def refused(self) -> Mapping[str, str]:
        """Which of the agents that are to run may not, by name, and why."""
        given = self._given
        memory = None if given.memory_mib is None else given.memory_mib << 20
        allowance = Allowance(given.agents, memory, given.hours, self.paused, self.stopped)
        now = time.localtime()
        running = [self._running(row) for row in self._wanted()]
        return refusals(allowance, running, now.tm_hour * 60 + now.tm_min)

    def _running(self, row: AgentRow) -> Running:
        taken = self._taken.get(row.n)
        if taken is None:
            return Running(row.name, None, 0)
        fresh = self._is_fresh(taken)
        return Running(row.name, taken.started if fresh else None, taken.memory)

    # -- what is measured -----------------------------------------------------------------------------

    def measured(
        self,
        uid: int,
        agents: Iterable[tuple[AgentRow, int, int, int]],
        logs: Sequence[Json] | None,
        folders: Sequence[Json] | None,
    ) -> None:
        """A keeper's look at its user's agents: (agent, memory, processes, started ms). ``logs``, ``folders``: None
        where it did not look this time."""
        now = wall_clock_ms()
        for row, memory, processes, started in agents:
            self._taken[row.n] = Taken(memory, processes, started, now)
            self.vitals.take(row.n, started, memory, now)
        report = self._reports.setdefault(uid, Report())
        report.at = now
        if logs is not None:
            report.logs = logs
            self._look_at_logs(uid, logs)
        if folders is not None:
            report.folders = folders

    def taken(self, row: AgentRow) -> Taken | None:
        """What this agent takes, where that was measured lately."""
        taken = self._taken.get(row.n)
        return taken if taken is not None and self._is_fresh(taken) else None

    def _is_fresh(self, taken: Taken) -> bool:
        return wall_clock_ms() - taken.at < STALE_MS

    async def keep(self) -> None:
        """Written once a minute; who leaks is told."""
        await self.vitals.save()
        local = {row.n: row for row in self._store.state.local.values()}
        self._trends = await self.vitals.trends(n for n in local if n in self._taken)
        for n, trend in self._trends.items():
            name = local[n].name
            text = (
                f"{name} takes {trend.per_day >> 20} MiB more each day, over the last {trend.hours} h: it leaks."
                f" `maw agent respawn {name}` begins it anew with its conversation"
            )
            self._lines.look("leak", name, text if trend.leaking else None, over=not trend.leaking)

    # -- lines ----------------------------------------------------------------------------------------

    def look(self) -> None:
        now = self._monotonic()
        if now < self._next:
            return
        self._next = now + EVERY_S
        self.facts = facts = self._read()
        self._look_at_memory(facts)
        self._look_at_load(facts, now)
        self._look_at_disk()

    def _look_at_memory(self, facts: HostFacts) -> None:
        if facts.available is None:
            return
        reserve, left = self._given.reserve_mib << 20, facts.available >> 20
        text = f"{left} MiB of memory are left on {self._name}, below the {reserve >> 20} kept in reserve"
        if largest := self._largest():
            text += f"; most take {', '.join(largest)}"
        short = facts.available < reserve
        self._lines.look(
            "host_memory", self._name, text if short else None, over=facts.available > reserve * EASE
        )

    def _largest(self) -> list[str]:
        found = sorted(
            (
                (taken.memory, row.name)
                for row in self._store.state.local.values()
                if (taken := self.taken(row))
            ),
            reverse=True,
        )
        return [f"{name} {memory >> 20} MiB" for memory, name in found[:3]]

    def _look_at_load(self, facts: HostFacts, now: float) -> None:
        busy = facts.load > BUSY * facts.cpus
        self._busy_since = (self._busy_since or now) if busy else None
        text = (
            f"{self._name} is too busy: {facts.load:.0f} processes for {facts.cpus} cores, for ten minutes"
            if self._busy_since is not None and now - self._busy_since >= BUSY_S
            else None
        )
        self._lines.look("host_load", self._name, text, over=facts.load * EASE < BUSY * facts.cpus)

    def _look_at_disk(self) -> None:
        free = self._disk.free
        text = (
            f"{free >> 20} MiB of disk are left for {self._name}; `maw host` names the largest folders"
            if free < self._little_disk
            else None
        )
        self._lines.look("disk_low", self._name, text, over=free > self._little_disk * EASE)

    def _look_at_logs(self, uid: int, logs: Sequence[Json]) -> None:
        """Those of agents by name, the largest of others by their folder: a Unix user tells of his own only."""
        line = self._given.session_log_mib << 20
        named = [log for log in logs if log.get("agent")]
        others = _largest_first(log for log in logs if not log.get("agent"))[:OTHERS_LOOKED_AT]
        for log in (*named, *others):
            folder = plain_words(str(log["path"]).rstrip("/").rpartition("/")[2], 60)
            subject = str(log.get("agent") or f"{folder} of uid {uid}")
            size, most = int(log["bytes"]), int(log["largest_bytes"])
            text = (
                f"a session log of {subject} is {most >> 20} MiB ({size >> 20} in all): to resume it takes longer"
                " and longer. Let it begin a new conversation"
                if most >= line
                else None
            )
            self._lines.look("session_log", subject, text, over=most * EASE < line)

    # -- told -----------------------------------------------------------------------------------------

    def brief(self, may_see: Callable[[AgentRow], bool]) -> Json:
        """For status and metrics."""
        seen = {row.name: taken for row in self._store.state.local.values() if (taken := self.taken(row))}
        mine = {row.name for row in self._store.state.local.values() if may_see(row)}
        facts = self.facts
        return {
            "load": round(facts.load, 2),
            "cpus": facts.cpus,
            "memory_bytes": facts.memory,
            "memory_available_bytes": facts.available,
            "swap_used_bytes": facts.swap_used,
            "agents_memory_bytes": {name: seen[name].memory for name in sorted(seen.keys() & mine)},
            "more_fit": self._more_fit([taken.memory for taken in seen.values()]),
            "days_left": self._days_left(),
            "paused": self.paused,
            "refused": {name: why for name, why in self.refused().items() if name in mine},
        }

    def _more_fit(self, taken: Sequence[int]) -> int | None:
        available = self.facts.available
        return None if available is None else more_fit(available, self._given.reserve_mib << 20, taken)

    def _days_left(self) -> float | None:
        if self.facts.available is None:
            return None
        left = days_left(self.facts.available, (trend.per_day for trend in self._trends.values()))
        return None if left is None else round(left, 1)

    def json(self, may_see: Callable[[AgentRow], bool], uid: int | None, *, everything: bool) -> Json:
        """All that is known, for whoever may see it: folders and logs of a Unix user are his own affair."""
        given = self._given
        shown = [
            report
            for owner, report in self._reports.items()
            if everything or (uid is not None and owner == uid)
        ]
        measured = [row for row in self._store.state.local.values() if may_see(row) and row.n in self._taken]
        return {
            "name": self._name,
            **self.brief(may_see),
            "disk_free_bytes": self._disk.free,
            "limits": {
                "agents": given.agents,
                "memory_mib": given.memory_mib,
                "hours": None if given.hours is None else str(given.hours),
                "reserve_mib": given.reserve_mib,
                "session_log_mib": given.session_log_mib,
            },
            "agents": [self._agent(row) for row in measured],
            "session_logs": _largest_first(log for report in shown for log in report.logs),
            "folders": _largest_first(folder for report in shown for folder in report.folders),
            "measured_at": iso(max((report.at for report in shown), default=None) or None),
        }

    def _agent(self, row: AgentRow) -> Json:
        taken, trend = self._taken[row.n], self._trends.get(row.n)
        return {
            "agent": row.name,
            "memory_bytes": taken.memory,
            "processes": taken.processes,
            "since": iso(taken.started),
            "measured_at": iso(taken.at),
            "per_day_bytes": None if trend is None else trend.per_day,
            "leaking": trend is not None and trend.leaking,
        }


def _largest_first(found: Iterable[Json]) -> list[Json]:
    return sorted(found, key=lambda one: -int(one["bytes"]))
