"""Which of its peers this node is linked with: the core's choice (maw.core.neighbours), told what really happens."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from maw.core.identity import NodeId
from maw.core.neighbours import Neighbours
from maw.errors import HandshakeRefused
from maw.net.link import Link
from maw.net.redialler import LINKS_ENOUGH, DialState
from maw.net.switchboard import Switchboard

ALONE = "alone"
"""The feature in a hello of a node that has no other link: nobody declines it."""


class Linking:
    """``share``: what part of all logs goes over the link to a peer. ``clock``: seconds, monotonic."""

    def __init__(
        self,
        board: Switchboard,
        clock: Callable[[], float],
        share: Callable[[NodeId], float],
        *,
        links: int,
        full_mesh: int,
    ) -> None:
        rng = random.Random()  # noqa: S311 - nobody gains by guessing with whom we link
        self._neighbours = Neighbours(rng, links=links, full_mesh=full_mesh)
        self._board = board
        self._clock = clock
        self._share = share
        self._addresses: Mapping[NodeId, Sequence[str]] = {}
        self._trouble: dict[NodeId, DialState] = {}

    @property
    def bounded(self) -> bool:
        return self._neighbours.bounded

    def features(self) -> frozenset[str]:
        """What a hello of ours says of our links."""
        return frozenset({ALONE} if self._neighbours.alone else ())

    def set_peers(self, addresses: Mapping[NodeId, Sequence[str]]) -> None:
        self._addresses = addresses
        self._neighbours.set_peers({node: bool(known) for node, known in addresses.items()})
        for node in addresses:
            if self._board.linked(node):
                self.changed(node)
        for gone in self._trouble.keys() - addresses.keys():
            del self._trouble[gone]

    def check(self, link: Link) -> None:
        """Raises HandshakeRefused when a link that the peer dialled is one too many."""
        if link.outbound or link.peer not in self._addresses or self._board.linked(link.peer):
            return
        if not self._neighbours.accepts(link.peer, self._clock(), alone=ALONE in link.hello.features):
            raise HandshakeRefused("this node has links enough, and others will do", code=LINKS_ENOUGH)

    def changed(self, node: NodeId) -> None:
        """A link came or went."""
        link = self._board.get(node)
        if link is not None and link.ended is None:
            self._trouble.pop(node, None)
            self._neighbours.linked(node, self._clock(), lonely=ALONE in link.hello.features)
        else:
            self._neighbours.unlinked(node, self._clock())

    def failed(self, node: NodeId, state: DialState) -> None:
        """All addresses were tried, in vain."""
        if state.last_error_code == LINKS_ENOUGH:
            self._trouble.pop(node, None)
            self._neighbours.declined(node, self._clock())
        elif node in self._addresses:
            self._trouble[node] = state
            self._neighbours.failed(node, self._clock())

    def woke(self) -> None:
        self._neighbours.woke()

    def targets(self) -> dict[NodeId, Sequence[str]]:
        """Whom to keep dialled, and where. Who is linked is among them: a link ends by being closed."""
        wanted = self._neighbours.wanted(self._clock())
        return {
            node: known
            for node, known in self._addresses.items()
            if node in wanted or self._board.linked(node)
        }

    def to_close(self) -> NodeId | None:
        return self._neighbours.to_close(self._clock(), self._share)

    def trouble(self, node: NodeId) -> DialState | None:
        """How the last dialling of a peer that is not linked went wrong; None when it did not."""
        return None if self._board.linked(node) else self._trouble.get(node)

    def troubles(self) -> dict[NodeId, DialState]:
        """As ``trouble``, for all."""
        return {node: state for node, state in self._trouble.items() if not self._board.linked(node)}

    def by_choice(self, node: NodeId) -> bool:
        """Not linked, and nothing is wrong: its log comes through others."""
        return node in self._addresses and not self._board.linked(node) and node not in self._trouble
