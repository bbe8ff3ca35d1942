"""Fetches from other hosts what is damaged or lacking on this one, and shows them what they lack.

``mend`` is for whoever found damage: each place comes back with what became of it. What the machine asks for
(``read``, ``write_back``, ``in_vain``) is carried out here.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Final

import aiosqlite

from maw.core.effects import Effect, InVain, Mended, ReadPlaces
from maw.core.entry import Head, Position
from maw.core.identity import NodeId
from maw.core.mending import MAX_WANTED, Wanted
from maw.core.replication import Replicator
from maw.errors import MawError
from maw.node.authoring import wall_clock_ms
from maw.node.folds import Folds
from maw.node.reactions import Feed
from maw.store import mending
from maw.store.database import Database
from maw.store.fold import Fold
from maw.store.opened import keys_of
from maw.store.redacting import covering
from maw.store.state import State
from maw.store.writer import Writer

log = logging.getLogger(__name__)

MEND_TIMEOUT_S: Final = 60.0
CATCH_UP_S: Final = 60.0
"""How long a missing payload waits for the rule that may explain it, while more of its author is on its way."""


class Outcome(Enum):
    """What became of a place that was to be mended."""

    MENDED = "mended"
    NOWHERE = "no host that is linked now has it"
    NOT_HERE = "there is no such place in any log held here"
    UNCHAINED = "nothing that is whole says which entry belongs there"
    TIMED_OUT = "the hosts that may have it did not answer in time"


class Mender:
    """``feed`` asks the machine and carries out what it says."""

    def __init__(
        self,
        db: Database,
        state: State,
        writer: Writer,
        folds: Folds,
        feed: Feed,
    ) -> None:
        self._folds = folds
        self._missing_since: dict[NodeId, float] = {}
        self._db = db
        self._state = state
        self._writer = writer
        self._feed = feed
        self._waiting: dict[Position, asyncio.Future[Outcome]] = {}

    async def mend(
        self, places: Iterable[Position], *, timeout: float = MEND_TIMEOUT_S
    ) -> dict[Position, Outcome]:
        """Fetch the entries at these places and write them over what is there; damaged neighbours together, for the
        upper says what is demanded below. Every place is in the answer. ``timeout``: seconds, for each thousand.
        """
        asked = sorted(set(places), reverse=True)
        results: dict[Position, Outcome] = {}
        for at in range(0, len(asked), MAX_WANTED // 2):
            results |= await self._mend(asked[at : at + MAX_WANTED // 2], timeout)
        return results

    async def _mend(self, places: Sequence[Position], timeout: float) -> dict[Position, Outcome]:
        wanted = await mending.demanded(self._db, self._state, places)
        here = await self._made_again(wanted)
        wanted = [item for item in wanted if item.position not in here]
        loop = asyncio.get_running_loop()
        waits = {
            item.position: self._waiting.setdefault(item.position, loop.create_future()) for item in wanted
        }
        self._feed(lambda machine, now: machine.want(wanted, now))
        if waits:
            await asyncio.wait(waits.values(), timeout=timeout)
        results = dict.fromkeys(places, Outcome.NOT_HERE) | dict.fromkeys(here, Outcome.MENDED)
        for position, wait in waits.items():
            self._waiting.pop(position, None)
            results[position] = wait.result() if wait.done() else Outcome.TIMED_OUT
        left = [position for position, outcome in results.items() if outcome is not Outcome.MENDED]
        self._feed(lambda machine, now: machine.mended(left))
        for item in wanted:
            above = item.position._replace(seq=item.position.seq + 1)
            if item.id is None and Outcome.MENDED not in (results[item.position], results.get(above)):
                results[item.position] = Outcome.UNCHAINED
        return results

    async def keep(self, now: float) -> None:
        """Asks for payloads that are missing, once a second. While more of an author is on its way, the rule that
        dropped them may be: then it is waited for, but not without end."""
        skip: set[NodeId] = set()
        room = 0
        authors = {author for author, _ in self._state.incomplete()}
        self._missing_since = {author: self._missing_since.get(author, now) for author in authors}

        def look(machine: Replicator, _: float) -> Sequence[Effect]:
            nonlocal room
            room = machine.mending.room
            for author, since in self._missing_since.items():
                if not machine.followed.caught_up(author) and now < since + CATCH_UP_S:
                    skip.add(author)
            return machine.completeness(self._news(machine), now)

        self._feed(look)
        if not self._missing_since:
            return
        wanted = await mending.lacking(self._db, self._state, skip, room)
        new = [item for item in wanted if item.position.author not in skip]

        def want(machine: Replicator, at: float) -> Sequence[Effect]:
            return machine.want([item for item in new if not machine.mending.wants(item.position)], at)

        self._feed(want)

    def _news(self, machine: Replicator) -> dict[tuple[NodeId, int], Head | None]:
        """Where the machine does not know yet up to where a log is complete: rules of our own, for one."""
        ours, known = self._state.incomplete(), machine.incomplete()
        return {log: ours.get(log) for log in {*ours, *known} if ours.get(log) != known.get(log)}

    async def _made_again(self, wanted: Sequence[Wanted]) -> set[Position]:
        """Places whose entries are whole: what was made of them is what is damaged, and nobody need be asked."""
        whole = await mending.whole_here(self._db, self._state, wanted)
        if not whole:
            return set()
        try:
            await self._writer.submit(lambda conn: mending.write_back(conn, self._state, whole))
        except (MawError, sqlite3.Error) as error:
            log.warning("what was made of %d entries could not be made again: %s", len(whole), error)
            return set()
        return {entry.position for entry in whole}

    # -- what the machine asks for ----------------------------------------------------------------

    async def read(self, effect: ReadPlaces) -> None:
        entries, lacking = await mending.read_places(self._db, self._state, effect.places)
        self._feed(lambda machine, now: machine.places_read(effect.link, entries, lacking))

    def write_back(self, effect: Mended) -> None:
        entries = effect.entries
        positions = [entry.position for entry in entries]

        async def write(conn: aiosqlite.Connection) -> Fold:
            fold = self._folds.new(wall_clock_ms())
            for entry in entries:
                place = self._state.logs[entry.author, entry.epoch].place(entry.seq)
                if await mending.is_missing(conn, place) and await covering(conn, place) is None:
                    fold.fill(entry)
                    continue
                unseen = await mending.is_unseen(conn, self._state, fold.me, entry)
                fold.keys |= await keys_of(conn, self._state, [entry])
                await mending.write_back(conn, self._state, [entry])
                if unseen and await covering(conn, place) is None:
                    fold.show(entry)
            await fold.write(conn)
            return fold

        def after(fold: Fold) -> None:
            self._folds.took(fold, entries[0].author)
            self._feed(lambda machine, now: machine.mended(positions))
            self._tell(positions, Outcome.MENDED)

        def finished(future: asyncio.Future[Fold]) -> None:
            if not future.cancelled() and (error := future.exception()):
                log.warning("%d entries could not be written back: %s", len(entries), error)
                self._feed(lambda machine, now: machine.not_mended(positions, now))

        try:
            job = self._writer.submit_nowait(write, after)
        except (asyncio.QueueFull, MawError):
            self._feed(lambda machine, now: machine.not_mended(positions, now))
            return
        job.add_done_callback(finished)

    def in_vain(self, effect: InVain) -> None:
        self._tell(effect.places, Outcome.NOWHERE)

    def _tell(self, positions: Iterable[Position], outcome: Outcome) -> None:
        for position in positions:
            if (wait := self._waiting.get(position)) is not None and not wait.done():
                wait.set_result(outcome)
