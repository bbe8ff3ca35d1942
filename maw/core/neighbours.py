"""With whom a node keeps links. Few peers: with all of them. Many: with some, chosen so that all stay connected.

Laws, where links are bounded
  1. A node dials while it has fewer than ``links`` less SPECIAL, no matter who dialled. One more goes to the peer
     longest out of touch (*visited*, each in turn: two halves that were apart find each other), and one is random
     and reshuffled now and then. The others stay as they are.
  2. It takes in whoever dials up to SLACK more; a peer not linked for long up to twice that; and always one that
     has no other link: who reaches only us must not be left outside, be there a hundred of them.
  3. Only what is over ``links`` is closed, one at a time, one of the less used, and none over which a good part of
     all logs goes: somebody might be cut off. Between dialling and closing lie SPECIAL links, and who was let go is
     not taken back for a while: so nothing swings.
  4. A peer that cannot be reached or has links enough gives its place to another; its own turn comes again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from maw.core.identity import NodeId

if TYPE_CHECKING:
    from random import Random

LINKS: Final = 8
FULL_MESH: Final = 30
SPECIAL: Final = 2
"""The link of the visit and the random one."""
SLACK: Final = 4
NEEDED: Final = 1 / 3
"""A link over which this share of all logs goes one way is not closed: with 8 links an eighth is usual."""
NEEDED_BY_A_HUB: Final = 2 / 3
"""The same for who has very many links: being convenient for all is not yet being needed by them."""
VISIT_S: Final = 600.0
"""How long a visited peer keeps that place; afterwards its link is like any other."""
VISIT_PAUSE_S: Final = 10.0
"""After a visit to somebody who cannot be reached."""
SHUFFLE_S: Final = 900.0
SETTLED_S: Final = 60.0
"""A younger link is not closed: what will go over it is not known yet."""
CLOSE_PAUSE_S: Final = 15.0
LOST_S: Final = 20.0
"""How long a peer whose link broke keeps its place while it cannot be dialled."""
RETRY_S: Final = 5.0
RETRY_MAX_S: Final = 600.0
RETRY_ALONE_S: Final = 30.0
"""Who has no link tries everybody again after this, whatever became of it before."""
COOL_S: Final = 600.0
"""For so long a pair that one side let go or declined is not linked again."""
GUEST_AFTER_S: Final = 3600.0
NEVER: Final = float("-inf")


@dataclass(slots=True)
class _Peer:
    """``dialable``: an address of it is known. Times are the caller's ``now``; NEVER for what was not yet."""

    dialable: bool
    linked_since: float | None = None
    last_linked: float = NEVER
    last_tried: float = NEVER
    lost_at: float | None = None
    """When the link broke that it had since it was chosen."""
    failures: int = 0
    not_before: float = NEVER
    cool_until: float = NEVER
    lonely: bool = False
    """It had no other link when this one came up."""

    @property
    def out_of_touch_since(self) -> float:
        return max(self.last_linked, self.last_tried)


class Neighbours:
    """Told what happens to links and dials, it says whom to keep linked and which link may go.

    ``rng`` is the caller's: the same dice, the same choices.
    """

    def __init__(self, rng: Random, *, links: int = LINKS, full_mesh: int = FULL_MESH) -> None:
        self._rng = rng
        self._links = max(links, SPECIAL + 1)
        self._full_mesh = full_mesh
        self._peers: dict[NodeId, _Peer] = {}
        self._linked: set[NodeId] = set()
        self._chosen: dict[NodeId, None] = {}
        self._visited: NodeId | None = None
        self._random: NodeId | None = None
        self._visiting_since = NEVER
        self._next_visit = NEVER
        self._shuffled_at = NEVER
        self._next_shuffle = NEVER
        self._next_close = NEVER

    # -- what is known ------------------------------------------------------------------------------

    @property
    def bounded(self) -> bool:
        return len(self._peers) > self._full_mesh

    @property
    def alone(self) -> bool:
        """No link at all: said when dialling, and nobody declines then."""
        return not self._linked

    def set_peers(self, dialable: Mapping[NodeId, bool]) -> None:
        """The trusted peers, and whether an address of each is known."""
        for gone in self._peers.keys() - dialable.keys():
            del self._peers[gone]
            self._linked.discard(gone)
            self._chosen.pop(gone, None)
        for node, known in dialable.items():
            peer = self._peers.setdefault(node, _Peer(known))
            peer.dialable = known

    def linked(self, node: NodeId, now: float, *, lonely: bool = False) -> None:
        """A link is there, whoever dialled. ``lonely``: the peer says that it has no other."""
        if (peer := self._peers.get(node)) is None or node in self._linked:
            return
        if self.alone:
            self.woke()
        self._linked.add(node)
        peer.lonely = lonely
        self._chosen[node] = None
        peer.linked_since = peer.last_linked = now
        peer.lost_at, peer.failures, peer.not_before, peer.cool_until = None, 0, NEVER, NEVER

    def unlinked(self, node: NodeId, now: float) -> None:
        if (peer := self._peers.get(node)) is None or node not in self._linked:
            return
        self._linked.discard(node)
        peer.linked_since, peer.last_linked, peer.lost_at = None, now, now
        if not peer.dialable:
            self._chosen.pop(node, None)

    def failed(self, node: NodeId, now: float) -> None:
        """It was dialled at all its addresses, and none led to a link."""
        if (peer := self._peers.get(node)) is None or node in self._linked:
            return
        peer.last_tried = now
        if peer.lost_at is not None and now - peer.lost_at < LOST_S:
            return
        peer.lost_at = None
        wait = min(RETRY_MAX_S, RETRY_S * 2.0 ** min(peer.failures, 10)) * self._rng.uniform(0.5, 1.0)
        peer.failures += 1
        peer.not_before = now + wait
        self._chosen.pop(node, None)

    def woke(self) -> None:
        """The host slept, or its network came back: what failed before says nothing any more."""
        for peer in self._peers.values():
            peer.failures, peer.not_before = 0, NEVER

    def declined(self, node: NodeId, now: float) -> None:
        """It was reached and has links enough."""
        if (peer := self._peers.get(node)) is not None and node not in self._linked:
            peer.last_tried = now
            self._cool(node, peer, now)

    def _cool(self, node: NodeId, peer: _Peer, now: float) -> None:
        peer.cool_until = now + COOL_S * self._rng.uniform(0.75, 1.25)
        peer.lost_at = None
        self._chosen.pop(node, None)

    # -- what to do ---------------------------------------------------------------------------------

    def accepts(self, node: NodeId, now: float, *, alone: bool) -> bool:
        """Whether ``node``, which dialled, gets a link. ``alone``: it says that it has no other."""
        if not self.bounded or alone or node in self._linked:
            return True
        peer = self._peers.get(node)
        if peer is None or peer.cool_until > now:
            return False
        guest = now - peer.last_linked > GUEST_AFTER_S
        return len(self._linked) < self._links + (2 * SLACK if guest else SLACK)

    def wanted(self, now: float) -> frozenset[NodeId]:
        """Whom to dial, for as long as they are named here; the linked are among them."""
        if not self.bounded:
            return frozenset(
                node
                for node, peer in self._peers.items()
                if self.alone or node in self._linked or peer.cool_until <= now
            )
        self._fill(now)
        self._visit(now)
        self._shuffle(now)
        return frozenset(self._chosen)

    def to_close(self, now: float, use: Callable[[NodeId], float]) -> NodeId | None:
        """The peer whose link may go now, if any. ``use``: what share of all logs goes over its link, in the
        busier direction. It counts as let go from now on."""
        if not self.bounded or now < self._next_close or len(self._linked) <= self._links:
            return None
        self._next_close = now + CLOSE_PAUSE_S * self._rng.uniform(0.5, 1.5)
        hub = len(self._linked) > self._links + 2 * SLACK
        needed = NEEDED_BY_A_HUB if hub else NEEDED
        shares = {node: use(node) for node in sorted(self._linked) if self._may_go(node, now)}
        spare = sorted((node for node, share in shares.items() if share < needed), key=shares.__getitem__)
        if not spare:
            return None
        gone = self._rng.choice(spare[: (len(spare) + 1) // 2])
        self._cool(gone, self._peers[gone], now)
        return gone

    def _may_go(self, node: NodeId, now: float) -> bool:
        since = self._peers[node].linked_since
        settled = since is not None and now - since >= SETTLED_S
        return settled and node in self._chosen and node not in (self._visited, self._random)

    # -- the places ---------------------------------------------------------------------------------

    def _fill(self, now: float) -> None:
        lack = self._links - SPECIAL - len(self._chosen)
        if lack > 0:
            self._choose(self._some(self._candidates(now), lack))

    def _visit(self, now: float) -> None:
        if self._visited is not None:
            if not self._visit_is_over(self._visited, now):
                return
            self._visited = None
        if now < self._next_visit or not (candidates := self._candidates(now)):
            return
        longest = min(self._peers[node].out_of_touch_since for node in candidates)
        oldest = [node for node in candidates if self._peers[node].out_of_touch_since == longest]
        (self._visited,) = self._choose(self._some(oldest, 1))
        self._visiting_since = now

    def _visit_is_over(self, node: NodeId, now: float) -> bool:
        """True when another may be visited, now or at ``_next_visit``. Who was reached and let us go has been
        visited: nobody is visited in haste but after one who cannot be reached or has nobody else."""
        peer = self._peers.get(node)
        if peer is not None and node in self._chosen:
            since = peer.linked_since
            return since is not None and (peer.lonely or now - since >= VISIT_S)
        reached = peer is not None and self._reached(peer, self._visiting_since)
        pause = VISIT_PAUSE_S * self._rng.uniform(0.5, 1.5)
        self._next_visit = self._visiting_since + VISIT_S if reached else now + pause
        return True

    def _reached(self, peer: _Peer, since: float) -> bool:
        return peer.last_linked >= since or peer.cool_until > since

    def _shuffle(self, now: float) -> None:
        if now < self._next_shuffle:
            current = None if self._random is None else self._peers.get(self._random)
            if current and (self._random in self._chosen or self._reached(current, self._shuffled_at)):
                return
        if not (candidates := self._candidates(now)):
            return
        (self._random,) = self._choose(self._some(candidates, 1))
        self._shuffled_at = now
        self._next_shuffle = now + SHUFFLE_S * self._rng.uniform(0.75, 1.25)

    def _candidates(self, now: float) -> list[NodeId]:
        due = self._due_alone if self.alone else self._due
        return [
            node
            for node, peer in self._peers.items()
            if peer.dialable and node not in self._chosen and node not in self._linked and due(peer, now)
        ]

    def _due(self, peer: _Peer, now: float) -> bool:
        return max(peer.not_before, peer.cool_until) <= now

    def _due_alone(self, peer: _Peer, now: float) -> bool:
        return min(peer.not_before, peer.last_tried + RETRY_ALONE_S) <= now

    def _some(self, candidates: list[NodeId], count: int) -> list[NodeId]:
        return self._rng.sample(candidates, min(count, len(candidates)))

    def _choose(self, nodes: Sequence[NodeId]) -> Sequence[NodeId]:
        for node in nodes:
            self._chosen[node] = None
            self._peers[node].lost_at = None
        return nodes
