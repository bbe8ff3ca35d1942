"""Tells authors elsewhere how far their messages got with the agents of this host: at once, and then no more than one
entry of our log a second, for all of it together. What is to be told is on the disk until the entry that tells it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import aiosqlite

from maw.core.entry import Kind
from maw.core.progress import MAX_SEQS, gather
from maw.errors import MawError
from maw.node.authoring import Authoring, wall_clock_ms
from maw.node.folds import Folds
from maw.node.store import Store
from maw.store.fold import Fold
from maw.store.progress import AHEAD, Told, due, unopened
from maw.store.withholding import release

log = logging.getLogger(__name__)

PAUSE_S: Final = 1.0
QUIET_S: Final = 20.0
"""So long it waits for something to tell before it says that it is alive."""


class Reporting:
    """``moved`` wakes who waits for a message to get further. ``damaged`` is told of entries that are, by place."""

    def __init__(
        self,
        store: Store,
        authoring: Authoring,
        folds: Folds,
        moved: Callable[[], None],
        damaged: Callable[[list[int]], None],
    ) -> None:
        self._store = store
        self._authoring = authoring
        self._folds = folds
        self._moved = moved
        self._damaged = damaged
        self._due = True
        self._spoiled = False
        """Something is due of which nobody can be told before its entry is mended."""
        self._returned = True
        self._stirred = asyncio.Event()

    async def run(self, beat: Callable[[], None]) -> None:
        """For ever; ``beat`` is called now and then."""
        while True:
            beat()
            if not self._due and not self._returned:
                with suppress(TimeoutError):
                    async with asyncio.timeout(QUIET_S):
                        await self._stirred.wait()
                self._stirred.clear()
                self._due = self._due or self._spoiled  # it may be mended by now
            try:
                await self.settle()
            except MawError as error:
                log.info("how far messages got is told later: %s", error.message)
            await asyncio.sleep(PAUSE_S)

    def marked(self) -> None:
        """Something was marked here, durably."""
        self._due = True
        self._stirred.set()
        self._moved()

    def received(self, fold: Fold) -> None:
        """What came from elsewhere is durable."""
        if fold.changes.moved or fold.changes.unopened:
            self._due = True  # published again: what was told of it was told of another branch
            self._stirred.set()
        if fold.progressed:
            self._moved()
        state = self._store.state
        ours = {self._store.me, *state.former_me}
        if fold.changes.travels or any(
            state.node_at[log.node].key in ours for log in fold.changes.logs.values()
        ):
            self._returned = True  # what others said of messages that were not here can be looked into now
            self._stirred.set()

    async def settle(self) -> None:
        """Tell what is due. Raises MawError when the disk does not take it; then it is still due."""
        if self._returned:
            await self._look_again()
        if self._due and not self._authoring.barred and not self._authoring.read_only:
            await self._tell()

    async def _tell(self) -> None:
        self._due = False
        try:
            waiting, damaged = await due(self._store.db, self._store.state, MAX_SEQS)
            self._spoiled = bool(damaged)
            if damaged:
                self._damaged(damaged)
            lost = await unopened(self._store.db, MAX_SEQS)
            progress, marks = gather([*waiting, *lost])
            if not marks:
                return
            told = [waiting[mark] for mark in marks if mark in waiting]
            places = [lost[mark] for mark in marks if mark in lost]
            await self._authoring.say(
                Kind.PROGRESS, progress.content(), local=lambda fold: _told(fold, told, places)
            )
        except BaseException:  # whatever it was, of all this nothing was told
            self._due = True
            raise
        if len(marks) < len(waiting) + len(lost) or MAX_SEQS in (len(waiting), len(lost)):
            self._due = True

    async def _look_again(self) -> None:
        self._returned = False
        after: int | None = 0
        while after is not None:
            start = after

            async def write(conn: aiosqlite.Connection, start: int = start) -> tuple[int | None, Fold]:
                fold = self._folds.new(wall_clock_ms())
                return await release(conn, fold, AHEAD, start), fold

            try:
                after, _ = await self._store.writer.submit(write, lambda done: self._folds.took(done[1]))
            except BaseException:
                self._returned = True
                raise


def _told(fold: Fold, told: list[Told], unopened: list[int]) -> None:
    fold.changes.told += told
    fold.changes.unopened_told += unopened
