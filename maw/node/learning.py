"""After an update: what an older version held and could not read is read, once."""

from __future__ import annotations

import logging
from typing import Final

import aiosqlite

from maw.core.entry import Kind
from maw.node.authoring import wall_clock_ms
from maw.node.folds import Folds
from maw.node.store import Store
from maw.store.fold import Fold
from maw.store.learning import legible, read_step

log = logging.getLogger(__name__)

Step = tuple[list[Fold], int | None]
_FIRST: Final = 0


class Learning:
    def __init__(
        self,
        store: Store,
        folds: Folds,
    ) -> None:
        self._store = store
        self._folds = folds
        self._done = False

    async def settle(self) -> None:
        """Raises MawError when the disk does not take it; the next call goes on where it was."""
        if self._done:
            return
        for kind in await legible(self._store.db):
            count = await self._read(kind)
            log.info("read %d entries of kind %d, which came before this version was installed", count, kind)
        self._done = True

    async def _read(self, kind: Kind) -> int:
        count, after = 0, _FIRST
        while True:

            async def write(conn: aiosqlite.Connection, after: int = after) -> Step:
                now_ms = wall_clock_ms()
                return await read_step(
                    conn, kind, after, lambda: self._folds.new(now_ms), lambda: self._store.state.reload(conn)
                )

            folds, going_on = await self._store.writer.submit(write, self._stored)
            count += len(folds)
            if going_on is None:
                return count
            after = going_on

    def _stored(self, step: Step) -> None:
        for fold in step[0]:
            self._folds.took(fold, self._store.me)
