"""How many messages an agent may say within one pulse: an agent that runs away stops at the end of what it was given.

A pulse ends when it is said to be over, when the next one begins, and ``LONGEST_S`` after it began: a pulse that died
must not silence its agent for good. Times are seconds of any clock that only grows.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, NamedTuple

LONGEST_S: Final = 3600.0


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
        self._given: dict[Hashable, _Given] = {}

    def begin(self, agent: Hashable, most: int | None, now: float) -> None:
        """A pulse of ``agent``'s begins, in which it may say ``most`` messages; None: any number."""
        self._given = {who: one for who, one in self._given.items() if one.ends > now and who != agent}
        if most is not None:
            self._given[agent] = _Given(most, most, now + LONGEST_S)

    def spent(self, agent: Hashable, now: float) -> Spent | None:
        """None while it may say more."""
        one = self._given.get(agent)
        if one is None or one.left > 0 or one.ends <= now:
            return None
        return Spent(one.most, one.ends - now)

    def take(self, agent: Hashable) -> None:
        """It says one."""
        if (one := self._given.get(agent)) is not None:
            one.left -= 1
