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

from typing import Final

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


def rank_of(delivered: int | None, read: int | None, acked: int | None) -> int:
    """How many of MARKS are reached: 0 to 3. Given when each was."""
    return 3 if acked is not None else 2 if read is not None else 1 if delivered is not None else 0
