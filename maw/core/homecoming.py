"""Our own log comes back after a loss: whether all of it that is to be had is here.

Until then nobody can tell whether a request was answered before: its message may stand in what is not here yet.

Laws
  1. We are behind while a link says that it holds more of our own log than is on our disk. What is on its way to the
     disk does not count.
  2. A node that starts with less than it had said, as the mark beside its key tells, is behind until that much is
     here; until every peer it trusts has said what it holds, and none holds more; or for SETTLE_S.
  3. No claim holds us up for ever: a peer that says it holds more, where nothing has come for PATIENCE_S, or not all
     in PATIENCE_MAX_S, is waited for no more, until it has given what it claims. The owner is told of it only where
     nothing of our own log has come for ACCUSE_S more: over a slow line it is long in coming from honest peers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from maw.core.effects import Alert, Effect, Link, OwnLogBehind, Settled
from maw.core.held import HeldLogs
from maw.core.identity import NodeId, short_key
from maw.core.offers import Offers

OWN_LOG: Final = "own_log"
SETTLE_S: Final = 15.0
PATIENCE_S: Final = 20.0
PATIENCE_MAX_S: Final = 600.0
"""The first is less than a client waits for an answer."""
ACCUSE_S: Final = 600.0

_ACCUSATION: Final = (
    "node {} says that it holds more of this node's own log than this host does, and for ten minutes nothing of it has"
    " come: it is waited for no more"
)

Said = tuple[int, int]
"""(epoch, seq) up to which something was said."""


class Homecoming:
    """``trusted``: whose word is waited for after a start. Tells of each change with an OwnLogBehind."""

    def __init__(
        self, me: NodeId, held: HeldLogs, offers: Offers, trusted: Callable[[], Collection[NodeId]]
    ) -> None:
        self._me = me
        self._held = held
        self._offers = offers
        self._trusted = trusted
        self._heard: dict[Link, NodeId] = {}
        """Links that have said what they hold."""
        self._claims: dict[Link, NodeId] = {}
        self._vain: dict[NodeId, float] = {}
        """Who is waited for no more, and since when nothing has come."""
        self._accused: set[NodeId] = set()
        self._began = self._moved = 0.0
        self._count = 0
        self._missing: Said | None = None
        self._until = 0.0
        self.behind = False

    def lost(self, said: Said, now: float) -> list[Effect]:
        """This node had said so much, and starts with less."""
        self._missing, self._until = said, now + SETTLE_S
        return self._tell()

    def heard(self, link: Link, peer: NodeId, now: float) -> list[Effect]:
        """A link said what it holds."""
        self._heard[link] = peer
        if self._offers.beyond(link, self._me):
            if peer not in self._vain and link not in self._claims:
                if not self._claims:
                    self._began = self._moved = now
                self._claims[link] = peer
        else:
            self._claims.pop(link, None)
        return self._tell()

    def link_down(self, link: Link) -> list[Effect]:
        self._heard.pop(link, None)
        self._claims.pop(link, None)
        return self._tell()

    def came(self, link: Link) -> list[Effect]:
        """Entries are durable, which ``link`` gave."""
        if not self.behind and not self._vain:
            return []
        effects: list[Effect] = []
        peer = self._heard.get(link)
        if peer in self._vain and not self._offers.beyond(link, self._me):
            del self._vain[peer]
            if peer in self._accused:
                self._accused.discard(peer)
                effects.append(Settled(OWN_LOG, short_key(peer)))
        return [*effects, *self._tell()]

    def tick(self, now: float, *, paused: bool = False) -> list[Effect]:
        """``paused``: nothing is asked for, so that nobody is to blame for what does not come."""
        if not self.behind and not self._vain:
            return []
        if now >= self._until:
            self._missing = None
        count = sum(head.seq for head in self._held.of(self._me).values())
        if paused:
            self._began = now
        if paused or count != self._count:
            self._moved, self._count = now, count
            self._vain = dict.fromkeys(self._vain, now)
        effects = self._tell()
        if now - self._moved >= PATIENCE_S or now - self._began >= PATIENCE_MAX_S:
            self._vain |= dict.fromkeys(sorted(set(self._claims.values())), now)
            self._claims.clear()
        return [*effects, *self._tell(), *self._accuse(now)]

    def _accuse(self, now: float) -> list[Effect]:
        long = {peer for peer, since in self._vain.items() if now - since >= ACCUSE_S} - self._accused
        if not long:
            return []
        claims = {peer for link, peer in self._heard.items() if self._offers.beyond(link, self._me)}
        self._accused |= (named := long & claims)
        return [
            Alert(OWN_LOG, short_key(peer), _ACCUSATION.format(short_key(peer))) for peer in sorted(named)
        ]

    def _tell(self) -> list[Effect]:
        for link in [link for link in self._claims if not self._offers.beyond(link, self._me)]:
            del self._claims[link]
        if self._missing is not None and self._is_all_here(self._missing):
            self._missing = None
        behind = bool(self._claims) or self._missing is not None
        if behind == self.behind:
            return []
        self.behind = behind
        return [OwnLogBehind(behind)]

    def _is_all_here(self, said: Said) -> bool:
        if self._held.head(self._me, said[0]).seq >= said[1]:
            return True
        return not self._claims and set(self._trusted()) - {self._me} <= set(self._heard.values())
