"""What agents say and settle: durable on this node once a method returns."""

from __future__ import annotations

from collections.abc import Sequence

from maw.api.backend import Json, Named, Speaker
from maw.api.service.speakers import Speakers
from maw.core.intents import CHAT
from maw.core.wishes import NOTHING, Wishes
from maw.core.word import OperatorWord
from maw.node.talking import need_agent


class Writing(Speakers):
    async def post_channel(
        self,
        speaker: Speaker,
        channel: str,
        text: str,
        *,
        reply_to: str | None,
        idempotency_key: str | None,
        word: OperatorWord | None = None,
        intent: str = CHAT,
        wishes: Wishes = NOTHING,
        insist: bool = False,
        files: Sequence[Named] = (),
    ) -> Json:
        agent = need_agent(self._agent(speaker))
        return await self._node.talking.post(
            agent,
            speaker.known_by,
            channel,
            text,
            reply_to=reply_to,
            key=idempotency_key,
            word=word,
            intent=intent,
            wishes=wishes,
            insist=insist,
            files=await self._node.uploads.named(agent, files),
        )

    async def post_direct(
        self,
        speaker: Speaker,
        to: Sequence[str],
        text: str,
        *,
        reply_to: str | None,
        idempotency_key: str | None,
        word: OperatorWord | None = None,
        intent: str = CHAT,
        wishes: Wishes = NOTHING,
        insist: bool = False,
        in_the_open: bool = False,
        files: Sequence[Named] = (),
    ) -> Json:
        agent = need_agent(self._agent(speaker))
        return await self._node.talking.direct(
            agent,
            speaker.known_by,
            to,
            text,
            reply_to=reply_to,
            key=idempotency_key,
            word=word,
            intent=intent,
            wishes=wishes,
            insist=insist,
            in_the_open=in_the_open,
            files=await self._node.uploads.named(agent, files),
        )

    def draft_order(self, to: Sequence[str] | None, channel: str | None) -> Json:
        return self._node.orders.draft(to, channel)

    async def answer_orders(self, speaker: Speaker, refs: Sequence[str], state: str, note: str) -> None:
        agent = need_agent(self._agent(speaker))
        if note:  # whether he obeys he may always say
            self._node.keeping.refuse_frozen(agent, None)
        await self._node.orders.answer(agent, refs, state, note)

    async def ack(self, speaker: Speaker, refs: Sequence[str] | None) -> Json:
        agent = need_agent(self._agent(speaker))
        self._node.presences.touch(agent)
        return await self._node.talking.ack(agent, refs)

    async def read(self, speaker: Speaker, refs: Sequence[str], via: str) -> Json:
        agent = need_agent(self._agent(speaker))
        self._node.presences.touch(agent)
        return await self._node.talking.read(agent, refs, via)

    async def add_channel(
        self, speaker: Speaker, name: str, about: str = "", members: Sequence[str] | None = None
    ) -> Json:
        agent, channels = need_agent(self._agent(speaker)), self._node.channels
        if members is not None:
            return await channels.create_private(agent, name, about, members)
        return await channels.create(agent, name, about)

    async def change_members(
        self, speaker: Speaker, name: str, add: Sequence[str], remove: Sequence[str]
    ) -> Json:
        agent = need_agent(self._agent(speaker))
        self._node.keeping.refuse_frozen(agent, name)
        return await self._node.channels.change_members(agent, name, add, remove)

    async def leave_channel(self, speaker: Speaker, name: str, back: bool) -> Json:
        return await self._node.channels.leave(need_agent(self._agent(speaker)), name, back=back)

    async def change_channel(
        self, speaker: Speaker, name: str, about: str | None, archived: bool | None
    ) -> Json:
        agent = self._agent(speaker) if speaker.is_admin else need_agent(self._agent(speaker))
        if agent is not None:
            self._node.keeping.refuse_frozen(agent, name)
        return await self._node.channels.change(
            agent, name, about=about, archived=archived, is_admin=speaker.is_admin
        )

    async def watch(self, speaker: Speaker, name: str, wakes: bool | None) -> Json:
        return await self._node.channels.watch(need_agent(self._agent(speaker)), name, wakes)

    async def redact(self, speaker: Speaker, refs: Sequence[str], reason: str | None) -> Json:
        agent = self._agent(speaker) if speaker.is_admin else need_agent(self._agent(speaker))
        if agent is not None:
            self._node.keeping.refuse_frozen(agent, None)
        return await self._node.redacting.redact(agent, refs, reason, is_admin=speaker.is_admin)

    async def retain(self, speaker: Speaker, channel: str, days: int) -> Json:
        agent = self._agent(speaker) if speaker.is_admin else need_agent(self._agent(speaker))
        if agent is not None:
            self._node.keeping.refuse_frozen(agent, channel)
        return await self._node.redacting.retain(agent, channel, days, is_admin=speaker.is_admin)
