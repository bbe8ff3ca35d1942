"""What belongs together: answers, edits, asks."""

from __future__ import annotations

from collections.abc import Sequence

from maw.api.backend import Json, Page, Speaker
from maw.api.service.speakers import Speakers
from maw.node.talking import need_agent


class Conversing(Speakers):
    async def thread_page(self, speaker: Speaker, ref: str, *, after_seq: int, limit: int) -> Page:
        seen = self._node.visible.seq
        items, on = await self._node.conversing.page(ref, speaker.agent_key, after=after_seq, limit=limit)
        return Page(items, on or max(after_seq, seen, *(one["seq"] for one in items)))

    async def history(self, speaker: Speaker, ref: str) -> list[Json]:
        return await self._node.editing.history(ref, speaker.agent_key)

    async def edit(
        self, speaker: Speaker, ref: str, text: str, *, idempotency_key: str | None, insist: bool = False
    ) -> Json:
        agent = need_agent(self._agent(speaker))
        return await self._node.editing.edit(agent, ref, text, key=idempotency_key, insist=insist)

    async def asks(self, speaker: Speaker, *, whose: str | None, overdue: bool) -> list[Json]:
        return await self._node.conversing.asks(need_agent(self._agent(speaker)), whose, overdue=overdue)

    async def talks(self, speaker: Speaker) -> list[Json]:
        return await self._node.talks.listing(need_agent(self._agent(speaker)))

    async def talk_page(
        self,
        speaker: Speaker,
        names: Sequence[str],
        *,
        after_seq: int | None,
        before_seq: int | None,
        limit: int,
    ) -> Page:
        agent = need_agent(self._agent(speaker))
        seen = self._node.visible.seq
        items, on = await self._node.talks.page(agent, names, after=after_seq, before=before_seq, limit=limit)
        last = items[-1]["seq"] if items else 0
        next_seq = on if on is not None and after_seq is not None else max(after_seq or 0, seen, last)
        return Page(items, next_seq, before_seq=None if after_seq is not None else on)
