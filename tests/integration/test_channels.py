"""Channels: what they are for, archived ones, and who watches."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from maw.api.backend import Json, Speaker
from maw.core.digest import LINES
from maw.errors import BadInput, Refused
from tests.conftest import MakeHome
from tests.integration.nodes import Host, acquainted, all_running, pair, running, until


@pytest.fixture
async def host(make_home: MakeHome) -> AsyncIterator[Host]:
    async with running(make_home("mbp")) as one:
        await one.add("neo", "air")
        yield one


async def plain(host: Host, name: str) -> Speaker:
    """An agent who does not administer."""
    return replace(await host.as_(name), is_admin=False)


async def post(host: Host, name: str, text: str, channel: str = "ops") -> Json:
    return await host.service.post_channel(
        await host.as_(name), channel, text, reply_to=None, idempotency_key=None
    )


async def channel(host: Host, name: str = "ops", by: str = "neo") -> Json:
    found = await host.service.channels(await host.as_(by))
    return next(one for one in found if one["name"] == name)


async def hear(host: Host, name: str, *, wake: bool) -> Any:
    return await host.service.hear(
        await host.as_(name), "rewake" if wake else "hook", wake=wake, wait=0.0, session=None, limit=LINES,
        gone=lambda: False, slice_s=5.0,
    )  # fmt: skip


async def whys(host: Host, name: str) -> list[tuple[str, str]]:
    return [(one["text"], one["why"]) for one in await host.inbox(name)]


async def test_who_made_it_describes_and_archives_it_for_everybody(make_home: MakeHome) -> None:
    async with all_running(make_home("mbp"), make_home("pi")) as (mbp, pi):
        await mbp.add("neo", "air")
        await pi.add("trin")
        await mbp.service.add_channel(await plain(mbp, "neo"), "ops", "what runs")
        await pair(mbp, pi)
        await acquainted(mbp, pi)
        await until(lambda: "ops" in pi.node.state.channels, "pi knows #ops")
        assert (await channel(pi, by="trin"))["about"] == "what runs"

        with pytest.raises(Refused, match="was made by neo@mbp"):
            await mbp.service.change_channel(await plain(mbp, "air"), "ops", "not hers", None)
        with pytest.raises(BadInput):
            await mbp.service.change_channel(await plain(mbp, "neo"), "ops", "two\nlines", None)
        told = await mbp.service.change_channel(await plain(mbp, "neo"), "ops", "what ran", True)
        assert (told["for"], told["about"], told["archived"]) == ("everybody", "what ran", True)
        ops = pi.node.state.channels["ops"]
        await until(lambda: pi.node.channels.json("ops")["archived"], "pi knows that it is archived")
        for one, name in ((mbp, "neo"), (pi, "trin")):
            with pytest.raises(Refused) as refused:
                await post(one, name, "too late")
            assert refused.value.code == "archived"
        assert ops.messages == 0

        mine = await pi.service.change_channel(await pi.owner(), "ops", None, False)
        assert (mine["for"], mine["archived"]) == ("this host", True)  # who made it says otherwise
        await mbp.service.change_channel(await plain(mbp, "neo"), "ops", None, False)
        await until(lambda: not pi.node.channels.json("ops")["archived"], "it is open again")
        assert (await post(pi, "trin", "again"))["state"] == "stored"


async def test_a_host_archives_for_its_own_and_remembers(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("neo")
        await post(host, "neo", "first", "general")
        told = await host.service.change_channel(await host.owner(), "general", "all sorts", True)
        assert told["for"] == "this host"
        await host.service.watch(await host.as_("neo"), "general", False)
    async with running(home) as host:
        again = await channel(host, "general")
        assert (again["about"], again["archived"], again["watched"], again["wakes"]) == (
            "all sorts", True, True, False,
        )  # fmt: skip
        with pytest.raises(Refused):
            await post(host, "neo", "too late", "general")


async def test_what_is_watched_comes_to_the_inbox_and_wakes_nobody(host: Host) -> None:
    await host.service.add_channel(await host.as_("neo"), "ops")
    await post(host, "neo", "before")
    told = await host.service.watch(await host.as_("air"), "ops", False)
    assert (told["watched"], told["wakes"]) == (True, False)
    await post(host, "neo", "after")
    await post(host, "neo", "@air by name")
    await post(host, "air", "her own")
    assert await whys(host, "air") == [("after", "watched"), ("@air by name", "mention")]
    await host.service.ack(await host.as_("air"), None)

    await post(host, "neo", "quiet")
    assert await hear(host, "air", wake=True) is None
    claim = await hear(host, "air", wake=False)
    assert [one["why"] for one in claim["messages"]] == ["watched"]


async def test_with_wake_it_does_and_unwatched_it_ends(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maw.core.budget.SETTLE_S", 0.0)
    await host.service.add_channel(await host.as_("neo"), "ops")
    await host.service.watch(await host.as_("air"), "ops", True)
    await post(host, "neo", "fire")
    claim = await hear(host, "air", wake=True)
    assert [one["text"] for one in claim["messages"]] == ["fire"]
    await host.service.watch(await host.as_("air"), "ops", None)
    assert host.node.state.watchers == {}
    await post(host, "neo", "more fire")
    assert [text for text, _ in await whys(host, "air")] == ["fire"]


async def test_general_is_watched_before_anybody_has_spoken(host: Host) -> None:
    await host.service.watch(await host.as_("air"), "general", False)
    await post(host, "neo", "the first", "general")
    assert await whys(host, "air") == [("the first", "watched")]
