"""How far a message got with one recipient. A state is said of it only after it was durable where it came about.

    stored        on its author's disk
    replicated    on the disk of the recipient's host
    delivered     put in front of the agent: a line of it at least
    read          all of it was handed to the agent
    acked         the agent said that it is done with it
    failed        it will not be delivered, or could not be until now: the reason is told beside

Each but the last implies all before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

STORED: Final = "stored"
REPLICATED: Final = "replicated"
DELIVERED: Final = "delivered"
READ: Final = "read"
ACKED: Final = "acked"
FAILED: Final = "failed"

MARKS: Final = (DELIVERED, READ, ACKED)
"""What a recipient's host keeps of a message in a mailbox, rising."""

VIAS: Final = ("hook", "rewake", "wait", "stream", "mcp", "exec", "pane", "inbox", "read")
"""By what it was put in front of the agent, or (the last two) what he asked to see it."""


_ORDER: Final = (STORED, FAILED, REPLICATED, DELIVERED, READ, ACKED)


def at_least(state: str, wanted: str) -> bool:
    """Whether a message in this state has come as far as ``wanted``. What failed has come to its host."""
    return _ORDER.index(REPLICATED if state == FAILED else state) >= _ORDER.index(wanted)


def least(states: Iterable[str]) -> str:
    """The state of a message for several: of whom it has come to least far."""
    return min(states, key=_ORDER.index)


class Reach(NamedTuple):
    """What is known of one message and one agent; times in ms. ``via``: one of VIAS; ``failed``: why it could not be
    delivered when that was last tried."""

    delivered: int | None = None
    via: str | None = None
    read: int | None = None
    acked: int | None = None
    failed: str | None = None
    failed_at: int | None = None

    @property
    def rank(self) -> int:
        return rank_of(self.delivered, self.read, self.acked)

    @property
    def state(self) -> str | None:
        """The highest; None where nothing is known but that it may be on the agent's host."""
        if self.rank:
            return MARKS[self.rank - 1]
        return None if self.failed is None else FAILED

    @property
    def since(self) -> int | None:
        return (self.failed_at, self.delivered, self.read, self.acked)[self.rank]

    def raised(self, state: str, at: int, by: str) -> Reach:
        """With what is told now: nothing that was said before is taken back, or moved."""
        if state == FAILED:
            return self._replace(failed=by, failed_at=at)
        told = self._replace(via=self.via or by or None)
        if state == DELIVERED:
            return told._replace(delivered=at if self.delivered is None else self.delivered)
        if state == READ:
            return told._replace(read=at if self.read is None else self.read)
        return told._replace(acked=at if self.acked is None else self.acked)


NOTHING: Final = Reach()


def rank_of(delivered: int | None, read: int | None, acked: int | None) -> int:
    """How many of MARKS are reached: 0 to 3. Given when each was."""
    return 3 if acked is not None else 2 if read is not None else 1 if delivered is not None else 0
