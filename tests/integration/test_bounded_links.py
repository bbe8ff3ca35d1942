"""More hosts than are linked with each other: real nodes, each with a few links, and everything everywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace

from maw.node.home import NodeHome
from tests.integration.nodes import Host, config_of, running, until

MakeHome = Callable[[str], NodeHome]
COUNT, LINKS, FULL_MESH = 12, 4, 5
DEADLINE_S = 40.0


async def _fleet(stack: AsyncExitStack, make_home: MakeHome) -> list[Host]:
    hosts = []
    for number in range(COUNT):
        home = make_home(f"n{number}")
        config = config_of(home)
        config = replace(config, mesh=replace(config.mesh, links=LINKS, full_mesh=FULL_MESH))
        hosts.append(await stack.enter_async_context(running(home, config=config)))
    for host in hosts[1:]:
        await host.join(await hosts[0].invite())
    return hosts


def _know_all(hosts: list[Host]) -> bool:
    return all(len(host.node.membership.book.trusted) == COUNT - 1 for host in hosts)


def _links(host: Host) -> int:
    return sum(link.ended is None for link in host.node.board.all())


def _state_of(hosts: list[Host], entries: int) -> str:
    return "\n".join(
        f"{h.node.config.name}: {_links(h)} links, trusts {len(h.node.membership.book.trusted)},"
        f" holds {h.node.runtime.held.total()} of {entries}"
        for h in hosts
    )


async def test_a_dozen_hosts_with_a_few_links_each(make_home: MakeHome) -> None:
    async with AsyncExitStack() as stack:
        hosts = await _fleet(stack, make_home)
        await until(lambda: _know_all(hosts), "all know all", DEADLINE_S)
        await until(
            lambda: all(host.held() == hosts[0].held() for host in hosts), "all hold the same", DEADLINE_S
        )
        first, far = await _pair_without_a_link(hosts)
        await far.add("arthur")
        await first.add("neo")
        await until(
            lambda: any(a.name == "arthur" for a in first.node.directory.agents()), "arthur is known afar"
        )
        receipt = await first.send("neo", f"arthur@{far.node.config.name}", "through the others")
        waited = await first.service.wait_reached(receipt["id"], DEADLINE_S)
        assert waited["state"] == "replicated", _state_of(hosts, 0)
        assert await far.texts("arthur") == ["through the others"]

        shown = await first.peer(far)
        if shown["state"] != "linked":  # visits may have linked the two meanwhile
            assert shown["state"] == "followed"
            assert shown["through"] in {host.node.config.name for host in hosts}
            assert shown["last_error"] is None
        status = await first.service.status(await first.owner())
        assert status["links_bounded"]
        assert status["peers_known"] == COUNT - 1


async def _pair_without_a_link(hosts: list[Host]) -> tuple[Host, Host]:
    """With 12 hosts of about 4 links there are such pairs at every moment."""
    pairs: list[tuple[Host, Host]] = []

    def look() -> bool:
        pairs[:] = [(a, b) for a in hosts for b in hosts if a is not b and not a.linked(b)]
        return bool(pairs)

    await until(look, "two hosts without a link")
    return pairs[0]


async def test_links_over_the_bound_are_let_go_and_nothing_is_lost(make_home: MakeHome) -> None:
    async with AsyncExitStack() as stack:
        hosts = await _fleet(stack, make_home)
        await until(lambda: _know_all(hosts), "all know all", DEADLINE_S)
        hub = hosts[0]
        await until(lambda: _links(hub) >= LINKS - 2, "the hub is linked")
        for number, host in enumerate(hosts):
            await host.post("owner", f"word {number}")
        spare = next(link.peer for link in hub.node.board.all())
        hub.node.board.close(spare, "links enough on this side")
        for number, host in enumerate(hosts):
            await host.post("owner", f"and {number}")
        await until(
            lambda: all(host.held() == hosts[0].held() for host in hosts), "all hold the same", DEADLINE_S
        )
        told = [await host.channel() for host in hosts]
        assert {len(texts) for texts in told} == {2 * COUNT}
        assert {len(set(texts)) for texts in told} == {2 * COUNT}


async def test_a_peer_with_links_enough_declines_and_that_is_no_failure(make_home: MakeHome) -> None:
    async with AsyncExitStack() as stack:
        hosts = await _fleet(stack, make_home)
        await until(lambda: _know_all(hosts), "all know all", DEADLINE_S)
        one, other = await _pair_without_a_link(hosts)
        other.node.mesh.linking._neighbours.accepts = lambda *_a, **_k: False  # type: ignore[method-assign]
        one.node.mesh.linking._neighbours._choose([other.me])
        one.node.mesh._look.set()

        def declined() -> bool:
            peer = one.node.mesh.linking._neighbours._peers[other.me]
            return peer.cool_until > asyncio.get_running_loop().time()

        await until(declined, "it was declined")
        assert one.node.mesh.linking.trouble(other.me) is None
        await until(lambda: other.me not in one.node.mesh._redialler.states(), "it is left alone")
        assert (await one.peer(other))["state"] in ("followed", "connecting")
