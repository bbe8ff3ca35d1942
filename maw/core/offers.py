"""What the links say they hold, beside what we hold: who offers what we lack, and who lacks what we have."""

from __future__ import annotations

from typing import Final

from maw.core.adverts import Advert, Inlet
from maw.core.arriving import Arriving
from maw.core.effects import Link
from maw.core.entry import Position
from maw.core.held import HeldLogs
from maw.core.identity import NodeId

Target = tuple[int, int]
"""(epoch, seq) that somebody advertised and that is to be reached."""
CLOSED_EPOCHS: Final[Target] = (0, 0)
"""What is to be reached stands in closed epochs, of which only a digest is advertised."""


class Offers:
    """Answers only; the links' adverts and our heads belong to others, who change them."""

    __slots__ = ("_arriving", "_held", "_inlets")

    def __init__(self, inlets: dict[Link, Inlet], held: HeldLogs, arriving: Arriving) -> None:
        self._inlets = inlets
        self._held = held
        self._arriving = arriving

    def any(self, link: Link, author: NodeId) -> bool:
        """The link says it holds something of ``author`` that is neither here nor on its way to the disk."""
        return bool(self.targets(link, author))

    def targets(self, link: Link, author: NodeId) -> list[Target]:
        """What it offers: heads that are not reached or, where there are none, older epochs."""
        advert = self._inlets[link].adverts.get(author)
        if advert is None:
            return []
        return self._unreached(advert, author) or [CLOSED_EPOCHS] * self._lacks_closed(advert, author)

    def all(self, author: NodeId) -> list[tuple[Link, Target]]:
        """What any link offers. Asked for each head that anybody names: most offer nothing, and that is seen soon."""
        ours = self._held.of(author)
        found: list[tuple[Link, Target]] = []
        for link, inlet in self._inlets.items():
            advert = inlet.adverts.get(author)
            if advert is None:
                continue
            if advert.closed is None:
                for epoch, head in advert.heads.items():
                    if epoch not in ours or head.seq > ours[epoch].seq:
                        break
                else:
                    continue
            found += [(link, target) for target in self.targets(link, author)]
        return found

    def beyond(self, link: Link, author: NodeId) -> bool:
        """The link says it holds something of ``author`` that is not on our disk yet."""
        advert = self._inlets[link].adverts.get(author) if link in self._inlets else None
        return advert is not None and (self.ahead(link, author) > 0 or self._lacks_closed(advert, author))

    def _unreached(self, advert: Advert, author: NodeId) -> list[Target]:
        return [
            (epoch, head.seq)
            for epoch, head in advert.heads.items()
            if head.seq > (reached := self._arriving.reached(author, epoch).seq)
            and reached < self._held.last(author, epoch)
            and (author, epoch) not in self._held.disputed
        ]

    def _lacks_closed(self, advert: Advert, author: NodeId) -> bool:
        if advert.closed is None or advert.exhausted == advert.closed[1]:
            return False
        return self._held.closed_digest(author, advert.closed[0]) != advert.closed[1]

    def claims(self, link: Link, place: Position) -> bool | None:
        """What the link says of this place: all payloads up to there (True), the entry (False), nothing (None)."""
        inlet = self._inlets.get(link)
        advert = inlet.adverts.get(place.author) if inlet else None
        if advert is None or advert.head(place.epoch).seq < place.seq:
            return None
        return advert.complete(place.epoch) >= place.seq

    def after(self, author: NodeId, epoch: int) -> bool:
        """Whether a link says it holds something of this author's later live epochs that is not on our disk yet."""
        return any(
            later > epoch and head.seq > self._held.head(author, later).seq
            for inlet in self._inlets.values() if (advert := inlet.adverts.get(author)) is not None
            for later, head in advert.heads.items()
        )  # fmt: skip

    def ahead(self, link: Link, author: NodeId) -> int:
        """Entries of ``author`` that this link says it holds and we do not, and may: up to a revocation's cut."""
        advert = self._inlets[link].adverts.get(author, Advert())
        return sum(
            max(0, min(head.seq, self._held.last(author, epoch)) - self._held.head(author, epoch).seq)
            for epoch, head in advert.heads.items()
            if (author, epoch) not in self._held.disputed
        )

    def lacks(self, link: Link) -> int:
        """Entries that we hold in live epochs and this link has not said it holds."""
        adverts = self._inlets[link].adverts
        return sum(
            max(0, self._held.head(author, epoch).seq - adverts.get(author, Advert()).head(epoch).seq)
            for author in self._held.authors()
            for epoch in self._held.live_epochs(author)
        )
