"""Threads and asks on a running node."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from maw.api.backend import Json
from maw.core.wishes import Wishes
from maw.node.authoring import wall_clock_ms
from maw.node.conversing import SHOWN
from tests.conftest import MakeHome
from tests.integration.nodes import Host, running

DEADLINE_S = 30.0


@pytest.fixture
async def host(make_home: MakeHome) -> AsyncIterator[Host]:
    async with running(make_home("mbp")) as one:
        await one.add("arthur", "ford", "trin")
        yield one


async def asks(host: Host, name: str, whose: str | None = None, *, overdue: bool = False) -> list[Json]:
    return await host.service.asks(await host.as_(name), whose=whose, overdue=overdue)


async def texts(host: Host, name: str, whose: str | None = None, **more: bool) -> list[str]:
    return [one["text"] for one in await asks(host, name, whose, **more)]


async def test_a_message_is_shown_with_its_thread(host: Host) -> None:
    root = await host.post("arthur", "root")
    one = await host.post("ford", "one", reply_to=root["id"])
    two = await host.post("trin", "two", reply_to=root["id"])
    deep = await host.post("arthur", "deep", reply_to=one["id"])
    shown = await host.service.message(await host.as_("ford"), root["id"])
    assert (shown["root"], shown["path"], shown["replies"]) == (root["id"], [], 2)
    assert [(item["text"], item["depth"]) for item in shown["thread"]] == [
        ("one", 1),
        ("deep", 2),
        ("two", 1),
    ]
    shown = await host.service.message(await host.as_("ford"), deep["id"])
    assert shown["root"] == root["id"]
    assert [item["text"] for item in shown["path"]] == ["root", "one"]
    page = await host.service.thread_page(await host.owner(), root["id"], after_seq=one["seq"], limit=10)
    assert [(item["id"], item["replies"]) for item in page.items] == [(two["id"], 0)]


async def test_a_long_thread_comes_page_by_page(host: Host) -> None:
    root = await host.post("arthur", "root")
    await asyncio.gather(*(host.post("ford", str(n), reply_to=root["id"]) for n in range(SHOWN + 20)))
    shown = await host.service.message(await host.as_("ford"), root["id"])
    assert (shown["replies"], len(shown["thread"])) == (SHOWN + 20, SHOWN)
    got: list[str] = []
    after = 0
    while page := (
        await host.service.thread_page(await host.owner(), root["id"], after_seq=after, limit=50)
    ).items:
        got += [item["text"] for item in page]
        after = page[-1]["seq"]
    assert sorted(got, key=int) == [str(n) for n in range(SHOWN + 20)]


async def test_nobody_sees_what_is_not_for_him_in_a_thread(host: Host) -> None:
    root = await host.post("arthur", "root")
    await host.send("ford", "arthur", "between us", reply_to=root["id"])
    for name, seen in (("arthur", ["between us"]), ("trin", [])):
        shown = await host.service.message(await host.as_(name), root["id"])
        assert [item["text"] for item in shown["thread"]] == seen


async def test_an_ask_is_open_until_each_whom_it_names_has_answered(host: Host) -> None:
    await host.send("arthur", "ford", "no question")
    ask = await host.post("arthur", "@ford @trin tea?", intent="ask")
    await host.send("arthur", "ford", "and you?", intent="ask")
    assert await texts(host, "ford", "of_me") == ["@ford @trin tea?", "and you?"]
    assert await texts(host, "trin") == ["@ford @trin tea?"]
    assert [one["waits_for"] for one in await asks(host, "arthur", "mine")] == [
        ["ford@mbp", "trin@mbp"], ["ford@mbp"],
    ]  # fmt: skip
    await host.service.ack(await host.as_("ford"), None)
    assert len(await texts(host, "ford", "of_me")) == 2, "to have read it is no answer"
    await host.post("ford", "yes", reply_to=ask["id"])
    assert await texts(host, "ford", "of_me") == ["and you?"]
    assert [one["waits_for"] for one in await asks(host, "arthur", "mine")] == [["trin@mbp"], ["ford@mbp"]]
    await host.post("trin", "no", reply_to=ask["id"], intent="ack")
    assert await texts(host, "arthur", "mine") == ["and you?"]
    assert await texts(host, "trin") == []


async def test_one_answer_is_enough_for_a_group_or_for_nobody_in_particular(host: Host) -> None:
    group = await host.post("arthur", "@all tea?", intent="ask")
    nobody = await host.post("arthur", "anybody?", intent="ask")
    await host.post("arthur", "I mean now", reply_to=group["id"])
    assert await texts(host, "ford", "of_me") == ["@all tea?"]
    assert await texts(host, "arthur", "mine") == ["@all tea?", "anybody?"]
    await host.post("trin", "yes", reply_to=group["id"])
    await host.post("trin", "me", reply_to=nobody["id"])
    assert (await texts(host, "ford"), await texts(host, "arthur")) == ([], [])


async def test_what_is_overdue_is_told_once_more(host: Host) -> None:
    ford = await host.as_("ford")

    async def hear() -> Any:
        return await host.service.hear(
            ford, "hook", wake=False, wait=0, session=None, limit=5, gone=lambda: False, slice_s=1
        )

    async def heard() -> Json:
        end = time.monotonic() + DEADLINE_S
        while (found := await hear()) is None:
            assert time.monotonic() < end, "nothing was told"
            await asyncio.sleep(0.02)
        await host.service.heard(ford, found["claim"], failed=None, renew=False)
        result: Json = found
        return result

    due = wall_clock_ms() + 1500
    await host.send("arthur", "ford", "tea?", intent="ask", wishes=Wishes(due=due))
    await host.send("arthur", "ford", "and later?", intent="ask", wishes=Wishes(due=due + 3_600_000))
    told: list[str] = []
    while "overdue since" not in "".join(told):
        found = await heard()
        told += [line for line in found["text"].splitlines() if "tea?" in line]
    assert len(told) <= 2, "once before it was overdue, once after"
    assert await texts(host, "ford", overdue=True) == await texts(host, "arthur", overdue=True) == ["tea?"]
    assert (await host.service.inbox_page(ford, after_seq=0, limit=5)).overdue == 1
    assert (await host.service.status(await host.owner()))["overdue"] == {"ford": 1}
    assert await hear() is None
    await host.node.conversing.remind()
    await host.node.hearing.take_late()
    assert await hear() is None, "of one ask he is reminded once"


async def test_only_answers_that_one_may_read_are_counted(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        await host.add("arthur", "neo", "eve")
        await host.node.sealing.keep()
        arthur = await host.as_("arthur")
        asked = await host.service.post_direct(
            arthur, ["neo", "eve"], "to both", reply_to=None, idempotency_key=None
        )
        await host.send("neo", "arthur", "for arthur alone", reply_to=asked["id"])
        await host.post("neo", "for all", reply_to=asked["id"])
        for name, count in (("arthur", 2), ("neo", 2), ("eve", 1)):
            assert (await host.service.message(await host.as_(name), asked["id"]))["replies"] == count
