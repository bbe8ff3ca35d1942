"""Asking others for what is lacking here: payloads that did not come along, entries that are damaged on this disk.

Laws
  1. A place is asked of one link at a time, each link in turn: the author's own first, then those that say they
     hold the log complete, then the rest.
  2. One Ask is under way on a link. What is not answered within ASK_DEADLINE_S counts as refused.
  3. An entry is taken only when its id is the one that the chain demands here; its payload was checked against its
     hash when it was decoded. So it does not matter who gives it.
  4. A place asked of all links in vain rests, longer each time; a link that is new is asked at once.
  5. A link that said it holds all payloads of a log and does not give one is told of when the place is lacking
     GRACE_S later still: until then the rule that let it be dropped may be on its way. One that does not answer at
     all is given SILENT_S: a slow link may be all that is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from maw.core.effects import Alert, Effect, Hangup, InVain, Link, Mended, ReadPlaces, Send, Settled
from maw.core.entry import Entry, Position
from maw.core.frames import MAX_ASKED, Ask, Mend
from maw.core.identity import NodeId, short_key

MAX_WANTED: Final = 1_000
"""Places looked for at once; whoever wants more brings them when there is room."""
ASK_DEADLINE_S: Final = 10.0
GRACE_S: Final = 30.0
SILENT_S: Final = 600.0
REST_S: Final = 30.0
REST_MAX_S: Final = 3_600.0
WITHHOLDING: Final = "withholding"

Claims = Callable[[Link, Position], bool | None]
"""What a link says of a place: that it holds all payloads up to there, that it holds the entry, or (None) nothing."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A place that is lacking. ``id``: what the chain demands there; None where the entry above it, wanted too, will
    say. ``payload`` False: the header is enough, for a rule held here dropped the payload."""

    position: Position
    id: bytes | None
    payload: bool = True


@dataclass(slots=True)
class _Lack:
    id: bytes | None
    payload: bool
    asking: Link | None = None
    asked: set[Link] = field(default_factory=set)
    broken: dict[Link, float] = field(default_factory=dict)
    """Links that said they hold it, payload and all, and did not give it; and when that is told."""
    rest: float = REST_S / 2
    rest_until: float = 0.0


@dataclass(slots=True)
class _Partner:
    peer: NodeId
    places: tuple[Position, ...] = ()
    """Asked and not answered."""
    deadline: float = 0.0
    open_asks: int = 0
    reading: bool = False
    """An Ask of theirs is being read for; another one meanwhile is passed over."""


class Mending:
    """Knows what is lacking and of whom it was asked; answers what others ask."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._partners: dict[Link, _Partner] = {}
        self._lacks: dict[Position, _Lack] = {}
        self._blamed: dict[NodeId, set[Position]] = {}

    @property
    def room(self) -> int:
        """Places that may be wanted besides those that are."""
        return MAX_WANTED - len(self._lacks)

    def wants(self, position: Position) -> bool:
        return position in self._lacks

    # -- asking -----------------------------------------------------------------------------------

    def link_up(self, link: Link, peer: NodeId, now: float) -> list[Effect]:
        self._partners[link] = _Partner(peer)
        return self._pump(now)

    def link_down(self, link: Link, now: float) -> list[Effect]:
        if self._partners.pop(link, None) is None:
            return []
        for lack in self._lacks.values():
            lack.asked.discard(link)
            lack.broken.pop(link, None)
            if lack.asking == link:
                lack.asking = None
        return self._pump(now)

    def want(self, wanted: Iterable[Wanted], now: float) -> list[Effect]:
        """Look for these too; beyond MAX_WANTED they are answered with InVain at once."""
        refused = []
        for item in wanted:
            known = self._lacks.get(item.position)
            if known is not None:
                known.id, known.payload = known.id or item.id, known.payload and item.payload
                known.rest_until = 0.0
                known.asked.clear()
            elif self.room > 0:
                self._lacks[item.position] = _Lack(item.id, item.payload)
            else:
                refused.append(item.position)
        return [*([InVain(tuple(refused))] if refused else []), *self._pump(now)]

    def settled(self, positions: Iterable[Position]) -> list[Effect]:
        """These are lacking no more: they are durable here, or a rule dropped their payloads."""
        effects: list[Effect] = []
        for position in positions:
            if self._lacks.pop(position, None) is None:
                continue
            for peer in [peer for peer, places in self._blamed.items() if position in places]:
                self._blamed[peer].discard(position)
                if not self._blamed[peer]:
                    del self._blamed[peer]
                    effects.append(Settled(WITHHOLDING, short_key(peer)))
        return effects

    def ruled(self, author: NodeId, epoch: int, first: int, last: int) -> list[Effect]:
        """A rule dropped the payloads of these places."""
        return self.settled(
            [p for p in self._lacks if (p.author, p.epoch) == (author, epoch) and first <= p.seq <= last]
        )

    def tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for link, partner in self._partners.items():
            if partner.places and now >= partner.deadline:
                self._refused(link, partner.places, now + SILENT_S)
                partner.places = ()
        for position, lack in self._lacks.items():
            if lack.broken:
                effects += self._blame(position, lack, now)
        return effects + self._pump(now)

    def mend(self, link: Link, frame: Mend, now: float) -> list[Effect]:
        """An answer: what fits goes to the disk, what they lack is asked of another."""
        partner = self._partners[link]
        if not partner.open_asks:
            return [Hangup(link, "unasked", "the peer mends what nobody asked for")]
        partner.open_asks -= 1
        taken, refused = self._judge(link, frame)
        # also what is lacking no more: it was asked for, and the link is free for the next question
        answered = {entry.position for entry in frame.entries} | refused
        if not answered.isdisjoint(partner.places):  # else it is the late answer to an Ask that was given up
            self._refused(link, [place for place in partner.places if place in refused], now + GRACE_S)
            for place in partner.places:
                lack = self._lacks.get(place)
                if lack is not None and lack.asking == link and place not in answered:
                    lack.asking = None  # the answer was full: asked again
            partner.places = ()
        effects: list[Effect] = [Mended(link, tuple(reversed(taken)))] if taken else []
        return effects + self._pump(now)

    def _judge(self, link: Link, frame: Mend) -> tuple[list[Entry], set[Position]]:
        """What of an answer is taken, and what of it refuses us."""
        taken: list[Entry] = []
        refused = set(frame.lacking)
        # from the top down: each entry says which id is demanded below it
        for entry in sorted(frame.entries, key=lambda entry: entry.position, reverse=True):
            lack = self._lacks.get(entry.position)
            if lack is None:
                continue
            if entry.id != lack.id or (lack.payload and entry.payload is None):
                refused.add(entry.position)
                continue
            taken.append(entry)
            lack.asking = link
            below = self._lacks.get(Position(entry.author, entry.epoch, entry.seq - 1))
            if below is not None:
                below.id = below.id or entry.prev
        return taken, refused

    def not_stored(self, positions: Iterable[Position], now: float) -> list[Effect]:
        """What was taken did not reach the disk: look for it again later."""
        for position in positions:
            if (lack := self._lacks.get(position)) is not None:
                lack.asking, lack.rest_until = None, now + REST_S
                lack.asked |= self._partners.keys()
        return []

    def _refused(self, link: Link, places: Iterable[Position], told_at: float) -> None:
        for place in places:
            lack = self._lacks.get(place)
            if lack is None or lack.asking != link:
                continue
            lack.asking = None
            lack.asked.add(link)
            if lack.payload and self._claims(link, place):
                lack.broken[link] = min(told_at, lack.broken.get(link, told_at))

    def _blame(self, position: Position, lack: _Lack, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for link in sorted(link for link, told_at in lack.broken.items() if now >= told_at):
            del lack.broken[link]
            peer = self._partners[link].peer
            told = self._blamed.setdefault(peer, set())
            if position in told:
                continue
            told.add(position)
            text = (
                f"node {short_key(peer)} says that it holds the log of {short_key(position.author)} with every"
                f" payload, and does not give the one at seq {position.seq} (epoch {position.epoch}); no redaction"
                " of it is known here"
            )
            effects.append(Alert(WITHHOLDING, short_key(peer), text))
        return effects

    def _pump(self, now: float) -> list[Effect]:
        """Ask every idle link for what it is the best of those that were not asked."""
        asks: dict[Link, list[Position]] = {}
        vain: list[Position] = []
        for position, lack in self._lacks.items():
            if lack.asking is not None:
                continue
            if lack.rest_until and now >= lack.rest_until:
                lack.rest_until = 0.0
                lack.asked.clear()
            untried = [link for link in self._partners if link not in lack.asked]
            if untried:
                best = max(untried, key=lambda link: self._rank(link, position))
                if not self._partners[best].places:
                    asks.setdefault(best, []).append(position)
            elif not lack.rest_until:
                lack.rest = min(REST_MAX_S, 2 * lack.rest)
                lack.rest_until = now + lack.rest
                vain.append(position)
        effects: list[Effect] = [InVain(tuple(vain))] if vain else []
        return effects + [effect for link, places in asks.items() for effect in self._ask(link, places, now)]

    def _rank(self, link: Link, position: Position) -> tuple[bool, int]:
        claim = self._claims(link, position)
        return self._partners[link].peer == position.author, 2 if claim else 0 if claim is None else 1

    def _ask(self, link: Link, places: Sequence[Position], now: float) -> list[Effect]:
        partner = self._partners[link]
        partner.places, partner.deadline = tuple(places[:MAX_ASKED]), now + ASK_DEADLINE_S
        partner.open_asks += 1
        for place in partner.places:
            self._lacks[place].asking = link
        return [Send(link, Ask(partner.places))]

    # -- answering --------------------------------------------------------------------------------

    def asked(self, link: Link, frame: Ask) -> list[Effect]:
        partner = self._partners[link]
        if partner.reading or not frame.places:
            return []
        partner.reading = True
        return [ReadPlaces(link, frame.places)]

    def places_read(self, link: Link, entries: Sequence[Entry], lacking: Sequence[Position]) -> list[Effect]:
        """The answer to a ReadPlaces: entries as they are held, and what is not held at all."""
        partner = self._partners.get(link)
        if partner is None:
            return []
        partner.reading = False
        return [Send(link, Mend(tuple(entries), tuple(lacking)))]
