"""A peer that is trusted and sends whatever a test has it send."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from maw.core.entry import Entry
from maw.core.frames import (
    Entries,
    Follow,
    Following,
    Frame,
    decode_frame,
    encode,
)
from maw.core.identity import Signer, key_text
from maw.errors import LinkError
from maw.net.link import Link
from tests.integration.linknode import LinkNode
from tests.integration.nodes import NOWHERE, Host, until
from tests.unit.store.opened import Author


@dataclass
class Evil:
    """A peer that ``host`` trusts, carried by hand."""

    node: LinkNode
    link: Link
    host: Host
    author: Author

    def send(self, *frames: Frame | bytes) -> None:
        for frame in frames:
            self.link.send(frame if isinstance(frame, bytes) else encode(frame))

    def heard(self, kind: type[Any]) -> list[Any]:
        return [found for frame in self.node.frames if isinstance(found := decode_frame(frame), kind)]

    async def followed(self) -> None:
        """Answers the Follow of our own log, so that entries count."""
        await until(self.asked, "it follows our log")
        self.send(Following(self.node.node, self.asked()[-1].serial))

    def asked(self) -> list[Follow]:
        """Every Follow of our own log so far."""
        return [f for f in self.heard(Follow) if f.author == self.node.node and f.serial]

    async def says(self, *entries: Entry) -> None:
        await self.followed()
        self.send(Entries(tuple(entries)))

    async def thrown_out(self) -> LinkError:
        await until(lambda: self.node.ended, "the link was ended")
        return self.node.ended[-1]


@asynccontextmanager
async def evil_peer(host: Host, signer: Signer | None = None) -> AsyncIterator[Evil]:
    node = LinkNode("evil", signer=signer, colony=host.node.membership.book.colony)
    host.node.home.peers.write_text(
        f'[[peer]]\nname = "evil"\nkey = "{key_text(node.node)}"\naddresses = ["{NOWHERE}"]\n'
    )
    await host.service.reload_peers(await host.owner())
    link = await node.dialer.dial(host.node.mesh.addresses()[0], host.me)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(node.live(link))
        await until(lambda: host.node.board.linked(node.node), "linked")
        author = Author(1, colony=host.node.membership.book.colony, epoch=int(time.time()))
        author.signer, author.node = node.local.signer, node.node
        author.hlc = time.time_ns() // 1_000_000 << 16
        try:
            yield Evil(node, link, host, author)
        finally:
            link.close("the test is over")


async def stored(host: Host, evil: Evil) -> int:
    return sum(seq for (author, _), seq in host.held().items() if author == evil.node.node)
