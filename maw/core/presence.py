"""Whether an agent is alive, sleeping or dead: from when it was last seen to do anything.

    alive      it did something within the hour; of one that pulses: within two pulses and a minute
    dead       it was removed, or its keeper gave it up; or it did nothing for ten pulses, without pulses for a week.
               A human is not dead before he is removed
    sleeping   else

Every node reckons this itself, from what an agent's host last said of it, so that nothing has to be said when an agent
falls asleep, or its host goes away. A host says that an agent is alive when others are about to take it for asleep.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from maw.core.content import Content
from maw.core.entry import MAX_COUNT
from maw.core.policy import MARK_BYTES

ALIVE: Final = "alive"
SLEEPING: Final = "sleeping"
DEAD: Final = "dead"
HOUR_MS: Final = 3_600_000
LEAST_MS: Final = 600_000
WEEK_MS: Final = 7 * 24 * HOUR_MS
MARGIN_MS: Final = 300_000
"""So long before others would take an agent for asleep it is said that it is not."""
FRESH_MS: Final = 60_000
PULSES_MS: Final = 900_000
"""A pulse is told of with the next entry, and none is written for pulses alone more often than this."""
MAX_AGENTS: Final = 500
_ID_BYTES: Final = 16


class Seen(NamedTuple):
    """When an agent last did anything and last pulsed, ms since 1970; ``down``: its keeper gave it up."""

    active: int | None = None
    pulsed: int | None = None
    down: bool = False
    policy: bytes | None = None
    """The mark of the policy that its pulses take along, as it last told (see ``policy``)."""


NOT_SEEN: Final = Seen()


@dataclass(frozen=True, slots=True)
class Known:
    """An agent of this host: as others know it, and as it is."""

    id: bytes
    role: str
    pulse_s: int | None
    created: int
    told: Seen
    real: Seen


def alive_for(pulse_s: int | None) -> int:
    """For how many ms after it last did something an agent is alive."""
    return HOUR_MS if pulse_s is None else max(LEAST_MS, 2000 * pulse_s + 60_000)


def status(seen: Seen, role: str, pulse_s: int | None, created: int, now_ms: int) -> str:
    """Of an agent that was not removed. ``created``: when it was made, ms."""
    if seen.down:
        return DEAD
    if seen.active is not None and now_ms - seen.active < alive_for(pulse_s):
        return ALIVE
    if role == "ape":
        return SLEEPING
    lasts = WEEK_MS if pulse_s is None else max(HOUR_MS, 10_000 * pulse_s)
    return DEAD if now_ms - max(created, seen.active or 0) > lasts else SLEEPING


def due(agents: Iterable[Known], now_ms: int, last_ms: int = 0) -> list[Known]:
    """Of whom something is to be said now: nobody, or, since somebody would be taken for what he is not, all of whom
    there is news. ``last_ms``: when something was said last."""
    news = [one for one in agents if _has_news(one)]
    pulsed = any((one.real.pulsed or 0) > (one.told.pulsed or 0) for one in news)
    if not (pulsed and now_ms - last_ms >= PULSES_MS) and not any(_is_misjudged(one, now_ms) for one in news):
        return []
    return sorted(news, key=lambda one: one.real.active or 0, reverse=True)[:MAX_AGENTS]


def _has_news(one: Known) -> bool:
    real, told = one.real, one.told
    later = (real.active or 0) - (told.active or 0) >= FRESH_MS
    return (
        later
        or (real.pulsed or 0) > (told.pulsed or 0)
        or real.down != told.down
        or real.policy != told.policy
    )


def _is_misjudged(one: Known, now_ms: int) -> bool:
    real, told = one.real, one.told
    if real.down != told.down:
        return True
    about = (one.role, one.pulse_s, one.created)
    is_alive = status(real, *about, now_ms) == ALIVE
    soon = now_ms + min(MARGIN_MS, alive_for(one.pulse_s) // 4)
    return is_alive and status(told, *about, soon) != ALIVE


@dataclass(frozen=True, slots=True)
class Presence:
    """What a node says of its agents, by their ids."""

    agents: tuple[tuple[bytes, Seen], ...]

    def content(self) -> dict[str, Any]:
        return {
            "agents": [
                [agent, *seen[:3], seen.policy] if seen.policy else [agent, *seen[:3]]
                for agent, seen in self.agents
            ]
        }

    @classmethod
    def read(cls, content: Content) -> Presence:
        """Raises ValueError."""
        value = content.get("agents")
        if type(value) is not list or len(value) > MAX_AGENTS:
            raise ValueError(f"agents is no list of at most {MAX_AGENTS}")
        return cls(tuple(_read_one(item) for item in value))


def _read_one(item: object) -> tuple[bytes, Seen]:
    if type(item) is not list or len(item) < 4 or type(item[0]) is not bytes or len(item[0]) != _ID_BYTES:
        raise ValueError("agents holds something that is no agent")
    active, pulsed, down = item[1:4]
    for time in (active, pulsed):
        if time is not None and (type(time) is not int or not 0 <= time <= MAX_COUNT):
            raise ValueError("agents holds something that is no time")
    if type(down) is not bool:
        raise ValueError("agents holds something that is neither true nor false")
    policy = item[4] if len(item) > 4 else None
    known = type(policy) is bytes and len(policy) == MARK_BYTES
    return item[0], Seen(active, pulsed, down, policy if known else None)
