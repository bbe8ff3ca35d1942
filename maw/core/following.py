"""The receiving half of following: each author's log through one link at a time.

Laws
  1. Entries count only from the link the author is followed through, after its ``Following``.
  2. No gap is buffered: on any doubt we follow again from the durable head.
  3. The oldest head that anybody advertised and we have not reached must arrive in time, else the follow
     moves; a link that advertised it and did not bring it is held off, longer each time, be it the author's.
  4. Credit goes back for every batch, once: when it is committed or discarded.
  5. The authors of a discarded batch rest until the next tick, so that a full disk is not asked without end.
  6. Of a disputed epoch nothing more is asked: its head is shown with the highest seq there is.
  7. A tick looks only at authors of whom something is due or was changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from maw.core.adverts import Inlet
from maw.core.arriving import Arriving, Place
from maw.core.effects import Alert, Effect, Hangup, Link, OwnLogReturned, Receipt, Send
from maw.core.entry import MAX_COUNT, Entry, Head
from maw.core.epochs import EpochBudget, too_many
from maw.core.frames import (
    MAX_BATCH,
    MAX_FRAME,
    CannotFollow,
    Credit,
    Entries,
    Follow,
    Following,
    Have,
    Unfollow,
    UpToDate,
)
from maw.core.held import HeldLogs
from maw.core.identity import NodeId, short_key
from maw.core.log import Doubt, Forked, check_run, runs, unheld
from maw.core.offers import CLOSED_EPOCHS, Offers, Target
from maw.core.redaction import may_lack_payload
from maw.core.serving import INITIAL_CREDIT, QUESTION
from maw.core.tracks import Track, Tracks
from maw.core.ways import Ways
from maw.errors import ProtocolViolation

OVERDRAFT: Final = 4 * MAX_FRAME
"""What a sender may be over its credit: what its reads under way bring (see serving, law 3), three at most."""


class Followed:
    """Decides through which link each wanted author is followed, and checks what arrives."""

    def __init__(
        self,
        me: NodeId,
        colony: bytes,
        held: HeldLogs,
        credit: int = INITIAL_CREDIT,
        fed: Callable[[Link, NodeId], bool] = lambda _link, _author: False,
    ) -> None:
        """``fed``: whether a link follows an author through us."""
        self._epochs = EpochBudget(held)
        self._me = me
        self._colony = colony
        self._held = held
        self._credit = credit
        self._inlets: dict[Link, Inlet] = {}
        self._tracks = Tracks()
        self._arriving = Arriving(held)
        self.offers = Offers(self._inlets, held, self._arriving)
        self._ways = Ways(me, self._inlets, self.offers, fed)
        self._next_serial = 1
        self.discarded_entries = 0
        """Entries that arrived and were of no use: what moving follows repeat is measured here."""
        self.moves = 0
        """Follows that were taken from a link that was up."""
        self.doubts = 0
        """Gaps and contradictions that arrived: among honest nodes with sound databases there are none."""

    @property
    def busy(self) -> int:
        """Batches on their way to the disk."""
        return len(self._arriving)

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
            self._tracks.begin(author)
            effects += self._choose(author, now)
        self._tracks.stir(*self._tracks)  # with trust, cuts may have changed
        return effects

    def link_up(self, link: Link, peer: NodeId, now: float) -> list[Effect]:
        self._inlets[link] = Inlet(peer)
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
        try:
            inlet.learn_names(frame.names)
            heads = inlet.learn_heads(frame, self._tracks)
        except ProtocolViolation as error:
            return [Hangup(link, error.code, error.message)]
        effects: list[Effect] = []
        for author, epoch, head, complete in heads:
            question = self._probe(link, author, epoch, head)
            if author == self._me and complete and not question:
                effects.append(Receipt(inlet.peer, epoch, head.seq))
            effects += question
        touched = dict.fromkeys(author for author, *_ in heads)
        touched |= dict.fromkeys(inlet.learn_closed(frame.closed, self._tracks))
        for author in touched:
            if author in self._tracks:
                effects += self._choose(author, now)
                self._aim(author, now)
        return effects

    def caught_up(self, author: NodeId) -> bool:
        """Nothing that anybody offers of this author is lacking here."""
        track = self._tracks.get(author)
        return track is None or track.target is None

    def through(self, author: NodeId) -> Link | None:
        """The link through which this author's log comes at the moment."""
        track = self._tracks.get(author)
        return track.link if track else None

    @property
    def authors(self) -> int:
        """How many are followed."""
        return len(self._tracks)

    def through_it(self, link: Link) -> int:
        """How many authors are followed through ``link``."""
        return sum(track.link == link for track in self._tracks.values())

    def behind(self, link: Link) -> int:
        """Entries that this link says it holds and we do not."""
        return sum(self.offers.ahead(link, author) for author in self._tracks)

    def _probe(self, link: Link, author: NodeId, epoch: int, head: Head) -> list[Effect]:
        """Another id where we stand: a fork, and following from our head makes the peer prove it."""
        ours = self._held.head(author, epoch)
        if author not in self._tracks or (author, epoch) in self._held.disputed:
            return []
        if head.seq != ours.seq or head.id == ours.id or head.seq == 0:
            return []
        return [Send(link, Follow(author, QUESTION, ((epoch, ours),)))]

    # -- through which link -----------------------------------------------------------------------

    def _choose(self, author: NodeId, now: float, *, moving: bool = False) -> list[Effect]:
        """Keep the follow where it is while that is right; else move it to the best link."""
        track = self._tracks[author]
        if track.resting:
            return []
        direct = self._ways.direct(author, track, now)
        if not moving and track.link in self._inlets and self._ways.usable(track.link, author, track, now):
            if direct in (None, track.link) and not self._ways.in_a_ring(track.link, author):
                return []
            if self.offers.any(track.link, author) or self._arriving.awaits(author):
                track.changes = True  # not now: what is under way would come twice
                self._tracks.stir(author)
                return []
        usable = self._ways.all_usable(author, track, now)
        if not usable:
            return self._move(author, track, None)
        offering = [link for link in usable if self.offers.any(link, author)]
        if not moving and direct is None and track.link in usable and not offering:
            return []
        if direct is not None and (direct in offering or not offering):
            return self._move(author, track, direct)
        return self._move(author, track, self._ways.best(offering or usable, author))

    def _move(self, author: NodeId, track: Track, link: Link | None) -> list[Effect]:
        effects: list[Effect] = []
        if track.link is not None and track.link != link and track.link in self._inlets:
            self.moves += 1
            effects.append(Send(track.link, Unfollow(author)))
        track.link = link
        self._tracks.stir(author)
        return effects + self._refollow(author, track) if link is not None else effects

    def _refollow(self, author: NodeId, track: Track) -> list[Effect]:
        """Ask again from what is on our disk; whatever is still in flight from before will be passed over."""
        assert track.link is not None
        track.serial, self._next_serial = self._next_serial, self._next_serial + 1
        track.ready = False
        heads = tuple(
            (epoch, Head(MAX_COUNT, head.id) if (author, epoch) in self._held.disputed else head)
            for epoch, head in sorted(self._held.of(author).items())
        )
        return [Send(track.link, Follow(author, track.serial, heads))]

    def following(self, link: Link, frame: Following) -> None:
        track = self._tracks.get(frame.author)
        if track and track.link == link and track.serial == frame.serial:
            track.ready = True

    def cannot_follow(self, link: Link, frame: CannotFollow, now: float) -> list[Effect]:
        track = self._tracks.get(frame.author)
        if track is None or track.link != link or track.serial != frame.serial:
            return []
        track.hold_off(link, now)
        return self._choose(frame.author, now, moving=True)

    def up_to_date(self, link: Link, frame: UpToDate, now: float) -> list[Effect]:
        track = self._tracks.get(frame.author)
        if track is None or track.link != link or track.serial != frame.serial:
            return []
        advert = self._inlets[link].adverts.get(frame.author)
        if advert and advert.closed:
            advert.exhausted = advert.closed[1]
        self._aim(frame.author, now)
        if frame.author == self._me and not self.offers.any(link, self._me):
            return self._choose(self._me, now)
        return []

    # -- deadlines --------------------------------------------------------------------------------

    def _aim(self, author: NodeId, now: float) -> None:
        """The oldest advertised head that is not reached is the target; an older one only hastens."""
        track = self._tracks[author]
        offered = self._targets(author, track, now)
        current = track.target
        if current and self._arriving.reached(author, current[0]).seq >= current[1]:
            track.patience = 1.0
        if not offered:
            track.target = None
            return
        self._tracks.stir(author)
        follows = track.link is not None and self.offers.any(track.link, author)
        if follows:
            track.end_grace()
        oldest = min(offered)
        if current and (current in offered or self._arriving.reached(author, current[0]).seq < current[1]):
            if current <= oldest:
                return
        else:
            track.deadline = float("inf")
        missing = max(0, oldest[1] - self._arriving.reached(author, oldest[0]).seq)
        track.aim_at(oldest, missing, offered=follows or track.link is None, now=now)

    def _targets(self, author: NodeId, track: Track, now: float) -> list[Target]:
        """What usable links offer; older epochs, of which only a digest is known, when there is nothing else."""
        found = [
            target for link, target in self.offers.all(author) if self._ways.usable(link, author, track, now)
        ]
        return [target for target in found if target != CLOSED_EPOCHS] or found

    def tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for author, track in self._tracks.stirred():
            track.resting = False
            if track.link is None or track.changes:
                track.changes = False
                effects += self._choose(author, now)
            self._aim(author, now)
            if track.target is not None and now >= track.deadline:
                effects += self._overdue(author, track, now)
                track.target = None
                self._aim(author, now)
            if not track.is_settled(now):
                self._tracks.stir(author)
        return effects

    def _overdue(self, author: NodeId, track: Track, now: float) -> list[Effect]:
        """What was advertised did not come in time: another link that has it gets the follow."""
        if self._arriving.came_by(track.link):
            return []  # our own disk is what is slow
        if not self._ways.better_than(track, author, now):
            return []  # asking the same link again would only send the same again
        if track.link is not None and self.offers.any(track.link, author):
            track.hold_off(track.link, now)
        track.lose_patience()
        return self._choose(author, now, moving=True)

    # -- what arrives -----------------------------------------------------------------------------

    def entries(self, link: Link, frame: Entries, now: float) -> list[Effect]:
        size = sum(entry.size for entry in frame.entries)
        inlet = self._inlets[link]
        inlet.owed += size
        if inlet.owed > self._credit + OVERDRAFT:
            return [Hangup(link, "credit_exceeded", "the peer sends more than it was given credit for")]
        if size > MAX_BATCH:
            return [Hangup(link, "batch_too_big", f"a batch of {size} bytes; at most {MAX_BATCH}")]
        accepted: list[Entry] = []
        tops: dict[tuple[NodeId, int], Head] = {}
        effects: list[Effect] = []
        full: set[NodeId] = set()
        for came in runs(frame.entries):
            run = self._held.within(came)
            self.discarded_entries += len(came) - len(run)
            if not run:
                continue
            track = self._tracks.get(run[0].author)
            place = (run[0].author, run[0].epoch)
            if track is None or track.link != link or not track.ready or place in self._held.disputed:
                self.discarded_entries += len(run)
                continue
            try:
                fresh = self._fresh(tops.get(place) or self._arriving.reached(*place), run)
            except Doubt as doubt:
                self.discarded_entries += len(run)
                effects += self._doubt(link, track, place, doubt, now)
                continue
            except ProtocolViolation as error:
                return [Hangup(link, error.code, error.message)]
            if fresh and (place[0] in full or not self._may_begin(place, now)):
                self.discarded_entries += len(fresh)
                full.add(place[0])
                continue
            if fresh:
                tops[place] = fresh[-1].head
                accepted += fresh
        for author in full:
            effects += self._too_many_epochs(link, author, now)
        if not accepted:
            return [*effects, *self._give_back(link, size)]
        return [*effects, self._arriving.take(link, size, accepted, tops)]

    def _may_begin(self, place: Place, now: float) -> bool:
        """False for an epoch that is one too many. Nothing is counted against ourselves."""
        known = place[0] == self._me or bool(self._arriving.reached(*place).seq)
        return known or self._epochs.take(place[0], now)

    def _too_many_epochs(self, link: Link, author: NodeId, now: float) -> list[Effect]:
        """No link's fault, but what it would bring next follows what was not taken."""
        self._tracks[author].hold_off(link, now)
        return [too_many(author), *self._choose(author, now, moving=True)]

    def _fresh(self, head: Head, run: Sequence[Entry]) -> list[Entry]:
        """The part of ``run`` that is new, checked."""
        fresh = list(unheld(head, run))
        self.discarded_entries += len(run) - len(fresh)
        if fresh:
            check_run(self._colony, head, fresh)
            if any(entry.payload is None and not may_lack_payload(entry.kind) for entry in fresh):
                raise ProtocolViolation(
                    "an entry that is never redacted came without its payload", code="no_payload"
                )
        return fresh

    def _doubt(
        self, link: Link, track: Track, place: tuple[NodeId, int], doubt: Doubt, now: float
    ) -> list[Effect]:
        """A gap or a contradiction, where an honest link sends neither: off with the follow for a while."""
        self.doubts += 1
        effects: list[Effect] = []
        ours = self._held.head(*place)
        if isinstance(doubt, Forked) and ours.seq:
            effects.append(Send(link, Follow(place[0], QUESTION, ((place[1], ours),))))
        track.hold_off(link, now)
        return effects + self._choose(place[0], now, moving=True)

    def _give_back(self, link: Link, size: int) -> list[Effect]:
        inlet = self._inlets.get(link)
        if inlet is None or not size:
            return []
        inlet.owed -= size
        return [Send(link, Credit(size))]

    def batch(self, batch: int) -> tuple[Link, tuple[Entry, ...]]:
        """Where a batch on its way to the disk came from, and its entries."""
        return self._arriving[batch].link, self._arriving[batch].entries

    def committed(self, batch: int) -> list[Effect]:
        """The batch is durable (``held`` has advanced already): credit goes back."""
        done = self._arriving.committed(batch)
        self._tracks.stir(*(entry.author for entry in done.entries))
        ours = {entry.epoch for entry in done.entries if entry.author == self._me}
        effects = self._give_back(done.link, done.size)
        for epoch in sorted(ours):
            effects += [OwnLogReturned(epoch), *self.receipts_of_own(epoch)]
        return effects

    def receipts_of_own(self, epoch: int) -> list[Effect]:
        """Links that said they hold all of our log just as it stands now, when it did not stand so here: what they said
        was no receipt then, and is not said again."""
        ours = self._held.head(self._me, epoch)
        adverts = ((inlet.peer, inlet.adverts.get(self._me)) for inlet in self._inlets.values())
        return [
            Receipt(peer, epoch, ours.seq)
            for peer, advert in adverts
            if advert is not None
            and ours.seq
            and advert.head(epoch) == ours
            and advert.complete(epoch) == ours.seq
        ]

    def doomed(self, batch: int) -> bool:
        """An earlier batch was discarded since this one was asked for: it must not be written."""
        return self._arriving.doomed(batch)

    def discarded(self, batch: int) -> list[Effect]:
        """The batch did not reach the disk: follow again, at the next tick, from what did."""
        gone, lost = self._arriving.discarded(batch)
        effects = [effect for author in lost for effect in self._rest(author)]
        return [*effects, *self._give_back(gone.link, gone.size)]

    def _rest(self, author: NodeId) -> list[Effect]:
        track = self._tracks.get(author)
        if track is None:
            return []
        track.resting = True
        self._tracks.stir(author)
        return self._move(author, track, None)

    def wants(self, author: NodeId) -> bool:
        """Whether this author's log is followed here."""
        return author in self._tracks

    def put_back(self, author: NodeId, epoch: int, now: float) -> list[Effect]:
        """Another branch of this epoch was taken, or a dispute ended: follow again, from what is held now."""
        self._arriving.forget((author, epoch))
        track = self._tracks.get(author)
        if track is None or track.resting:
            return []
        track.target = None
        track.holdoff.clear()
        self._tracks.stir(author)
        return self._choose(author, now) if track.link is None else self._refollow(author, track)

    def disputed(self, author: NodeId, epoch: int) -> list[Effect]:
        if (author, epoch) in self._held.disputed:
            return []
        self._held.disputed.add((author, epoch))
        if (track := self._tracks.get(author)) is not None:
            track.target = None
            track.holdoff.clear()  # whoever contradicted us here may at the next epoch too, and is asked soon
            self._tracks.stir(author)
        text = (
            f"node {short_key(author)} has said two different things at one place of its log (epoch {epoch}):"
            " its database was copied or rolled back, or its key is in two hands"
        )
        return [Alert("fork", short_key(author), text)]
