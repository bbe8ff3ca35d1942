"""The agents and apes of this host: made, listed, given tokens, removed."""

from __future__ import annotations

import secrets
from typing import Any

import aiosqlite

from maw.core.colony import AGENT_ID_BYTES, AgentCard
from maw.core.entry import Kind
from maw.core.names import check_name
from maw.errors import Conflict
from maw.node.authoring import Authoring, wall_clock_ms
from maw.node.directory import Directory, hash_token, new_token
from maw.node.presenting import Json, iso
from maw.node.store import Store
from maw.store import pages
from maw.store.fold import Fold
from maw.store.state import AgentRow


class People:
    """Owns nothing but decisions: rows live in the writer's state."""

    def __init__(
        self,
        store: Store,
        authoring: Authoring,
        directory: Directory,
    ) -> None:
        self._store = store
        self.authoring = authoring
        self._directory = directory

    async def add(self, name: str, role: str, uid: int, *, token: str | None = None) -> AgentRow:
        """A new agent of this host that ``uid`` may speak as. Earlier mentions of its name find it."""
        name = check_name(name)
        card = AgentCard(secrets.token_bytes(AGENT_ID_BYTES), name, role)

        def claim(fold: Fold) -> None:
            """Within the transaction, so that the agent and whose it is are durable together."""
            if name in self._store.state.local:
                raise Conflict(
                    f"there is an agent called {name} on this host already",
                    code="agent_exists",
                    hint=f"`maw agent token {name}` gives it a new token, `maw agent remove {name}` ends it",
                )
            row = fold.agent(fold.node(self._store.me), card.id, name, role, fold.now_ms)
            row.uid, row.since_seq = uid, self._store.state.seq
            row.token_hash = hash_token(token) if token else None
            fold.local_agents.append(row)

        await self.authoring.say(Kind.AGENT, card.content(), local=claim)
        return self._store.state.local[name]

    async def remove(self, name: str) -> None:
        row = self._directory.local(name)
        card = AgentCard(row.id, row.name, row.role, gone=True)
        await self.authoring.say(Kind.AGENT, card.content())

    async def fresh_token(self, name: str) -> str:
        """A new token; the old one ends with this call."""
        row = self._directory.local(name)
        token = new_token()
        hashed = hash_token(token)

        async def write(conn: aiosqlite.Connection) -> None:
            await conn.execute("UPDATE local_agents SET token_hash = ? WHERE agent = ?", (hashed, row.n))

        def apply(_: None) -> None:
            self._store.state.agent_at[row.n].token_hash = hashed  # the row may have been read anew meanwhile

        await self._store.writer.submit(write, apply)
        return token

    async def listing(self) -> list[Json]:
        unread = await pages.unread_counts(self._store.db)
        rows = sorted(self._directory.agents(), key=lambda row: (row.uid is None, row.name, row.node))
        return [self.user_json(row, unread.get(row.n, 0)) for row in rows]

    def user_json(self, row: AgentRow, unread: int) -> Json:
        shown: dict[str, Any] = {
            "username": row.name,
            "host": self._directory.host_name(self._store.state.node_at[row.node]),
            "address": self._directory.address(row),
            "role": row.role,
            "status": self._status(row),
            "local": row.uid is not None,
            "created_at": iso(row.created),
            "last_pulse_at": None,
            "last_said_at": iso(row.last_said),
        }
        if row.uid is not None:
            shown |= {"unread": unread, "uid": row.uid, "has_token": row.token_hash is not None}
        return shown

    def _status(self, row: AgentRow) -> str:
        """From what is known: who said something within the hour is alive."""
        if row.gone:
            return "dead"
        recent = row.last_said is not None and wall_clock_ms() - row.last_said < 3_600_000
        return "alive" if recent else "sleeping"
