"""Hybrid logical clock: 48 bits of milliseconds, 16 bits of counter, never falling within an epoch.

Time is shown, never obeyed: nothing is stored, ordered for cursors or refused by it (docs/protocol.md).
"""

from __future__ import annotations

from typing import Final, NamedTuple

COUNTER_BITS: Final = 16
MAX_HLC: Final = (1 << 64) - 1
AHEAD_LIMIT_MS: Final = 15 * 60 * 1000


def pack(ms: int, counter: int = 0) -> int:
    return (ms << COUNTER_BITS) | counter


def wall_ms(hlc: int) -> int:
    """Milliseconds since 1970 within ``hlc``."""
    return hlc >> COUNTER_BITS


class ShownTime(NamedTuple):
    """What people are shown: ``ms`` since 1970, and whether the author's clock was too far ahead."""

    ms: int
    suspect: bool


def shown_time(hlc: int, received_ms: int) -> ShownTime:
    """min(the author's time, received + 15 min), marked when it had to be cut."""
    said, cap = wall_ms(hlc), received_ms + AHEAD_LIMIT_MS
    return ShownTime(cap, True) if said > cap else ShownTime(said, False)


class HybridClock:
    """One node's clock. ``now_ms`` is passed in: the clock itself reads nothing."""

    __slots__ = ("_last",)

    def __init__(self, last: int = 0) -> None:
        self._last = last

    @property
    def last(self) -> int:
        return self._last

    def tick(self, now_ms: int) -> int:
        """A stamp for something said now: above every stamp given or merged before."""
        self._last = max(pack(now_ms), self._last + 1)
        return self._last

    def merge(self, hlc: int, now_ms: int) -> None:
        """Have heard ``hlc``; one too far ahead of our clock is not let in."""
        if hlc > self._last and wall_ms(hlc) <= now_ms + AHEAD_LIMIT_MS:
            self._last = hlc

    def begin_anew(self) -> None:
        """Forget every stamp: our own clock fell far behind them, and a new epoch begins."""
        self._last = 0

    def has_fallen(self, now_ms: int) -> bool:
        """Our wall clock lies further behind what we stamped than another's clock could have pushed it."""
        return wall_ms(self._last) > now_ms + AHEAD_LIMIT_MS
