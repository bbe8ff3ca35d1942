"""Words that their author changed: on every host, with what they were; and what may not be changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from maw.api.backend import Json
from maw.errors import BadInput, Conflict, NotFound, Refused
from maw.node import editing
from tests.conftest import MakeHome
from tests.integration.nodes import Host, all_running, running, settle
from tests.integration.operators import founder, word

DEADLINE_S = 30.0


async def edit(host: Host, name: str, ref: str, text: str, key: str | None = None, **more: Any) -> Json:
    return await host.service.edit(await host.as_(name), ref, text, idempotency_key=key, **more)


async def when(true: Callable[[], Awaitable[object]], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not await true():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.02)


async def read(host: Host, name: str, ref: str) -> Json:
    return await host.service.message(await host.as_(name), ref)


async def test_an_edit_is_seen_on_every_host_and_redacted_with_its_message(make_home: MakeHome) -> None:
    async with all_running(make_home("mbp"), make_home("oracle")) as (mbp, oracle):
        await settle(mbp, oracle)
        said = await mbp.post("arthur", "the pin is 4711")
        assert "edited_at" not in said["message"]
        done = await edit(mbp, "arthur", said["id"], "@neo the pin is 4712")
        assert (done["text"], done["mentions"], done["edits"]) == ("@neo the pin is 4712", ["neo"], 1)

        async def arrived() -> bool:
            return await oracle.texts("neo") == ["@neo the pin is 4712"]

        await when(arrived, "who is mentioned anew finds it in his mailbox")
        neo = await oracle.as_("neo")
        told = await oracle.service.history(neo, said["id"])
        assert [one["text"] for one in told] == ["the pin is 4711", "@neo the pin is 4712"]

        async def heard() -> Any:
            gone = lambda: False  # noqa: E731
            return await oracle.service.hear(
                neo, "hook", wake=False, wait=0, session=None, limit=5, gone=gone, slice_s=1
            )

        claim: list[Json] = []

        async def announced() -> bool:
            if (found := await heard()) is not None:
                claim.append(found)
            return bool(claim)

        await when(announced, "and is told of it")
        assert [one["seq"] for one in claim[0]["messages"]] == [
            (await read(oracle, "neo", said["id"]))["seq"]
        ]
        await oracle.service.heard(neo, claim[0]["claim"], failed=None, renew=False)
        await edit(mbp, "arthur", said["id"], "@neo the pin is gone")
        await mbp.service.redact(await mbp.as_("arthur"), [said["id"]], None)

        async def redacted() -> bool:
            return "redacted" in await read(oracle, "neo", said["id"])

        await when(redacted, "it is redacted there")
        for host in (mbp, oracle):
            sql = "SELECT count(*) FROM entries WHERE instr(payload, ?) > 0"
            assert (await host.node.db.rows(sql, (b"the pin is",)))[0][0] == 0, "no edit holds the words"
            assert (await host.node.db.rows("SELECT count(*) FROM missing"))[0][0] == 0
        assert len(await oracle.service.history(neo, said["id"])) == 1
        assert await heard() is None, "he was told of it once"


async def test_who_has_it_is_not_told_again_and_a_message_keeps_its_place(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        await host.add("arthur", "ford")
        said = await host.post("arthur", "hi @ford")
        await host.post("arthur", "second")
        await host.service.ack(await host.as_("ford"), [said["id"]])
        await edit(host, "arthur", str(said["seq"]), "hej @ford and @all")
        assert await host.texts("ford") == []
        assert await host.texts("owner") == [], "to speak to many is a right of its own: an edit calls names"
        assert await host.channel() == ["hej @ford and @all", "second"]
        assert (await read(host, "ford", said["id"]))["seq"] == said["seq"]


async def test_what_may_not_be_edited(make_home: MakeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("arthur", "ford")
        said = await host.post("arthur", "hi")
        with pytest.raises(Refused, match="only who said it"):
            await edit(host, "ford", said["id"], "ho")
        secret = await host.send("arthur", "ford", "psst")
        await host.add("trin")
        with pytest.raises(NotFound):
            await edit(host, "trin", secret["id"], "ho")
        with pytest.raises(BadInput, match="looks like"):
            await edit(host, "arthur", said["id"], "maw_" + "ab3d5f7q" * 4)
        with pytest.raises(BadInput):
            await edit(host, "arthur", said["id"], " ")
        signed = word(host, founder(home.path), "stop")
        order = await host.post("arthur", "stop", word=signed)
        with pytest.raises(Refused, match="signed by an operator"):
            await edit(host, "arthur", order["id"], "go on")
        monkeypatch.setattr(editing, "MAX_EDITS", 2)
        for text in ("ho", "hu"):
            await edit(host, "arthur", said["id"], text)
        with pytest.raises(Conflict, match="2 times"):
            await edit(host, "arthur", said["id"], "ha")
        await host.service.redact(await host.as_("arthur"), [secret["id"]], None)
        with pytest.raises(NotFound, match="redacted"):
            await edit(host, "arthur", secret["id"], "ho")


async def test_a_request_that_is_made_again_edits_once(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        await host.add("arthur")
        said = await host.post("arthur", "hi")
        for _ in range(2):
            done = await edit(host, "arthur", said["id"], "ho", "key")
        assert (done["text"], done["edits"]) == ("ho", 1)
        with pytest.raises(Conflict):
            await edit(host, "arthur", said["id"], "hu", "key")
