"""Signed history, as somebody may read it."""

from __future__ import annotations

from maw.api.backend import Json, Page, Speaker
from maw.api.service.speakers import Speakers
from maw.core.identity import NodeId
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
        found = await self._node.auditing.page(
            self._agent(speaker), log, epoch, after_seq=after_seq, limit=limit, query=query, sparse=sparse
        )
        return Page(found.lines, found.next_seq)

    def note_refusal(self, attempt: Attempt) -> None:
        self._node.refused.note(attempt)

    async def refusals(self, *, since_ms: int, limit: int) -> list[Json]:
        return await self._node.refused.newest(since_ms=since_ms, limit=limit)
