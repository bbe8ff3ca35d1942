"""What became of messages in the mailboxes of this host's agents: delivered, read, acknowledged.

Whoever puts a message in front of an agent says so here, after it did. What is returned as marked is on the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import aiosqlite

from maw.core.progress import MAX_BY
from maw.core.states import ACKED, VIAS
from maw.core.transcript import plain_words
from maw.node.authoring import wall_clock_ms
from maw.node.holding import refuse_held
from maw.node.store import Store
from maw.store.marking import fail, raise_to, unread
from maw.store.state import AgentRow


class Marking:
    """Each call is a job of the writer's: those of one moment are committed together."""

    def __init__(self, store: Store, moved: Callable[[], None]) -> None:
        """``moved`` is told when anything was marked, and is durable."""
        self._store = store
        self._moved = moved

    async def mark(
        self,
        agent: AgentRow,
        seqs: Sequence[int],
        state: Literal["delivered", "read"],
        via: str | None,
        at_ms: int | None = None,
    ) -> list[int]:
        """These messages reached ``state`` for this agent, durably once it returns; read implies delivered.

        ``via``: one of VIAS, None where it is not known. ``at_ms``: when it was; now, if left out, and never later.
        Returns the seqs of which it is new; what came further before, or is not in the agent's mailbox, stays as it is.
        """
        assert via is None or via in VIAS, via
        now = wall_clock_ms()
        at = now if at_ms is None else min(at_ms, now)

        async def write(conn: aiosqlite.Connection) -> list[int]:
            state_of, me = self._store.state, self._store.me
            fresh, _ = await raise_to(conn, state_of, me, agent.n, seqs, state, at, via)
            return fresh

        return await self._store.writer.submit(write, self._marked) if seqs else []

    async def fail(self, agent: AgentRow, seqs: Sequence[int], why: str) -> list[int]:
        """These could not be put in front of the agent now, durably once it returns. ``why``: a few words for their
        authors; the last counts until it is delivered after all. Returns the seqs of which it is new."""
        reason = plain_words(why)[:MAX_BY]

        async def write(conn: aiosqlite.Connection) -> list[int]:
            state, me = self._store.state, self._store.me
            return await fail(conn, state, me, agent.n, seqs, reason, wall_clock_ms())

        return await self._store.writer.submit(write, self._marked) if seqs else []

    async def ack(self, agent: AgentRow, seqs: Sequence[int] | None) -> tuple[list[int], list[int]]:
        """Acknowledge these, or (None) all that is not yet: for good. Returns the seqs of which it is new, and those
        that were before; what is not in the agent's mailbox is in neither."""

        async def write(conn: aiosqlite.Connection) -> tuple[list[int], list[int]]:
            refuse_held(self._store.state, agent)  # what goes along was gathered already
            wanted = await unread(conn, agent.n) if seqs is None else seqs
            state, me = self._store.state, self._store.me
            return await raise_to(conn, state, me, agent.n, wanted, ACKED, wall_clock_ms())

        return await self._store.writer.submit(write, lambda done: self._marked(done[0]))

    def _marked(self, fresh: list[int]) -> None:
        if fresh:
            self._moved()
