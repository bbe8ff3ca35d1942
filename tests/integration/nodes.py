"""Real nodes in one process: real TLS on 127.0.0.1, real SQLite; only the doors are left out.

``running(home)`` is a node from open to closed; its ``service`` is what the doors would call. ``pair`` does
what `maw invite` and `maw join` do.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from maw.api.backend import Json, Speaker
from maw.api.service import Service
from maw.config import Config, load_config, parse_endpoint
from maw.core.identity import NodeId
from maw.node.home import NodeHome, read_key
from maw.node.node import Node, open_node

DEADLINE_S = 30.0
UID = os.getuid()
NOWHERE = "127.0.0.1:1"
"""Where nobody listens: what a node advertises that is not to be dialled."""


async def until(true: Callable[[], object], what: str, deadline: float = DEADLINE_S) -> None:
    """Waits for a condition, and fails the test naming ``what`` when it does not come true."""
    try:
        async with asyncio.timeout(deadline):
            while not true():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"not within {deadline:g} s: {what}") from None


class Host:
    """One running node as its agents and its owner see it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.service = Service(node, admins=frozenset({UID}))
        self.stop = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    @property
    def me(self) -> NodeId:
        return self.node.me

    async def as_(self, name: str) -> Speaker:
        return await self.service.speaker_for_uid(UID, name)

    async def owner(self) -> Speaker:
        return await self.service.speaker_for_uid(UID, "~")

    async def add(self, *names: str) -> None:
        for name in names:
            await self.service.add_user(await self.owner(), name, "agent", uid=None)

    async def send(self, name: str, to: str, text: str, **more: Any) -> Json:
        options = {"reply_to": None, "idempotency_key": None, **more}
        return await self.service.post_direct(await self.as_(name), [to], text, **options)

    async def post(self, name: str, text: str, channel: str = "general", **more: Any) -> Json:
        options = {"reply_to": None, "idempotency_key": None, **more}
        return await self.service.post_channel(await self.as_(name), channel, text, **options)

    async def inbox(self, name: str) -> list[Json]:
        return (await self.service.inbox_page(await self.as_(name), after_seq=0, limit=500)).items

    async def texts(self, name: str) -> list[str]:
        return [item["text"] for item in await self.inbox(name)]

    async def channel(self, name: str = "general") -> list[str]:
        page = await self.service.channel_page(
            await self.owner(), name, after_seq=0, before_seq=None, limit=500
        )
        return [item["text"] for item in page.items]

    async def receives(self, name: str, texts: Sequence[str]) -> None:
        """Waits until the inbox holds these, in this order, and nothing else."""
        seq = self.node.visible.seq
        try:
            async with asyncio.timeout(DEADLINE_S):
                while (await self.texts(name))[: len(texts)] != list(texts):
                    seq = await self.node.visible.wait(seq, 0.2)
        except TimeoutError:
            raise AssertionError(f"{name} has {await self.texts(name)}, not {list(texts)}") from None
        assert await self.texts(name) == list(texts)

    async def alerts(self) -> dict[tuple[str, str], Json]:
        """Every alert there is, written or not, by kind and subject."""
        if self.node.alerts.unsaved:
            await self.node.alerts.save()
        status = await self.service.status(await self.owner())
        return {(item["kind"], item["subject"]): item for item in status["alerts"]}

    async def alert(self, kind: str) -> Json:
        """Waits for an alert of this kind."""
        seen: list[Json] = []

        async def look() -> None:
            while not seen:
                seen.extend(item for (what, _), item in (await self.alerts()).items() if what == kind)
                await asyncio.sleep(0.01)

        try:
            await asyncio.wait_for(look(), DEADLINE_S)
        except TimeoutError:
            raise AssertionError(f"no alert of kind {kind}; there are {await self.alerts()}") from None
        return seen[0]

    async def peer(self, other: Host) -> Json:
        found = [p for p in await self.service.peers(await self.owner()) if p["key"] == _key(other)]
        assert len(found) == 1, found
        return found[0]

    def linked(self, other: Host) -> bool:
        return self.node.board.linked(other.me)

    def invite(self, **more: Any) -> Any:
        options = {"ttl_s": 600, "uses": 1, "for_key": None, "confirm": False, "introducer": False, **more}

        async def make() -> str:
            line: str = (await self.service.invite(await self.owner(), **options))["line"]
            return line

        return make()

    async def join(self, line: str) -> Json:
        return await self.service.join(await self.owner(), line)

    def held(self) -> dict[tuple[NodeId, int], int]:
        """(author, epoch) -> entries on this node's disk."""
        held = self.node.runtime.held
        return {(who, epoch): head.seq for who in held.authors() for epoch, head in held.of(who).items()}


def _key(host: Host) -> str:
    from maw.core.identity import key_text

    return key_text(host.me)


def config_of(home: NodeHome, *, advertise: str | None = None, min_free_disk_mib: int = 0) -> Config:
    config = load_config(home.config)
    mesh = config.mesh
    if advertise is not None:
        mesh = replace(mesh, advertise=(parse_endpoint(advertise),))
    return replace(config, mesh=mesh, limits=replace(config.limits, min_free_disk_mib=min_free_disk_mib))


@asynccontextmanager
async def running(
    home: NodeHome, *, config: Config | None = None, before: Callable[[Host], None] | None = None
) -> AsyncIterator[Host]:
    """A node that is up. At the end it stops as on SIGTERM. ``before``: called before it runs."""
    async with open_node(home, config or config_of(home), read_key(home.key)) as node:
        host = Host(node)
        if before is not None:
            before(host)
        started = asyncio.Event()
        host.task = asyncio.ensure_future(node.run(host.stop, started.set))
        host.task.add_done_callback(lambda _: started.set())
        await started.wait()
        try:
            if host.task.done():
                await host.task
            yield host
        finally:
            host.stop.set()
            async with asyncio.timeout(DEADLINE_S):
                await host.task


@asynccontextmanager
async def all_running(*homes: NodeHome, **more: Any) -> AsyncIterator[list[Host]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running(home, **more)) for home in homes]


async def pair(inviter: Host, joiner: Host, **more: Any) -> None:
    """Invite, join, and wait until they are linked."""
    joined = await joiner.join(await inviter.invite(**more))
    assert joined["state"] == "linked", joined
    await until(lambda: inviter.linked(joiner) and joiner.linked(inviter), "the two are linked")


async def acquainted(one: Host, other: Host) -> None:
    """Waits until each knows the other's agents as the other does."""
    await until(
        lambda: all(
            len([row for row in a.node.directory.agents() if a.node.state.node_at[row.node].key == b.me])
            == len(b.node.state.local)
            for a, b in ((one, other), (other, one))
        ),
        "each knows the other's agents",
    )


async def settle(mbp: Host, oracle: Host) -> None:
    """Arthur on the one, neo on the other, and the two know each other."""
    await mbp.add("arthur")
    await oracle.add("neo")
    await pair(mbp, oracle)
    await acquainted(mbp, oracle)


def epochs(host: Host) -> list[int]:
    """Of its own log, oldest first."""
    return sorted(epoch for author, epoch in host.held() if author == host.me)
