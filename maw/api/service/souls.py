"""Who agents are, and the policy that is for all of them."""

from __future__ import annotations

from maw.api.backend import Json, Speaker
from maw.api.service.status import Status
from maw.core.effects import Alert
from maw.core.transcript import plain_words
from maw.errors import Refused
from maw.node.talking import need_agent


class Ensouling(Status):
    async def soul(self, speaker: Speaker, who: str, version: str | None) -> Json:
        return await self._node.souls.soul(who, version)

    async def soul_history(self, speaker: Speaker, who: str) -> list[Json]:
        return await self._node.souls.history(who)

    async def dream(self, speaker: Speaker) -> Json:
        agent = need_agent(self._agent(speaker))
        self._node.keeping.refuse_frozen(agent, None)
        self._node.presences.touch(agent)
        policies = self._node.policies
        return {
            "agent": speaker.agent, "policy": None if policies.brief() is None else await policies.policy(),
        }  # fmt: skip

    async def trouble(self, speaker: Speaker, kind: str, text: str) -> None:
        agent = need_agent(self._agent(speaker))
        address = self._node.directory.address(agent)
        if text.strip():
            self._node.alerts.raise_alert(Alert(kind, address, f"{address}: {plain_words(text)}"))
        else:
            self._node.alerts.settle(kind, address)

    async def policy(self, speaker: Speaker, version: int | None) -> Json:
        return await self._node.policies.policy(version)

    async def policy_status(self, speaker: Speaker, grace_s: float) -> Json:
        return await self._node.policies.status(int(grace_s * 1000))

    async def say_soul(self, speaker: Speaker, who: str | None, text: str, before: str | None) -> Json:
        row = need_agent(self._agent(speaker)) if who is None else self._node.directory.local(who)
        if not self._may_see(row, speaker):
            raise Refused(
                f"{row.name} is another's", code="not_yours", hint="`maw whoami` shows whom you speak as"
            )
        self._node.presences.touch(row)
        return await self._node.souls.say(row, text, before)
