"""What a node does every second beside carrying messages: it looks around, and writes what had no hurry.

Each chore stands for itself: one that the disk (or a revoked key) refuses is tried again a second later, and holds up
no other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from maw.errors import MawError
from maw.node.waking import Slept, WakeDetector, WallJumped, read_clocks

log = logging.getLogger(__name__)

ROUND_S: Final = 1.0

Look = Callable[[], None]
Chore = Callable[[], Awaitable[None]]


class Housekeeping:
    """``looks`` change nothing on disk and never fail. ``chores`` by name may raise MawError; ``seldom`` are those that
    are done once in so many rounds: (rounds, chore)."""

    def __init__(
        self,
        looks: Sequence[Look],
        chores: Mapping[str, Chore],
        seldom: Mapping[str, tuple[int, Chore]],
        clock_event: Callable[[Slept | WallJumped], Awaitable[None]],
    ) -> None:
        self._looks = looks
        self.chores = dict(chores)
        self._seldom = seldom
        self._clock_event = clock_event
        self._left: set[str] = set()

    async def run(self, beat: Callable[[], None]) -> None:
        """For ever; ``beat`` is called once a round."""
        detector = WakeDetector()
        detector.look(read_clocks())  # a jump within the first second is one too
        rounds = 0
        while True:
            beat()
            await asyncio.sleep(ROUND_S)
            rounds += 1
            for event in detector.look(read_clocks()):
                log.warning("%s", event.describe())
                await self._clock_event(event)
            await self.round(rounds)

    async def round(self, number: int) -> None:
        for look in self._looks:
            look()
        for name, chore in self.chores.items():
            await self._do(name, chore)
        for name, (rounds, chore) in self._seldom.items():
            if number % rounds == 0 or name in self._left:
                await self._do(name, chore)

    async def _do(self, name: str, chore: Chore) -> None:
        try:
            await chore()
        except MawError as error:
            if name not in self._left:
                log.info("%s is left for later: %s", name, error.message)
            self._left.add(name)
        else:
            self._left.discard(name)
