"""Who has fallen silent: many nodes at once, or one for long. Pure; a watchman over who is linked.

Laws
  1. A node is *lost* when it was linked, is trusted still, and cannot be reached; one that is not linked by choice
     (links are bounded) is not lost. A loss counts once it has lasted GRACE_S: links break, and heal by themselves.
  2. Losses within WITHIN_S of one another are one event when they are at least MANY nodes and half of all that were
     there, or when as large a part of the agents went with them. It is told once, again when it grows, and is over
     when those still lost are neither many nor half of it. What was told before a restart is over when those out
     of reach are neither many nor half of all.
  3. A node that was linked once and is out of reach for LONG_S is told of by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from maw.core.identity import NodeId

MANY: Final = 3
MANY_AGENTS: Final = 10
WITHIN_S: Final = 60.0
GRACE_S: Final = 20.0
LONG_S: Final = 86400.0


@dataclass(frozen=True, slots=True)
class ManySilent:
    """``nodes`` fell silent together, ``agents`` live on them; ``left`` nodes are still reached."""

    nodes: tuple[NodeId, ...]
    agents: int
    left: int


@dataclass(frozen=True, slots=True)
class ManyBack:
    """What ManySilent told of is over."""


class Silence:
    """Asked at each turn of a clock that does not run while the host sleeps."""

    def __init__(self) -> None:
        self._up: set[NodeId] = set()
        self._lost: dict[NodeId, float] = {}
        self._together: frozenset[NodeId] = frozenset()
        self._before_us = True
        """Whether an earlier life of this daemon may have told of something that is not known to be over."""

    def tick(
        self,
        now: float,
        *,
        trusted: Collection[NodeId],
        linked: AbstractSet[NodeId],
        unreachable: AbstractSet[NodeId],
        agents: Mapping[NodeId, int],
    ) -> ManySilent | ManyBack | None:
        """``now``: seconds. What is to be told, if anything. ``agents``: how many live on each node."""
        self._up = {node for node in self._up | linked if node in trusted}
        for node in self._up - linked:
            if node in unreachable:
                self._lost.setdefault(node, now)
                self._up.discard(node)
        self._lost = {node: at for node, at in self._lost.items() if node in trusted and node not in linked}
        if self._together:
            return self._growing(now, agents)
        if (told := self._beginning(now, agents)) is not None:
            self._before_us = False
            return told
        away = unreachable & set(trusted) - linked
        if self._before_us and linked and len(away) < MANY and 2 * len(away) < len(trusted):
            self._before_us = False
            return ManyBack()
        return None

    def _beginning(self, now: float, agents: Mapping[NodeId, int]) -> ManySilent | None:
        self._lost = {node: at for node, at in self._lost.items() if now - at <= GRACE_S + WITHIN_S}
        lasting = self._lasting(now)
        if not self._is_much(lasting, agents):
            return None
        self._together = lasting
        return self._told(agents)

    def _growing(self, now: float, agents: Mapping[NodeId, int]) -> ManySilent | ManyBack | None:
        still = self._together & self._lost.keys()
        if len(still) < MANY and 2 * len(still) < len(self._together):
            self._together = frozenset()
            return ManyBack()
        more = self._lasting(now) - self._together
        if not more:
            return None
        self._together = still | more
        return self._told(agents)

    def _lasting(self, now: float) -> frozenset[NodeId]:
        return frozenset(node for node, at in self._lost.items() if now - at >= GRACE_S)

    def _is_much(self, lost: AbstractSet[NodeId], agents: Mapping[NodeId, int]) -> bool:
        if len(lost) >= MANY and len(lost) >= len(self._up):
            return True
        gone = sum(agents.get(node, 0) for node in lost)
        left = sum(agents.get(node, 0) for node in self._up)
        return gone >= MANY_AGENTS and gone >= left

    def _told(self, agents: Mapping[NodeId, int]) -> ManySilent:
        nodes = tuple(sorted(self._together))
        return ManySilent(nodes, sum(agents.get(node, 0) for node in nodes), len(self._up))


def long_gone(
    now_ms: int, seen: Mapping[NodeId, int | None], unreachable: AbstractSet[NodeId]
) -> dict[NodeId, int]:
    """Of nodes once linked (``seen``: when last, ms since 1970) those out of reach for long: how long, in ms."""
    return {
        node: now_ms - at
        for node, at in seen.items()
        if node in unreachable and at is not None and now_ms - at >= LONG_S * 1000
    }
