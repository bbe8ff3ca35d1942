"""The moves of agents from here and to here, put together: one loop that takes each the next step it can take."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from maw.errors import MawError
from maw.node.arriving import Arriving
from maw.node.loans import Loans
from maw.node.luggage import Luggage
from maw.node.moving import Moving
from maw.node.store import Store
from maw.store.fold import Fold

log = logging.getLogger(__name__)

PAUSE_S: Final = 0.5
"""Between two rounds while something is under way."""
QUIET_S: Final = 20.0


class Migrating:
    def __init__(
        self, store: Store, moving: Moving, arriving: Arriving, luggage: Luggage, loans: Loans
    ) -> None:
        self._store = store
        self.moving = moving
        self.luggage = luggage
        self._arriving = arriving
        self._loans = loans

    def received(self, fold: Fold) -> None:
        """What came from elsewhere is durable."""
        self._loans.received(fold)
        self.moving.received(fold)

    async def run(self, beat: Callable[[], None]) -> None:
        """For ever; ``beat`` is called now and then."""
        while True:
            beat()
            stirred = self.moving.stirred
            stirred.clear()
            before = self._steps()
            await self._round()
            if self._steps() != before:
                continue
            pause = PAUSE_S if self._is_busy() else QUIET_S
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await stirred.wait()

    def _steps(self) -> list[tuple[bytes, str]]:
        return [(row.move, row.step) for row in self._store.state.moves.values()]

    def _is_busy(self) -> bool:
        return bool(self._store.state.borrowed) or any(
            row.is_open for row in self._store.state.moves.values()
        )

    async def _round(self) -> None:
        for move in list(self._store.state.moves):
            for part in (self.moving, self._arriving):
                row = self._store.state.moves.get(move)
                if row is None:
                    continue
                try:
                    if part is self.moving or not row.leaving:
                        await part.go_on(row)
                except MawError as error:
                    self.luggage.progress[move] = error.message
                    log.info("the move of %s goes on later: %s", row.name, error.message)
        try:
            await self._loans.settle()
        except MawError as error:
            log.info("keys are lent later: %s", error.message)
