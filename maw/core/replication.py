"""The following machine of one node: statements first, then heads, then logs. Pure: no IO, no clock.

    link_up ──► StatementDigest, Have ──► Follow ──► Following, Entries…, UpToDate, live Entries…
    Entries ──► Append ──(runtime commits)──► committed ──► Credit, Have, Entries to followers

Every method takes ``now`` (seconds, monotonic, any origin) where time matters and returns effects in the
order they must be carried out. The runtime carries out an Append by committing it; only the answer,
``committed``, yields the sends that acknowledge or carry its entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from maw.core.announcing import Announcing
from maw.core.carrying import carried
from maw.core.effects import Effect, Link
from maw.core.entry import Entry, Head, Position
from maw.core.following import Followed
from maw.core.forks import Forks
from maw.core.frames import (
    Ask,
    BlobChunk,
    BlobList,
    CannotFollow,
    Credit,
    Entries,
    Follow,
    Following,
    Fork,
    Frame,
    Have,
    Locate,
    Mend,
    NoBlob,
    Proof,
    StatementDigest,
    StatementIds,
    Statements,
    Unfollow,
    Unknown,
    UpToDate,
    WantBlob,
)
from maw.core.gossip import Gossip
from maw.core.held import HeldLogs
from maw.core.homecoming import Homecoming
from maw.core.identity import NodeId
from maw.core.mending import Mending, Wanted
from maw.core.serving import INITIAL_CREDIT, Serving
from maw.core.statement import Statement
from maw.core.trust import TrustBook


class Replicator:
    """Puts gossip, announcing, following, homecoming, serving, forks and mending together; owns none of their rules."""

    def __init__(self, me: NodeId, book: TrustBook, held: HeldLogs, *, credit: int = INITIAL_CREDIT) -> None:
        self._me = me
        self._book = book
        self._held = held
        self._paused = False
        self._peers: dict[Link, NodeId] = {}
        self.gossip = Gossip(book)
        self.announcing = Announcing(held)
        self.serving = Serving(me, held, credit)
        self.followed = Followed(me, book.colony, held, credit, self.serving.feeds)
        self.forks = Forks(me, book.colony, held, self.followed.wants)
        self.mending = Mending(self.followed.offers.claims)
        self.homecoming = Homecoming(me, held, self.followed.offers, lambda: book.trusted)

    @property
    def links(self) -> dict[Link, NodeId]:
        return self._peers

    def start(self, now: float) -> list[Effect]:
        return self.trust_changed(now)

    def learn_recoveries(self, known: Mapping[NodeId, bytes]) -> bool:
        """Recovery keys by their hash; True when any was new to the book."""
        return self._book.learn_recoveries(known)

    def trust_changed(self, now: float) -> list[Effect]:
        """The book was changed: follow whom it trusts, some that it may trust later, and our own log, which others
        may hold more of; nobody while paused."""
        self._held.cut(self._book.cuts)
        return [*self.gossip.trust_changed(), *self.followed.want(self._wanted(), now)]

    def _wanted(self) -> list[NodeId]:
        book = self._book
        if self._paused:
            return []
        return [self._me, *book.trusted, *book.former, *carried(book.trusted, book.pending, self._held)]

    def pause(self, paused: bool, now: float) -> list[Effect]:
        """While paused nothing is followed, whatever becomes of trust: what cannot be stored is not asked for."""
        self._paused = paused
        return self.trust_changed(now)

    def link_up(self, link: Link, peer: NodeId, now: float) -> list[Effect]:
        self._peers[link] = peer
        self.serving.link_up(link)
        return [
            *self.gossip.link_up(link),
            *self.announcing.link_up(link),
            *self.followed.link_up(link, peer, now),
            *self.forks.link_up(link),
            *self.mending.link_up(link, peer, now),
        ]

    def link_down(self, link: Link, now: float) -> list[Effect]:
        if self._peers.pop(link, None) is None:
            return []
        self.gossip.link_down(link)
        self.announcing.link_down(link)
        self.serving.link_down(link)
        self.forks.link_down(link)
        return [
            *self.followed.link_down(link, now),
            *self.homecoming.link_down(link),
            *self.mending.link_down(link, now),
        ]

    def share(self, link: Link) -> float:
        """The part of all logs that goes over ``link``, in the busier direction."""
        logs = max(1, self.followed.authors)
        return max(self.followed.through_it(link), self.serving.followers(link)) / logs

    def receive(self, link: Link, frame: Frame, now: float) -> list[Effect]:
        """One frame from a link that is up; frames that arrive after its end are passed over."""
        if link not in self._peers:
            return []
        match frame:
            case Entries():
                return self.followed.entries(link, frame, now)
            case Credit(amount):
                return self.serving.credited(link, amount)
            case Have():
                effects = self.followed.have(link, frame, now)
                return [*effects, *self.homecoming.heard(link, self._peers[link], now)]
            case Follow():
                return self.serving.follow(link, frame)
            case Following():
                self.followed.following(link, frame)
                return []
            case CannotFollow():
                return self.followed.cannot_follow(link, frame, now)
            case UpToDate():
                return self.followed.up_to_date(link, frame, now)
            case Unfollow(author):
                self.serving.unfollow(link, author)
                return []
            case StatementDigest():
                return self.gossip.digest_shown(link, frame)
            case StatementIds():
                return self.gossip.ids_shown(link, frame)
            case Statements():
                return self.gossip.received(link, frame)
            case Fork():
                return self.forks.fork(link, frame)
            case Proof():
                return self.forks.proof(link, frame)
            case Locate():
                return self.forks.locate(link, frame)
            case Ask():
                return self.mending.asked(link, frame)
            case Mend():
                return self.mending.mend(link, frame, now)
            case WantBlob() | BlobList() | BlobChunk() | NoBlob():  # no affair of logs: see maw.core.fetching
                return []
            case Unknown():
                return []

    def own_is_coming(self, epoch: int) -> bool:
        """Whether epochs of our own log that are later than this one are still coming back, and waited for: they may
        have ended a fork of it, before this node was put back."""
        return self.homecoming.behind and self.followed.offers.after(self._me, epoch)

    def appended(self, entries: Sequence[Entry], now: float) -> list[Effect]:
        """Entries of our own are durable."""
        self._held.advance(entries)
        return [*self.serving.committed(entries), *self.announcing.committed(entries, now)]

    def committed(self, batch: int, now: float) -> list[Effect]:
        """An Append is durable."""
        link, entries = self.followed.batch(batch)
        self._held.advance(entries)
        if link in self._peers:
            self.serving.heard_from(link, entries)
        effects = self.followed.committed(batch)
        effects += self.homecoming.came(link)
        if self._book.pending and any(entry.author in self._book.pending for entry in entries):
            effects += self.followed.want(self._wanted(), now)
        return [
            *self.serving.committed(entries),
            *effects,
            *self.announcing.committed(entries, now),
            *self.forks.committed(entries),
        ]

    def doomed(self, batch: int) -> bool:
        """To be asked before an Append is written: True when an earlier one was discarded meanwhile."""
        return self.followed.doomed(batch)

    def discarded(self, batch: int) -> list[Effect]:
        """An Append did not reach the disk, or was doomed."""
        return self.followed.discarded(batch)

    def statements_committed(
        self, statements: Sequence[Statement], source: Link | None, now: float
    ) -> list[Effect]:
        self._book.add(statements)
        return [*self.gossip.committed(statements, source), *self.trust_changed(now)]

    def log_read(
        self, link: Link, author: NodeId, serial: int, entries: Sequence[Entry], forked: Sequence[Entry] = ()
    ) -> list[Effect]:
        return self.serving.log_read(link, author, serial, entries, forked)

    def places_read(self, link: Link, entries: Sequence[Entry], lacking: Sequence[Position]) -> list[Effect]:
        return self.mending.places_read(link, entries, lacking)

    def want(self, places: Iterable[Wanted], now: float) -> list[Effect]:
        """These are lacking or damaged on our disk."""
        return self.mending.want(places, now)

    def mended(self, places: Iterable[Position]) -> list[Effect]:
        """These are lacking no more."""
        return self.mending.settled(places)

    def not_mended(self, places: Iterable[Position], now: float) -> list[Effect]:
        """A Mended did not reach the disk."""
        return self.mending.not_stored(places, now)

    def disputed(self, author: NodeId, epoch: int, proof: Proof | None = None) -> list[Effect]:
        """It is durable that this log has forked."""
        effects = self.followed.disputed(author, epoch)
        return [*effects, *self.forks.disputed(proof)] if proof is not None else effects

    def show_author(
        self, author: NodeId, epoch: int, run: Sequence[Entry], now: float, source: Link | None = None
    ) -> list[Effect]:
        """``run``, held here or come from ``source``, says what its author let go of and never published again: it is
        shown to him, or where his log comes from."""
        links = [link for link, peer in self._peers.items() if peer == author and link != source]
        through = self.followed.through(author)
        if not links and through is not None and through != source:
            links = [through]
        return self.forks.show_author(links, author, epoch, tuple(run), now)

    def settled(self, author: NodeId, epoch: int, now: float) -> list[Effect]:
        """It is durable that what we hold of this log is of the branch that counts."""
        effects = self.forks.settled(author, epoch)
        return [*effects, *self.followed.put_back(author, epoch, now)]

    def replaced(
        self, author: NodeId, epoch: int, since: int, entries: Sequence[Entry], now: float
    ) -> list[Effect]:
        """Another branch was taken: from ``since`` on these stand where others stood, and are durable."""
        self._held.put_back(author, epoch, entries[-1].head)
        return [
            *self.settled(author, epoch, now),
            *self.serving.put_back(author, epoch, since),
            *self.serving.committed(entries),
            *self.announcing.changed(author, epoch, now),
            *(self.followed.receipts_of_own(epoch) if author == self._me else ()),
        ]

    def completeness(self, heads: Mapping[tuple[NodeId, int], Head | None], now: float) -> list[Effect]:
        """Where payloads are missing now: the last entry before the first such, or None where none are."""
        return [
            effect
            for (author, epoch), head in heads.items()
            if self._held.limit(author, epoch, head)
            for effect in self.announcing.changed(author, epoch, now)
        ]

    def incomplete(self) -> dict[tuple[NodeId, int], Head]:
        """Logs of which payloads are missing, and the last entry before the first such."""
        return self._held.incomplete()

    def tick(self, now: float) -> list[Effect]:
        return [
            *self.gossip.tick(now),
            *self.announcing.tick(now),
            *self.followed.tick(now),
            *self.homecoming.tick(now, paused=self._paused),
            *self.forks.tick(now),
            *self.mending.tick(now),
        ]

    def wake_at(self) -> float | None:
        """When ``tick`` has something to do at the latest, besides once a second."""
        return self.announcing.wake_at()
