"""Looks at everything on the disk, slowly and for ever, and has mended what is damaged.

A page of entries a second while nothing is written (and one in a while when much is): all of a database is seen
within days, and a damaged entry is fetched from the peers while they still have it. What was found stays on a list,
over restarts, until it is mended; it is asked for again as links change. Reading happens in a thread, through a
connection of its own: neither the loop nor the writer waits for it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiosqlite

from maw.core.effects import Alert
from maw.core.entry import Head, Position
from maw.core.identity import NodeId, short_key
from maw.core.message_ids import parse_message_id
from maw.core.soundness import LogName, judge
from maw.errors import MawError
from maw.node.alerts import Alerts
from maw.node.mender import Mender, Outcome
from maw.store.copying import open_readonly
from maw.store.database import Database
from maw.store.schema import SEQ_BITS
from maw.store.state import LogRow, State
from maw.store.trust import get_meta, set_meta
from maw.store.verifying import SQL_ERRORS, read_rows
from maw.store.writer import Writer

log = logging.getLogger(__name__)

PAGE: Final = 64
PAUSE_S: Final = 1.0
BUSY_PAUSES: Final = 30
"""Of so many pauses in which something was written, one is used all the same."""
CONFIRM_S: Final = 0.2
ROUND_S: Final = 86_400.0
SAVE_S: Final = 600.0
RETRY_S: Final = 60.0
MAX_DAMAGED: Final = 1_000
MEMORY_KEY: Final = "scrub"
DAMAGED: Final = "damaged"
"""The alert's kind; its subject is the short key of the node whose entries are."""
CACHE_KIB: Final = 256


@dataclass(slots=True)
class Round:
    """How far it is: ``log`` and ``seq`` were seen last. ``began``, ``ended``: seconds since 1970, of this round and
    of the last whole one; 0 when there was none."""

    log: int = 0
    seq: int = 0
    began: float = 0.0
    ended: float = 0.0
    damaged: set[tuple[int, int]] = field(default_factory=set)

    def text(self) -> str:
        damaged = sorted(self.damaged)[:MAX_DAMAGED]
        return json.dumps([self.log, self.seq, self.began, self.ended, damaged])

    @classmethod
    def read(cls, text: Any) -> Round:
        """A new one when there is nothing of use."""
        try:
            number, seq, began, ended, damaged = json.loads(text)
            found = {(int(a), int(b)) for a, b in damaged}
            return cls(int(number), int(seq), float(began), float(ended), found)
        except (TypeError, ValueError):
            return cls()


class Scrubber:
    """``colony``: which Colony's entries belong here."""

    def __init__(
        self, db: Database, state: State, writer: Writer, mender: Mender, alerts: Alerts,
        colony: Callable[[], bytes], *, now: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._db = db
        self._state = state
        self._writer = writer
        self._mender = mender
        self._alerts = alerts
        self._colony = colony
        self._now = now
        self.round = Round()
        self._conn: sqlite3.Connection | None = None
        self._reading = threading.Lock()
        """Held by the thread that reads: it goes on when the loop is cancelled, and must not have the file closed."""
        self._saved = ""
        self._told: set[str] = set()
        self._suspect: list[int] = []
        self._retry_at = 0.0

    async def run(self, beat: Callable[[], None] = lambda: None) -> None:
        """Until cancelled."""
        async with self._db.reading() as conn:
            self.round = Round.read(await get_meta(conn, MEMORY_KEY))
        self._saved = self.round.text()
        commits, busy, save = self._writer.commits, 0, self._now() + SAVE_S
        try:
            while True:
                await asyncio.sleep(PAUSE_S)
                busy = busy + 1 if self._writer.commits != commits else 0
                commits = self._writer.commits
                beat()
                while self._suspect:
                    await self._look_through(self._suspect.pop())
                if busy % BUSY_PAUSES == 0:
                    await self.step()
                if self.round.damaged and self._now() >= self._retry_at:
                    self._retry_at = self._now() + RETRY_S
                    await self.mend()
                if self._now() >= save:
                    await self._save()
                    save = self._now() + SAVE_S
        finally:
            with self._reading:
                if self._conn is not None:
                    self._conn.close()
                    self._conn = None

    def link_changed(self) -> None:
        """Somebody else may be there to ask."""
        self._retry_at = 0.0

    def hurry(self, subject: str) -> None:
        """A log of the node with this short key could not be read: what is wrong with it is found out now."""
        for number, row in self._state.log_at.items():
            if short_key(self._state.node_at[row.node].key) == subject and number not in self._suspect:
                self._suspect.append(number)
        self._told.add(subject)

    async def _look_through(self, number: int) -> None:
        row = self._state.log_at.get(number)
        for first in range(1, row.head.seq + 1 if row else 1, PAGE):
            assert row is not None
            await self.look(row, first, min(first + PAGE - 1, row.head.seq))
        self._tell({})

    async def step(self) -> None:
        """One page. After the last one nothing, until a round's time is over."""
        at = self.round
        row = self._next_log()
        if row is None:
            if at.ended < at.began or not at.began:
                at.ended = self._now()
            if self._now() - at.began >= ROUND_S:
                at.log, at.seq, at.began = 0, 0, self._now()
            return
        last = min(at.seq + PAGE, row.head.seq)
        await self.look(row, at.seq + 1, last)
        at.seq = last

    def _next_log(self) -> LogRow | None:
        """The log to go on in; None when all were seen."""
        at = self.round
        if not at.began:
            at.began = self._now()
        row = self._state.log_at.get(at.log)
        if row is not None and at.seq < row.head.seq:
            return row
        later = [number for number, one in self._state.log_at.items() if number > at.log and one.head.seq]
        if not later:
            return None
        at.log, at.seq = min(later), 0
        return self._state.log_at[at.log]

    async def look(self, row: LogRow, first: int, last: int) -> int:
        """Judges these places of one log; how many are damaged."""
        found = await self._damaged(row, row.head, first, last)
        if found:
            # what is being written, or signed again as this node joins, is ahead of the disk for a moment
            await asyncio.sleep(CONFIRM_S)
            if (again := self._state.log_at.get(row.l)) is None:
                return 0
            head = again.head
            if not await self._written() or again.head.seq < head.seq:
                return 0
            found &= await self._damaged(again, head, first, last)
        self.report((row.l, seq) for seq in found)
        return len(found)

    async def _written(self) -> bool:
        """Returns when all that was being written is on the disk, however slow that is; false where it is not."""

        async def nothing(_: aiosqlite.Connection) -> None:
            return

        try:
            await self._writer.submit(nothing)
        except MawError:
            return False
        return True

    async def _damaged(self, row: LogRow, head: Head, first: int, last: int) -> set[int]:
        """Judged by ``head``, which this log had at some moment."""
        name = LogName(self._colony(), self._state.node_at[row.node].key, row.epoch)
        last = min(last, head.seq)
        return set(await asyncio.to_thread(self._judge, name, row.l, first, last, head.seq, head.id))

    def _judge(self, name: LogName, number: int, first: int, last: int, top: int, head: bytes) -> list[int]:
        """In a thread. The places that are damaged."""
        try:
            with self._reading:
                if self._conn is None:
                    self._conn = open_readonly(self._db.path)
                    self._conn.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
                rows = read_rows(self._conn, number, first, min(last + 1, top))
        except (MawError, *SQL_ERRORS) as error:
            log.warning("the database could not be looked at: %s", error)
            return []
        if last >= top:
            judged = judge(name, rows, head, signatures=False)
        else:
            witness = judge(name, rows[-1:], None, signatures=False)
            judged = judge(name, rows[:-1], witness.first, signatures=False)
        return [damage.seq for damage in judged.damages]

    # -- what is damaged --------------------------------------------------------------------------------

    def report(self, places: Iterable[tuple[int, int]]) -> None:
        """Whoever finds a damaged entry says so here: (log, seq). It is told of, and asked of the peers."""
        logs = self._state.log_at
        fresh = {(log, seq) for log, seq in places if log in logs and 0 < seq <= logs[log].head.seq}
        fresh -= self.round.damaged
        if fresh:
            self.round.damaged |= set(sorted(fresh)[: max(0, MAX_DAMAGED - len(self.round.damaged))])
            self._tell({})

    async def mend(self) -> None:
        """Asks the peers for all that is on the list."""
        positions = {
            self._position(place): place for place in self.round.damaged if place[0] in self._state.log_at
        }
        outcomes = await self._mender.mend(positions)
        for position, outcome in outcomes.items():
            if outcome in (Outcome.MENDED, Outcome.NOT_HERE):
                self.round.damaged.discard(positions[position])
        self._tell(outcomes)
        await self._save()

    async def mend_these(self, ids: Sequence[str]) -> dict[str, Any]:
        """For who found damage himself: entries by their ids. How many were mended, and why others were not."""
        places: dict[Position, str] = {}
        left = []
        for text in ids:
            if (position := self._named(text)) is None:
                left.append({"id": text, "why": Outcome.NOT_HERE.value})
            else:
                places[position] = text
        outcomes = await self._mender.mend(places)
        for position, outcome in outcomes.items():
            if outcome is Outcome.MENDED:
                self.round.damaged.discard(self._place(position))
            else:
                left.append({"id": places[position], "why": outcome.value})
        self.report(
            self._place(position) for position, outcome in outcomes.items()
            if outcome not in (Outcome.MENDED, Outcome.NOT_HERE)
        )  # fmt: skip
        self._tell(outcomes)
        return {"mended": sum(one is Outcome.MENDED for one in outcomes.values()), "left": left}

    def _named(self, text: str) -> Position | None:
        ref = parse_message_id(text)
        for author, epoch in self._state.logs:
            if epoch == ref.epoch and short_key(author) == ref.node_prefix:
                return Position(author, epoch, ref.seq)
        return None

    def _place(self, position: Position) -> tuple[int, int]:
        return self._state.logs[position.author, position.epoch].l, position.seq

    def _position(self, place: tuple[int, int]) -> Position:
        row = self._state.log_at[place[0]]
        return Position(self._state.node_at[row.node].key, row.epoch, place[1])

    def _tell(self, outcomes: dict[Position, Outcome]) -> None:
        """One alert a node, for as long as anything of its is damaged."""
        of: dict[NodeId, int] = {}
        for number, _ in self.round.damaged:
            if (row := self._state.log_at.get(number)) is not None:
                key = self._state.node_at[row.node].key
                of[key] = of.get(key, 0) + 1
        why = {position.author: outcome.value for position, outcome in outcomes.items()
               if outcome not in (Outcome.MENDED, Outcome.NOT_HERE)}  # fmt: skip
        for key, count in of.items():
            name = self._state.nodes[key].name
            whose = f"{name} ({short_key(key)})" if name else short_key(key)
            text = f"{count} entries of node {whose} are damaged on this disk"
            text += f"; {why[key]}" if key in why else "; they are asked of the peers"
            self._alerts.raise_alert(Alert(DAMAGED, short_key(key), text))
        told = {short_key(key) for key in of}
        for subject in self._told - told:
            self._alerts.settle(DAMAGED, subject)
        self._told = told

    async def _save(self) -> None:
        text = self.round.text()
        if text == self._saved:
            return

        async def write(conn: aiosqlite.Connection) -> None:
            await set_meta(conn, MEMORY_KEY, text)

        try:
            await self._writer.submit(write)
            self._saved = text
        except MawError as error:
            log.debug("how far looking at the disk is could not be noted: %s", error.message)


def split(place: int) -> tuple[int, int]:
    """(log, seq) of an entry's place."""
    return place >> SEQ_BITS, place & ((1 << SEQ_BITS) - 1)
