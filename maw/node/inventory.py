"""The replicas of the Colony as this node sees them: since when each is behind, and an alarm when many are gone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from maw.core.effects import Alert
from maw.core.identity import NodeId, short_key
from maw.core.silence import ManyBack, ManySilent, Silence, long_gone
from maw.net.switchboard import Switchboard
from maw.node.alerts import Alerts
from maw.node.authoring import wall_clock_ms
from maw.node.directory import Directory
from maw.node.membership import Membership
from maw.node.mesh import Mesh
from maw.node.runtime import Runtime
from maw.store.state import State

EVERY_S: Final = 5.0
"""How often it looks: times it gives are good to this."""
_LONG_TURNS: Final = 12
_NAMED: Final = 8


@dataclass(slots=True)
class Lag:
    """Since when (ms since 1970) this node lacks entries of a peer, and it of ours; None: nothing is lacking."""

    behind: int | None = None
    lacks: int | None = None


class Inventory:
    """``look`` is called each second and looks every EVERY_S. ``clock``: seconds, still while the host sleeps."""

    def __init__(
        self,
        me: NodeId,
        membership: Membership,
        board: Switchboard,
        mesh: Mesh,
        runtime: Runtime,
        state: State,
        directory: Directory,
        alerts: Alerts,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._me = me
        self._membership = membership
        self._board = board
        self._mesh = mesh
        self._runtime = runtime
        self._state = state
        self._directory = directory
        self._alerts = alerts
        self._clock = clock
        self._next = clock()
        self._turn = 0
        self._silence = Silence()
        self._lags: dict[NodeId, Lag] = {}
        self._long: set[NodeId] = set()

    def lag(self, peer: NodeId) -> Lag:
        return self._lags.get(peer, Lag())

    def agents(self) -> Counter[NodeId]:
        """How many agents and apes are alive on each node, by what its log says."""
        return Counter(
            self._state.node_at[row.node].key
            for row in self._state.agent_at.values()
            if not row.gone and not row.away
        )

    def look(self) -> None:
        now = self._clock()
        if now < self._next:
            return
        self._next = now + EVERY_S
        self._note_lags()
        unreachable = self._mesh.linking.troubles().keys()
        told = self._silence.tick(
            now,
            trusted=self._membership.book.trusted,
            linked={link.peer for link in self._board.all() if link.ended is None},
            unreachable=unreachable,
            agents=self.agents(),
        )
        self._tell(told)
        if self._turn % _LONG_TURNS == 0:
            self._tell_of_long_gone(set(unreachable))
        self._turn += 1

    def _note_lags(self) -> None:
        at = wall_clock_ms()
        followed = self._runtime.machine.followed
        lags = {}
        for link in self._board.all():
            number = self._runtime.number_of(link.peer)
            if number is not None:
                before = self._lags.get(link.peer, Lag())
                lags[link.peer] = Lag(
                    (before.behind or at) if followed.behind(number) else None,
                    (before.lacks or at) if followed.offers.lacks(number) else None,
                )
        self._lags = lags

    def _tell(self, told: ManySilent | ManyBack | None) -> None:
        subject = short_key(self._me)
        if isinstance(told, ManyBack):
            self._alerts.settle("silence", subject)
        elif told is not None:
            names = [self._directory.name_of(node) for node in told.nodes]
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            why = (
                f"{told.left} are still reached"
                if told.left
                else "none is left: is this host itself cut off?"
            )
            text = (
                f"{len(names)} nodes with {told.agents} agents fell silent together:"
                f" {', '.join(sorted(names)[:_NAMED])}{more}; {why}"
            )
            self._alerts.raise_alert(Alert("silence", subject, text))

    def _tell_of_long_gone(self, unreachable: set[NodeId]) -> None:
        trusted = self._membership.book.trusted
        seen = {key: row.seen for key, row in self._state.nodes.items() if key in trusted}
        gone = long_gone(wall_clock_ms(), seen, unreachable)
        for node in self._long - gone.keys():
            self._alerts.settle("gone", short_key(node))
        for node in gone.keys() - self._long:
            name = self._directory.name_of(node)
            text = (
                f"{name} was linked and has been out of reach for {gone[node] // 86_400_000} d: messages for it wait"
                f" here. If it is not to come back: maw peers forget {name}"
            )
            self._alerts.raise_alert(Alert("gone", short_key(node), text))
        self._long = set(gone)
