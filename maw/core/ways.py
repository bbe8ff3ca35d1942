"""Through which links the log of an author may come, and which of them is best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from maw.core.adverts import Inlet
from maw.core.effects import Link
from maw.core.identity import NodeId
from maw.core.offers import Offers, Target
from maw.core.tracks import Track


class Ways:
    """Looks at what links say and changes nothing. ``fed``: whether a link follows an author through us."""

    def __init__(
        self, me: NodeId, inlets: Mapping[Link, Inlet], offers: Offers, fed: Callable[[Link, NodeId], bool]
    ) -> None:
        self._me = me
        self._inlets = inlets
        self._offers = offers
        self._fed = fed

    def usable(self, link: Link, author: NodeId, track: Track, now: float) -> bool:
        if track.held_off(link, now):
            return False
        if author == self._me:  # nobody has more of our log than we, but after a disaster
            return self._offers.any(link, author)
        inlet = self._inlets[link]
        return inlet.peer == author or bool(author in inlet.adverts and inlet.adverts[author].heads)

    def all_usable(self, author: NodeId, track: Track, now: float) -> list[Link]:
        return [link for link in self._inlets if self.usable(link, author, track, now)]

    def direct(self, author: NodeId, track: Track, now: float) -> Link | None:
        """The author's own link, where it may be followed through."""
        for link, inlet in self._inlets.items():
            if inlet.peer == author and self.usable(link, author, track, now):
                return link
        return None

    def best(self, links: Iterable[Link], author: NodeId) -> Link:
        """Of these, which all advertise the author: the one that has most, where it can bring it."""
        return max(links, key=lambda link: self._rank(link, author))

    def in_a_ring(self, link: Link, author: NodeId) -> bool:
        """The link follows the author through us, and has nothing more: nothing will ever come from there."""
        return (
            self._fed(link, author)
            and self._inlets[link].peer != author
            and not self._offers.any(link, author)
        )

    def better_than(self, track: Track, author: NodeId, now: float) -> bool:
        """Another link than the one it comes through has more of it to give."""
        return any(
            self.usable(link, author, track, now) and self._offers.any(link, author)
            for link in self._inlets
            if link != track.link
        )

    def _rank(self, link: Link, author: NodeId) -> tuple[bool, Target]:
        return not self.in_a_ring(link, author), self._inlets[link].adverts[author].top()
