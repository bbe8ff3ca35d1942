"""Caps on what agents cost: who has spent his is halted until the day ends, and a human is told before that.

The rules are ``maw/core/spending.py``'s. What is halted follows from what is on the disk alone: a restart changes
nothing of it. An agent that is halted says nothing, does not pulse and is not woken; humans never are, nor is who tells
of alerts, and an operator's word comes through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import aiosqlite

from maw.config import CostConfig
from maw.core.effects import Alert
from maw.core.spending import (
    AGENT,
    COLONY,
    HOST,
    NEAR_PERCENT,
    RUNNER_S,
    USD,
    Cap,
    Counts,
    Spent,
    Standing,
    Unknown,
    amount_text,
    counted,
    day_text,
    end_of,
    must_say,
    standing,
    tightest,
)
from maw.errors import MawError, Refused
from maw.node.authoring import wall_clock_ms
from maw.node.costs import Costs, DayRead, account_of
from maw.node.store import Store
from maw.store import costs as rows
from maw.store.state import AgentRow

NEAR: Final = "cost"
HALTED: Final = "halted"
IN_FILE: Final = "maw.toml"
BY_COMMAND: Final = "maw cost cap"
_HOST: Final = b""
_TOLD: Final = "SELECT kind, subject FROM alerts WHERE kind IN (?, ?)"


class Seen(NamedTuple):
    """A cap as it stands for an agent (None: for all of this host, or of the Colony)."""

    agent: AgentRow | None
    standing: Standing


class Spending:
    """``exempt`` is never halted. ``colony``: the caps that operators set; ``hosts``: how many there are. ``freed`` is
    called with who is halted no more, ``hurry`` when other hosts are to know at once what was spent here."""

    def __init__(
        self,
        store: Store,
        costs: Costs,
        config: CostConfig,
        host: str,
        address: Callable[[AgentRow], str],
        exempt: Callable[[AgentRow], bool],
        alert: Callable[[Alert], None],
        settle: Callable[[str, str], None],
        freed: Callable[[AgentRow], None],
        colony: Callable[[], list[Cap]],
        hosts: Callable[[], int],
        hurry: Callable[[], None],
    ) -> None:
        self._store = store
        self._costs = costs
        self._config = config
        self._host = host
        self._address = address
        self._exempt = exempt
        self._alert = alert
        self._settle = settle
        self._freed = freed
        self._colony = colony
        self._hosts = hosts
        self._hurry = hurry
        self._said = (0, Spent())
        """Day, and what this host had spent when it last said so."""
        self._day = -1
        self._set: dict[tuple[bytes, str], int] = {}
        """Caps by command."""
        self._resumed: dict[bytes, Spent] = {}
        self._noted: set[str] = set()
        """Of which caps a human was told on ``_day``."""
        self._to_note: set[str] = set()
        self._shown: set[tuple[str, str]] = set()
        """Alerts that stand."""
        self._seen: list[Seen] = []
        self._halted: dict[bytes, str] = {}
        """By account: why."""
        self._blind: set[str] = set()
        """Units in which a run of this host's agents told nothing that is counted as nothing else, and halts."""
        self._stale = False

    async def load(self) -> list[str]:
        """After the costs. Returns what is left out, for it is damaged."""
        conn = self._store.db.writing
        self._set, spoiled = await rows.caps(conn)
        self._shown = {(kind, subject) for kind, subject in await self._store.db.rows(_TOLD, (NEAR, HALTED))}
        self._took_day(await self._read_day(conn))
        return [f"{spoiled} caps on costs: set them again with `maw cost cap`"] if spoiled else []

    async def _read_day(self, conn: aiosqlite.Connection) -> tuple[DayRead, dict[bytes, Spent], set[str]]:
        read = await self._costs.read_day(conn)
        return read, await rows.resumed(conn, read.day), await rows.told(conn, read.day)

    def _took_day(self, found: tuple[DayRead, dict[bytes, Spent], set[str]]) -> None:
        read, self._resumed, self._noted = found
        self._costs.took_day(read)
        self._day = read.day
        self.judge()

    async def keep(self) -> None:
        """Once a second. Raises MawError where the disk takes nothing."""
        if self._costs.day != self._day or self._stale:
            self._stale = False
            try:
                await self._store.writer.submit(self._read_day, self._took_day)
            except MawError:
                self._stale = True
                raise
        self._tell()
        if self._to_note:
            noted, day = set(self._to_note), self._day
            await self._store.writer.submit(lambda conn: rows.note_told(conn, day, sorted(noted)))
            self._noted |= noted
            self._to_note -= noted

    def changed(self) -> None:
        """What others spent, whom this host has, or what operators say."""
        self._stale = True

    # -- asked at once ------------------------------------------------------------------------------

    def words(self, agent: AgentRow) -> str | None:
        """Why this agent is halted; None where it is not."""
        why = self._halted.get(account_of(agent)) if self._halted else None
        if why is None or self._costs.day != self._day or self._is_free(agent):
            return None
        return f"halted: {why}; until {end_of(self._day)}"

    def refuse(self, agent: AgentRow) -> None:
        """Raises Refused where this agent of ours is halted."""
        if (why := self.words(agent)) is not None:
            raise Refused(
                f"{agent.name} is {why}",
                code="halted",
                hint=f"reading goes on. It ends by itself then; a human ends it now: maw cost resume {agent.name}, or a"
                " higher cap (`maw cost` shows them)",
            )

    def _is_free(self, agent: AgentRow) -> bool:
        return agent.role == "ape" or self._exempt(agent)

    # -- the verdict ----------------------------------------------------------------------------------

    def judge(self) -> None:
        """From what is counted, anew."""
        local = self._store.state.local.values()
        agents = {row.id: row for row in local if row.profile.of is None and not self._is_free(row)}
        shared = self._shared()
        seen = [Seen(None, one) for one in shared]
        before, self._halted = self._halted, {}
        self._blind = set()
        for account, row in agents.items():
            own = self._since(account, self._costs.today(row))
            mine = [standing(cap, own, self._config.unknown) for cap in self._caps_of(row)]
            seen += [Seen(row, one) for one in mine]
            caps = [one.cap for one in (*mine, *shared)]
            self._blind |= {cap.unit for cap in caps if standing(cap, own, self._config.unknown).unknown}
            if (why := _why(mine, shared, own, self._config.unknown)) is not None:
                self._halted[account] = why
        self._seen = seen
        for account in before.keys() - self._halted.keys():
            if (row_ := agents.get(account)) is not None:
                self._freed(row_)

    def _shared(self) -> list[Standing]:
        own = self._costs.of_host
        host = self._since(_HOST, own)
        of_host = tightest(self._caps(HOST, self._config.host, _HOST))
        found = [standing(cap, host, self._config.unknown) for cap in of_host]
        if caps := tightest(self._colony()):
            spent = Spent.of(own.plus(self._costs.elsewhere))
            found += [standing(cap, spent, self._config.unknown) for cap in caps]
            self._say_soon(Spent.of(own), found)
        return found

    def _say_soon(self, own: Spent, found: Iterable[Standing]) -> None:
        """What this host keeps to itself must stay small beside what is left of the Colony's caps."""
        day, said = self._said
        unsaid = own.since(said if day == self._costs.day else Spent())
        for one in found:
            more = standing(one.cap, unsaid, self._config.unknown).spent
            if one.cap.scope == COLONY and must_say(more, one.cap.limit - one.spent, self._hosts()):
                self._hurry()

    def said(self) -> None:
        """All that this host had spent until now is in its log."""
        self._said = self._costs.day, Spent.of(self._costs.of_host)

    def _since(self, account: bytes, counts: Counts) -> Spent:
        spent = Spent.of(counts)
        return spent if (before := self._resumed.get(account)) is None else spent.since(before)

    def _caps_of(self, agent: AgentRow) -> list[Cap]:
        limits = {**self._config.each, **self._config.agents.get(agent.name, {})}
        return tightest(self._caps(AGENT, limits, agent.id))

    def _caps(self, scope: str, limits: Mapping[str, int], account: bytes) -> Iterable[Cap]:
        yield from (Cap(scope, unit, amount, IN_FILE) for unit, amount in limits.items())
        yield from (
            Cap(scope, unit, amount, BY_COMMAND)
            for (whose, unit), amount in self._set.items()
            if whose == account
        )

    # -- telling ------------------------------------------------------------------------------------

    def _tell(self) -> None:
        """Each cap once a day at 80 %, and once when it is spent; settled when that is over."""
        now: set[tuple[str, str]] = set()
        for agent, one in self._seen:
            unknown = one.unknown > 0 and one.cap.unit in self._blind
            if not (one.is_near or unknown) or (agent is not None and self._is_free(agent)):
                continue
            whose = self._address(agent) if agent is not None else one.cap.scope
            spent = one.is_spent or unknown
            about = (HALTED if spent else NEAR, _subject(self._host, whose, one.cap))
            now.add(about)
            if (
                key := f"{about[0]} {whose} {one.cap.unit} {one.cap.limit}"
            ) not in self._noted | self._to_note:
                self._alert(Alert(*about, self._text(agent, one)))
                self._hurry()
                self._to_note.add(key)
        for what, text in (("clock", self._ahead_text()), ("caps", self._nobody_text())):
            about = (NEAR, f"{self._host} {what}")
            if text is not None:
                now.add(about)
                if about not in self._shown:
                    self._alert(Alert(*about, text))
        for about in self._shown - now:
            self._settle(*about)
        self._shown = now

    def _nobody_text(self) -> str | None:
        """A cap that is on nobody caps nothing, and whoever wrote it believes that it does."""
        local = self._store.state.local
        capped = {name for name, row in local.items() if row.profile.of is None and not self._is_free(row)}
        if not (names := sorted(self._config.agents.keys() - capped)):
            return None
        return (
            f"[cost.agents] in maw.toml caps {', '.join(names)}, and no agent of this host is called so (a role's costs"
            " are its bearer's; humans are not halted): that cap is on nobody"
        )

    def _ahead_text(self) -> str | None:
        if not self._costs.is_ahead:
            return None
        day = day_text(self._costs.day)
        return (
            f"costs were counted on {day} already, and the clock says an earlier day: counting, and caps, go on in"
            f" {day} until the clock has come there. If the clock was ahead then: maw cost resume --clock"
        )

    async def follow_clock(self) -> None:
        """Raises MawError."""
        await self._costs.follow_clock()
        self._stale = True
        await self.keep()

    def _text(self, agent: AgentRow | None, one: Standing) -> str:
        cap, name = one.cap, agent.name if agent is not None else ""
        whose = self._address(agent) if agent is not None else _whose(cap.scope, self._host)
        limit = amount_text(cap.unit, cap.limit)
        resume = f"maw cost resume {name}" if agent is not None else "maw cost resume --host"
        unknown = one.unknown > 0 and one.cap.unit in self._blind
        if cap.scope == COLONY:
            resume = f"an operator's maw cost cap --colony {cap.unit}=…"
        if unknown and not one.is_spent:
            told = "money" if cap.unit == USD else "tokens"
            runs = counted(one.unknown, "run")
            return (
                f"{whose} may spend {limit} a day, and {runs} told no {told}: who ran them is halted until"
                f" {end_of(self._day)}, for nobody can say what was spent. Set [cost] unknown_{cap.unit} in maw.toml,"
                f" or cap seconds of runners instead; to go on now: maw cost resume {name or 'AGENT'}"
            )
        if one.is_spent:
            who = "it is" if agent is not None else "this host's agents are"
            return (
                f"{whose} has spent {amount_text(cap.unit, one.spent)} of {limit} a day: {who} halted until"
                f" {end_of(self._day)}. To go on now: {resume}, or a higher cap (set by {cap.source})"
            )
        return (
            f"{whose} has spent {one.percent} % of {limit} a day ({amount_text(cap.unit, one.spent)}; told from"
            f" {NEAR_PERCENT} % on). When it is spent, {'it is' if agent is not None else 'its agents are'} halted"
            f" until {end_of(self._day)}. `maw cost` shows what it went for"
        )

    # -- what people say ------------------------------------------------------------------------------

    async def resume(self, agent: AgentRow | None, who: str) -> None:
        """What an agent (None: this host) may spend today begins anew. ``who`` says so. Raises MawError."""
        account = _HOST if agent is None else account_of(agent)
        day = self._costs.day
        again = {key for key in self._noted | self._to_note if self._is_about(key, agent)}

        async def write(conn: aiosqlite.Connection) -> Spent:
            counts = self._costs.of_host if agent is None else self._costs.today(agent)
            spent = Spent.of(counts)
            await rows.resume(conn, day, account, spent, wall_clock_ms(), who)
            await rows.tell_again(conn, day, again)
            return spent

        def apply(spent: Spent) -> None:
            self._resumed[account] = spent
            self._noted -= again
            self._to_note -= again
            self.judge()

        await self._store.writer.submit(write, apply)
        self._tell()

    def _is_about(self, key: str, agent: AgentRow | None) -> bool:
        return key.split(" ")[1] == (HOST if agent is None else self._address(agent))

    async def set_caps(self, agent: AgentRow | None, amounts: Mapping[str, int | None]) -> None:
        """By unit; None: none by command any more. Raises MawError."""
        account = _HOST if agent is None else account_of(agent)

        async def write(conn: aiosqlite.Connection) -> None:
            for unit, amount in amounts.items():
                await rows.set_cap(conn, account, unit, amount)

        def apply(_: None) -> None:
            for unit, amount in amounts.items():
                self._set.pop((account, unit), None)
                if amount is not None:
                    self._set[account, unit] = amount
            self.judge()

        await self._store.writer.submit(write, apply)
        self._tell()

    # -- what is shown --------------------------------------------------------------------------------

    def seen(self) -> Sequence[Seen]:
        return self._seen

    def halted(self) -> dict[str, str]:
        """Agents of this host by name, and why."""
        local = self._store.state.local.values()
        return {row.name: why for row in local if (why := self.words(row)) is not None}


def _why(mine: Sequence[Standing], shared: Sequence[Standing], own: Spent, unknown: Unknown) -> str | None:
    """What halts an agent, in words."""
    for one in (*mine, *shared):
        if one.is_spent:
            whose = {AGENT: "its", HOST: "this host's"}.get(one.cap.scope, "the Colony's")
            return f"{whose} {amount_text(one.cap.unit, one.cap.limit)} a day are spent"
    for one in (*mine, *shared):
        if one.cap.unit != RUNNER_S and standing(one.cap, own, unknown).unknown:
            told = "money" if one.cap.unit == USD else "tokens"
            return f"a run of its told no {told}, and {amount_text(one.cap.unit, one.cap.limit)} a day are all it may"
    return None


def _subject(host: str, whose: str, cap: Cap) -> str:
    return f"{host if whose == HOST else whose} {cap.unit}"


def _whose(scope: str, host: str) -> str:
    return f"host {host}" if scope == HOST else "the Colony"
