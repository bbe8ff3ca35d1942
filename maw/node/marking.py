"""What became of messages in the mailboxes of this host's agents: delivered, read, acknowledged.

Whoever puts a message in front of an agent says so here, after it did. What is returned as marked is on the disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import aiosqlite

from maw.core.states import ACKED, VIAS
from maw.node.authoring import wall_clock_ms
from maw.node.store import Store
from maw.store.marking import raise_to, unread
from maw.store.state import AgentRow


class Marking:
    """Each call is a job of the writer's: those of one moment are committed together."""

    def __init__(self, store: Store) -> None:
        self._store = store

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
            fresh, _ = await raise_to(conn, agent.n, seqs, state, at, via)
            return fresh

        return await self._store.writer.submit(write) if seqs else []

    async def ack(self, agent: AgentRow, seqs: Sequence[int] | None) -> tuple[list[int], list[int]]:
        """Acknowledge these, or (None) all that is not yet: for good. Returns the seqs of which it is new, and those
        that were before; what is not in the agent's mailbox is in neither."""

        async def write(conn: aiosqlite.Connection) -> tuple[list[int], list[int]]:
            wanted = await unread(conn, agent.n) if seqs is None else seqs
            return await raise_to(conn, agent.n, wanted, ACKED, wall_clock_ms())

        return await self._store.writer.submit(write)
