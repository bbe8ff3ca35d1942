"""The sending half of following: what goes to whom, live first, never more than the credit given.

Laws
  1. A follower's cursor says what was sent to it on this connection; only this file moves it.
  2. A cursor is *live* when nothing stored lies beyond it: then what is committed goes out at once.
     Otherwise it waits its turn to be read from the store; for each link MAX_READS reads run at a time.
  3. What exceeds the credit is not sent: a live cursor falls back to reading from the store later, so a
     slow follower costs us no memory. Reads leave a part of the credit (RESERVE) to what is live: nobody's
     catch-up keeps others waiting. A read asks for what credit there is beyond that, within READ_SIZES: large
     reads on a fast link, whose credit is back before the next one, and small ones on a slow link, which
     overdraws by at most MAX_READS of the smallest. Credit never rises above what it began with.
  4. A head that contradicts ours ends the follow, with the proof. Where there are later epochs only that epoch is left
     out: in one of those the author says which branch counts, and publishes again what the follower is to hold before
     it lets go of the other.
  5. A Follow of serial 0 is a question, not a follow: "does what you hold contradict this head?" It moves no
     cursor, and is answered with a Fork or with silence. None is passed over: each epoch asked about gets a read of
     its own, for no other question about it need come as long as the link lives.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from maw.core.effects import Effect, Hangup, Link, ReadLog, Send
from maw.core.entry import MAX_COUNT, NO_PREV, START, Entry, Head
from maw.core.frames import (
    TARGET_BATCH,
    CannotFollow,
    Entries,
    Follow,
    Following,
    Fork,
    UpToDate,
)
from maw.core.held import HeldLogs
from maw.core.identity import NodeId
from maw.core.log import Heads, runs

INITIAL_CREDIT: Final = 1 << 20
MAX_READS: Final = 1
READ_SIZES: Final = (64 << 10, 256 << 10)
"""Bytes, about: the smallest and the largest read. What is live waits behind one of them on a slow link."""
RESERVE: Final = 3 / 8
"""The part of the first credit that reading from the store leaves alone: more than a usual read overdraws."""
QUESTION: Final = 0
"""The serial of a Follow that only asks about a fork."""


@dataclass(slots=True)
class _Cursor:
    serial: int
    sent: Heads
    live: bool = False
    queued: bool = False
    told: bool = False
    barren: bool = False
    """The last read brought nothing although something was lacking."""


@dataclass(slots=True)
class _Outlet:
    credit: int
    cursors: dict[NodeId, _Cursor] = field(default_factory=dict)
    questions: dict[NodeId, Heads] = field(default_factory=dict)
    """The heads asked about, of epochs that are held here: of each the latest, and so never more than we hold."""
    waiting: dict[NodeId, None] = field(default_factory=dict)
    """An ordered set: who asks again and again stands in the line once."""
    reading: int = 0


class Serving:
    """Serves our replica's logs to those who follow them through us."""

    def __init__(self, me: NodeId, held: HeldLogs, credit: int = INITIAL_CREDIT) -> None:
        self._me = me
        self._held = held
        self._credit = credit
        self._reserve = int(credit * RESERVE)
        self._outlets: dict[Link, _Outlet] = {}

    @property
    def busy(self) -> int:
        """Reads under way."""
        return sum(outlet.reading for outlet in self._outlets.values())

    def credit_of(self, link: Link) -> int:
        """Bytes of entries that may be sent to ``link`` now; the initial credit when all came back."""
        return self._outlets[link].credit

    def link_up(self, link: Link) -> None:
        self._outlets[link] = _Outlet(self._credit)

    def link_down(self, link: Link) -> None:
        self._outlets.pop(link, None)

    def feeds(self, link: Link, author: NodeId) -> bool:
        """Whether ``link`` follows ``author`` through us."""
        outlet = self._outlets.get(link)
        return outlet is not None and author in outlet.cursors

    def followers(self, link: Link) -> int:
        return len(self._outlets[link].cursors)

    def follow(self, link: Link, ask: Follow) -> list[Effect]:
        if ask.serial == QUESTION:
            return self._asked(link, ask)
        if ask.author != self._me and not self._held.of(ask.author):
            return [Send(link, CannotFollow(ask.author, ask.serial, "nothing of this author is held here"))]
        cursor = _Cursor(ask.serial, dict(ask.heads))
        self._outlets[link].cursors[ask.author] = cursor
        return [Send(link, Following(ask.author, ask.serial)), *self._proceed(link, ask.author, cursor)]

    def _asked(self, link: Link, ask: Follow) -> list[Effect]:
        outlet, ours = self._outlets[link], self._held.of(ask.author)
        if heads := {epoch: head for epoch, head in ask.heads if epoch in ours}:
            outlet.waiting[ask.author] = None
            outlet.questions.setdefault(ask.author, {}).update(heads)
        return self._pump(link)

    def unfollow(self, link: Link, author: NodeId) -> None:
        self._outlets[link].cursors.pop(author, None)

    def credited(self, link: Link, amount: int) -> list[Effect]:
        outlet = self._outlets[link]
        outlet.credit += amount
        if outlet.credit > self._credit:
            return [Hangup(link, "too_much_credit", "the peer returned more credit than it was sent")]
        return self._pump(link)

    def heard_from(self, link: Link, entries: Sequence[Entry]) -> None:
        """The peer sent us these: they need not be sent back."""
        for run in runs(entries):
            cursor = self._outlets[link].cursors.get(run[0].author)
            if cursor and cursor.sent.get(run[0].epoch, START).seq < run[-1].seq:
                cursor.sent[run[-1].epoch] = run[-1].head

    def committed(self, entries: Sequence[Entry]) -> list[Effect]:
        """These are durable now: send them on to whoever follows live."""
        effects: list[Effect] = []
        by_run = list(runs(entries))
        for link, outlet in self._outlets.items():
            going: list[Entry] = []
            for run in by_run:
                cursor = outlet.cursors.get(run[0].author)
                if cursor is None or not cursor.live:
                    continue
                unsent = self._held.within(_after(cursor, run))
                if not unsent:
                    continue
                if outlet.credit < _size(unsent) or not self._follows_on(cursor, unsent):
                    cursor.live = False
                    self._queue(outlet, run[0].author, cursor)
                    continue
                going.extend(unsent)
                self._sent(outlet, cursor, unsent)
            effects += [Send(link, Entries(tuple(part))) for part in batches(going)]
            effects += self._pump(link)
        return effects

    def put_back(self, author: NodeId, epoch: int, since: int) -> list[Effect]:
        """From ``since`` on we hold another branch: who was sent the old one is shown so, from the disk."""
        effects: list[Effect] = []
        for link, outlet in self._outlets.items():
            cursor = outlet.cursors.get(author)
            if cursor is not None and cursor.sent.get(epoch, START).seq >= since:
                cursor.live = False
                self._queue(outlet, author, cursor)
                effects += self._pump(link)
        return effects

    def log_read(
        self, link: Link, author: NodeId, serial: int, entries: Sequence[Entry], forked: Sequence[Entry]
    ) -> list[Effect]:
        """The answer to a ReadLog: what comes next, or our run that contradicts the follower's head."""
        outlet = self._outlets.get(link)
        if outlet is None:
            return []
        outlet.reading -= 1
        if serial == QUESTION and forked:
            return [Send(link, Fork(author, forked[0].epoch, tuple(forked))), *self._pump(link)]
        cursor = outlet.cursors.get(author)
        if cursor is None or cursor.serial != serial:
            return self._pump(link)
        if forked:
            epoch, proof = forked[0].epoch, Fork(author, forked[0].epoch, tuple(forked))
            if any(later > epoch for later in self._held.of(author)):
                cursor.sent[epoch] = Head(MAX_COUNT, NO_PREV)
                return [Send(link, proof), *self._proceed(link, author, cursor)]
            del outlet.cursors[author]
            why = CannotFollow(author, serial, "your head contradicts what is held here")
            return [Send(link, proof), Send(link, why), *self._pump(link)]
        unsent = [entry for run in runs(entries) for entry in self._held.within(_after(cursor, run))]
        barren = not entries and self._lacks(author, cursor)
        if barren and cursor.barren:  # once may be a commit that overtook the read
            del outlet.cursors[author]
            return [
                Send(link, CannotFollow(author, serial, "the log cannot be read here")),
                *self._pump(link),
            ]
        cursor.barren = barren
        self._sent(outlet, cursor, unsent)
        sends: list[Effect] = [Send(link, Entries(tuple(part))) for part in batches(unsent)]
        return [*sends, *self._proceed(link, author, cursor)]

    def _proceed(self, link: Link, author: NodeId, cursor: _Cursor) -> list[Effect]:
        if self._lacks(author, cursor) or (not cursor.told and self._contradicts(author, cursor)):
            self._queue(self._outlets[link], author, cursor)
            return self._pump(link)
        cursor.live = True
        if cursor.told:
            return self._pump(link)
        cursor.told = True
        return [Send(link, UpToDate(author, cursor.serial)), *self._pump(link)]

    def _lacks(self, author: NodeId, cursor: _Cursor) -> bool:
        ours = self._held.of(author)
        return any(head.seq > cursor.sent.get(epoch, START).seq for epoch, head in ours.items())

    def _contradicts(self, author: NodeId, cursor: _Cursor) -> bool:
        ours = self._held.of(author)
        return any(
            head.seq == ours[epoch].seq and head.id != ours[epoch].id
            for epoch, head in cursor.sent.items()
            if epoch in ours
        )

    def _follows_on(self, cursor: _Cursor, run: Sequence[Entry]) -> bool:
        return run[0].seq == cursor.sent.get(run[0].epoch, START).seq + 1

    def _sent(self, outlet: _Outlet, cursor: _Cursor, entries: Iterable[Entry]) -> None:
        for entry in entries:
            outlet.credit -= entry.size
            cursor.sent[entry.epoch] = Head(entry.seq, entry.id)

    def _queue(self, outlet: _Outlet, author: NodeId, cursor: _Cursor) -> None:
        if not cursor.queued:
            cursor.queued = True
            outlet.waiting[author] = None

    def _pump(self, link: Link) -> list[Effect]:
        """Start as many reads for ``link`` as may run; without credit all stay where they are."""
        outlet = self._outlets.get(link)
        effects: list[Effect] = []
        while outlet is not None and outlet.waiting and outlet.reading < MAX_READS:
            if (read := self._next_read(link, outlet)) is None:
                break
            outlet.reading += 1
            effects.append(read)
        return effects

    def _next_read(self, link: Link, outlet: _Outlet) -> ReadLog | None:
        """The first in the line that may be read for. A question costs no credit."""
        for author in list(outlet.waiting):
            cursor = outlet.cursors.get(author)
            queued = cursor is not None and cursor.queued
            if author in outlet.questions:
                heads = self._next_question(outlet, author)
                if not queued and author not in outlet.questions:
                    del outlet.waiting[author]
                return ReadLog(link, author, QUESTION, heads, READ_SIZES[0])
            if cursor is None or not queued:
                del outlet.waiting[author]
            elif outlet.credit > self._reserve:
                del outlet.waiting[author]
                cursor.queued = False
                smallest, largest = READ_SIZES
                size = max(smallest, min(outlet.credit - self._reserve, largest))
                return ReadLog(link, author, cursor.serial, dict(cursor.sent), size)
            elif not outlet.questions:
                break
        return None

    def _next_question(self, outlet: _Outlet, author: NodeId) -> Heads:
        """Where to read from for one of the epochs asked about."""
        asked = outlet.questions[author]
        epoch = next(iter(asked))
        head = asked.pop(epoch)
        if not asked:
            del outlet.questions[author]
        # nothing is wanted of other epochs: else a page of old ones would be read, and never those asked about
        return dict.fromkeys(self._held.of(author), Head(MAX_COUNT, NO_PREV)) | {epoch: head}


def _after(cursor: _Cursor, run: Sequence[Entry]) -> Sequence[Entry]:
    seq = cursor.sent.get(run[0].epoch, START).seq
    return run if run[0].seq > seq else run[seq - run[0].seq + 1 :]


def _size(entries: Iterable[Entry]) -> int:
    return sum(entry.size for entry in entries)


def batches(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Entries cut into frames of about TARGET_BATCH bytes, each cut at a signature checked here.

    A run never ends where its signature does not hold, or the receiver would have to refuse it. Where an
    author signed badly for long, the frame ends before that stretch, so that the stretch gets one of its own.
    """
    parts: list[list[Entry]] = []
    part: list[Entry] = []
    size = unsigned = 0
    for entry in entries:
        part.append(entry)
        size += entry.size
        if size < TARGET_BATCH:
            continue
        end = next((at for at in range(len(part), unsigned, -1) if part[at - 1].signature_holds()), 0)
        if end:
            parts.append(part[:end])
            part = part[end:]
            size = _size(part)
        unsigned = len(part)
    return [*parts, part] if part else parts
