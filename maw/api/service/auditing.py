"""Signed history, as somebody may read it."""

from __future__ import annotations

from maw.api.backend import Json, Page, Speaker
from maw.api.service.speakers import Speakers
from maw.core.identity import NodeId
from maw.core.names import parse_address
from maw.core.queries import Query
from maw.core.refused import Attempt


class Auditing(Speakers):
    def audit_head(self) -> Json:
        return self._node.auditing.head()

    async def audit_page(
        self,
        speaker: Speaker,
        log: NodeId,
        epoch: int,
        *,
        after_seq: int,
        limit: int,
        query: Query | None,
        sparse: bool,
    ) -> Page:
        agent = self._agent(speaker)
        self._know(query, None if agent is None else agent.id)
        found = await self._node.auditing.page(
            agent, log, epoch, after_seq=after_seq, limit=limit, query=query, sparse=sparse
        )
        return Page(found.lines, found.next_seq)

    def _know(self, query: Query | None, agent_key: bytes | None) -> None:
        """Raises NotFound, or Ambiguous, for a name that nobody has: else a slip of the pen proves nothing."""
        directory = self._node.directory
        for name in () if query is None else query.channels:
            directory.channel(name.lower(), agent_key)
        for word in () if query is None else query.authors:
            if not self._node.state.agents_named.get(parse_address(word).name):
                directory.find_agent(word)

    def note_refusal(self, attempt: Attempt) -> None:
        self._node.refused.note(attempt)

    async def refusals(self, *, since_ms: int, limit: int) -> list[Json]:
        return await self._node.refused.newest(since_ms=since_ms, limit=limit)
