"""What is put in front of agents, and by whom."""

from __future__ import annotations

from collections.abc import Callable

from maw.api.backend import Json, Speaker
from maw.api.service.status import Status
from maw.core.claims import RANKS
from maw.errors import Refused
from maw.node.listening import Listener
from maw.node.talking import need_agent
from maw.store.state import AgentRow


class Hearing(Status):
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
        agent = need_agent(self._agent(speaker))
        if failed is None:
            self._node.presences.touch(agent)
        return await self._node.hearing.heard(agent, claim, failed=failed, renew=renew)

    def listener(self, speaker: Speaker, after: int | None) -> Listener:
        return Listener(self._node.hearing, need_agent(self._agent(speaker)), after)

    async def wakes(self, speaker: Speaker, name: str | None) -> list[Json]:
        if name is not None:
            row = self._mine(speaker, name)
            return [{**self._wakes_json(row), "hour": await self._node.wakes.hour(row)}]
        rows = self._node.state.local.values()
        mine = sorted((row for row in rows if self._may_see(row, speaker)), key=lambda row: row.name)
        return [self._wakes_json(row) for row in mine if row.id.hex() != self._node.herald.speaker]

    async def release_wakes(self, speaker: Speaker, name: str) -> Json:
        row = self._mine(speaker, name)
        self._no_agent(speaker, "what is held is released")
        await self._node.wakes.release(row, speaker.agent or f"uid {speaker.uid}")
        self._node.hearing.stir(row)
        return self._wakes_json(row)

    async def set_dnd(self, speaker: Speaker, name: str | None, quiet: str) -> Json:
        row = need_agent(self._agent(speaker)) if name is None else self._mine(speaker, name)
        await self._node.wakes.set_quiet(row, quiet)
        self._node.hearing.stir(row)
        return self._wakes_json(row)

    def _wakes_json(self, row: AgentRow) -> Json:
        ways = {waiter.via for waiter in self._node.hearing.waiting(row)}
        return {
            **self._node.wakes.json(row),
            "waiting": len(self._node.hearing.pending(row)),
            "hears_by": sorted(ways, key=lambda via: -RANKS[via]),
        }

    def _mine(self, speaker: Speaker, name: str) -> AgentRow:
        row = self._node.directory.local(name.removeprefix("@").lower())
        if not self._may_see(row, speaker):
            raise Refused(
                f"{row.name} belongs to another user of this machine",
                code="not_yours",
                hint="`maw whoami` shows whom you speak as",
            )
        return row
