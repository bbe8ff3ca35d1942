"""How often an agent is woken, and for whom: bursts are one wake, loops are slowed, then held, then told to a human.

Each wake costs a model's turn, so what may go on without end must not go on at full speed. An agent has meters over the
last hour: one of all wakes, one for each sender, one for messages that name a group.

  free      below half of a meter's limit: at once
  slowed    from there on each further wake waits longer after the one before: 15 s, 30 s, 60 s … up to what leaves two
            thirds of the limit an hour
  held      at the limit. A sender or the groups stay held until a human releases the agent, or something comes from
            there after an hour of silence; what was held until then still wakes nobody. The meter of all wakes holds
            only until the hour has moved on; senders that have woken the agent fewer than three times in it still
            may, up to a third above the limit.

A human's message counts a quarter of an agent's, and never towards groups. An operator's word wakes always, and costs
nothing. What wakes nobody (``inform``, ``ack``) is never asked about here.

Times are seconds since 1970: they are kept on the disk. One object for each agent.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

HOUR_S: Final = 3600.0
SETTLE_S: Final = 0.2
"""After the first message of a burst: what comes meanwhile is of the same wake."""
GAP_S: Final = 5.0
"""Between two wakes of one agent: it is awake, and hears what comes now as it works."""
FIRST_DELAY_S: Final = 15.0
PACE: Final = 2 / 3
"""Of a limit's worth of wakes an hour: so many go on while a meter is slowed. Who goes on and on at that pace after
using up the free half is held within the hour; who never was faster never is."""
APE_COSTS: Final = 0.25
FEW: Final = 3
RESERVE: Final = 4 / 3
MAX_SENDERS: Final = 1000
"""Meters of one agent; the ones used longest ago are forgotten."""

OPERATOR: Final = "operator"
APE: Final = "ape"
AGENT: Final = "agent"
ALL: Final = "all"
GROUPS: Final = "groups"


@dataclass(frozen=True, slots=True)
class Limits:
    """Wakes of one agent in an hour: in all, by one sender, by messages that name a group."""

    per_hour: int = 60
    per_sender: int = 24
    per_groups: int = 10

    def times(self, factor: int) -> Limits:
        """So many times as high."""
        return Limits(self.per_hour * factor, self.per_sender * factor, self.per_groups * factor)


class Cause(NamedTuple):
    """Who would wake, as what (``operator``, ``ape``, ``agent``), and whether as one of a group that is named."""

    sender: str
    kind: str
    group: bool = False


class Wake(NamedTuple):
    """One that was spent: when, by which way, for whom."""

    at: float
    via: str
    causes: tuple[Cause, ...]


class Permit(NamedTuple):
    """From when on it may wake (infinity: held), and what is in the way until then."""

    at: float
    why: str | None


@dataclass(frozen=True, slots=True)
class Held:
    """What is held: a sender's address, ``groups`` or ``all``; since when; how many wakes there were."""

    what: str
    since: float
    wakes: float


@dataclass(slots=True)
class Due:
    """``at``: when to wake, None when nothing may. ``causes``: whom the wake is charged to if it is now; ``ready``:
    which messages may wake now, ``slowed`` and ``held``: why others may not yet, or not at all (each by its place in
    what was asked)."""

    at: float | None = None
    causes: list[Cause] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)
    held: dict[int, str] = field(default_factory=dict)
    slowed: dict[int, str] = field(default_factory=dict)
    fresh: list[Held] = field(default_factory=list)
    """What is held since this look: a human is to be told, once."""


@dataclass(slots=True)
class _Meter:
    limit: int
    spent: deque[tuple[float, float]] = field(default_factory=deque)
    held_since: float | None = None
    last_came: float = 0.0
    """When the newest message from there came."""
    barred: float = 0.0
    """What came until then was held, and wakes nobody although the hold is over: else a loop begins anew by itself."""
    told: bool = False

    def count(self, now: float) -> float:
        while self.spent and self.spent[0][0] <= now - HOUR_S:
            self.spent.popleft()
        return sum(cost for _, cost in self.spent)

    def delay(self, count: float, pace: float) -> float:
        """Seconds after the wake before, in the state between free and held."""
        over = count - self.limit / 2
        if over < 0:
            return 0.0
        return float(min(HOUR_S / (self.limit * pace), FIRST_DELAY_S * 2 ** min(over, 10.0)))


class Budget:
    """``gathers``: what comes at once is of one wake, and wakes stand apart; without it nothing that is free waits.
    ``pace``: what of a limit goes on in an hour while it is slowed. ``verb``: what is done to the agent, as it is told.
    """

    def __init__(
        self, limits: Limits, *, gathers: bool = True, pace: float = PACE, verb: str = "woken"
    ) -> None:
        self._limits = limits
        self._gathers = gathers
        self._pace = pace
        self.verb = verb
        self._all = _Meter(limits.per_hour)
        self._groups = _Meter(limits.per_groups)
        self._senders: dict[str, _Meter] = {}
        self.last: float | None = None
        """When the agent was last woken."""

    # -- asking -----------------------------------------------------------------------------------

    def due(self, now: float, waiting: Sequence[tuple[float, Cause]]) -> Due:
        """When the first of these messages, each with the time it came, may wake the agent."""
        self._mend(now)
        due = Due()
        newest: dict[Cause, float] = {}
        for came, cause in waiting:  # there may be hundreds of one: it is asked once for all of them
            newest[cause] = max(newest.get(cause, came), came)
        permits = {cause: self._permit(now, min(came, now), cause, due) for cause, came in newest.items()}
        for at, (came, cause) in enumerate(waiting):
            permit = permits[cause]
            if not math.isinf(permit.at) and came <= self._barred(cause):
                permit = Permit(math.inf, self._held_words(cause.sender))
            if math.isinf(permit.at):
                due.held[at] = permit.why or ""
                continue
            when = now if cause.kind == OPERATOR else max(permit.at, self._gathered(min(came, now)))
            due.at = when if due.at is None else min(due.at, when)
            if permit.why is not None:
                due.slowed[at] = permit.why
            if permit.at <= now:
                due.ready.append(at)
                due.causes.append(cause)
        return due

    def _barred(self, cause: Cause) -> float:
        """What came of this until then wakes nobody any more."""
        if cause.kind == OPERATOR:
            return 0.0
        groups = self._groups.barred if cause.group and cause.kind == AGENT else 0.0
        return max(self._sender(cause.sender).barred, groups)

    def _gathered(self, came: float) -> float:
        if not self._gathers:
            return came
        return max(came + SETTLE_S, came if self.last is None else self.last + GAP_S)

    def _permit(self, now: float, came: float, cause: Cause, due: Due) -> Permit:
        if cause.kind == OPERATOR:
            return Permit(now, None)
        permits = [self._ask(self._sender(cause.sender), cause.sender, now, came, due)]
        if cause.group and cause.kind == AGENT:
            permits.append(self._ask(self._groups, GROUPS, now, came, due))
        if not any(math.isinf(permit.at) for permit in permits):
            permits.append(self._ask_all(cause, now, due))
        return max(permits, key=lambda permit: permit.at)

    def _ask(self, meter: _Meter, what: str, now: float, came: float, due: Due) -> Permit:
        count = meter.count(now)
        if meter.held_since is not None and came - meter.last_came >= HOUR_S:
            meter.held_since, meter.told, meter.barred = None, False, meter.last_came
        meter.last_came = max(meter.last_came, came)
        if meter.held_since is None and count >= meter.limit:
            meter.held_since = now
        if meter.held_since is not None:
            self._tell(meter, what, count, due)
            return Permit(math.inf, self._held_words(what))
        return self._slowed(meter, what, count, now)

    def _ask_all(self, cause: Cause, now: float, due: Due) -> Permit:
        meter = self._all
        count = meter.count(now)
        limit = meter.limit
        if self._sender(cause.sender).count(now) < FEW:
            limit = int(limit * RESERVE)
        if count < meter.limit / 2:
            meter.held_since, meter.told = None, False
        if count < limit:
            few = limit > meter.limit
            return Permit(now, None) if few else self._slowed(meter, ALL, count, now)
        meter.held_since = meter.held_since or now
        self._tell(meter, ALL, count, due)
        return Permit(math.inf, self._held_words(ALL))

    def _slowed(self, meter: _Meter, what: str, count: float, now: float) -> Permit:
        delay = meter.delay(count, self._pace)
        if not delay or not meter.spent or (at := meter.spent[-1][0] + delay) <= now:
            return Permit(now, None)
        about = {ALL: "this agent is", GROUPS: "messages to groups are"}.get(what, f"{what} is")
        return Permit(at, f"slowed: {about} at {count:g} of {meter.limit} times an hour")

    def _tell(self, meter: _Meter, what: str, count: float, due: Due) -> None:
        if not meter.told:
            meter.told = True
            due.fresh.append(Held(what, meter.held_since or 0.0, count))

    def _held_words(self, what: str) -> str:
        limit = {ALL: self._limits.per_hour, GROUPS: self._limits.per_groups}.get(
            what, self._limits.per_sender
        )
        about = {ALL: "", GROUPS: " by messages to groups"}.get(what, f" by {what}")
        return f"held: {self.verb}{about} {limit} times within an hour"

    # -- what happened ------------------------------------------------------------------------------

    def spend(self, now: float, causes: Iterable[Cause]) -> None:
        """The agent was woken, for these."""
        self._mend(now)
        causes = list(causes)
        costs = _costs(causes)
        self.last = now
        if most := max(costs.values(), default=0.0):
            self._all.spent.append((now, most))
        for sender, cost in costs.items():
            if cost:
                self._sender(sender).spent.append((now, cost))
        if any(cause.group and cause.kind == AGENT for cause in causes):
            self._groups.spent.append((now, 1.0))

    def refund(self, at: float, causes: Iterable[Cause]) -> None:
        """What was spent then for these did not wake the agent after all. The gap after it stays: who fails at once
        does not try again at once."""
        causes = list(causes)
        costs = _costs(causes)
        _take_back(self._all, at, max(costs.values(), default=0.0))
        for sender, cost in costs.items():
            if (meter := self._senders.get(sender)) is not None:
                _take_back(meter, at, cost)
        if any(cause.group and cause.kind == AGENT for cause in causes):
            _take_back(self._groups, at, 1.0)

    def hold(self, now: float, what: str) -> None:
        """As it was before a restart: held, and a human was told."""
        meter = {ALL: self._all, GROUPS: self._groups}.get(what) or self._sender(what)
        meter.held_since, meter.told, meter.last_came = now, True, now

    def release(self) -> None:
        """A human looked into it: every meter begins anew."""
        self._all = _Meter(self._limits.per_hour)
        self._groups = _Meter(self._limits.per_groups)
        self._senders.clear()

    def used(self, now: float) -> float:
        """Wakes in the last hour, as they count."""
        return self._all.count(now)

    def holds(self, now: float) -> list[Held]:
        meters = {ALL: self._all, GROUPS: self._groups, **self._senders}
        return [
            Held(what, meter.held_since, meter.count(now))
            for what, meter in meters.items()
            if meter.held_since is not None
        ]

    # -- inside -------------------------------------------------------------------------------------

    def _sender(self, sender: str) -> _Meter:
        meter = self._senders.pop(sender, None) or _Meter(self._limits.per_sender)
        self._senders[sender] = meter  # the one used last is at the end
        if len(self._senders) > MAX_SENDERS:
            idle = next((name for name, one in self._senders.items() if one.held_since is None), sender)
            if idle != sender:
                del self._senders[idle]
        return meter

    def _mend(self, now: float) -> None:
        """A clock that was set back must not hold anybody for long: nothing was spent later than now."""
        if self.last is not None:
            self.last = min(self.last, now)
        for meter in (self._all, self._groups, *self._senders.values()):
            meter.last_came, meter.barred = min(meter.last_came, now), min(meter.barred, now)
            if meter.spent and meter.spent[-1][0] > now:
                meter.spent = deque((min(at, now), cost) for at, cost in meter.spent)


def _costs(causes: Iterable[Cause]) -> dict[str, float]:
    """What one wake for these costs, by sender."""
    cost_of = {OPERATOR: 0.0, APE: APE_COSTS}
    costs: dict[str, float] = {}
    for cause in causes:
        costs[cause.sender] = max(costs.get(cause.sender, 0.0), cost_of.get(cause.kind, 1.0))
    return costs


def _take_back(meter: _Meter, at: float, cost: float) -> None:
    """Nothing where the hour has moved on, or a human released it meanwhile."""
    if (at, cost) in meter.spent:
        meter.spent.remove((at, cost))
