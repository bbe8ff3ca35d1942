"""The big Colony that two benchmarks share: a host full of messages, and peers that come to it one by one."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from bench.house import Daemon, linked, until
from bench.load import post_request, send_all, texts
from bench.sizes import Size

_PORTION = 5_000


class Stage:
    """Hosts are made when first asked for, and all of them end with the stage."""

    def __init__(self, root: Path, size: Size) -> None:
        self._root = root
        self._size = size
        self._hosts = AsyncExitStack()
        self._source: Daemon | None = None
        self.peers: list[Daemon] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._hosts.aclose()

    async def source(self) -> Daemon:
        """The host that said everything there is."""
        if self._source is None:
            self._source = await self._hosts.enter_async_context(Daemon(self._root, "source"))
            await self._source.post("/api/users", {"username": "neo"})
            for begin in range(0, self._size.messages, _PORTION):
                count = min(_PORTION, self._size.messages - begin)
                said = [post_request(text) for text in texts(count, seed=100 + begin)]
                await send_all(self._source.socket, said, self._size.clients)
        return self._source

    async def add_peer(self) -> tuple[Daemon, float]:
        """A new host joins; it, and the seconds until its REST shows the newest message of the source."""
        source = await self.source()
        peer = await self._hosts.enter_async_context(Daemon(self._root, f"peer{len(self.peers) + 1}"))
        newest = (await source.get("/api/channels/general/messages?limit=1"))[0]["id"]
        invite = await source.post("/api/invites", {})
        began = time.perf_counter()
        await peer.post("/api/join", {"line": invite["line"]})
        async with aiohttp.ClientSession(f"http://{peer.rest}") as rest:

            async def shows_newest() -> bool:
                async with rest.get("/api/channels/general/messages?limit=1") as answer:
                    found = await answer.json() if answer.status == 200 else []
                    return bool(found) and found[0]["id"] == newest

            await until(shows_newest, f"{peer.name} shows all there is", each=0.05)
        seconds = time.perf_counter() - began
        self.peers.append(peer)
        return peer, seconds

    async def all_linked(self) -> None:
        everybody = [await self.source(), *self.peers]
        await until(lambda: linked(*everybody), "every host is linked with every other", each=0.5)
