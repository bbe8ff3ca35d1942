"""Finding messages by their words, as somebody may read them."""

from __future__ import annotations

from maw.api.backend import Found, Speaker
from maw.api.service.speakers import Speakers
from maw.core.queries import Query


class Finding(Speakers):
    async def search(
        self, speaker: Speaker, query: Query, *, limit: int, before_seq: int | None, newest_first: bool
    ) -> Found:
        agent = self._agent(speaker)
        found = await self._node.searching.find(
            query, agent.id if agent else None, limit=limit, before=before_seq, newest_first=newest_first
        )
        return Found(found.items, found.before, found.indexed)
