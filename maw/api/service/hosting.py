"""The machine under the agents, as its doors tell it; and what keepers report of it."""

from __future__ import annotations

from maw.api.backend import Json, Speaker
from maw.api.service.status import Status
from maw.errors import Refused
from maw.store.state import AgentRow


class Hosted(Status):
    async def host(self, speaker: Speaker) -> Json:
        return self._node.hosting.json(
            lambda row: self._may_see(row, speaker), speaker.uid, everything=speaker.is_admin
        )

    async def pause_host(self, speaker: Speaker, agent: str | None, why: str | None) -> Json:
        if agent is None:
            await self._node.hosting.pause(why)
        else:
            hosting = self._node.hosting
            ended = why is None and agent in hosting.stopped  # it may be no agent of this host any more
            await hosting.stop(agent if ended else self._node.directory.local(agent).name, why)
        return await self.host(speaker)

    async def measured(
        self, speaker: Speaker, agents: list[Json], logs: list[Json] | None, folders: list[Json] | None
    ) -> Json:
        hosting = self._node.hosting
        found = [
            (self._reported(speaker, one["name"]), one["memory_bytes"], one["processes"], one["started_ms"])
            for one in agents
        ]
        if speaker.uid is None or not any(row.uid == speaker.uid for row in self._node.state.local.values()):
            raise Refused(
                "no agent of this host is yours",
                code="not_yours",
                hint="a keeper reports of its own user's agents, over the socket",
            )
        for log in logs or ():
            if log["agent"] is not None:
                self._reported(speaker, log["agent"])
        hosting.measured(speaker.uid, found, logs, folders)
        mine = {row.name for row in self._node.state.local.values() if self._may_see(row, speaker)}
        return {"refused": {name: why for name, why in hosting.refused().items() if name in mine}}

    def _reported(self, speaker: Speaker, name: str) -> AgentRow:
        row = self._node.directory.local(name)
        if not self._may_see(row, speaker):
            raise Refused(
                f"{name} belongs to another Unix user",
                code="not_yours",
                hint="a keeper reports of its own user's agents",
            )
        return row
