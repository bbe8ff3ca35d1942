"""Redialler, switchboard, dialler and listener put together as a node does: one link to each peer, always."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from maw.net.redialler import Backoff, Redialler
from maw.net.switchboard import Switchboard
from tests.integration.linknode import LinkNode, timers, until

BACKOFF = Backoff(first=0.01, cap=0.1, settled=1.0, check=0.2)


@asynccontextmanager
async def keeping(node: LinkNode, peers: list[LinkNode], seed: int) -> AsyncIterator[Redialler]:
    redialler = Redialler(
        node.dialer.dial,
        node,
        node.serve,
        linked=lambda peer: node.switchboard.linked(peer),
        rng=random.Random(seed),
        wall=time.time,
        backoff=BACKOFF,
    )
    node.switchboard = Switchboard(node.node, changed=redialler.wake, ping_timeout=0.2)
    redialler.set_targets({peer.node: [peer.address] for peer in peers if peer is not node})
    async with asyncio.TaskGroup() as group:
        task = group.create_task(redialler.run())
        try:
            yield redialler
        finally:
            task.cancel()


def full(nodes: list[LinkNode]) -> bool:
    """Every pair has one link, and both ends mean the same one."""
    for a in nodes:
        for b in nodes:
            if a is b:
                continue
            here, there = a.switchboard.get(b.node), b.switchboard.get(a.node)
            if here is None or there is None or here.ended or there.ended:
                return False
            if here.local_address != there.remote_address or here.outbound is there.outbound:
                return False
    return True


async def settled(nodes: list[LinkNode]) -> None:
    """All linked, and still so by the same links a moment later."""
    async with asyncio.timeout(10):
        while True:
            await until(lambda: full(nodes))
            links = [link for node in nodes for link in node.switchboard.all()]
            for link in links:
                if link.ended is None:
                    await link.ping(1.0)
            if full(nodes) and links == [link for node in nodes for link in node.switchboard.all()]:
                return


async def test_four_that_all_dial_each_other_at_once_settle() -> None:
    nodes = [LinkNode(name, link_timers=timers()) for name in "abcd"]
    async with AsyncExitStack() as stack:
        for node in nodes:
            await stack.enter_async_context(node.listening())
        for seed, node in enumerate(nodes):
            await stack.enter_async_context(keeping(node, nodes, seed))
        await settled(nodes)
        nodes[0].frames.clear()
        for peer in nodes[1:]:
            link = peer.switchboard.get(nodes[0].node)
            assert link is not None
            link.send(peer.local.hello.name.encode())
        await until(lambda: sorted(nodes[0].frames) == [b"b", b"c", b"d"])


async def test_all_links_torn_at_once_are_back_by_themselves() -> None:
    nodes = [LinkNode(name, link_timers=timers()) for name in "abc"]
    async with AsyncExitStack() as stack:
        for node in nodes:
            await stack.enter_async_context(node.listening())
        for seed, node in enumerate(nodes):
            await stack.enter_async_context(keeping(node, nodes, seed))
        for _ in range(3):
            await settled(nodes)
            for node in nodes:
                for link in node.switchboard.all():
                    link._pipe.transport.abort()
            await until(lambda: not full(nodes))
        await settled(nodes)


async def test_one_that_listens_later_is_found_and_forgetting_ends_the_link() -> None:
    a, b = LinkNode("a", link_timers=timers()), LinkNode("b", link_timers=timers())
    async with b.listening():
        address = b.address
    async with keeping(a, [b], 1) as redialler:
        await until(lambda: redialler.states()[b.node].last_error)
        assert "connection refused" in (redialler.states()[b.node].last_error or "")
        port = int(address.rsplit(":", 1)[1])
        async with b.listening():
            assert b.listener is not None
            assert (await b.listener.set_addresses([("127.0.0.1", port)]))[0].listening
            await until(lambda: a.switchboard.linked(b.node))
            assert redialler.states()[b.node].last_error is None
            redialler.set_targets({})
            await until(lambda: not a.switchboard.linked(b.node) and not b.switchboard.linked(a.node))
