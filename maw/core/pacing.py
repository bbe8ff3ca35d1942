"""How much work one link may cause: a bucket of units that fills slowly.

Entries pay by credit, and what they bring is wanted. All else (questions, claims, answers that they cause, entries
that nobody asked for) takes units: one a frame, and one for each UNIT_BYTES that came in or that we said to it. Who
has none left is read from more slowly, so that its own network fills and nobody else's does.
"""

from __future__ import annotations

from typing import Final

UNIT_BYTES: Final = 2048
RATE: Final = 500.0
"""Units a second for good: about one MiB, or 500 small frames."""
BURST: Final = 20_000.0
"""What a link may use at once: more than ever two honest nodes with ten thousand statements and authors tell each
other when they meet."""
LONGEST_WAIT_S: Final = 1.0
"""At one go, so that a link that is slowed is still heard (and its pings are)."""


class Pace:
    """One link's bucket. ``now``: seconds of any clock that only grows."""

    __slots__ = ("_at", "_left")

    def __init__(self, now: float) -> None:
        self._left = BURST
        self._at = now

    def spend(self, size: int, now: float) -> float:
        """Takes what ``size`` bytes of traffic cost; the seconds until more should be read, 0 when at once."""
        self._left = min(BURST, self._left + (now - self._at) * RATE) - 1.0 - size / UNIT_BYTES
        self._at = now
        if self._left >= 0.0:
            return 0.0
        wait = min(LONGEST_WAIT_S, -self._left / RATE)
        self._left = max(self._left, -BURST)
        return wait
