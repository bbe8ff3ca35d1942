"""Every list of messages behind both cursors, and lists that are not sent again to who has them (ETag), on a real
node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.proof.house import Live, live

LISTS = ("/api/channels/general/messages", "/api/mentions?user=arthur", "/api/inbox", "/api/sent")


@asynccontextmanager
async def asked(path: Path) -> AsyncIterator[tuple[Live, aiohttp.ClientSession]]:
    """As arthur, over REST. Ten posts that mention him, and ten that he said."""
    async with live(path) as house:
        for number in range(10):
            await house.host.post("neo", f"@arthur, number {number}")
            await house.host.post("arthur", f"answer {number}")
        token = await house.host.service.new_token(await house.host.owner(), "arthur")
        async with aiohttp.ClientSession(house.rest, headers={"Authorization": f"Bearer {token}"}) as session:
            yield house, session


async def page(session: aiohttp.ClientSession, path: str, **query: int) -> tuple[list[int], int]:
    more = "&".join(f"{name}={value}" for name, value in query.items())
    async with session.get(f"{path}{'&' if '?' in path else '?'}{more}") as answer:
        assert answer.status == 200, await answer.text()
        return [item["seq"] for item in await answer.json()], int(answer.headers["X-Maw-Next-Seq"])


async def test_every_list_of_messages_is_walked_both_ways(tmp_path: Path) -> None:
    async with asked(tmp_path) as (_, session):
        for path in LISTS:
            everything, newest = await page(session, path, after_seq=0, limit=500)
            assert len(everything) >= 10 and everything == sorted(everything), path
            upward: list[int] = []
            cursor = 0
            while cursor < newest:
                seqs, cursor = await page(session, path, after_seq=cursor, limit=3)
                upward += seqs
            assert upward == everything, path
            downward: list[int] = []
            below = newest + 1
            while seqs := (await page(session, path, before_seq=below, limit=3))[0]:
                assert seqs == sorted(seqs), path
                downward = seqs + downward
                below = seqs[0]
            assert downward == everything, path
            async with session.get(f"{path}{'&' if '?' in path else '?'}after_seq=1&before_seq=5") as answer:
                assert answer.status == 400 and "stands alone" in await answer.text()


@pytest.mark.parametrize(
    "path", ["/api/channels", "/api/channels/general/messages?limit=5", "/api/users", "/api/peers"]
)
async def test_a_list_that_is_as_it_was_is_not_sent_again(path: str, tmp_path: Path) -> None:
    async with asked(tmp_path) as (house, session):

        async def get(tag: str | None = None) -> tuple[int, str, Any]:
            headers = {} if tag is None else {"If-None-Match": tag}
            async with session.get(path, headers=headers) as answer:
                text = await answer.text()
                assert answer.headers["Cache-Control"] == "private, no-cache"
                return answer.status, answer.headers["ETag"], text

        for _ in range(50):  # until nothing is being written any more: receipts, what was last seen
            status, tag, before = await get()
            assert status == 200 and before
            again = await get(tag)
            if again[0] == 304:
                break
        assert again == (304, tag, "")
        assert (await get(f'"other", W/{tag}'))[0] == 304
        assert (await get('"other"'))[0] == 200
        if path == "/api/peers":
            return
        await house.host.service.add_channel(await house.host.as_("neo"), "fresh")
        await house.host.post("neo", "something else")
        await house.host.add("trinity")
        status, other, after = await get(tag)
        assert status == 200 and other != tag and after != before


async def test_a_redaction_changes_the_tag(tmp_path: Path) -> None:
    async with asked(tmp_path) as (house, session):
        said = await house.host.post("neo", "to be taken back")
        path = "/api/channels/general/messages?limit=1"
        async with session.get(path) as answer:
            tag = answer.headers["ETag"]
        await house.host.service.redact(await house.host.as_("neo"), [said["id"]], None)
        async with session.get(path, headers={"If-None-Match": tag}) as answer:
            assert answer.status == 200 and "redacted" in (await answer.json())[0]


async def test_what_expires_has_no_tag_and_who_waits_waits(tmp_path: Path) -> None:
    async with asked(tmp_path) as (_, session):
        body = {"text": "soon over", "expires": "1h"}
        async with session.post("/api/channels/general/messages", json=body) as answer:
            assert answer.status == 201, await answer.text()
        async with session.get("/api/channels/general/messages?limit=2") as answer:
            assert "ETag" not in answer.headers
        async with session.get("/api/channels/plans/messages?wait=0.1") as answer:
            assert answer.status == 200 and "ETag" not in answer.headers
