"""Agents of this host whose words can hardly be read any more: a human is told, once a day for each.

It is looked at after messages were taken, so that saying something does not wait for it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from maw.core.colony import Said
from maw.core.effects import Alert
from maw.core.readability import LOOKED_AT, unreadable
from maw.store.state import AgentRow

ALERT: Final = "unreadable"
LAST: Final = 12
"""Messages of an agent that are judged together;"""
LEAST: Final = 8
"""from so many on,"""
MOSTLY: Final = 0.6
"""and when more than this part of them can hardly be read."""
AGAIN_S: Final = 86_400.0
WAITING: Final = 500


class Legibility:
    """``heard`` with each message that an agent of this host says, ``look`` once a second."""

    def __init__(
        self,
        address: Callable[[AgentRow], str],
        alert: Callable[[Alert], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._alert = alert
        self._now = now
        self._waiting: deque[tuple[AgentRow, str]] = deque(maxlen=WAITING)
        self._last: dict[int, deque[str | None]] = {}
        self._told: dict[int, float] = {}

    def heard(self, agent: AgentRow, said: Said) -> None:
        self._waiting.append((agent, said.text[:LOOKED_AT]))

    def look(self) -> None:
        while self._waiting:
            agent, text = self._waiting.popleft()
            last = self._last.setdefault(agent.n, deque(maxlen=LAST))
            last.append(unreadable(text))
            bad = [why for why in last if why is not None]
            if len(last) >= LEAST and len(bad) > MOSTLY * len(last) and self._may_tell(agent.n):
                self._told[agent.n] = self._now()
                name = self._address(agent)
                self._alert(
                    Alert(
                        ALERT,
                        name,
                        f"of the last {len(last)} messages of {name} {len(bad)} can hardly be read ({bad[-1]}): look"
                        f" what it is at, `maw agent peek {agent.name}`, and whether whoever gets them still follows",
                    )
                )

    def _may_tell(self, n: int) -> bool:
        told = self._told.get(n)
        return told is None or self._now() - told >= AGAIN_S
