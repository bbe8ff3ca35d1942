"""One agent under several names: what comes for a role of his reaches him, in a digest of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from maw.core.profile import Profile
from maw.errors import NotFound
from tests.conftest import MakeHome
from tests.integration.nodes import Host, running, until
from tests.integration.test_hearing import hear, heard, texts


@pytest.fixture
async def host(make_home: MakeHome) -> AsyncIterator[Host]:
    async with running(make_home("mbp")) as host:
        await host.add("neo", "arthur")
        await host.service.add_user(await host.owner(), "boonkeeper", "agent", uid=None, of="neo")
        assert host.node.state.local["boonkeeper"].profile == Profile(of=host.node.state.local["neo"].id)
        yield host


async def test_a_role_s_mail_is_told_behind_his_own_with_how_to_answer_as_it(host: Host) -> None:
    await host.send("arthur", "boonkeeper", "the books, please", intent="ask")
    await host.send("arthur", "neo", "for neo")
    first = await hear(host, "neo")
    assert texts(first) == ["for neo"]
    assert first is not None and "--as" not in first["text"]
    await heard(host, "neo", first)
    second = await hear(host, "neo")
    assert texts(second) == ["the books, please"]
    assert second is not None and second["agent"] == "boonkeeper@mbp"
    assert "1 new for boonkeeper" in second["text"]
    assert "maw ack N --as boonkeeper" in second["text"]
    assert (await heard(host, "neo", second, renew=True))["state"] == "renewed"
    assert len((await heard(host, "neo", second))["delivered"]) == 1
    assert await hear(host, "neo") is None
    assert await host.texts("boonkeeper") == ["the books, please"], "it stays there until it is acknowledged"
    assert await host.texts("neo") == ["for neo"]


async def test_he_is_woken_for_it_at_once_and_not_when_another_hears_for_it(host: Host) -> None:
    waiting = asyncio.create_task(hear(host, "neo", "wait", wake=True, wait=30.0))
    await until(lambda: host.node.hearing.waiting(host.node.state.local["neo"]), "neo waits")
    await host.send("arthur", "boonkeeper", "one")
    claim = await waiting
    assert texts(claim) == ["one"]
    await heard(host, "neo", claim, failed="the pane is gone")
    again = await hear(host, "neo")
    assert texts(again) == ["one"], "what failed is told again"
    await heard(host, "neo", again)

    own = asyncio.create_task(hear(host, "boonkeeper", "wait", wait=30.0))
    await until(lambda: host.node.hearing.waiting(host.node.state.local["boonkeeper"]), "it hears for itself")
    await host.send("arthur", "boonkeeper", "two")
    claim = await own
    assert texts(claim) == ["two"]
    assert await hear(host, "neo") is None
    await heard(host, "boonkeeper", claim)


async def test_quiet_and_budget_are_those_of_who_is_woken(host: Host) -> None:
    neo, role = host.node.state.local["neo"], host.node.state.local["boonkeeper"]
    await host.service.set_dnd(await host.as_("neo"), None, "on")
    await host.send("arthur", "boonkeeper", "later")
    assert await hear(host, "neo", "wait", wake=True, wait=0.05) is None
    await host.service.set_dnd(await host.as_("neo"), None, "off")
    claim = await hear(host, "neo", "wait", wake=True, wait=30.0)
    assert texts(claim) == ["later"]
    await heard(host, "neo", claim)
    used = host.node.wakes.json(neo)["used"]
    assert used > 0
    assert host.node.wakes.json(role)["used"] == used, "one account for both"
    await host.service.set_dnd(await host.as_("boonkeeper"), None, "on")
    assert host.node.wakes.json(neo)["dnd"] == "on"


async def test_an_agent_s_claims_are_not_another_s(host: Host) -> None:
    await host.send("arthur", "boonkeeper", "mine")
    claim = await hear(host, "neo")
    with pytest.raises(NotFound):
        await heard(host, "arthur", claim)
    await heard(host, "neo", claim)
