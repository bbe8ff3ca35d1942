"""Waking agents: whether one may be woken now, what that costs, and what is told of it.

The rules are ``maw/core/budget.py``'s and ``maw/core/dnd.py``'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from maw.core.budget import Budget, Due, Held, Limits
from maw.core.claims import Pending, Waiter
from maw.core.digest import Waited
from maw.core.effects import Alert
from maw.store.state import AgentRow

ASKED_FOR: Final = ("wait", "stream")
"""Who waits himself is not disturbed by what comes."""


@dataclass(slots=True)
class Counts:
    """Of one agent, since the daemon started."""

    wakes: int = 0
    digests: int = 0
    digest_bytes: int = 0


class Wakes:
    """``alert`` raises one; ``address`` names an agent; ``now`` is seconds since 1970."""

    def __init__(
        self,
        limits: Limits,
        address: Callable[[AgentRow], str],
        alert: Callable[[Alert], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._limits = limits
        self._address = address
        self._alert = alert
        self._now = now
        self._budgets: dict[int, Budget] = {}
        self.counts: dict[int, Counts] = {}

    def budget(self, agent: AgentRow) -> Budget:
        if (budget := self._budgets.get(agent.n)) is None:
            budget = self._budgets[agent.n] = Budget(self._limits)
        return budget

    # -- asked by who offers ------------------------------------------------------------------------

    def allowed(self, agent: AgentRow, me: Waiter, items: Sequence[Pending]) -> list[Pending]:
        """Those of ``items`` that may be put in front of the agent now by this way; none while a wake must wait."""
        if not me.wake:
            return list(items)
        now = self._now()
        due = self._due(agent, items, now)
        return list(items) if due.at is not None and due.at <= now else []

    def pause(self, agent: AgentRow, items: Sequence[Pending]) -> float:
        """Seconds until one of these may wake the agent, if nothing else happens."""
        now = self._now()
        due = self._due(agent, items, now)
        return 3600.0 if due.at is None else max(0.0, due.at - now)

    def quiet_left(self, agent: AgentRow, via: str) -> float:
        return 3600.0

    def _due(self, agent: AgentRow, items: Sequence[Pending], now: float) -> Due:
        waking = [item for item in items if item.wakes]
        due = self.budget(agent).due(now, [(item.since, item.cause) for item in waking])
        for at, item in enumerate(waking):
            item.held = at in due.held
            item.waited_for = due.held.get(at) or due.slowed.get(at) or item.waited_for
        for held in due.fresh:
            self._tell(agent, held)
        return due

    def _tell(self, agent: AgentRow, held: Held) -> None:
        name = self._address(agent)
        what = {"groups": "messages to groups", "all": "messages"}.get(held.what, held.what)
        text = (
            f"{name} was woken {held.wakes:g} times within an hour by {what}: further wakes are held, the messages stay"
            f" in its inbox. `maw wakes {agent.name}` shows it, `maw wakes release {agent.name}` lets them through"
        )
        self._alert(Alert("wakes", name, text))

    # -- what happened --------------------------------------------------------------------------------

    async def woken(self, agent: AgentRow, via: str, items: Sequence[Pending]) -> None:
        """The agent is being woken, with these."""
        now = self._now()
        due = self._due(agent, items, now)
        self.budget(agent).spend(now, due.causes)
        self._counts(agent).wakes += 1

    def waited(self, items: Sequence[Pending]) -> Waited | None:
        """Of what is shown now: what was kept back, for how long, and why."""
        kept = [item for item in items if item.waited_for is not None]
        if not kept:
            return None
        longest = min(kept, key=lambda item: item.since)
        assert longest.waited_for is not None
        return Waited(len(kept), self._now() - longest.since, longest.waited_for)

    def count_digest(self, agent: AgentRow, size: int) -> None:
        counts = self._counts(agent)
        counts.digests += 1
        counts.digest_bytes += size

    def _counts(self, agent: AgentRow) -> Counts:
        return self.counts.setdefault(agent.n, Counts())
