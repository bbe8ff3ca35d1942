"""Notices that the machine slept, or that somebody set its clock, by comparing clocks between two ticks.

``mono`` stands still while the machine is suspended, ``boot`` does not, ``wall`` is what people set. A node
that slept redials at once instead of waiting out its timers; one whose wall clock jumped opens a new epoch.
Pure: the readings are passed in; `read_clocks` is the one function here that looks at a clock.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

SLEPT_SECONDS: Final = 1.0
JUMPED_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Slept:
    """The machine was suspended for ``seconds`` since the tick before."""

    seconds: float

    def describe(self) -> str:
        return f"slept {self.seconds:.0f} seconds"


@dataclass(frozen=True, slots=True)
class WallJumped:
    """The wall clock was set: ``seconds`` forward, or back where negative."""

    seconds: float

    def describe(self) -> str:
        way = "forward" if self.seconds > 0 else "back"
        return f"the wall clock was set {way} by {abs(self.seconds):.0f} seconds"


Event = Slept | WallJumped


@dataclass(frozen=True, slots=True)
class Clocks:
    """One reading, in seconds. ``boot`` is None where no clock runs on through a suspend."""

    mono: float
    boot: float | None
    wall: float


class WakeDetector:
    """Compares each tick with the one before. What NTP slews between ticks stays below the thresholds."""

    __slots__ = ("_jumped", "_last", "_slept")

    def __init__(
        self, *, slept_seconds: float = SLEPT_SECONDS, jumped_seconds: float = JUMPED_SECONDS
    ) -> None:
        self._slept = slept_seconds
        self._jumped = jumped_seconds
        self._last: Clocks | None = None

    def look(self, clocks: Clocks) -> list[Event]:
        """``tick`` with one reading."""
        return self.tick(clocks.mono, clocks.boot, clocks.wall)

    def tick(self, mono: float, boot: float | None, wall: float) -> list[Event]:
        """What happened since the tick before (nothing at the first). All in seconds.

        Without a ``boot`` clock a sleep cannot be told from a clock set forward: it is reported as the jump.
        """
        last, self._last = self._last, Clocks(mono, boot, wall)
        if last is None:
            return []
        running = mono - last.mono
        elapsed = running if boot is None or last.boot is None else boot - last.boot
        slept, jumped = elapsed - running, (wall - last.wall) - elapsed
        events: list[Event] = []
        if slept >= self._slept:
            events.append(Slept(slept))
        if abs(jumped) >= self._jumped:
            events.append(WallJumped(jumped))
        return events


def read_clocks() -> Clocks:
    """The three clocks of this machine, read one after the other (microseconds apart)."""
    if (boottime := getattr(time, "CLOCK_BOOTTIME", None)) is not None:
        return Clocks(time.clock_gettime(time.CLOCK_MONOTONIC), time.clock_gettime(boottime), time.time())
    # macOS names them the other way round: UPTIME_RAW stands still in a sleep, MONOTONIC_RAW goes on
    uptime, raw = getattr(time, "CLOCK_UPTIME_RAW", None), getattr(time, "CLOCK_MONOTONIC_RAW", None)
    if uptime is not None and raw is not None:
        return Clocks(time.clock_gettime(uptime), time.clock_gettime(raw), time.time())
    return Clocks(time.monotonic(), None, time.time())
