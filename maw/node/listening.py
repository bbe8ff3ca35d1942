"""Readers of the stream that say what they have put in front of their agent: only then it is delivered.

While such a reader is there it takes its place among those who wait: what it was sent is its claim for the time of a
lease, and what it does not confirm is another's.
"""

from __future__ import annotations

from typing import Final

from maw.core.claims import Waiter
from maw.node.hearing import Hearing
from maw.store.state import AgentRow

MAX_UNCONFIRMED: Final = 1000
"""Messages that were sent and not confirmed; older ones are confirmed by whoever else puts them there."""
VIA: Final = "stream"


class Listener:
    """One stream of ``agent``'s. ``after``: it is sent all of the agent's mail above this seq; None where it is sent
    only a part, and keeps nobody else from anything."""

    def __init__(self, hearing: Hearing, agent: AgentRow, after: int | None) -> None:
        self._hearing = hearing
        self._agent = agent
        self._sent: dict[int, None] = {}
        self._claims: list[str] = []
        self._number = None if after is None else hearing.enter(agent, Waiter(VIA, False, after))

    async def sent(self, seqs: list[int]) -> None:
        """These are on their way to the reader."""
        self._sent |= dict.fromkeys(seqs)
        while len(self._sent) > MAX_UNCONFIRMED:
            del self._sent[next(iter(self._sent))]
        if self._number is not None:
            claim = await self._hearing.take_sent(self._agent, self._number, seqs)
            self._claims = [name for name in self._claims if self._hearing.is_open(self._agent, name)]
            self._claims += [] if claim is None else [claim]

    async def heard(self, seq: int) -> list[int]:
        """The reader has put everything up to ``seq`` in front of the agent; durable once this returns. The seqs of
        which it is new. Raises Unavailable: then it is to be said again."""
        told = [one for one in self._sent if one <= seq]
        fresh = await self._hearing.confirm(self._agent, told, VIA)
        for one in told:
            self._sent.pop(one, None)
        self._claims = [name for name in self._claims if self._hearing.is_open(self._agent, name)]
        return fresh

    def close(self) -> None:
        if self._number is not None:
            self._hearing.leave(self._agent, self._number, self._claims)
