"""What authors wish beside their words, on a running node: priority, expiry, and what is stopped before it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from maw.api.backend import Json
from maw.core.wishes import Wishes
from maw.errors import BadInput
from maw.node.authoring import wall_clock_ms
from tests.conftest import MakeHome
from tests.integration.nodes import Host, running

DEADLINE_S = 30.0


@pytest.fixture
async def host(make_home: MakeHome) -> AsyncIterator[Host]:
    async with running(make_home("mbp")) as one:
        await one.add("arthur", "ford")
        yield one


async def hears(host: Host, name: str, *, wake: bool = False) -> Json | None:
    speaker, gone = await host.as_(name), (lambda: False)
    return await host.service.hear(
        speaker, "hook", wake=wake, wait=0, session=None, limit=10, gone=gone, slice_s=1
    )


async def when(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await true():
            await asyncio.sleep(0.02)


async def test_high_priority_stands_first_and_is_named_so(host: Host) -> None:
    for text, prio in (("one", "normal"), ("two", "low"), ("three", "high")):
        said = await host.send("arthur", "ford", text, wishes=Wishes(prio))
        assert said["message"].get("priority") == (None if prio == "normal" else prio)
    heard = await hears(host, "ford")
    assert heard is not None
    assert [item["text"] for item in heard["messages"]] == ["three", "one", "two"]
    assert heard["text"].count("high priority") == 1


async def test_low_priority_wakes_nobody(host: Host) -> None:
    await host.send("arthur", "ford", "whenever", wishes=Wishes("low"))
    assert await hears(host, "ford", wake=True) is None
    assert await host.texts("ford") == ["whenever"]
    assert await hears(host, "ford") is not None


async def test_what_expired_is_told_to_nobody_and_stays_in_its_channel(host: Host) -> None:
    now = wall_clock_ms()
    said = await host.post("arthur", "@ford dinner at eight", wishes=Wishes(expires=now + 3_600_000))
    assert said["message"]["expired"] is False
    await host.post("arthur", "@ford lunch is here", wishes=Wishes(expires=now + 200))
    await when(lambda: _is_left(host, ["@ford dinner at eight"]))
    heard = await hears(host, "ford")
    assert heard is not None and [one["text"] for one in heard["messages"]] == ["@ford dinner at eight"]
    ford = await host.as_("ford")
    over = await host.service.inbox_page(ford, after_seq=0, limit=5, expired=True)
    assert ([item["expired"] for item in over.items], over.expired) == ([True], 1)
    assert (await host.service.status(await host.owner()))["unread"]["ford"] == 1
    assert await host.channel() == ["@ford dinner at eight", "@ford lunch is here"]
    await when(lambda: _expired_unread(host))


async def _is_left(host: Host, texts: list[str]) -> bool:
    return await host.texts("ford") == texts


async def _expired_unread(host: Host) -> bool:
    *_, sent = await host.service.sent(await host.as_("arthur"), limit=5)
    return [item["why"] for item in sent["recipients"]] == ["expired unread"]


async def test_what_was_read_in_time_did_not_expire_unread(host: Host) -> None:
    said = await host.send("arthur", "ford", "lunch", wishes=Wishes(expires=wall_clock_ms() + 300))
    await host.service.read(await host.as_("ford"), [said["id"]], "inbox")
    await when(lambda: _is_left(host, []))
    await host.node.expiring.keep()
    (sent,) = await host.service.sent(await host.as_("arthur"), limit=5)
    assert sent["recipients"][0]["state"] == "read"


async def test_a_credential_is_not_sent_but_on_insistence(host: Host) -> None:
    token = "maw_" + "ab3d5f7q" * 4
    before = host.node.state.seq
    for say in (host.send("arthur", "ford", f"use\nit: {token}"), host.post("arthur", f"use\nit: {token}")):
        with pytest.raises(BadInput) as error:
            await say
        assert error.value.code == "credential"
        assert token[4:] not in error.value.message + error.value.hint
        assert "line 2" in error.value.message
    assert host.node.state.seq == before
    await host.send("arthur", "ford", token, insist=True)
    assert await host.texts("ford") == [token]
