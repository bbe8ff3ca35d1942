"""How one author's log is followed: through which link, what it must bring until when, and which links not to ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from maw.core.effects import Link
from maw.core.identity import NodeId
from maw.core.offers import Target

DEADLINE_S: Final = 5.0
"""How long an advertised head may take to arrive, backlog aside."""
BACKLOG_RATE: Final = 2_000.0
"""Entries a second that a link is expected to bring at the least."""
DEADLINE_MAX_S: Final = 600.0
GRACE_S: Final = 1.0
"""How long a link may take to bring what it does not even say it has, while another says so."""
HOLDOFF_S: Final = 5.0
HOLDOFF_MAX_S: Final = 300.0


@dataclass(slots=True)
class Track:
    """``target`` is to arrive before ``deadline``, or the follow moves."""

    number: int = 0
    """Authors are looked at in the order in which they came to be wanted."""
    link: Link | None = None
    serial: int = 0
    ready: bool = False
    resting: bool = False
    changes: bool = False
    """The author's own link is there, and takes over at a tick that finds nothing under way."""
    target: Target | None = None
    deadline: float = 0.0
    grace: bool = False
    """The link had not said it has the target when the deadline was set: only GRACE_S were given."""
    patience: float = 1.0
    """Doubles with each follow that was moved in vain: where all links are slow, one must be given the time."""
    holdoff: dict[Link, tuple[float, float]] = field(default_factory=dict)

    def hold_off(self, link: Link, now: float) -> None:
        delay = min(HOLDOFF_MAX_S, 2 * self.holdoff.get(link, (0.0, HOLDOFF_S / 2))[1])
        self.holdoff[link] = (now + delay, delay)

    def held_off(self, link: Link, now: float) -> bool:
        return self.holdoff.get(link, (0.0, 0.0))[0] > now

    def is_settled(self, now: float) -> bool:
        """Nothing is due of it, and nothing will be by time alone: a tick need not look at it."""
        if self.link is None or self.changes or self.resting or self.target is not None:
            return False
        return not any(until > now for until, _ in self.holdoff.values())

    def aim_at(self, target: Target, missing: int, *, offered: bool, now: float) -> None:
        """``offered``: the link that is followed says it has it. A deadline that is there only comes nearer."""
        first = (DEADLINE_S if offered else GRACE_S) * self.patience
        until = now + min(DEADLINE_MAX_S, first + missing / BACKLOG_RATE)
        self.target = target
        if until < self.deadline:
            self.deadline, self.grace = until, not offered

    def end_grace(self) -> None:
        """The link says now that it has the target: it gets the rest of the usual time, once."""
        if self.grace:
            self.grace = False
            self.deadline += (DEADLINE_S - GRACE_S) * self.patience

    def lose_patience(self) -> None:
        self.patience = min(2 * self.patience, DEADLINE_MAX_S / DEADLINE_S)


class Tracks(dict[NodeId, Track]):
    """By author; and which of them a tick has to look at: those of whom something was changed since the last, or is
    due. So the work of an idle node does not grow with the number of authors."""

    def __init__(self) -> None:
        super().__init__()
        self._stirred: set[NodeId] = set()
        self._made = 0

    def begin(self, author: NodeId) -> None:
        self._made += 1
        self[author] = Track(self._made)

    def stir(self, *authors: NodeId) -> None:
        self._stirred.update(authors)

    def stirred(self) -> list[tuple[NodeId, Track]]:
        """Taken off: whoever looks stirs again what is not settled then."""
        found = [(author, self[author]) for author in self._stirred if author in self]
        self._stirred.clear()
        return sorted(found, key=lambda one: one[1].number)
