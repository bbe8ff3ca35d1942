"""Waking agents: whether one may be woken now, what that costs, who is not to be disturbed, and what is told of it.

The rules are ``maw/core/budget.py``'s and ``maw/core/dnd.py``'s. Every wake is on the disk before it happens, so that a
daemon that is started again and again wakes nobody more often.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, NamedTuple

import aiosqlite

from maw.config import WakesConfig
from maw.core.budget import HOUR_S, OPERATOR, Budget, Cause, Due, Held, Wake
from maw.core.claims import Pending, Waiter
from maw.core.digest import Waited
from maw.core.dnd import parse_quiet, quiet_text, seconds_left
from maw.core.effects import Alert
from maw.core.hours import Hours
from maw.errors import BadInput, MawError
from maw.node.authoring import wall_clock_ms
from maw.node.presenting import Json, iso
from maw.node.store import Store
from maw.store import wakes as rows
from maw.store.spoiled import SPOILED, text_of
from maw.store.state import AgentRow
from maw.store.wakes import HOLD, RELEASE, WakeRow

ALERT: Final = "wakes"
STREAM: Final = "stream"
ASKED_FOR: Final = ("wait", STREAM)
"""Who waits himself is not disturbed by what comes."""
TALK_TIMES: Final = 5
"""How many times as often an agent may be told something without being woken: in the middle of its work by a hook, or
in `maw wait`. Two that talk there cost turns too."""
LONG_S: Final = 3600.0
SHOWN: Final = 20
NOTE_AGAIN_S: Final = 1800.0
"""While something is held it is written down again: after a restart a hold counts that is younger than an hour."""
HOST: Final = "host"
"""As a rule of quiet: whatever the host has."""


@dataclass(slots=True)
class Counts:
    """Of one agent, since the daemon started."""

    wakes: int = 0
    digests: int = 0
    digest_bytes: int = 0


class Quiet(NamedTuple):
    """It is quiet now: by which hours, and for how many seconds yet (None: until somebody ends it)."""

    hours: Hours
    left: float | None

    @property
    def words(self) -> str:
        return "dnd" if self.left is None else f"dnd {quiet_text(self.hours)}"


@dataclass(slots=True)
class _Agent:
    """``budget`` rations its wakes; ``talk`` what it is told without being woken, as it works or because it waits
    itself. ``own``: its rule of quiet, None where the host's counts. ``told``: an alert stands."""

    budget: Budget
    talk: Budget
    own: str | None = None
    told: bool = False
    counts: Counts = field(default_factory=Counts)
    noted: float = 0.0
    """When it was last written down that something is held."""


class Wakes:
    """``address`` names an agent. ``alert`` and ``settle`` tell a human. ``now`` is seconds since 1970.

    Whoever has several roles is woken as one: what is meant for a role is on its bearer's account.
    """

    def __init__(
        self,
        store: Store,
        config: WakesConfig,
        address: Callable[[AgentRow], str],
        alert: Callable[[Alert], None],
        settle: Callable[[str, str], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self.config = config
        self._address = address
        self._alert = alert
        self._settle = settle
        self._now = now
        self.frozen: Callable[[AgentRow], str | None] = lambda agent: None
        """What an operator has frozen hears nobody else until it is thawed: it could not answer."""
        self._agents: dict[int, _Agent] = {}
        self._kept: dict[int, dict[int, str]] = {}
        """By agent: why messages of its mailbox were held, by seq, as far as their authors are to be told of it."""
        self._unsaved: list[WakeRow] = []
        self._struck: list[WakeRow] = []
        """On the disk, and given back since."""

    async def load(self) -> list[str]:
        """What was free, slowed and held when the daemon ended. Returns what is left out, for it is damaged."""
        conn = self._store.db.writing
        damaged = []
        for n, written in (await rows.quiet(conn)).items():
            try:
                self._at(n).own = quiet_text(parse_quiet(text_of(written)))
            except (*SPOILED, BadInput):
                damaged.append(f"when agent {n} is not to be disturbed")
        noted, spoiled = await rows.since(conn, int((self._now() - 2 * HOUR_S) * 1000))
        if spoiled:
            damaged.append(f"{spoiled} of the wakes of the last hours")
        for row in noted:
            one, at = self._at(row.agent), row.at / 1000
            if row.via == RELEASE:
                one.budget.release()
                one.told = False
            elif row.via == HOLD:
                one.budget.hold(at, str(row.causes[0][0]))
                one.told = True
            else:
                causes = [Cause(str(sender), str(kind), bool(group)) for sender, kind, group in row.causes]
                one.budget.spend(at, causes)
        for agent in self._store.state.local.values():
            if not self._at(agent.n).told:  # an earlier run's may be over
                self._settle(ALERT, self._address(agent))
        return damaged

    def _bearer(self, agent: AgentRow) -> AgentRow:
        """Who is woken for it: itself, or the agent whose role it is."""
        of = agent.profile.of
        return agent if of is None else self._store.state.agents.get((agent.node, of), agent)

    def _at(self, n: int) -> _Agent:
        """Its account, or its bearer's. An agent of whom only its wakes are left has its own."""
        if (agent := self._store.state.agent_at.get(n)) is not None:
            n = self._bearer(agent).n
        if (one := self._agents.get(n)) is None:
            limits = self.config.limits
            talk = Budget(limits.times(TALK_TIMES), gathers=False, pace=1.0, verb="interrupted")
            one = self._agents[n] = _Agent(Budget(limits), talk)
        return one

    # -- asked by who offers ------------------------------------------------------------------------

    def allowed(self, agent: AgentRow, me: Waiter, items: Sequence[Pending]) -> list[Pending]:
        """Those of ``items`` that may be put in front of the agent now by this way; none while a wake must wait."""
        now = self._now()
        given = self._heard_now(agent, me, items, now)
        if not given or me.via == STREAM:
            return given
        if not me.wake:
            return self._talk(agent, given, now)[0]
        due = self._due(agent, given, now)
        return given if due.at is not None and due.at <= now else []

    def pause(self, agent: AgentRow, me: Waiter, items: Sequence[Pending]) -> float:
        """Seconds until ``me`` may have one of these, if nothing else happens."""
        now = self._now()
        quiet = self.quiet(agent)
        left = LONG_S if quiet is None or quiet.left is None else quiet.left
        given = self._heard_now(agent, me, items, now)
        if not given or me.via == STREAM:
            return left
        due = self._due(agent, given, now) if me.wake else self._talk(agent, given, now)[1]
        return min(left, LONG_S if due.at is None else max(0.0, due.at - now))

    def quiet(self, agent: AgentRow) -> Quiet | None:
        """Whether the agent is not to be disturbed now."""
        own = self._at(agent.n).own
        hours = self.config.dnd if own is None else parse_quiet(own)
        if hours is None:
            return None
        now = self._now()
        local = time.localtime(now)
        minute = local.tm_hour * 60 + local.tm_min
        if minute not in hours:
            return None
        return Quiet(hours, seconds_left(hours, minute + (local.tm_sec + now % 1) / 60))

    def _quiet_words(self, agent: AgentRow) -> str | None:
        quiet = self.quiet(agent)
        return None if quiet is None else quiet.words

    def _why_quiet(self, agent: AgentRow) -> str | None:
        return self.frozen(agent) or self.frozen(self._bearer(agent)) or self._quiet_words(agent)

    def _heard_now(self, agent: AgentRow, me: Waiter, items: Sequence[Pending], now: float) -> list[Pending]:
        """Without what must wait for the end of the agent's quiet, or of a freeze: an operator's word never does."""
        if me.via in ASKED_FOR or (why := self._why_quiet(agent)) is None:
            return list(items)
        for item in items:
            if item.cause.kind != OPERATOR:
                item.held, item.waited_for = True, why
                self._keep(agent, item, why)
        return [item for item in items if item.cause.kind == OPERATOR]

    def _due(self, agent: AgentRow, items: Sequence[Pending], now: float) -> Due:
        one = self._at(agent.n)
        waking = [item for item in items if item.wakes]
        due = one.budget.due(now, [(item.since, item.cause) for item in waking])
        for at, item in enumerate(waking):
            item.held = at in due.held
            item.waited_for = due.held.get(at) or due.slowed.get(at) or item.waited_for
            if item.held:
                self._keep(agent, item, due.held[at])
        for held in due.fresh:
            self._unsaved.append(WakeRow(agent.n, int(held.since * 1000), HOLD, [[held.what]], 0))
            self._tell(agent, held, one.budget.verb)
        self._over(agent, one, now)
        return due

    def _talk(self, agent: AgentRow, items: Sequence[Pending], now: float) -> tuple[list[Pending], Due]:
        """Those of which it may be told now without being woken, and when the first of the others."""
        one = self._at(agent.n)
        waking = [item for item in items if item.wakes]
        due = one.talk.due(now, [(item.since, item.cause) for item in waking])
        ready = {waking[at].seq for at in due.ready}
        for at, why in (due.held | due.slowed).items():
            waking[at].waited_for = why
        for at, why in due.held.items():
            self._keep(agent, waking[at], why)
        for held in due.fresh:
            self._tell(agent, held, one.talk.verb)
        self._over(agent, one, now)
        return [item for item in items if not item.wakes or item.seq in ready], due

    def _over(self, agent: AgentRow, one: _Agent, now: float) -> None:
        """Settles what was told when nothing is held any more."""
        if one.told and not one.budget.holds(now) and not one.talk.holds(now):
            one.told = False
            self._settle(ALERT, self._address(self._bearer(agent)))

    def _keep(self, agent: AgentRow, item: Pending, why: str) -> None:
        if item.told != why:
            item.told = self._kept.setdefault(agent.n, {})[item.seq] = why

    def _tell(self, agent: AgentRow, held: Held, verb: str) -> None:
        self._at(agent.n).told, self._at(agent.n).noted = True, self._now()
        agent = self._bearer(agent)
        name = self._address(agent)
        what = {"groups": "messages to groups", "all": "messages"}.get(held.what, held.what)
        text = (
            f"{name} was {verb} {held.wakes:g} times within an hour by {what}: what comes from there is held, and stays"
            f" in its inbox. `maw wakes {agent.name}` shows it, `maw wakes release {agent.name}` lets them through"
        )
        self._alert(Alert(ALERT, name, text))

    def may_begin(self, agent: AgentRow, items: Sequence[Pending]) -> tuple[list[Pending], str | None]:
        """Those of ``items`` that may begin a run of the agent now, and why the first of the others may not. A run
        costs what a wake does; one that is there anyway takes along what waits."""
        due = self._due(agent, items, self._now())
        ready = set(due.ready)
        reasons = (items[at].waited_for for at in sorted({*due.held, *due.slowed} - ready))
        return [items[at] for at in sorted(ready)], next(reasons, None)

    # -- what happened --------------------------------------------------------------------------------

    async def woken(self, agent: AgentRow, via: str, items: Sequence[Pending]) -> Wake:
        """The agent is being woken, with these; what that cost. Raises Unavailable when the disk does not take it: then
        it is not, and costs nothing."""
        wake = self._spend(agent, via, self._due(agent, items, self._now()).causes)
        try:
            await self._write([_row(agent, wake, len(items))])
        except MawError:
            self._refund(agent, wake)
            raise
        except BaseException:  # nobody waits for it any more: it may yet come to the disk
            self.give_back(agent, wake)
            raise
        return wake

    def give_back(self, agent: AgentRow, wake: Wake) -> None:
        """Nothing was put in front of the agent: on the disk, too, at the next ``save``."""
        self._refund(agent, wake)
        self._struck.append(_row(agent, wake, 0))

    def happened(self, agent: AgentRow, wake: Wake) -> None:
        """What was given back woke the agent after all."""
        self._unsaved.append(_row(agent, self._spend(agent, wake.via, wake.causes), 0))

    def _spend(self, agent: AgentRow, via: str, causes: Sequence[Cause]) -> Wake:
        one, wake = self._at(agent.n), Wake(self._now(), via, tuple(set(causes)))
        one.budget.spend(wake.at, wake.causes)
        one.counts.wakes += 1
        return wake

    def _refund(self, agent: AgentRow, wake: Wake) -> None:
        one = self._at(agent.n)
        one.budget.refund(wake.at, wake.causes)
        one.counts.wakes -= 1

    def told(self, agent: AgentRow, items: Sequence[Pending]) -> None:
        """It is being told of these without being woken."""
        one, now = self._at(agent.n), self._now()
        causes = [item.cause for item in items if item.wakes]
        if causes:
            one.talk.spend(now, causes)

    def waited(self, items: Sequence[Pending]) -> Waited | None:
        """Of what is shown now: what was kept back, for how long, and why."""
        kept = [item for item in items if item.waited_for is not None]
        if not kept:
            return None
        longest = min(kept, key=lambda item: item.since)
        assert longest.waited_for is not None
        return Waited(len(kept), self._now() - longest.since, longest.waited_for)

    def count_digest(self, agent: AgentRow, size: int) -> None:
        counts = self._at(agent.n).counts
        counts.digests += 1
        counts.digest_bytes += size

    # -- what people say ------------------------------------------------------------------------------

    async def release(self, agent: AgentRow, who: str) -> None:
        """Every meter of the agent begins anew: what is held wakes it now."""
        await self._write([WakeRow(agent.n, wall_clock_ms(), RELEASE, [[who]], 0)])
        one = self._at(agent.n)
        one.budget.release()
        one.talk.release()
        one.told = False
        self._settle(ALERT, self._address(self._bearer(agent)))

    async def set_quiet(self, agent: AgentRow, text: str) -> None:
        """``on``, ``off``, ``22:00-07:00``, or ``host``: as the host has it. Raises BadInput."""
        own = None if text == HOST else quiet_text(parse_quiet(text))
        await self._store.writer.submit(lambda conn: rows.set_quiet(conn, self._bearer(agent).n, own))
        self._at(agent.n).own = own

    # -- what is shown --------------------------------------------------------------------------------

    def json(self, agent: AgentRow) -> Json:
        """How it stands with waking this agent."""
        one, now = self._at(agent.n), self._now()
        quiet = self.quiet(agent)
        return {
            "agent": self._address(agent),
            "used": round(one.budget.used(now), 2),
            "held": [
                {"what": held.what, "since": iso(int(held.since * 1000)), "wakes": round(held.wakes, 2)}
                for held in (*one.budget.holds(now), *one.talk.holds(now))
            ],
            "dnd": quiet_text(self.config.dnd if one.own is None else parse_quiet(one.own)),
            "quiet": quiet is not None,
            "since_start": asdict(one.counts),
        }

    async def hour(self, agent: AgentRow) -> list[Json]:
        """The agent's wakes, holds and releases of the last hour, newest first."""
        found = await rows.latest(self._store.db, agent.n, int((self._now() - HOUR_S) * 1000), SHOWN)
        return [
            {
                "at": iso(row.at),
                "via": row.via,
                "causes": sorted({str(cause[0]) for cause in row.causes}),
                "messages": row.messages,
            }
            for row in found
        ]

    def settings(self) -> Json:
        limits = self.config.limits
        return {**asdict(limits), "dnd": quiet_text(self.config.dnd)}

    # -- the disk -------------------------------------------------------------------------------------

    async def save(self) -> None:
        """To be called once a second. Raises MawError when the disk does not take it; then it is still due."""
        now = self._now()
        for n, one in self._agents.items():
            if one.told and now - one.noted >= NOTE_AGAIN_S:
                one.noted = now
                holds = one.budget.holds(now)
                self._unsaved += [WakeRow(n, int(now * 1000), HOLD, [[held.what]], 0) for held in holds]
        if self._unsaved or self._struck:
            await self._write([])

    async def forget_old(self) -> None:
        async def write(conn: aiosqlite.Connection) -> None:
            await rows.forget(conn, wall_clock_ms())

        await self._store.writer.submit(write)

    async def _write(self, more: Sequence[WakeRow]) -> None:
        pending, self._unsaved = self._unsaved, []
        struck, self._struck = self._struck, []
        written = [*pending, *more]

        async def write(conn: aiosqlite.Connection) -> None:
            await rows.strike(conn, struck)
            await rows.note(conn, written)

        try:
            await self._store.writer.submit(write)
        except BaseException:
            self._unsaved = pending + self._unsaved
            self._struck = struck + self._struck
            raise

    def keep_again(self, n: int, kept: dict[int, str]) -> None:
        """They could not be told of yet."""
        self._kept[n] = kept | self._kept.get(n, {})

    def kept(self) -> list[tuple[int, dict[int, str]]]:
        """Messages that are held, of whom nobody was told yet: by agent, each with why. Asked for once."""
        found, self._kept = list(self._kept.items()), {}
        return found


def _row(agent: AgentRow, wake: Wake, messages: int) -> WakeRow:
    return WakeRow(agent.n, int(wake.at * 1000), wake.via, [list(cause) for cause in wake.causes], messages)
