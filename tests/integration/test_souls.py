"""Souls: said on their host, the same on every other, bounded, and withdrawn with whoever may say nothing."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from maw.api.backend import Json, Speaker
from maw.core.freezing import AGENT, Target, freeze_statement, thaw_statement
from maw.core.message_ids import parse_message_id
from maw.core.redaction import redaction_statement
from maw.core.souls import KEPT, soul_hash
from maw.errors import BadInput, Conflict, NotFound, Refused
from tests.conftest import MakeHome
from tests.integration.nodes import Host, running
from tests.integration.operators import now, say, two_hosts, until_true

SCOUT = "# scout\n\nI look around.\n"


async def say_soul(host: Host, name: str, text: str, **more: Any) -> Json:
    return await host.service.say_soul(await host.as_(name), None, text, more.get("before"))


async def soul(host: Host, who: str, version: str | None = None) -> str:
    found = await host.service.soul(await host.owner(), who, version)
    text: str = found["text"]
    return text


async def forgot(host: Host, words: str) -> bool:
    rows = await host.node.db.rows("SELECT count(*) FROM entries WHERE instr(payload, ?) > 0", (words,))
    return bool(rows[0][0] == 0)


async def has(host: Host, who: str, text: str | None) -> None:
    async def look() -> bool:
        try:
            return await soul(host, who) == text
        except NotFound:
            return text is None

    await until_true(look, f"the soul of {who} is {text!r}")


async def test_a_soul_is_the_same_on_another_host_and_only_so_many_versions_stay(make_home: MakeHome) -> None:
    async with two_hosts(make_home, "neo") as (mbp, oracle, _):
        with pytest.raises(NotFound, match="no soul"):
            await soul(mbp, "arthur")
        first = await say_soul(mbp, "arthur", SCOUT)
        assert (first["changed"], first["hash"], first["agent"]) == (True, soul_hash(SCOUT), "arthur@mbp")
        head = mbp.node.state.newest_epoch(mbp.me)[1].seq
        assert not (await say_soul(mbp, "arthur", SCOUT))["changed"]
        assert mbp.node.state.newest_epoch(mbp.me)[1].seq == head, "what is so already is not said again"
        await has(oracle, "arthur@mbp", SCOUT)
        for number in range(KEPT + 2):
            await say_soul(mbp, "arthur", f"{SCOUT}{number}\n")
        last = f"{SCOUT}{KEPT + 1}\n"
        await has(oracle, "arthur", last)

        async def let_go() -> bool:
            rows = await oracle.node.db.rows(
                "SELECT count(*) FROM entries WHERE instr(payload, 'I look') > 0"
            )
            missing = await oracle.node.db.rows("SELECT count(*) FROM missing")
            return bool(rows[0][0] == KEPT and missing[0][0] == 0)

        await until_true(let_go, "the words of older versions are dropped there too")
        for host in (mbp, oracle):
            listed = await host.service.soul_history(await host.owner(), "arthur")
            assert [one["size"] for one in listed] == [len(f"{SCOUT}{n}\n") for n in range(KEPT + 1, 1, -1)]
            assert "text" not in listed[0]
            assert await soul(host, "arthur", listed[1]["id"]) == f"{SCOUT}{KEPT}\n"
            assert await soul(host, "arthur", listed[1]["hash"][:8]) == f"{SCOUT}{KEPT}\n"
        with pytest.raises(NotFound, match="no version"):
            await soul(oracle, "arthur", first["id"])


async def test_who_may_say_it_and_what_is_refused(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        await host.add("arthur", "ford")
        with pytest.raises(BadInput, match="looks like"):
            await say_soul(host, "arthur", f"{SCOUT}my key is maw_{'ab3d5f7q' * 4}\n")
        for text in ("\0", " ", "x" * 50_000):
            with pytest.raises(BadInput):
                await say_soul(host, "arthur", text)
        stranger = Speaker("ford@mbp", host.node.state.local["ford"].id, "token", None, False)
        with pytest.raises(Refused, match="another's"):
            await host.service.say_soul(stranger, "arthur", SCOUT, None)
        told = await host.service.say_soul(await host.owner(), "arthur", SCOUT, None)
        with pytest.raises(Conflict, match="changed by somebody else"):
            await say_soul(host, "arthur", SCOUT + "me\n", before="0" * 32)
        await say_soul(host, "arthur", SCOUT + "me\n", before=told["hash"])
        versions = await host.service.soul_history(await host.owner(), "arthur")
        with pytest.raises(Refused, match="another's"):
            await host.service.redact(stranger, [versions[1]["id"]], None)
        gone = await host.service.redact(await host.as_("arthur"), [versions[1]["id"]], "it says too much")
        assert gone == {"redacted": [versions[1]["id"]], "already": []}
        assert len(await host.service.soul_history(await host.owner(), "arthur")) == 1
        await host.service.remove_user(await host.owner(), "arthur")
        assert await soul(host, "arthur") == SCOUT + "me\n", "a soul outlasts its agent"


async def test_a_frozen_agent_says_none_and_an_operator_redacts_one(make_home: MakeHome) -> None:
    async with two_hosts(make_home, "neo") as (mbp, oracle, key):
        await say_soul(oracle, "neo", SCOUT)
        secret = await say_soul(oracle, "neo", SCOUT + "the pin is 4711\n")
        await has(mbp, "neo", SCOUT + "the pin is 4711\n")
        colony, place = mbp.node.membership.book.colony, parse_message_id(secret["id"])
        gone = redaction_statement(
            key, colony, oracle.me, place.epoch, [(place.seq, place.seq)], "a pin", now()
        )
        await say(mbp, gone, oracle)
        for host in (mbp, oracle):
            await has(host, "neo", SCOUT)
            await until_true(partial(forgot, host, "4711"), "nothing of it stays on the disk")
        target = Target(AGENT, oracle.me, oracle.node.state.local["neo"].id, name="neo@oracle")
        ice = freeze_statement(key, colony, target, "", now())
        await say(mbp, ice, oracle)
        with pytest.raises(Refused, match="frozen"):
            await say_soul(oracle, "neo", SCOUT + "still here\n")
        await say(mbp, thaw_statement(key, colony, [ice.id], now()), oracle)
        await say_soul(oracle, "neo", SCOUT + "still here\n")
        await has(mbp, "neo", SCOUT + "still here\n")
