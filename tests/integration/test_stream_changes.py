"""Edits and redactions in the stream of a real node: by the cursor of messages, over breaks, to readers only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from maw.api.backend import ANONYMOUS, Page, Speaker
from tests.conftest import MakeHome
from tests.integration.nodes import Host, all_running, running, settle
from tests.integration.test_stream_resumed import served

DEADLINE_S = 30.0


async def page(host: Host, speaker: Speaker, after: int, **more: Any) -> Page:
    options: dict[str, Any] = {"channel": None, "user": None, "limit": 100, "changes": True, **more}
    return await host.service.stream_page(speaker, after_seq=after, **options)


async def edit(host: Host, name: str, ref: str, text: str) -> None:
    await host.service.edit(await host.as_(name), ref, text, idempotency_key=None)


def told(found: Page) -> list[tuple[int, str]]:
    return [(message["seq"], message["text"]) for _, message in found.changes]


async def test_each_change_has_a_number_behind_all_that_was_there(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        await host.add("arthur", "ford")
        first, second = await host.post("arthur", "one"), await host.post("arthur", "two")
        start = (await page(host, ANONYMOUS, 0)).next_seq
        await edit(host, "arthur", first["id"], "ONE")
        found = await page(host, ANONYMOUS, start)
        assert (told(found), found.items) == ([(first["seq"], "ONE")], [])
        assert found.next_seq == found.changes[0][0] > start
        assert (await page(host, ANONYMOUS, start, changes=False)).changes == ()
        assert (await page(host, ANONYMOUS, found.next_seq)).changes == (), "and comes once"

        third = await host.post("arthur", "three")
        await edit(host, "arthur", first["id"], "One")
        await host.service.redact(await host.as_("arthur"), [second["id"]], "a slip")
        last = await page(host, ANONYMOUS, start)
        assert [seq for seq, _ in told(last)] == [first["seq"], second["seq"]], "of each its last"
        assert last.changes[0][1]["text"] == "One"
        assert last.changes[1][1]["redacted"]["reason"] == "a slip"
        assert [item["seq"] for item in last.items] == [third["seq"]]
        few, cursor, seen = 1, start, []
        while cursor < last.next_seq:
            part = await page(host, ANONYMOUS, cursor, limit=few)
            seen += [item["seq"] for item in part.items] + [n for n, _ in part.changes]
            assert part.next_seq > cursor
            cursor = part.next_seq
        assert sorted(seen) == seen == [third["seq"], *(n for n, _ in last.changes)], (
            "nothing skipped or twice"
        )


async def test_who_may_not_read_a_message_hears_of_no_change(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        await host.add("arthur", "ford", "trin")
        secret = await host.send("arthur", "ford", "psst")
        public = await host.post("arthur", "hello @trin")
        start = (await page(host, ANONYMOUS, 0)).next_seq
        await edit(host, "arthur", secret["id"], "psst!")
        await edit(host, "arthur", public["id"], "hello all")
        ford, trin = await host.as_("ford"), await host.as_("trin")
        assert [text for _, text in told(await page(host, ford, start))] == ["psst!", "hello all"]
        for one in (trin, ANONYMOUS):
            assert [text for _, text in told(await page(host, one, start))] == ["hello all"]
        assert [text for _, text in told(await page(host, ford, start, user="ford"))] == ["psst!"]
        assert [text for _, text in told(await page(host, trin, start, user="trin"))] == ["hello all"]
        assert [text for _, text in told(await page(host, ford, start, channel="general"))] == ["hello all"]
        await host.service.redact(await host.as_("arthur"), [secret["id"]], None)
        assert [seq for seq, _ in told(await page(host, ford, start))] == [public["seq"], secret["seq"]]
        assert [seq for seq, _ in told(await page(host, trin, start))] == [public["seq"]]


async def test_what_happened_on_the_other_host_while_the_stream_was_away(
    make_home: MakeHome, tmp_path: Path
) -> None:
    oracle_home = make_home("oracle")
    async with all_running(make_home("mbp"), oracle_home) as (mbp, oracle):
        await settle(mbp, oracle)
        said = await mbp.post("arthur", "the pin is 4711")
        gone = await mbp.post("arthur", "never mind")
        while len(await oracle.channel()) < 2:
            await oracle.node.visible.wait(oracle.node.visible.seq, 0.1)
        start = (await page(oracle, ANONYMOUS, 0)).next_seq
        await edit(mbp, "arthur", said["id"], "the pin is 4712")
        await mbp.service.redact(await mbp.as_("arthur"), [gone["id"]], None)
        async with asyncio.timeout(DEADLINE_S):
            while len(told(found := await page(oracle, ANONYMOUS, start))) < 2:
                await oracle.node.visible.wait(found.next_seq, 0.1)
    async with served(oracle_home, tmp_path / "maw.sock") as (_, base), stream(base, start) as frames:
        kinds = [await anext(frames), await anext(frames)]
        assert [(one["type"], one["now"]["id"]) for one in kinds] == [
            ("edited", said["id"]),
            ("redacted", gone["id"]),
        ]
        assert kinds[0]["now"]["text"] == "the pin is 4712"
    async with served(oracle_home, tmp_path / "maw.sock") as (host, base):
        await host.post("neo", "and so on")
        async with stream(base, 0) as frames:
            whole = [await anext(frames) for _ in range(3)]
        assert [one["type"] for one in whole] == ["message"] * 3, "what is sent as it is now comes once"
        assert whole[2]["message"]["text"] == "and so on"
        async with stream(base, kinds[1]["seq"]) as frames:
            assert (await anext(frames))["message"]["text"] == "and so on"
            answer = await host.post("neo", "tpyo")
            await edit(host, "neo", answer["id"], "typo")
            assert (await anext(frames))["type"] == "message"
            late = await anext(frames)
            assert (late["type"], late["now"]["text"]) == ("edited", "typo")


@asynccontextmanager
async def stream(base: str, after: int) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    url = f"{base}/api/stream?after_seq={after}&changes=true"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:

        async def frames() -> AsyncIterator[dict[str, Any]]:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    yield await socket.receive_json()

        yield frames()
