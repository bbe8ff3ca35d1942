"""A modelled disk: what is synced survives a power cut, what is not is gone.

Jobs queue; all that wait go into one commit, as in the daemon's writer. Their answers come a little after the
sync: a crash in between leaves rows on the disk of which nobody in memory had heard. ``crash_at`` names the
point of a commit at which the node falls over.
"""

from __future__ import annotations

import random
from array import array
from bisect import bisect_right, insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from maw.core.entry import START, Entry, Head, Kind, Position, unpack_payload
from maw.core.frames import TARGET_BATCH, Proof
from maw.core.identity import NodeId
from maw.core.log import Heads, cut_at_signature
from maw.core.members import Pin
from maw.core.redaction import Range, droppable
from maw.core.statement import Statement
from tests.simulation.clockwork import Clockwork
from tests.simulation.rules import Rules, rule_of
from tests.simulation.trace import Trace

Place = tuple[NodeId, int]
CRASH_POINTS: Final = {
    "crash_queued": "crashes with a job queued",
    "crash_writing": "crashes while a commit is written",
    "crash_synced": "crashes after the sync, nobody told",
    "crash_told_some": "crashes with half of a commit answered",
    "crash_told": "crashes right after the answers",
}


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
    """What a database holds. ``seqs[i]`` is where ``visible[i]`` stands for readers."""

    logs: dict[Place, list[Entry]] = field(default_factory=dict)
    visible: list[Entry] = field(default_factory=list)
    seqs: array[int] = field(default_factory=partial(array, "q"))
    seq: int = 0
    proofs: dict[Place, Proof] = field(default_factory=dict)
    """Of the logs that are disputed."""
    statements: dict[bytes, Statement] = field(default_factory=dict)
    pins: dict[NodeId, Pin] = field(default_factory=dict)
    used: dict[bytes, tuple[NodeId, ...]] = field(default_factory=dict)
    """Invites of this host by whom they were claimed."""
    fingerprint: str | None = None
    """Boot, machine and file that wrote last."""
    joining: str = ""
    """How far our own join is: "", "begun", "pinned" or "done"."""
    rules: Rules = field(default_factory=Rules)
    grown: set[Place] = field(default_factory=set)
    """Logs that were written to since the last commit ended."""
    marks: dict[bytes, int] = field(default_factory=dict)
    """How far messages for the agent here got with him: by id, how many of ``states.MARKS``."""
    untold: dict[bytes, int] = field(default_factory=dict)
    """Of those, what their authors are to be told."""
    progress: dict[bytes, int] = field(default_factory=dict)
    """Of messages that were said here, by the id each had first: what their recipients' hosts told."""
    ahead: list[Entry] = field(default_factory=list)
    """What was told of messages that are not here."""
    fresh_marks: list[tuple[bytes, int]] = field(default_factory=list)
    """Marks of the commit under way, by the id a message had first."""
    _epochs: dict[NodeId, list[int]] = field(default_factory=dict)
    """By author, in order; made when asked for."""

    def head(self, author: NodeId, epoch: int) -> Head:
        log = self.logs.get((author, epoch))
        return log[-1].head if log else START

    def heads(self) -> dict[NodeId, Heads]:
        found: dict[NodeId, Heads] = {}
        for (author, epoch), log in self.logs.items():
            found.setdefault(author, {})[epoch] = log[-1].head
        return found

    def epochs(self, author: NodeId) -> list[int]:
        if not self._epochs:
            for node, epoch in sorted(self.logs):
                self._epochs.setdefault(node, []).append(epoch)
        return self._epochs.get(author, [])

    def _note_epoch(self, author: NodeId, epoch: int) -> None:
        if self._epochs:
            insort(self._epochs.setdefault(author, []), epoch)

    def _drop_log(self, place: Place) -> None:
        del self.logs[place]
        self._epochs = {}

    def append(self, entries: Sequence[Entry], shown: Mapping[bytes, int] | None = None) -> None:
        """All or none; ``shown``: where some of them, by id, are shown already.
        Refuses a run that does not follow what is here, as the daemon's runtime does."""
        tops: dict[Place, Head] = {}
        for entry in entries:
            place = (entry.author, entry.epoch)
            head = tops.get(place) or self.head(*place)
            if (head.seq + 1, head.id) != (entry.seq, entry.prev):
                raise RefusedError(f"seq {entry.seq} does not follow {head.seq}")
            tops[place] = entry.head
        for entry in entries:
            at = shown[entry.id] if shown and entry.id in shown else self._stands_for(entry)
            held = self._as_ruled(entry)
            place = (entry.author, entry.epoch)
            if place not in self.logs:
                self.logs[place] = []
                self._note_epoch(*place)
            self.logs[place].append(held)
            self.grown.add(place)
            if at is not None:
                self._move_marks(self.visible[at].id, held.id)
                self.visible[at] = held
            elif held.position not in self.rules.missing:
                self._show(held)
            if (rule := rule_of(held)) is not None:
                self.take_rule((rule.author, rule.epoch), rule.ranges)

    def _move_marks(self, old: bytes, new: bytes) -> None:
        """It was published again: what was told of it was told of another branch."""
        if old != new and old in self.marks:
            self.marks[new] = self.untold[new] = self.marks.pop(old)
            self.untold.pop(old, None)

    def _show(self, entry: Entry) -> None:
        self.seq += 1
        self.visible.append(entry)
        self.seqs.append(self.seq)

    # -- payloads that are gone -------------------------------------------------------------------------

    def _as_ruled(self, entry: Entry) -> Entry:
        """Without payload where a rule came before it; without both it is missing."""
        ruled = self.rules.covers(entry.position)
        if ruled and droppable(entry.kind):
            return replace(entry, payload=None)
        if entry.payload is None and not ruled:
            self.rules.missing[entry.position] = entry
        return entry

    def take_rule(self, place: Place, ranges: Sequence[Range]) -> None:
        """What it covers loses its payload; who reads is shown that something stood there."""
        self.rules.add(place, ranges)
        log = self.logs.get(place, [])
        for first, last in ranges:
            for at in range(first - 1, min(last, len(log))):
                entry = log[at]
                if self.rules.missing.pop(entry.position, None) is not None:
                    self.rules.late.add(entry.id)
                    self._show(entry)
                elif entry.payload is not None and droppable(entry.kind):
                    log[at] = replace(entry, payload=None)
                    self.visible[self._shown_at(entry)] = log[at]
                    self.rules.dropped += 1

    def fill(self, entry: Entry) -> None:
        """The payload of an entry that was held without it; nobody brings one back that a rule dropped."""
        if self.rules.missing.pop(entry.position, None) is None:
            return
        self.logs[entry.author, entry.epoch][entry.seq - 1] = entry
        self.rules.late.add(entry.id)
        self._show(entry)

    def _shown_at(self, entry: Entry) -> int:
        return next(at for at, one in enumerate(self.visible) if one.id == entry.id)

    def read_places(self, places: Sequence[Position]) -> tuple[list[Entry], list[Position]]:
        """As ``maw.store.mending.read_places``."""
        found: list[Entry] = []
        lacking: list[Position] = []
        for position in places:
            log = self.logs.get((position.author, position.epoch), [])
            if position.seq > len(log):
                lacking.append(position)
                continue
            found.append(log[position.seq - 1])
            if sum(entry.size for entry in found) >= TARGET_BATCH:
                break
        return found, lacking

    def _stands_for(self, entry: Entry) -> int | None:
        """Where it is shown already, under the entry that it says again; as ``maw.store.replacing.seen_before``."""
        if entry.payload is None or b"\xa3was" not in entry.payload:
            return None
        epoch, seq, old_id = unpack_payload(entry.payload)["was"]
        log = self.logs.get((entry.author, epoch), [])
        if seq > len(log) or log[seq - 1].id != old_id:
            return None
        return next((at for at, shown in enumerate(self.visible) if shown.id == old_id), None)

    def lift(self, place: Place, keep: int, *, keep_shown: bool) -> list[tuple[Entry, int | None]]:
        """Takes everything beyond ``keep`` off a log: each entry, and where it is shown. With ``keep_shown`` what
        says something stays there, to be said again; all else goes out of sight."""
        log = self.logs[place]
        gone, log[keep:] = log[keep:], []
        if not log:
            self._drop_log(place)
        ids = {entry.id for entry in gone if not keep_shown or entry.kind != Kind.POST}
        stays = [at for at, entry in enumerate(self.visible) if entry.id not in ids]
        self.visible, self.seqs = (
            [self.visible[at] for at in stays],
            array("q", (self.seqs[at] for at in stays)),
        )
        where = {entry.id: at for at, entry in enumerate(self.visible)}
        return [(entry, where.get(entry.id)) for entry in gone]

    def page(self, after: int, limit: int) -> list[tuple[int, Entry]]:
        """What stands above ``after`` for readers, oldest first; as ``maw.store.pages.since``."""
        at = bisect_right(self.seqs, after)
        return list(zip(self.seqs[at : at + limit], self.visible[at : at + limit], strict=True))

    def read_after(self, author: NodeId, heads: Heads, page: int) -> tuple[list[Entry], list[Entry]]:
        """As ``maw.store.logs.read_after``: what comes next, or our run that contradicts a head."""
        found: list[Entry] = []
        size = 0
        for epoch in self.epochs(author):
            log = self.logs[author, epoch]
            after = heads.get(epoch, START)
            if after.seq and after.seq <= len(log) and log[after.seq - 1].id != after.id:
                return [], list(page_of(log, after.seq - 1, page))
            if after.seq >= len(log):
                continue
            run = page_of(log, after.seq, page)
            found += run
            size += sum(entry.size for entry in run)
            if size >= page or after.seq + len(run) < len(log):
                break
        return found, []

    def copy(self) -> Rows:
        return Rows(
            {place: list(log) for place, log in self.logs.items()},
            list(self.visible), self.seqs[:], self.seq, dict(self.proofs), dict(self.statements),
            dict(self.pins), dict(self.used), self.fingerprint, self.joining, self.rules.copy(),
            marks=dict(self.marks), untold=dict(self.untold), progress=dict(self.progress),
            ahead=list(self.ahead),
        )  # fmt: skip

    def forget_after(self, entries: int, statements: int) -> None:
        """Undo what came later than the first ``entries`` and ``statements``."""
        while len(self.visible) > entries:
            entry = self.visible.pop()
            self.seqs.pop()
            while self.logs[entry.author, entry.epoch].pop().id != entry.id:  # missing, and so not shown
                pass
            if not self.logs[entry.author, entry.epoch]:
                self._drop_log((entry.author, entry.epoch))
        while len(self.statements) > statements:
            self.statements.popitem()


def page_of(log: list[Entry], at: int, page: int) -> Sequence[Entry]:
    size, end = 0, at
    while end < len(log) and size < min(page, TARGET_BATCH):
        size += log[end].size
        end += 1
    found = cut_at_signature(log[at:end])
    while not found and end < len(log):  # an author signed badly for longer than a page
        end += 1
        found = cut_at_signature(log[at:end])
    return found


class Disk:
    """One node's disk. ``delay``: a commit's usual length (s).

    ``refusing`` makes every commit fail, ``refuse_one`` the next one; ``full`` those that bring entries.
    """

    def __init__(
        self, clockwork: Clockwork, trace: Trace, rng: random.Random, name: str, delay: float
    ) -> None:
        self.rows = Rows()
        self.refusing = False
        self.refuse_one = False
        self.full = False
        self.slowness = 1.0
        self.delay = delay
        self.crash_at: str | None = None
        self.fall_over: Callable[[], None] = lambda: None
        self.high: dict[Place, int] = {}
        """The highest seq that was ever durable here."""
        self.high_marks: dict[bytes, int] = {}
        """How far each message ever got here, durably, by the id it had first."""
        self._clockwork = clockwork
        self._trace = trace
        self._rng = rng
        self._name = name
        self._queue: list[Job] = []
        self._busy = False
        self._power = 0
        self._told = 0.0
        self._synced = (0, 0)

    def submit(self, job: Job) -> None:
        self._queue.append(job)
        if not self._busy:
            self._begin()
        elif self.crash_at == "crash_queued":
            self._clockwork.after(0, self._reach, "crash_queued", self._power)

    def crash(self, *, power: bool) -> None:
        """The queue and the commit under way are gone; without power also what was not synced."""
        if self._queue or self._busy:
            self._trace.count("commits lost in a crash")
        self._queue.clear()
        self._busy = False
        self._power += 1
        if power:
            self.rows.forget_after(*self._synced)

    def replace(self, rows: Rows) -> None:
        """Another database lies here now."""
        self.rows = rows
        self.sync()

    def flush(self) -> None:
        """The sync of a commit."""
        self.sync()

    def sync(self) -> None:
        """What was committed is beyond the reach of a power cut from here on."""
        self._synced = (len(self.rows.visible), len(self.rows.statements))

    def _begin(self) -> None:
        self._busy = True
        group, self._queue = self._queue[:64], self._queue[64:]
        delay = self.delay * self._rng.uniform(0.5, 2.0) * self.slowness
        if self.slowness > 1:
            self._trace.count("slow commits")
        if self.crash_at == "crash_writing":
            self._clockwork.after(delay * 0.9, self._reach, "crash_writing", self._power)
        self._clockwork.after(delay, self._end, group, self._power)

    def _reach(self, point: str, power: int) -> None:
        """The node falls over here if that was planned."""
        if self.crash_at == point and power == self._power:
            self.crash_at = None
            self._trace.count(CRASH_POINTS[point])
            self.fall_over()

    def _end(self, group: list[Job], power: int) -> None:
        if power != self._power:
            return
        answers = self._commit(group)
        if dropped := self.rows.rules.dropped:
            self._trace.count("payloads dropped by a rule", dropped)
            self.rows.rules.dropped = 0
        for place in self.rows.grown:
            self.high[place] = max(self.high.get(place, 0), len(self.rows.logs.get(place, ())))
        self.rows.grown.clear()
        for root, rank in self.rows.fresh_marks:
            self.high_marks[root] = max(self.high_marks.get(root, 0), rank)
        self.rows.fresh_marks.clear()
        self._reach("crash_synced", power)
        if power != self._power:
            return
        self._told = max(self._told, self._clockwork.now + self._rng.uniform(0, self.delay / 4))
        self._clockwork.at(self._told, self._answer, answers, power)
        self._busy = False
        if self._queue:
            self._begin()

    def _commit(self, group: list[Job]) -> list[tuple[Callable[..., None], tuple[Any, ...]]]:
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
        self.flush()
        return answers

    def _answer(self, answers: list[tuple[Callable[..., None], tuple[Any, ...]]], power: int) -> None:
        for at, (what, args) in enumerate(answers):
            if at and at == len(answers) // 2:
                self._reach("crash_told_some", power)
            if power == self._power:
                what(*args)
        self._reach("crash_told", power)
