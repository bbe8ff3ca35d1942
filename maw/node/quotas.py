"""How much this host's agents may say: who goes beyond is told when there is room again; of who goes on, a human."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from maw.core.allowance import AT_ONCE, LONGEST_S, Allowances
from maw.core.colony import Said
from maw.core.effects import Alert
from maw.core.quota import AGENT, CHANNEL, Empty, Quotas, Rates
from maw.errors import TooMany
from maw.store.state import AgentRow

FLOODS_AT: Final = 20
"""So many refusals of one agent are a flood,"""
FLOOD_OVER_S: Final = 600.0
"""and so long without one is its end."""
MAX_FLOODS: Final = 1000
FLOOD: Final = "flood"


@dataclass(slots=True)
class _Refused:
    """``since`` and ``last``: monotonic seconds."""

    since: float
    last: float
    count: int = 0


class SayQuotas:
    """``charge`` is asked once for each message that is to be said here; ``look`` is called each second."""

    def __init__(
        self,
        rates: Rates,
        address: Callable[[AgentRow], str],
        alert: Callable[[Alert], None],
        settle: Callable[[str, str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._quotas = Quotas(rates)
        self._allowances = Allowances()
        self._address = address
        self._alert = alert
        self._settle = settle
        self._monotonic = monotonic
        self._refused: dict[int, _Refused] = {}
        self._names: dict[int, str] = {}
        self.refusals = 0
        """Since the start, for /metrics."""

    def pulse(self, agent: AgentRow, most: int | None, key: str = "") -> None:
        """A pulse of the agent's begins, in which it and its roles may say ``most`` messages; None: it is over, or any
        number. Only who names the ``key`` again ends it. Raises TooMany."""
        if not self._allowances.begin(_bearer(agent), most, self._monotonic(), key):
            raise TooMany(
                f"{AT_ONCE} pulses of {agent.name} are under way, each with a limit_key of its own",
                code="pulse_spent",
                retry_after=LONGEST_S,
                hint="each ends by its own key, or an hour after it began",
            )

    def charge(self, agent: AgentRow, said: Said) -> None:
        """Raises TooMany; then nothing was counted. An operator's word is never too many."""
        if said.word is not None:
            return
        now = self._monotonic()
        if (spent := self._allowances.spent(_bearer(agent), now)) is not None:
            self.refusals += 1
            raise TooMany(
                f"{agent.name} has said all {spent.most} messages of this pulse",
                code="pulse_spent",
                retry_after=spent.wait,
                hint="the next pulse begins anew: say then what is left, in one message;"
                " max_messages_per_pulse in agent.toml has the number",
            )
        self.charge_beside(agent, said)
        self._allowances.take(_bearer(agent))

    def charge_beside(self, agent: AgentRow, said: Said) -> None:
        """As ``charge``, of what is no message: no pulse's allowance is asked."""
        now = self._monotonic()
        if (empty := self._quotas.take(agent.n, said.channel, now)) is None:
            return
        self.refusals += 1
        self._note(agent, empty, now)
        raise TooMany(
            f"{_what(empty, agent, said)}: at most {empty.rate.per_minute} a minute, {empty.rate.burst} at once",
            retry_after=empty.wait,
            hint=f"say it again in {math.ceil(empty.wait)} s, or say several things in one message; "
            "[limits] in maw.toml has the numbers",
        )

    def _note(self, agent: AgentRow, empty: Empty, now: float) -> None:
        one = self._refused.get(agent.n)
        if one is None:
            if len(self._refused) >= MAX_FLOODS:
                return
            one = self._refused[agent.n] = _Refused(now, now)
        one.count, one.last = one.count + 1, now
        if one.count >= FLOODS_AT:
            name = self._names[agent.n] = self._address(agent)
            text = (
                f"{name} says more than it may: {one.count} messages were refused within {math.ceil(now - one.since)} s"
                f" (beyond {empty.rate.per_minute} a minute of the {empty.what}). If it runs away: maw agent stop"
                f" {agent.name}, or an operator's maw freeze @{name}"
            )
            self._alert(Alert(FLOOD, name, text))

    def look(self) -> None:
        """Floods that are over are settled."""
        now = self._monotonic()
        for n, one in list(self._refused.items()):
            if now - one.last > FLOOD_OVER_S:
                del self._refused[n]
                if (name := self._names.pop(n, None)) is not None:
                    self._settle(FLOOD, name)


def _bearer(agent: AgentRow) -> tuple[int, bytes]:
    return agent.node, agent.profile.of or agent.id


def _what(empty: Empty, agent: AgentRow, said: Said) -> str:
    if empty.what == AGENT:
        return f"{agent.name} has said too much"
    if empty.what == CHANNEL:
        return f"too much is said in #{said.channel} by this host"
    return "this host's agents say too much"
