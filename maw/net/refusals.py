"""Connections that were refused, counted by the address they came from: so that who bothers us has a name.

However many addresses there are, memory is bounded: in each slot of time those that come most are kept, and of the
others only how many connections they were.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

SLOT_S: Final = 10.0
SLOTS: Final = 6
"""What is counted is of the last minute."""
MAX_SOURCES: Final = 64
NOTEWORTHY: Final = 20
"""Fewer in a minute are not told of: a host that waits to be accepted dials too."""
WORST: Final = 5

TOO_MANY: Final = "too_many"
_WHY: Final = {
    TOO_MANY: "too many half-open",
    "timed_out": "handshake never finished",
    "no_tls": "TLS never finished",
    "hung_up": "hung up at once",
    "no_websocket": "not the protocol of maw",
}


@dataclass(frozen=True, slots=True)
class Refused:
    """``why``: in words, the most frequent first."""

    address: str
    count: int
    why: str


@dataclass(slots=True)
class _Slot:
    number: int
    sources: dict[str, Counter[str]] = field(default_factory=dict)
    others: int = 0


class Refusals:
    """``clock``: seconds of any clock that only grows."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told: Callable[[str, str], None] = lambda source, code: None
        self._slots: deque[_Slot] = deque(maxlen=SLOTS)

    def listen(self, told: Callable[[str, str], None]) -> None:
        """``told`` hears of each, with address and code."""
        self._told = told

    def note(self, source: str, code: str) -> None:
        """A connection from this IP address was refused, for the reason of this ``code``."""
        self._told(source, code)
        number = int(self._clock() // SLOT_S)
        if not self._slots or self._slots[-1].number != number:
            self._slots.append(_Slot(number))
        slot = self._slots[-1]
        if source not in slot.sources:
            if len(slot.sources) >= MAX_SOURCES:
                least = min(slot.sources, key=lambda one: slot.sources[one].total())
                slot.others += slot.sources.pop(least).total()
            slot.sources[source] = Counter()
        slot.sources[source][code] += 1

    def total(self) -> int:
        """How many in the last minute; 0 when they are too few to speak of."""
        count = sum(
            slot.others + sum(codes.total() for codes in slot.sources.values()) for slot in self._recent()
        )
        return count if count >= NOTEWORTHY else 0

    def worst(self) -> list[Refused]:
        """The addresses that most came from, the first the worst; none while there are too few to speak of."""
        if not self.total():
            return []
        sums: dict[str, Counter[str]] = {}
        for slot in self._recent():
            for source, codes in slot.sources.items():
                sums.setdefault(source, Counter()).update(codes)
        ranked = sorted(sums.items(), key=lambda one: (-one[1].total(), one[0]))
        return [Refused(source, codes.total(), _words(codes)) for source, codes in ranked[:WORST]]

    def _recent(self) -> list[_Slot]:
        oldest = int(self._clock() // SLOT_S) - SLOTS
        return [slot for slot in self._slots if slot.number > oldest]


def _words(codes: Counter[str]) -> str:
    return ", ".join(_WHY.get(code, code.replace("_", " ")) for code, _ in codes.most_common())
