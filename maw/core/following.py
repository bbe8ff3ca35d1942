"""The receiving half of following: each author's log through one link at a time.

Laws
  1. Entries count only from the link the author is followed through, after its ``Following``.
  2. A run is checked against what we hold and what is already on its way to the disk (*tentative*).
     No gap is buffered: on any doubt we follow again from the durable head.
  3. The oldest head that anybody advertised and we have not reached must arrive in time, else the follow
     moves; a link that advertised it and did not bring it is held off, longer each time, be it the author's.
  4. Credit goes back for every batch, once: when it is committed or discarded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from maw.core.effects import Alert, Append, CheckFork, Effect, Hangup, Link, OwnLogReturned, Receipt, Send
from maw.core.entry import START, Entry, Head
from maw.core.frames import (
    CannotFollow,
    Credit,
    Entries,
    Follow,
    Following,
    Fork,
    Have,
    Unfollow,
    UpToDate,
)
from maw.core.held import HeldLogs
from maw.core.identity import NodeId, short_key
from maw.core.log import Forked, Gap, Heads, check_run, closed_digest, runs, unheld
from maw.errors import ProtocolViolation

DEADLINE_S: Final = 5.0
"""How long an advertised head may take to arrive, backlog aside."""
BACKLOG_RATE: Final = 2_000.0
"""Entries a second that a link is expected to bring at the least."""
HOLDOFF_S: Final = 5.0
HOLDOFF_MAX_S: Final = 300.0
MAX_STRANGERS: Final = 1_000
"""Logs of authors we do not trust (yet) that a link may advertise before we stop remembering them."""


@dataclass(slots=True)
class _Advert:
    """What one link says it holds of one author."""

    heads: Heads = field(default_factory=dict)
    closed: tuple[int, bytes] | None = None
    exhausted: bytes | None = None
    """The closed digest at which the link said it had sent all: differing then means *it* lacks something."""


@dataclass(slots=True)
class _Inlet:
    peer: NodeId
    names: dict[int, tuple[NodeId, int]] = field(default_factory=dict)
    adverts: dict[NodeId, _Advert] = field(default_factory=dict)


@dataclass(slots=True)
class _Track:
    """How one author's log is followed."""

    link: Link | None = None
    serial: int = 0
    ready: bool = False
    target: tuple[int, int] | None = None
    deadline: float = 0.0
    holdoff: dict[Link, tuple[float, float]] = field(default_factory=dict)


@dataclass(slots=True)
class _Batch:
    link: Link
    size: int
    entries: tuple[Entry, ...]


class Followed:
    """Decides through which link each wanted author is followed, and checks what arrives."""

    def __init__(self, me: NodeId, colony: bytes, held: HeldLogs) -> None:
        self._me = me
        self._colony = colony
        self._held = held
        self._inlets: dict[Link, _Inlet] = {}
        self._tracks: dict[NodeId, _Track] = {}
        self._tentative: dict[tuple[NodeId, int], Head] = {}
        self._batches: dict[int, _Batch] = {}
        self._next_batch = 1
        self._next_serial = 1
        self.discarded_entries = 0
        """Entries that arrived and were of no use: what moving follows repeat is measured here."""

    # -- who is followed --------------------------------------------------------------------------

    def want(self, authors: Iterable[NodeId], now: float) -> list[Effect]:
        """These authors' logs are wanted, no others."""
        wanted = set(authors)
        effects: list[Effect] = []
        for author in [author for author in self._tracks if author not in wanted]:
            track = self._tracks.pop(author)
            if track.link is not None:
                effects.append(Send(track.link, Unfollow(author)))
        for author in sorted(wanted - set(self._tracks)):
            self._tracks[author] = _Track()
            effects += self._choose(author, now)
        return effects

    def link_up(self, link: Link, peer: NodeId, now: float) -> list[Effect]:
        self._inlets[link] = _Inlet(peer)
        return self._choose(peer, now) if peer in self._tracks else []

    def link_down(self, link: Link, now: float) -> list[Effect]:
        if self._inlets.pop(link, None) is None:
            return []
        effects: list[Effect] = []
        for author, track in self._tracks.items():
            track.holdoff.pop(link, None)
            if track.link == link:
                track.link = None
                effects += self._choose(author, now)
        return effects

    # -- what others say they hold ----------------------------------------------------------------

    def have(self, link: Link, frame: Have, now: float) -> list[Effect]:
        inlet = self._inlets[link]
        touched: dict[NodeId, None] = {}
        for name in frame.names:
            inlet.names[name.number] = (name.author, name.epoch)
        effects: list[Effect] = []
        for item in frame.heads:
            if item.number not in inlet.names:
                return [Hangup(link, "unknown_log", "a head was advertised for a log that was never named")]
            author, epoch = inlet.names[item.number]
            advert = self._advert(inlet, author)
            if advert is None:
                continue
            advert.heads[epoch] = item.head
            touched[author] = None
            if author == self._me and item.complete:
                effects.append(Receipt(inlet.peer, epoch, item.head.seq))
            effects += self._probe(link, author, epoch, item.head)
        for closed in frame.closed:
            advert = self._advert(inlet, closed.author)
            if advert is not None:
                advert.closed = (closed.below, closed.digest)
                touched[closed.author] = None
        for author in touched:
            if author in self._tracks:
                effects += self._choose(author, now)
                self._aim(author, now)
        return effects

    def behind(self, link: Link) -> int:
        """Entries that this link says it holds and we do not."""
        return sum(
            max(0, head.seq - self._held.head(author, epoch).seq)
            for author, advert in self._inlets[link].adverts.items()
            if author in self._tracks
            for epoch, head in advert.heads.items()
        )

    def lacks(self, link: Link) -> int:
        """Entries that we hold in live epochs and this link has not said it holds."""
        adverts = self._inlets[link].adverts
        return sum(
            max(0, self._held.head(author, epoch).seq - _advertised(adverts.get(author), epoch).seq)
            for author in self._held.authors()
            for epoch in self._held.live_epochs(author)
        )

    def _advert(self, inlet: _Inlet, author: NodeId) -> _Advert | None:
        """Heads of strangers are remembered too (their admission may be on its way), but not without end."""
        if author not in inlet.adverts:
            if author not in self._tracks and len(inlet.adverts) >= MAX_STRANGERS + len(self._tracks):
                return None
            inlet.adverts[author] = _Advert()
        return inlet.adverts[author]

    def _probe(self, link: Link, author: NodeId, epoch: int, head: Head) -> list[Effect]:
        """Another id where we stand: a fork, and following from our head makes the peer prove it."""
        ours = self._held.head(author, epoch)
        if author not in self._tracks or (author, epoch) in self._held.disputed:
            return []
        if head.seq != ours.seq or head.id == ours.id or head.seq == 0:
            return []
        return [Send(link, Follow(author, 0, ((epoch, ours),)))]

    def _offers(self, link: Link, author: NodeId) -> bool:
        """The link says it holds something of ``author`` that is neither here nor on its way to the disk."""
        advert = self._inlets[link].adverts.get(author)
        if advert is None:
            return False
        for epoch, head in advert.heads.items():
            if (author, epoch) not in self._held.disputed and head.seq > self._reached(author, epoch).seq:
                return True
        if advert.closed is None or advert.exhausted == advert.closed[1]:
            return False
        return closed_digest(self._held.of(author), advert.closed[0]) != advert.closed[1]

    def _reached(self, author: NodeId, epoch: int) -> Head:
        return self._tentative.get((author, epoch)) or self._held.head(author, epoch)

    # -- through which link -----------------------------------------------------------------------

    def _choose(self, author: NodeId, now: float, *, moving: bool = False) -> list[Effect]:
        """Keep the follow where it is while that is right; else move it to the best link."""
        track = self._tracks[author]
        usable = [link for link in self._inlets if self._usable(link, author, track, now)]
        direct = next((link for link in usable if self._inlets[link].peer == author), None)
        if track.link in usable and not moving:
            stays = direct is None or track.link == direct
            if stays or (self._offers(track.link, author) and not self._offers(direct, author)):  # type: ignore[arg-type]
                return []
        if not usable:
            return self._move(author, track, None)
        offering = [link for link in usable if self._offers(link, author)]
        if direct is not None and (direct in offering or not offering):
            return self._move(author, track, direct)
        best = max(offering or usable, key=lambda link: self._top(link, author))
        return self._move(author, track, best)

    def _usable(self, link: Link, author: NodeId, track: _Track, now: float) -> bool:
        if track.holdoff.get(link, (0.0, 0.0))[0] > now:
            return False
        inlet = self._inlets[link]
        return inlet.peer == author or bool(author in inlet.adverts and inlet.adverts[author].heads)

    def _top(self, link: Link, author: NodeId) -> tuple[int, int]:
        advert = self._inlets[link].adverts.get(author)
        return (
            max(((epoch, head.seq) for epoch, head in advert.heads.items()), default=(0, 0))
            if advert
            else (0, 0)
        )

    def _move(self, author: NodeId, track: _Track, link: Link | None) -> list[Effect]:
        effects: list[Effect] = []
        if track.link is not None and track.link != link and track.link in self._inlets:
            effects.append(Send(track.link, Unfollow(author)))
        track.link = link
        return effects + self._refollow(author, track) if link is not None else effects

    def _refollow(self, author: NodeId, track: _Track) -> list[Effect]:
        """Ask again from what is on our disk; whatever is still in flight from before will be passed over."""
        assert track.link is not None
        track.serial, self._next_serial = self._next_serial, self._next_serial + 1
        track.ready = False
        heads = tuple(sorted(self._held.of(author).items()))
        return [Send(track.link, Follow(author, track.serial, heads))]

    def following(self, link: Link, frame: Following) -> None:
        track = self._tracks.get(frame.author)
        if track and track.link == link and track.serial == frame.serial:
            track.ready = True

    def cannot_follow(self, link: Link, frame: CannotFollow, now: float) -> list[Effect]:
        track = self._tracks.get(frame.author)
        if track is None or track.link != link or track.serial != frame.serial:
            return []
        if self._inlets[link].peer != frame.author:
            self._inlets[link].adverts.pop(frame.author, None)
        self._hold_off(track, link, now)
        return self._choose(frame.author, now, moving=True)

    def up_to_date(self, link: Link, frame: UpToDate, now: float) -> list[Effect]:
        track = self._tracks.get(frame.author)
        if track is None or track.link != link or track.serial != frame.serial:
            return []
        advert = self._inlets[link].adverts.get(frame.author)
        if advert and advert.closed:
            advert.exhausted = advert.closed[1]
        others = [
            other for other in self._inlets if other != link and self._usable(other, frame.author, track, now)
        ]
        if not self._offers(link, frame.author) and any(self._offers(o, frame.author) for o in others):
            self._aim(frame.author, now)
        return []

    # -- deadlines --------------------------------------------------------------------------------

    def _aim(self, author: NodeId, now: float) -> None:
        """Set the oldest advertised head that is not reached as the target, unless one is set."""
        track = self._tracks[author]
        if track.target and self._reached(author, track.target[0]).seq < track.target[1]:
            return
        track.target = None
        for link in self._inlets:
            if self._usable(link, author, track, now) and self._offers(link, author):
                epoch, seq = self._top(link, author)
                missing = max(0, seq - self._reached(author, epoch).seq)
                track.target, track.deadline = (epoch, seq), now + DEADLINE_S + missing / BACKLOG_RATE
                return

    def tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for author, track in self._tracks.items():
            if track.link is None:
                effects += self._choose(author, now)
            self._aim(author, now)
            if track.target is None or now < track.deadline:
                continue
            track.target = None
            if track.link is not None:
                if any(batch.link == track.link for batch in self._batches.values()):
                    self._aim(author, now)  # our own disk is what is slow
                    continue
                others = [x for x in self._inlets if x != track.link and self._usable(x, author, track, now)]
                if others and self._offers(track.link, author):
                    self._hold_off(track, track.link, now)
            effects += self._choose(author, now, moving=True)
            self._aim(author, now)
        return effects

    def _hold_off(self, track: _Track, link: Link, now: float) -> None:
        delay = min(HOLDOFF_MAX_S, 2 * track.holdoff.get(link, (0.0, HOLDOFF_S / 2))[1])
        track.holdoff[link] = (now + delay, delay)

    # -- what arrives -----------------------------------------------------------------------------

    def entries(self, link: Link, frame: Entries, now: float) -> list[Effect]:
        size = sum(entry.size for entry in frame.entries)
        accepted: list[Entry] = []
        effects: list[Effect] = []
        for run in runs(frame.entries):
            track = self._tracks.get(run[0].author)
            place = (run[0].author, run[0].epoch)
            if track is None or track.link != link or not track.ready or place in self._held.disputed:
                self.discarded_entries += len(run)
                continue
            try:
                fresh = self._fresh(run)
            except Gap:
                self.discarded_entries += len(run)
                effects += self._refollow(run[0].author, track)
                continue
            except Forked:
                effects += [Send(link, Follow(run[0].author, 0, ((run[0].epoch, self._held.head(*place)),)))]
                self._hold_off(track, link, now)
                effects += self._choose(run[0].author, now, moving=True)
                continue
            except ProtocolViolation as error:
                self._drop_tentative(accepted)
                return [Hangup(link, error.code, error.message)]
            accepted += fresh
        if not accepted:
            return [*effects, Send(link, Credit(size))]
        batch, self._next_batch = self._next_batch, self._next_batch + 1
        self._batches[batch] = _Batch(link, size, tuple(accepted))
        return [*effects, Append(batch, link, tuple(accepted))]

    def _fresh(self, run: list[Entry]) -> list[Entry]:
        """The part of ``run`` that is new, checked; it becomes tentative."""
        place = (run[0].author, run[0].epoch)
        head = self._reached(*place)
        fresh = list(unheld(head, run))
        self.discarded_entries += len(run) - len(fresh)
        if fresh:
            check_run(self._colony, head, fresh)
            if any(entry.payload is None for entry in fresh):
                raise ProtocolViolation("an entry came without its payload", code="no_payload")
            self._tentative[place] = fresh[-1].head
        return fresh

    def batch(self, batch: int) -> tuple[Link, tuple[Entry, ...]]:
        """Where a batch on its way to the disk came from, and its entries."""
        return self._batches[batch].link, self._batches[batch].entries

    def committed(self, batch: int) -> list[Effect]:
        """The batch is durable (``held`` has advanced already): credit goes back."""
        done = self._batches.pop(batch)
        effects: list[Effect] = []
        if done.link in self._inlets:
            effects.append(Send(done.link, Credit(done.size)))
        ours = {entry.epoch for entry in done.entries if entry.author == self._me}
        effects += [OwnLogReturned(epoch) for epoch in sorted(ours)]
        for entry in done.entries:
            place = (entry.author, entry.epoch)
            if self._tentative.get(place) == entry.head:
                del self._tentative[place]
        return effects

    def discarded(self, batch: int) -> list[Effect]:
        """The batch did not reach the disk: follow again from what did."""
        lost = self._batches.pop(batch)
        self._drop_tentative(lost.entries)
        effects: list[Effect] = []
        for author in dict.fromkeys(entry.author for entry in lost.entries):
            track = self._tracks.get(author)
            if track and track.link is not None:
                effects += self._refollow(author, track)
        if lost.link in self._inlets:
            effects.append(Send(lost.link, Credit(lost.size)))
        return effects

    def _drop_tentative(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._tentative.pop((entry.author, entry.epoch), None)

    def fork(self, link: Link, frame: Fork) -> list[Effect]:
        """Somebody shows a run that contradicts ours; checked like any other before it counts as proof."""
        run = frame.entries
        if not run or frame.author not in self._tracks or (frame.author, frame.epoch) in self._held.disputed:
            return []
        if any((entry.author, entry.epoch) != (frame.author, frame.epoch) for entry in run):
            return [Hangup(link, "bad_fork", "a fork's proof holds entries of several logs")]
        try:
            check_run(self._colony, Head(run[0].seq - 1, run[0].prev), run)
        except ProtocolViolation as error:
            return [Hangup(link, error.code, error.message)]
        return [CheckFork(link, frame.author, frame.epoch, run)]

    def disputed(self, author: NodeId, epoch: int) -> list[Effect]:
        if (author, epoch) in self._held.disputed:
            return []
        self._held.disputed.add((author, epoch))
        text = (
            f"node {short_key(author)} has said two different things at one place of its log (epoch {epoch}):"
            " its database was copied or rolled back, or its key is in two hands"
        )
        return [Alert("fork", short_key(author), text)]


def _advertised(advert: _Advert | None, epoch: int) -> Head:
    return advert.heads.get(epoch, START) if advert else START
