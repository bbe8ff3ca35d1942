"""A modelled disk: what is committed survives a crash, what is not is gone.

Jobs queue; all that wait go into one commit, as in the daemon's writer. Their answers come a little after the
commit: a crash in between leaves rows on the disk of which nobody in memory had heard.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from maw.core.entry import START, Entry, Head, Position
from maw.core.frames import TARGET_BATCH
from maw.core.identity import NodeId
from maw.core.log import Heads, cut_at_signature
from maw.core.statement import Statement
from maw.core.trust import Pin
from tests.simulation.clockwork import Clockwork
from tests.simulation.trace import Trace, Violation

Place = tuple[NodeId, int]


class RefusedError(Exception):
    """This job alone is refused; the others of its commit go on."""


@dataclass(slots=True)
class Job:
    """``work`` changes the disk when the commit happens; ``done`` or ``lost`` is told afterwards."""

    work: Callable[[], Any]
    done: Callable[[Any], None]
    lost: Callable[[], None]


@dataclass(slots=True)
class Rows:
    """What is durable."""

    logs: dict[Place, list[Entry]] = field(default_factory=dict)
    visible: list[Position] = field(default_factory=list)
    statements: dict[bytes, Statement] = field(default_factory=dict)
    pins: dict[NodeId, Pin] = field(default_factory=dict)
    used: dict[bytes, tuple[NodeId, ...]] = field(default_factory=dict)
    """Invites of this host by whom they were claimed."""
    epoch_due: bool = False
    """The database is not the one that was written to last; what the daemon sees by its fingerprint."""
    joining: str = ""
    """How far our own join is: "", "begun", "pinned" or "done"."""

    def head(self, author: NodeId, epoch: int) -> Head:
        log = self.logs.get((author, epoch))
        return log[-1].head if log else START

    def heads(self) -> dict[NodeId, Heads]:
        found: dict[NodeId, Heads] = {}
        for (author, epoch), log in self.logs.items():
            found.setdefault(author, {})[epoch] = log[-1].head
        return found

    def epochs(self, author: NodeId) -> list[int]:
        return sorted(epoch for node, epoch in self.logs if node == author)

    def append(self, entries: Sequence[Entry]) -> None:
        """All or none. Refuses a run that does not follow what is here, as the daemon's runtime does."""
        tops: dict[Place, Head] = {}
        for entry in entries:
            place = (entry.author, entry.epoch)
            head = tops.get(place) or self.head(*place)
            if (head.seq + 1, head.id) != (entry.seq, entry.prev):
                raise RefusedError(f"seq {entry.seq} does not follow {head.seq}")
            tops[place] = entry.head
        for entry in entries:
            self.logs.setdefault((entry.author, entry.epoch), []).append(entry)
            self.visible.append(entry.position)

    def read_after(self, author: NodeId, heads: Heads, page: int) -> tuple[list[Entry], list[Entry]]:
        """As ``maw.store.logs.read_after``: what comes next, or our run that contradicts a head."""
        found: list[Entry] = []
        size = 0
        for epoch in self.epochs(author):
            log = self.logs[author, epoch]
            after = heads.get(epoch, START)
            if after.seq and after.seq <= len(log) and log[after.seq - 1].id != after.id:
                return [], list(_page(log, after.seq - 1, page))
            if after.seq >= len(log):
                continue
            run = _page(log, after.seq, page)
            found += run
            size += sum(entry.size for entry in run)
            if size >= page or after.seq + len(run) < len(log):
                break
        return found, []


def _page(log: list[Entry], at: int, page: int) -> Sequence[Entry]:
    size, end = 0, at
    while end < len(log) and size < min(page, TARGET_BATCH):
        size += log[end].size
        end += 1
    return cut_at_signature(log[at:end])


class Disk:
    """One node's disk. ``delay``: a commit's usual length (s).

    ``refusing`` makes every commit fail, ``refuse_one`` the next one.
    """

    def __init__(
        self, clockwork: Clockwork, trace: Trace, rng: random.Random, name: str, delay: float
    ) -> None:
        self.rows = Rows()
        self.refusing = False
        self.refuse_one = False
        self.slowness = 1.0
        self.delay = delay
        self.high: dict[Place, int] = {}
        """The highest seq that was ever durable here."""
        self._clockwork = clockwork
        self._trace = trace
        self._rng = rng
        self._name = name
        self._queue: list[Job] = []
        self._busy = False
        self._power = 0
        self._told = 0.0

    def submit(self, job: Job) -> None:
        self._queue.append(job)
        if not self._busy:
            self._begin()

    def crash(self) -> None:
        """Power off: the queue and the commit under way are gone."""
        if self._queue or self._busy:
            self._trace.count("commits lost in a crash")
        self._queue.clear()
        self._busy = False
        self._power += 1

    def restore(self, old: Rows) -> None:
        """An old copy of the entries is put back; trust has its copy beside the key and stays."""
        self.rows.logs = {place: list(log) for place, log in old.logs.items()}
        self.rows.visible = list(old.visible)
        self.rows.epoch_due = True

    def copy(self) -> Rows:
        return Rows({place: list(log) for place, log in self.rows.logs.items()}, list(self.rows.visible))

    def _begin(self) -> None:
        self._busy = True
        group, self._queue = self._queue[:64], self._queue[64:]
        delay = self.delay * self._rng.uniform(0.5, 2.0) * self.slowness
        if self.slowness > 1:
            self._trace.count("slow commits")
        self._clockwork.after(delay, self._end, group, self._power)

    def _end(self, group: list[Job], power: int) -> None:
        if power != self._power:
            return
        refused = self.refusing or self.refuse_one
        self.refuse_one = False
        answers: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        for job in group:
            try:
                answers.append((job.lost, ()) if refused else (job.done, (job.work(),)))
            except RefusedError as error:
                self._trace.note(self._clockwork.now, f"{self._name} disk refuses a job: {error}")
                answers.append((job.lost, ()))
        if refused:
            self._trace.count("batches refused by a disk", len(group))
            self._trace.note(self._clockwork.now, f"{self._name} disk refuses {len(group)} jobs")
        for (author, epoch), log in self.rows.logs.items():
            if len(log) > self.high.get((author, epoch), 0):
                self.high[author, epoch] = len(log)
        self._told = max(self._told, self._clockwork.now + self._rng.uniform(0, self.delay / 4))
        self._clockwork.at(self._told, self._answer, answers, power)
        self._busy = False
        if self._queue:
            self._begin()

    def _answer(self, answers: list[tuple[Callable[..., None], tuple[Any, ...]]], power: int) -> None:
        for what, args in answers:
            if power == self._power:
                what(*args)

    def check(self) -> None:
        """Nothing stands here twice, and every log is a chain."""
        if len(set(self.rows.visible)) != len(self.rows.visible):
            raise Violation(f"{self._name}: an entry was appended twice")
        for (author, epoch), log in self.rows.logs.items():
            last = START
            for entry in log:
                if (entry.author, entry.epoch, entry.seq, entry.prev) != (
                    author,
                    epoch,
                    last.seq + 1,
                    last.id,
                ):
                    raise Violation(f"{self._name}: the chain breaks at {epoch}:{entry.seq}")
                if not entry.signature_holds():
                    raise Violation(f"{self._name}: a bad signature at {epoch}:{entry.seq}")
                last = entry.head
        if len(self.rows.visible) != sum(len(log) for log in self.rows.logs.values()):
            raise Violation(f"{self._name}: entries and what is visible differ in number")
