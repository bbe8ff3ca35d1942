"""Saying, finding and acknowledging on one node alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from maw.errors import Ambiguous, BadInput, Conflict, NotFound, Refused
from maw.node.talking import need_agent
from tests.conftest import MakeHome
from tests.integration.nodes import Host, running


@pytest.fixture
async def host(make_home: MakeHome) -> AsyncIterator[Host]:
    async with running(make_home("mbp")) as one:
        await one.add("arthur", "ford")
        yield one


async def test_a_post_is_stored_and_says_so(host: Host) -> None:
    said = await host.post("arthur", "hello")
    assert (said["state"], said["recipients"], said["warnings"]) == ("stored", [], [])
    assert said["message"]["text"] == "hello"
    assert said["message"]["id"] == said["id"]
    assert await host.channel() == ["hello"]


async def test_to_an_agent_of_this_host_it_is_there_at_once(host: Host) -> None:
    said = await host.send("arthur", "ford", "hi")
    assert (said["state"], said["recipients"][0]["online"]) == ("replicated", True)
    assert await host.texts("ford") == ["hi"]
    receipt = await host.service.wait_reached(said["id"], 0)
    assert receipt["state"] == "replicated"


async def test_a_mention_of_nobody_is_warned_of_and_one_of_a_group_not(host: Host) -> None:
    assert "@zaphod" in (await host.post("arthur", "@zaphod?"))["warnings"][0]
    assert (await host.post("arthur", "@all @ford"))["warnings"] == []


async def test_nothing_is_sent_when_one_of_several_is_unknown(host: Host) -> None:
    before = host.node.state.seq
    with pytest.raises(NotFound):
        await host.service.post_direct(
            await host.as_("arthur"), ["ford", "nobody"], "x", reply_to=None, idempotency_key=None
        )
    assert host.node.state.seq == before


async def test_what_is_wanted_of_the_reader_is_with_the_message(host: Host) -> None:
    said = await host.send("arthur", "ford", "hi", intent="inform")
    await host.post("arthur", "@ford", intent="ask")
    assert said["message"]["intent"] == "inform"
    assert [item["intent"] for item in await host.inbox("ford")] == ["inform", "ask"]
    again = {"idempotency_key": "k", "intent": "ask"}
    await host.send("arthur", "ford", "x", **again)
    await host.send("arthur", "ford", "x", **again)
    with pytest.raises(Conflict):
        await host.send("arthur", "ford", "x", idempotency_key="k")
    assert await host.texts("ford") == ["hi", "@ford", "x"]


async def test_several_recipients_each_once(host: Host) -> None:
    await host.service.post_direct(
        await host.as_("arthur"), ["ford", "@ford@mbp", "owner"], "x", reply_to=None, idempotency_key=None
    )
    assert await host.texts("ford") == await host.texts("owner") == ["x"]


@pytest.mark.parametrize("to", [[], ["ford"] * 65])
async def test_too_few_or_too_many_recipients(host: Host, to: list[str]) -> None:
    with pytest.raises(BadInput):
        await host.service.post_direct(await host.as_("arthur"), to, "x", reply_to=None, idempotency_key=None)


@pytest.mark.parametrize("text", ["", "   \n", "x" * 70_000, "bad \ud800 surrogate"])
async def test_texts_that_cannot_be(host: Host, text: str) -> None:
    for say in (host.post("arthur", text), host.send("arthur", "ford", text)):
        with pytest.raises(BadInput):
            await say


async def test_channels_must_be_there_except_the_general_one(host: Host) -> None:
    with pytest.raises(NotFound):
        await host.post("arthur", "x", "ops")
    made = await host.service.add_channel(await host.as_("arthur"), "#Ops")
    assert (made["name"], made["created_by"], made["messages"]) == ("ops", "arthur@mbp", 0)
    await host.post("arthur", "x", "#ops")
    with pytest.raises(Conflict):
        await host.service.add_channel(await host.as_("ford"), "ops")
    names = [item["name"] for item in await host.service.channels(await host.owner())]
    assert "ops" in names


async def test_a_reply_is_to_a_message_that_one_may_read(host: Host) -> None:
    secret = await host.send("arthur", "owner", "between us")
    public = await host.post("arthur", "for all")
    for ref in (secret["id"], str(secret["seq"]), "zzzzzz-1-1", "999"):
        with pytest.raises(NotFound):
            await host.post("ford", "re", reply_to=ref)
    by_id = await host.post("ford", "re", reply_to=public["id"])
    by_seq = await host.post("ford", "re", reply_to=str(public["seq"]))
    assert by_id["message"]["reply_to"] == by_seq["message"]["reply_to"] == public["id"]
    shown = await host.service.message(await host.as_("ford"), public["id"])
    assert [item["id"] for item in shown["thread"]] == [by_id["id"], by_seq["id"]]


async def test_a_message_by_id_by_seq_and_not_at_all(host: Host) -> None:
    said = await host.post("arthur", "x")
    speaker = await host.as_("ford")
    assert (await host.service.message(speaker, said["id"]))["seq"] == said["seq"]
    assert (await host.service.message(speaker, str(said["seq"])))["id"] == said["id"]
    for ref in ("0", "999999", "9" * 40, "zzzzzz-1-1", said["id"] + "9"):
        with pytest.raises(NotFound):
            await host.service.message(speaker, ref)
    for ref in ("", "-1", "٣", "nonsense"):
        with pytest.raises(BadInput):
            await host.service.message(speaker, ref)


async def test_an_entry_that_is_no_message_is_not_found_as_one(host: Host) -> None:
    from maw.core.entry import Position
    from maw.core.message_ids import message_id

    epoch, _ = host.node.state.newest_epoch(host.me)
    with pytest.raises(NotFound):
        await host.service.message(await host.owner(), message_id(Position(host.me, epoch, 1)))


async def test_a_repeated_request_is_answered_with_the_first(host: Host) -> None:
    first = await host.post("arthur", "x", idempotency_key="k")
    again = await host.post("arthur", "x", idempotency_key="k")
    assert (again["id"], again["seq"]) == (first["id"], first["seq"])
    assert (await host.post("ford", "x", idempotency_key="k"))["id"] != first["id"], "a key is its agent's"
    with pytest.raises(Conflict):
        await host.post("arthur", "y", idempotency_key="k")
    with pytest.raises(Conflict):
        await host.send("arthur", "ford", "x", idempotency_key="k")


async def test_acknowledging_what_is_there_what_was_and_what_is_not(host: Host) -> None:
    ids = [(await host.send("arthur", "ford", f"{n}"))["id"] for n in range(4)]
    foreign = (await host.send("ford", "arthur", "not mine"))["id"]
    ford = await host.as_("ford")
    told = await host.service.ack(ford, [ids[0], ids[0], foreign, "zzzzzz-1-1"])
    assert told == {"acked": [ids[0]], "already": [], "unknown": [foreign, "zzzzzz-1-1"]}
    assert (await host.service.ack(ford, [ids[0]]))["already"] == [ids[0]]
    assert await host.texts("ford") == ["1", "2", "3"]
    assert await host.texts("arthur") == ["not mine"]
    with pytest.raises(BadInput):
        await host.service.ack(ford, ["nonsense"])
    assert (await host.service.ack(ford, None))["acked"] == ids[1:]
    assert (await host.service.ack(ford, None))["acked"] == []


async def test_acknowledging_at_once_from_two_sides_counts_once(host: Host) -> None:
    said = (await host.send("arthur", "ford", "x"))["id"]
    ford = await host.as_("ford")
    told = await asyncio.gather(*(host.service.ack(ford, [said]) for _ in range(5)))
    assert sum(len(item["acked"]) for item in told) == 1


async def test_sent_tells_where_it_is(host: Host) -> None:
    await host.send("arthur", "ford", "one")
    await host.post("arthur", "two")
    found = await host.service.sent(await host.as_("arthur"), limit=10)
    assert [(item["text"], item["state"]) for item in found] == [("one", "replicated"), ("two", "stored")]
    assert found[0]["hosts"][0]["host"] == "mbp"
    assert found[1]["hosts"] == []


async def test_two_of_a_name_are_never_guessed_at(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    both: list[Any] = [host.node.state.local["ford"], host.node.state.local["arthur"]]
    host.node.state.rename_agent(both[1], "ford", "agent", gone=False)
    with pytest.raises(Ambiguous):
        await host.send("owner", "ford", "x")


def test_nobody_in_particular_cannot_speak() -> None:
    with pytest.raises(Refused) as no:
        need_agent(None)
    assert no.value.code == "no_speaker"
