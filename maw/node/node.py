"""One node: its parts, run until told to stop."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from maw.config import Config
from maw.core.effects import Alert
from maw.core.identity import Signer
from maw.errors import BadConfig, MawError, ProtocolViolation
from maw.node.authoring import wall_clock_ms
from maw.node.home import NodeHome
from maw.node.housekeeping import Chore, Housekeeping
from maw.node.opening import Opened, open_store, takes_nothing
from maw.node.parts import Parts
from maw.node.presenting import iso
from maw.node.waking import Slept, WallJumped
from maw.store.attached import LOOK_S
from maw.store.database import Database, open_database

log = logging.getLogger(__name__)

_DAMAGED = (sqlite3.Error, ProtocolViolation, ValueError, TypeError, KeyError, OverflowError)
"""What reading rows raises that no maw wrote."""

RUNTIME_STILL_S: Final = 15.0
HOUSEKEEPING_STILL_S: Final = 60.0
JOINS_STILL_S: Final = 180.0
SCRUBBING_STILL_S: Final = 600.0
REPORTING_STILL_S: Final = 60.0
SEARCH_STILL_S: Final = 120.0
BELL_STILL_S: Final = 120.0
FILES_STILL_S: Final = 120.0
MOVES_STILL_S: Final = 600.0
"""Loops that take longer over one round stand still: see maw/node/loops.py."""


class Node(Parts):
    """Made by ``open_node``. ``run`` does everything."""

    def __init__(self, home: NodeHome, config: Config, signer: Signer, db: Database, opened: Opened) -> None:
        super().__init__(home, config, signer, db, opened)
        self.housekeeping = self._make_housekeeping()

    async def run(self, stop: asyncio.Event, started: Callable[[], None] = lambda: None) -> None:
        """Until ``stop`` is set: then links end, and all that was accepted is written before it returns.

        ``started`` is called when it is decided what to listen on. Raises BadConfig (in a group) when the
        database turns out to be damaged.
        """
        try:
            await self._run(stop, started)
        except* sqlite3.Error as several:
            error: BaseException = several
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            raise _unusable(self.home, error) from several

    async def _run(self, stop: asyncio.Event, started: Callable[[], None]) -> None:
        async with asyncio.TaskGroup() as outer:
            outer.create_task(self.writer.run(), name="writer")
            try:
                await self._prepare()
                loops = self.loops
                ticks = loops.pulse("runtime", RUNTIME_STILL_S, essential=True)
                joins = loops.pulse("joins", JOINS_STILL_S)
                looks = loops.pulse("scrubbing", SCRUBBING_STILL_S)
                tells = loops.pulse("reporting", REPORTING_STILL_S)
                finds = loops.pulse("search", SEARCH_STILL_S)
                rings = loops.pulse("bell", BELL_STILL_S)
                files = loops.pulse("files", FILES_STILL_S)
                moves = loops.pulse("moves", MOVES_STILL_S)
                rounds = loops.pulse("housekeeping", HOUSEKEEPING_STILL_S)
                async with asyncio.TaskGroup() as inner:
                    tasks = [
                        inner.create_task(work, name=name)
                        for name, work in (
                            ("runtime", self.runtime.run(ticks)),
                            ("mesh", self.mesh.run()),
                            ("joins", loops.keep("joins", lambda: self.joiner.run(joins))),
                            (
                                "housekeeping",
                                loops.keep("housekeeping", lambda: self.housekeeping.run(rounds)),
                            ),
                            ("scrubbing", loops.keep("scrubbing", lambda: self.scrubber.run(looks))),
                            ("search", loops.keep("search", lambda: self.indexing.run(finds))),
                            ("reporting", loops.keep("reporting", lambda: self.reporting.run(tells))),
                            ("bell", loops.keep("bell", lambda: self.bell.run(rings))),
                            ("files", loops.keep("files", lambda: self.runtime.borrowing.run(files))),
                            ("moves", loops.keep("moves", lambda: self.migrating.run(moves))),
                        )
                    ]
                    await self.mesh.bound()
                    await self.introducing.start()
                    self._retarget()
                    started()
                    await stop.wait()
                    for link in self.board.all():
                        link.close("this node is stopping")
                    for task in tasks:
                        task.cancel()
                await self._tidy()
            finally:
                await self.writer.close()

    async def _prepare(self) -> None:
        said, (epoch, head) = self._opened.mark.read(), self.state.newest_epoch(self.me)
        if said > (epoch, head.seq):
            self.runtime.feed(lambda machine, now: machine.homecoming.lost(said, now))
        await self.shelf.load()
        await self.receipts.load(self.db.writing, self.state)
        # the herald first: what the others find settled may be told again
        damaged = [
            *await self.herald.load(),
            *await self.bell.load(),
            *await self.roster.load(),
            *await self.wakes.load(),
            *await self.costs.load(),
        ]
        await self.read_peers()
        damaged += await self.hosting.load()
        damaged += await self.spending.load()
        self._tell_damaged(damaged)
        self.membership.write_copy()
        if self._opened.notes:
            self.alerts.raise_alert(Alert("recovery", self.config.name, "; ".join(self._opened.notes)))
        # of an earlier run, that may have been killed: told anew if it is so still
        self.alerts.settle("disk", self.config.name)
        self.disk.check()
        self.clock_watch.look(wall_clock_ms(), iso(wall_clock_ms()))
        await self.forking.start(self.runtime.machine)
        try:
            await self.stated.settle()  # before anybody can read here what a restored database holds again
        except MawError as error:  # of a disk that takes nothing: it is tried again
            log.warning("not redacted yet: %s", error.message)

    def _tell_damaged(self, left_out: list[str]) -> None:
        """Rows that are not as they were written keep no node from starting; a human says anew what they said."""
        if not left_out:
            self.alerts.settle("damaged", self.config.name)
            return
        text = f"rows of {self.home.database} are damaged, and left out: {'; '.join(left_out[:20])}"
        self.alerts.raise_alert(Alert("damaged", self.config.name, text))

    async def _clock_event(self, event: Slept | WallJumped) -> None:
        if isinstance(event, Slept):
            await self.mesh.woke()
        else:
            self.authoring.end_epoch(event.describe())

    async def _tidy(self) -> None:
        await self.alerts.save()
        try:
            await self.saving.save()
        except MawError as error:
            log.warning("receipts were not written, the peers give them again: %s", error.message)
        try:
            await self.refused.save()
        except MawError as error:
            log.warning("the last refusals are not on record: %s", error.message)

    def _make_housekeeping(self) -> Housekeeping:
        looks = (
            lambda: self.clock_watch.look(wall_clock_ms(), iso(wall_clock_ms())),
            self.disk.check,
            self.descriptors.look,
            self.hosting.look,
            lambda: self.conduct.look(self.runtime.traffic()),
            self.membership.mend_copy,
            lambda: self.copy_watch.look(self.mesh.dial_states()),
            lambda: self.version_watch.look(self.mesh.dial_states()),
            self.inventory.look,
            self.quotas.look,
            self.legibility.look,
        )
        chores: dict[str, Chore] = {
            "this node's card": self.introducing.say_card,
            "what was found at the start": self.membership.settle,
            "what statements ask for": self.keeping.settle,
            "recovery keys": self.vouching.settle,
            "kinds of entries that are new": self.learning.settle,
            "orders that were seen": self.orders.settle,
            "receipts for authors further off": self.far_receipts.save,
            "missing entries": lambda: self.mender.keep(asyncio.get_running_loop().time()),
            "posts in private channels": self.rooms.settle,
            "redactions": self.redacting.keep,
            "what expired": self.expiring.keep,
            "asks that are overdue": self.conversing.remind,
            "mail that came late": self.hearing.take_late,
            "alerts": self.alerts.save,
            "wakes": self.wakes.save,
            "what is held": self.hearing.tell_held,
            "what agents were shown": self.hearing.settle,
            "alerts in a channel": self.herald.keep,
            "how often each speaks": self.rhythm.keep,
            "what agents do": self.tallies.keep,
            "who has spent what he may": self.spending.keep,
            "what agents came to": self.ledger.keep,
            "receipts": self.saving.save_receipts,
            "refusals": self.refused.keep,
        }
        seldom: dict[str, tuple[int, Chore]] = {
            "when peers were last seen": (60, self.saving.save),
            "what agents take": (60, self.hosting.keep),
            "sealing keys": (60, self.sealing.keep),
            "who is there": (60, self.presences.keep),
            "who runs which policy": (60, self.policies.look),
            "costs of days long ago": (3600, lambda: self.costs.forget(self.config.cost.keep_days)),
            "old wakes": (3600, self.wakes.forget_old),
            "old idempotency keys": (3600, self.authoring.forget_old_keys),
            "files that nobody needs": (LOOK_S, self.shelf.sweep),
        }
        return Housekeeping(looks, chores, seldom, self._clock_event)


def _unusable(home: NodeHome, error: BaseException) -> BadConfig:
    message = f"the database {home.database} cannot be used: {error}"
    if takes_nothing(error):
        hint = "`maw doctor` looks at the disk: make room, or make it writable; nothing was changed"
        return BadConfig(message, code="cannot_write", hint=hint)
    return BadConfig(
        message,
        code="damaged_database",
        hint="`maw verify --repair` writes it anew from what can be read, and has the rest fetched from the peers;"
        " or put a backup back: `maw backup --list`, `maw restore`",
    )


@asynccontextmanager
async def open_node(home: NodeHome, config: Config, signer: Signer) -> AsyncIterator[Node]:
    """Opens the database and puts a node together; it does nothing until ``run``."""
    async with open_database(home.database) as db:
        try:
            opened = await open_store(home, signer, db)
        except _DAMAGED as error:
            raise _unusable(home, error) from None
        try:
            yield Node(home, config, signer, db, opened)
        finally:
            opened.mark.close()  # the writer has ended: nothing else may come to be written into it
