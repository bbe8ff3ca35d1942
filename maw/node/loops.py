"""The background loops of a node: kept going when they stumble, and told of when they stand still.

    loop                     a fault in it                           standing still is noticed after
    writer, runtime          ends the node; systemd starts it anew   60 s in one commit · 15 s; not fed to systemd
    reads from the disk      told to who asked                       60 s in one of them
    housekeeping             told, begins again after a pause        60 s
    joins                    told, begins again                      180 s
    scrubbing                told, begins again                      600 s
    search                   told, begins again                      120 s
    reporting                told, begins again                      60 s
    bell, files              told, begins again                      120 s
    moves                    told, begins again                      600 s
    listen, interface,       told, begins again                      60 s
    watch wg0, choose links
    redial                   told, begins again; dials anew          60 s
    a peer's redialling      told, begins again; that peer waits     its own timeouts
    a connection, a link     told, and that one ends                 nothing heard for 12 s
    a request at a door      told (500), and that one ends           the caller's own patience
    a stream                 told, and that one ends                 10 s in which its reader takes nothing
    this watch itself        ends the node                           not fed to systemd

Writer and runtime own what everything else believes: after a fault there, nobody knows what is true in memory, and
the disk does. The others own nothing that is not read again when they begin.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Final

from maw.core.effects import Alert
from maw.errors import MawError

log = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
STEADY_S: Final = 60.0
"""Without a stumble for so long, a loop works again."""
STANDS_STILL: Final = "stands_still"
DISK: Final = "disk"


class Pulse:
    """One loop's sign of life. ``quiet`` is in seconds; a loop that has not begun is not quiet."""

    __slots__ = ("_clock", "_last")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: float | None = None

    def beat(self) -> None:
        self._last = self._clock()

    def quiet(self) -> float:
        return 0.0 if self._last is None else self._clock() - self._last


class Loops:
    """``clock``: any in seconds that only grows; ``bug`` is told of a fault that is maw's own."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        alert: Callable[[Alert], None],
        settle: Callable[[str, str], None],
        bug: Callable[[str, Exception], None],
    ) -> None:
        self._clock = clock
        self._alert = alert
        self._settle = settle
        self._bug = bug
        self._watched: dict[str, tuple[Callable[[], float], float, bool]] = {}
        self._still: set[str] = set()
        self._stumbled: dict[str, float] = {}
        """When each stumbled last; at first when it began, so that what an earlier run told of it is settled too."""

    def watch(self, name: str, quiet: Callable[[], float], within: float, *, essential: bool = False) -> None:
        """``quiet()`` above ``within`` seconds means that the loop stands still."""
        self._watched[name] = (quiet, within, essential)

    def pulse(self, name: str, within: float, *, essential: bool = False) -> Callable[[], None]:
        """To be called by the loop in each round."""
        pulse = Pulse(self._clock)
        self.watch(name, pulse.quiet, within, essential=essential)
        return pulse.beat

    def look(self) -> bool:
        """Tells of loops that stand still; settles it for those that move, or work, again. False: an essential one does
        not move, and the service manager should end this process."""
        alive = True
        for name, (quiet, within, essential) in self._watched.items():
            seconds = quiet()
            if seconds <= within:
                if name in self._still:
                    self._still.discard(name)
                    self._settle(STANDS_STILL, name)
                continue
            alive = alive and not essential
            if name not in self._still:
                self._still.add(name)
                what = "without it nothing is accepted" if essential else "the rest goes on"
                text = f"the loop {name!r} has not moved for {seconds:.0f} s: {what}"
                self._alert(Alert(STANDS_STILL, name, text))
        self._settle_steady()
        return alive

    def _settle_steady(self) -> None:
        now = self._clock()
        steady = [name for name, at in self._stumbled.items() if now - at >= STEADY_S]
        for name in steady:
            del self._stumbled[name]
            self._settle(DISK, name)

    async def keep(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Runs ``loop`` until it returns or is cancelled, and again, after a pause that grows, when it raises."""
        self._stumbled.setdefault(name, self._clock())
        pause = FIRST_PAUSE_S
        while True:
            begun = self._clock()
            try:
                return await loop()
            except Exception as error:
                self.stumbled(name, error)
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    # a TaskGroup in which a task fails in the moment of the stop raises that, and loses the stop
                    raise asyncio.CancelledError from error
            pause = (
                FIRST_PAUSE_S if self._clock() - begun > LONGEST_PAUSE_S else min(2 * pause, LONGEST_PAUSE_S)
            )
            await asyncio.sleep(pause / 2)

    def stumbled(self, name: str, error: Exception) -> None:
        """A loop ended with ``error``: the disk's faults pass, all others are ours."""
        cause: BaseException = error
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        if isinstance(cause, sqlite3.Error | OSError | MawError):
            log.warning("%s stumbled and begins again: %s", name, cause)
            self._stumbled[name] = self._clock()
            self._alert(
                Alert(DISK, name, f"the loop {name!r} stumbled over {cause}; it begins again by itself")
            )
        else:
            self._bug(name, cause if isinstance(cause, Exception) else error)
