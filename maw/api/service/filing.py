"""Files that go with messages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from maw.api.backend import Json, Speaker
from maw.api.service.speakers import Speakers
from maw.node.talking import need_agent


class Filing(Speakers):
    async def upload(
        self, speaker: Speaker, name: str, kind: str, size: int | None, stream: AsyncIterator[bytes]
    ) -> Json:
        agent = need_agent(self._agent(speaker))
        self._node.keeping.refuse_frozen(agent, None)
        taken = await self._node.uploads.take(agent, name, kind, size, stream)
        return {"hash": taken.hash.hex(), "name": taken.name, "size": taken.size, "type": taken.type}

    async def files(self, speaker: Speaker, ref: str) -> list[Json]:
        attaching = self._node.attaching
        return attaching.listed(await attaching.of(ref, speaker.agent_key))

    async def fetch_file(self, speaker: Speaker, ref: str, n: int, *, seconds: float, anew: bool) -> Json:
        attaching = self._node.attaching
        return await attaching.fetch(await attaching.of(ref, speaker.agent_key), n, seconds, anew=anew)

    async def open_file(
        self, speaker: Speaker, ref: str, n: int, span: Callable[[int], tuple[int, int]]
    ) -> tuple[Json, AsyncIterator[bytes]]:
        attaching = self._node.attaching
        message = await attaching.of(ref, speaker.agent_key)
        file = message.file(n)
        stream = await attaching.open(message, n, *span(file.size))
        return {"name": file.name, "size": file.size}, stream
