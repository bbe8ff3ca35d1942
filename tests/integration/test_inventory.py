"""What a node knows of the other replicas, and the alarm when many of them are gone."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from maw import __version__
from maw.core import silence
from maw.node import inventory
from tests.conftest import MakeHome
from tests.integration.nodes import acquainted, all_running, pair, running, until


async def test_each_replica_with_version_agents_and_lag(make_home: MakeHome) -> None:
    async with all_running(make_home("mbp"), make_home("oracle")) as (mbp, oracle):
        for name in ("neo", "trinity"):
            await oracle.add(name)
        await pair(mbp, oracle)
        await acquainted(mbp, oracle)
        await until(lambda: mbp.node.inventory.agents()[oracle.me] == 3, "the owner and two agents")
        await until(lambda: mbp.held() == oracle.held(), "level")
        shown = await mbp.peer(oracle)
        assert (shown["version"], shown["agents"], shown["behind_since"]) == (__version__, 3, None)


async def test_since_when_a_peer_lacks_something(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "EVERY_S", 0.0)
    async with all_running(make_home("mbp"), make_home("oracle")) as (mbp, oracle):
        await mbp.add("arthur")
        await pair(mbp, oracle)
        await until(lambda: mbp.held() == oracle.held(), "level")
        oracle.node.runtime.pause(True)  # its disk is full: it takes nothing
        await mbp.post("arthur", "do you have this?")
        mbp.node.inventory.look()
        first = await mbp.peer(oracle)
        assert first["lacks"] >= 1
        assert first["lacks_since"] is not None
        await asyncio.sleep(0.01)  # so that now is another time
        mbp.node.inventory.look()
        assert (await mbp.peer(oracle))["lacks_since"] == first["lacks_since"], (
            "since it began, not since now"
        )
        oracle.node.runtime.pause(False)
        await until(lambda: mbp.held() == oracle.held(), "level again")


async def test_three_that_go_at_once_are_one_alert_until_they_return(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "EVERY_S", 0.0)
    monkeypatch.setattr(silence, "GRACE_S", 0.0)
    homes = [make_home(name) for name in ("hub", "one", "two", "three")]
    async with running(homes[0]) as hub:
        async with AsyncExitStack() as stack:
            for home in homes[1:]:
                other = await stack.enter_async_context(running(home))
                await pair(hub, other)
                await acquainted(hub, other)
            hub.node.inventory.look()
        alert = await hub.alert("silence")
        assert "3 nodes with 3 agents fell silent together: one, three, two" in alert["text"]
        assert "is this host itself cut off?" in alert["text"]
        assert [kind for kind, _ in await hub.alerts()].count("silence") == 1
        async with all_running(*homes[1:]) as others:
            await until(lambda: all(hub.linked(other) for other in others), "they are back")
            hub.node.inventory.look()
            assert ("silence", alert["subject"]) not in await hub.alerts()


async def test_who_is_gone_for_a_day_is_told_of_by_itself(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "EVERY_S", 0.0)
    monkeypatch.setattr(inventory, "_LONG_TURNS", 1)
    homes = make_home("mbp"), make_home("oracle")
    async with running(homes[0]) as mbp:
        async with running(homes[1]) as oracle:
            await pair(mbp, oracle)
            await acquainted(mbp, oracle)
        await until(lambda: oracle.me in mbp.node.mesh.linking.troubles(), "it cannot be dialled")
        mbp.node.inventory.look()
        assert ("gone", (await mbp.peer(oracle))["short"]) not in await mbp.alerts()
        row = mbp.node.state.nodes[oracle.me]
        assert row.seen is not None
        row.seen -= 2 * 86_400_000
        mbp.node.inventory.look()
        assert "oracle was linked and has been out of reach for 2 d" in (await mbp.alert("gone"))["text"]
        async with running(homes[1]) as oracle:
            await until(lambda: mbp.linked(oracle), "it is back")
            mbp.node.inventory.look()
            assert not [kind for kind, _ in await mbp.alerts() if kind == "gone"]
