"""What a pending node says goes through those who have not accepted it, and is not shown to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from maw.node.home import NodeHome
from tests.integration.nodes import DEADLINE_S, Host, all_running, pair, until

MakeHome = Callable[[str], NodeHome]


def _holds(host: Host, author: Host) -> bool:
    return any(who == author.me for who, _ in host.held())


async def _hears(host: Host, *texts: str) -> None:
    """Waits until the channel holds these, in this order, and nothing else."""
    seq = host.node.visible.seq
    try:
        async with asyncio.timeout(DEADLINE_S):
            while await host.channel() != list(texts):
                seq = await host.node.visible.wait(seq, 0.2)
    except TimeoutError:
        raise AssertionError(f"{await host.channel()}, not {list(texts)}") from None


def _knows(host: Host, name: str) -> bool:
    return any(row.name == name for row in host.node.directory.agents())


async def test_a_node_that_is_not_accepted_is_carried_and_not_shown(make_home: MakeHome) -> None:
    """far — middle — near — newcomer, each brought along by the one before it: nobody knows who is two steps away."""
    homes = [make_home(name) for name in ("far", "middle", "near", "newcomer")]
    async with all_running(*homes) as (far, middle, near, newcomer):
        await pair(far, middle)
        await pair(middle, near)
        await pair(near, newcomer)
        await newcomer.add("trinity")
        await newcomer.post("trinity", "hello")
        await _hears(near, "hello")
        await until(lambda: middle.held() == near.held(), "the middle carries it")
        assert await middle.channel() == []
        assert not _knows(middle, "trinity")
        assert not _holds(far, newcomer), "its voucher is nobody whom far trusts"

        await far.service.accept_peer(await far.owner(), "newcomer")
        await _hears(far, "hello")
        assert _knows(far, "trinity")
        await newcomer.post("trinity", "again")
        await _hears(far, "hello", "again")
        assert await middle.channel() == []

        await middle.service.accept_peer(await middle.owner(), "newcomer")
        await _hears(middle, "hello", "again")
        assert _knows(middle, "trinity")
