"""What is put in front of agents, and by whom."""

from __future__ import annotations

from collections.abc import Callable

from maw.api.backend import Json, Speaker
from maw.api.service.speakers import Speakers
from maw.node.talking import need_agent


class Hearing(Speakers):
    async def hear(
        self,
        speaker: Speaker,
        via: str,
        *,
        wake: bool,
        wait: float,
        session: str | None,
        limit: int,
        gone: Callable[[], bool],
        slice_s: float,
    ) -> Json | None:
        heard = await self._node.hearing.hear(
            need_agent(self._agent(speaker)), via, wake=wake, wait=wait, session=session, limit=limit,
            gone=gone, slice_s=slice_s,
        )  # fmt: skip
        return None if heard is None else heard.as_json()

    async def heard(self, speaker: Speaker, claim: str, *, failed: str | None, renew: bool) -> Json:
        return await self._node.hearing.heard(
            need_agent(self._agent(speaker)), claim, failed=failed, renew=renew
        )
