"""What links brought, on its way to the disk: batches of entries, and statements.

The machine hears of each how it ended: behind the commit, or at once when the writer does not take it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import aiosqlite

from maw.core.clock import HybridClock
from maw.core.effects import Alert, Append, AppendStatements
from maw.core.entry import Entry
from maw.core.identity import short_key
from maw.core.log import runs
from maw.core.replication import Replicator
from maw.core.statement import read_statement
from maw.errors import LinkError, MawError
from maw.node.authoring import wall_clock_ms
from maw.node.folds import Folds
from maw.node.reactions import Ask, Reactions
from maw.store.asides import UnfoldableError
from maw.store.careful import take_carefully
from maw.store.fold import Fold
from maw.store.replacing import seen_before
from maw.store.state import State
from maw.store.writer import Closing, Writer

log = logging.getLogger(__name__)

MAX_STATEMENTS_UNDER_WAY: Final = 1_000
"""On their way to the disk; the book's quotas count what is there, so what is beyond this is asked for again."""


class Driver(Protocol):
    """Who runs the machine."""

    machine: Replicator

    def feed(self, ask: Ask) -> None: ...

    def or_end(self, step: Callable[[], None]) -> None:
        """A step taken in a callback of the event loop, which would only log its fault."""

    def returned(self, effect: Append) -> None:
        """This batch is durable: what it brought of our own log its link has as well."""


class Storing:
    """Jobs for the writer, each a batch; nothing is kept here but how many statements are under way."""

    def __init__(
        self,
        runtime: Driver,
        state: State,
        writer: Writer,
        clock: HybridClock,
        folds: Folds,
        reactions: Reactions,
    ) -> None:
        self._runtime = runtime
        self._state = state
        self._writer = writer
        self._clock = clock
        self._folds = folds
        self._reactions = reactions
        self._statements_under_way = 0

    def append(self, effect: Append, *, carefully: bool = False) -> None:
        async def write(conn: aiosqlite.Connection) -> list[Fold] | Closing[list[Fold]]:
            now_ms = wall_clock_ms()
            if self._runtime.machine.doomed(effect.batch):
                raise LinkError("a batch before it was not stored", code="stale_batch")
            if carefully:
                for run in runs(effect.entries):
                    self._still_follows(run[0])
                return await take_carefully(
                    conn, effect.entries, lambda: self._folds.new(now_ms), lambda: self._state.reload(conn)
                )
            fold = self._folds.new(now_ms)
            fold.again = await seen_before(conn, self._state, effect.entries)
            for run in runs(effect.entries):
                self._still_follows(run[0])  # within a run they were found to follow one another
                for entry in run:
                    fold.add(entry)
                    self._clock.merge(entry.hlc, now_ms)
            return await fold.close(conn, [fold])

        def finished(future: asyncio.Future[list[Fold]]) -> None:
            if future.cancelled() or (error := future.exception()) is None:
                return
            if isinstance(error, UnfoldableError) and not carefully:
                self._reactions.alert(_unfoldable(effect.entries, error))
                self.append(effect, carefully=True)
                return
            log.warning("a batch of %d entries was not stored: %s", len(effect.entries), error)
            self._runtime.or_end(lambda: self._discarded(effect))

        try:
            job = self._writer.submit_nowait(write, lambda folds: self._stored(effect, folds))
        except (asyncio.QueueFull, MawError):
            self._discarded(effect)
            return
        job.add_done_callback(finished)

    def _still_follows(self, entry: Entry) -> None:
        if self._state.head(entry.author, entry.epoch).id != entry.prev:
            raise LinkError("the run no longer follows what is on the disk", code="stale_batch")

    def _stored(self, effect: Append, folds: Sequence[Fold]) -> None:
        """A batch is durable."""
        self._folds.durable(folds)
        self._runtime.feed(lambda machine, now: machine.committed(effect.batch, now))
        for fold in folds:
            self._folds.took(fold, effect.entries[0].author)
        self._runtime.returned(effect)

    def _discarded(self, effect: Append) -> None:
        self._runtime.feed(lambda machine, _: machine.discarded(effect.batch))

    def append_statements(self, effect: AppendStatements) -> None:
        room = MAX_STATEMENTS_UNDER_WAY - self._statements_under_way
        taken, left = effect.items[:room], effect.items[room:]
        if left:
            self._runtime.machine.gossip.discarded(left)
        if not taken:
            return
        statements = [read_statement(wire) for wire in taken]

        async def write(conn: aiosqlite.Connection) -> None:
            rows = [(item.id, item.wire, wall_clock_ms()) for item in statements]
            await conn.executemany("INSERT OR IGNORE INTO statements VALUES (?, ?, ?)", rows)

        def after(_: None) -> None:
            self._runtime.feed(
                lambda machine, now: machine.statements_committed(statements, effect.link, now)
            )
            self._reactions.trust_changed()

        def finished(future: asyncio.Future[None]) -> None:
            self._statements_under_way -= len(taken)
            if not future.cancelled() and future.exception():
                self._runtime.machine.gossip.discarded(taken)

        try:
            job = self._writer.submit_nowait(write, after)
        except (asyncio.QueueFull, MawError):
            self._runtime.machine.gossip.discarded(taken)
            return
        self._statements_under_way += len(taken)
        job.add_done_callback(finished)


def _unfoldable(entries: Sequence[Entry], error: Exception) -> Alert:
    about = short_key(entries[0].author)
    text = (
        f"entries of node {about} could not be written together ({error}); each is tried alone. This is a bug in"
        " maw: please report it"
    )
    return Alert("unfoldable", about, text)
