"""How many messages an agent may say within one pulse: an agent that runs away stops at the end of what it was given.

A pulse ends when it is said to be over, when the next one begins, and ``LONGEST_S`` after it began: a pulse that died
must not silence its agent for good. Who begins one may name a *key*: then only who names the same key ends it or begins
anew, so that what runs within the pulse does not. Pulses of several keys are at once, and the least of them holds.
Times are seconds of any clock that only grows.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, NamedTuple

LONGEST_S: Final = 3600.0
AT_ONCE: Final = 8
"""Pulses of an agent that are under way, of so many keys."""


class Spent(NamedTuple):
    """All ``most`` messages are said; the pulse ends after ``wait`` seconds at the latest."""

    most: int
    wait: float


@dataclass(slots=True)
class _Given:
    most: int
    left: int
    ends: float


class Allowances:
    """What agents were given for the pulse that they are in. Who is in none, or was given nothing, may say anything."""

    def __init__(self) -> None:
        self._given: dict[Hashable, dict[str, _Given]] = {}

    def begin(self, agent: Hashable, most: int | None, now: float, key: str = "") -> bool:
        """A pulse of ``agent``'s begins, in which it may say ``most`` messages; None: it is over, or any number. False:
        as many are under way as may be, and this one does not begin."""
        self._given = {
            who: alive
            for who, given in self._given.items()
            if (alive := {name: one for name, one in given.items() if one.ends > now})
        }
        mine = self._given.get(agent, {})
        mine.pop(key, None)
        if most is not None:
            if len(mine) >= AT_ONCE:
                return False
            self._given.setdefault(agent, mine)[key] = _Given(most, most, now + LONGEST_S)
        elif not mine:
            self._given.pop(agent, None)
        return True

    def spent(self, agent: Hashable, now: float) -> Spent | None:
        """None while it may say more."""
        given = self._given.get(agent)
        if given is None:
            return None
        ended = [one for one in given.values() if one.left <= 0 and one.ends > now]
        if not ended:
            return None
        last = max(ended, key=lambda one: one.ends)
        return Spent(last.most, last.ends - now)

    def take(self, agent: Hashable) -> None:
        """It says one."""
        for one in self._given.get(agent, {}).values():
            one.left -= 1
