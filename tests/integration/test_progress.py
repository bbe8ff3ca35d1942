"""How far messages got, told across two real nodes: delivered, read, acknowledged, failed; never ahead of the truth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from maw.api.backend import Json
from maw.core.colony import AgentCard
from maw.core.entry import Head, Kind
from maw.core.progress import Group, Progress
from maw.node.marking import Marking
from maw.store.state import AgentRow
from tests.conftest import MakeHome
from tests.integration.nodes import DEADLINE_S, Host, acquainted, all_running, pair, running, until


@pytest.fixture
async def two(make_home: MakeHome) -> AsyncIterator[tuple[Host, Host]]:
    """``mbp`` with arthur and ford, ``oracle`` with neo, paired and linked."""
    async with all_running(make_home("mbp"), make_home("oracle")) as (mbp, oracle):
        await mbp.add("arthur", "ford")
        await oracle.add("neo")
        await pair(mbp, oracle)
        await acquainted(mbp, oracle)
        yield mbp, oracle


def agent(host: Host, name: str) -> AgentRow:
    return host.node.state.local[name]


def marking(host: Host) -> Marking:
    return host.node.marking


async def reaches(host: Host, message: Json, state: str) -> Json:
    """Waits until a message of this host's is there for all; its receipt."""
    receipt = await host.service.wait_reached(message["id"], DEADLINE_S, state)
    assert receipt["state"] == state, receipt["recipients"]
    return receipt


async def test_each_state_comes_back_with_its_time_and_by_what(two: tuple[Host, Host]) -> None:
    mbp, oracle = two
    sent = await oracle.send("neo", "arthur", "tea?")
    await mbp.receives("arthur", ["tea?"])
    seq = (await mbp.inbox("arthur"))[0]["seq"]
    await marking(mbp).mark(agent(mbp, "arthur"), [seq], "delivered", "hook", at_ms=1_800_000_000_000 // 10)
    (item,) = (await reaches(oracle, sent, "delivered"))["recipients"]
    assert (item["agent"], item["host"], item["via"]) == ("arthur@mbp", "mbp", "hook")
    assert item["since"] == item["delivered_at"] == "1975-09-15T08:00:00.000Z"
    assert (item["read_at"], item["acked_at"]) == (None, None)
    speaker = await mbp.as_("arthur")
    await mbp.service.read(speaker, [sent["id"]], "inbox")
    (item,) = (await reaches(oracle, sent, "read"))["recipients"]
    assert item["read_at"] == (await mbp.inbox("arthur"))[0]["read_at"], "in the time of his host"
    await mbp.service.ack(speaker, [sent["id"]])
    (item,) = (await reaches(oracle, sent, "acked"))["recipients"]
    assert item["delivered_at"] < item["read_at"] <= item["acked_at"] == item["since"]
    assert item["via"] == "hook", "what was told first stays"
    (mine,) = await oracle.service.sent(await oracle.as_("neo"), limit=5)
    assert (mine["state"], mine["recipients"], mine["hosts"]) == (
        "acked",
        [{**item, "last_seen": mine["recipients"][0]["last_seen"]}],
        [{"host": "mbp", "state": "replicated", "since": None}],
    )


async def nothing() -> None:
    """Is done."""


async def test_what_is_told_is_told_once_and_outlasts_both_daemons(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    mbp_home, oracle_home = make_home("mbp"), make_home("oracle")
    async with running(oracle_home) as oracle:
        await oracle.add("neo")
        async with running(mbp_home) as mbp:
            await mbp.add("arthur")
            await pair(mbp, oracle)
            await acquainted(mbp, oracle)
            first, second = [await oracle.send("neo", "arthur", text) for text in ("a", "b")]
            await mbp.receives("arthur", ["a", "b"])
            await oracle.service.wait_reached(second["id"], DEADLINE_S)
            monkeypatch.setattr(mbp.node.reporting, "settle", nothing)  # it dies before it could tell
            await mbp.service.ack(await mbp.as_("arthur"), [first["id"]])
        assert (await oracle.service.wait_reached(first["id"], 0.1, "acked"))["state"] == "replicated"
        async with running(mbp_home) as mbp:
            await reaches(oracle, first, "acked")
            await until_told(mbp)
            entries = mbp.node.runtime.held.total()
            await mbp.node.reporting.settle()
            assert mbp.node.runtime.held.total() == entries, "there is nothing left to tell"
    async with running(oracle_home) as oracle:
        states = [one["state"] for one in await oracle.service.sent(await oracle.as_("neo"), limit=5)]
        assert states == ["acked", "replicated"]
        assert second["id"] != first["id"]


async def until_told(host: Host) -> None:
    try:
        async with asyncio.timeout(DEADLINE_S):
            while await host.node.db.rows("SELECT * FROM untold"):
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError("something is not told") from None


async def test_an_entry_tells_of_many(two: tuple[Host, Host]) -> None:
    mbp, oracle = two
    sent = [await oracle.send("neo", "arthur", str(n)) for n in range(40)]
    await mbp.receives("arthur", [str(n) for n in range(40)])
    before = mbp.node.state.newest_epoch(mbp.me)[1].seq
    await mbp.service.ack(await mbp.as_("arthur"), None)
    await reaches(oracle, sent[-1], "acked")
    assert all(
        one["state"] == "acked" for one in await oracle.service.sent(await oracle.as_("neo"), limit=50)
    )
    assert mbp.node.state.newest_epoch(mbp.me)[1].seq == before + 1


async def test_of_a_post_who_is_named_is_told_of_and_a_group_is_not(two: tuple[Host, Host]) -> None:
    mbp, oracle = two
    named = await oracle.post("neo", "@agents and you, @arthur: look")
    group = await oracle.post("neo", "@agents look")
    for name in ("arthur", "ford"):
        await mbp.receives(name, ["@agents and you, @arthur: look", "@agents look"])
        await mbp.service.ack(await mbp.as_(name), None)
    assert [item["agent"] for item in (await reaches(oracle, named, "acked"))["recipients"]] == ["arthur@mbp"]
    receipt = await oracle.service.wait_reached(group["id"], DEADLINE_S, "acked")
    assert (receipt["state"], receipt["recipients"]) == ("replicated", []), "at once: it never will be more"
    assert await oracle.node.db.rows("SELECT count(*) FROM progress") == [(1,)]


async def test_on_one_host_it_is_seen_at_once(two: tuple[Host, Host]) -> None:
    mbp, _ = two
    sent = await mbp.send("ford", "arthur", "hi")
    assert sent["state"] == "replicated"
    waiting = asyncio.ensure_future(mbp.service.wait_reached(sent["id"], DEADLINE_S, "read"))
    await mbp.service.read(await mbp.as_("arthur"), [sent["id"]], "inbox")
    assert (await waiting)["state"] == "read"
    assert await mbp.node.db.rows("SELECT * FROM untold") == []


async def test_for_several_the_state_is_that_of_the_last(two: tuple[Host, Host]) -> None:
    mbp, oracle = two
    speaker = await oracle.as_("neo")
    sent = await oracle.service.post_direct(
        speaker, ["arthur", "ford"], "hi", reply_to=None, idempotency_key=None
    )
    await mbp.receives("ford", ["hi"])
    await mbp.service.ack(await mbp.as_("arthur"), None)
    await until_state(oracle, sent, "arthur@mbp", "acked")
    assert (await oracle.service.message(speaker, sent["id"]))["state"] == "replicated"
    await mbp.service.read(await mbp.as_("ford"), [sent["id"]], "read")
    await reaches(oracle, sent, "read")


async def until_state(host: Host, sent: Json, who: str, state: str) -> Json:
    """Waits until this recipient has come there."""
    row = await host.node.talking.any(sent["id"])
    try:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                receipt = await host.node.tracing.receipt(row)
                for item in receipt["recipients"]:
                    if item["agent"] == who and item["state"] == state:
                        return dict(item)
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"{who} did not come to {state}: {receipt['recipients']}") from None


async def test_why_it_failed_is_told_and_forgotten_when_it_is_delivered(two: tuple[Host, Host]) -> None:
    mbp, oracle = two
    sent = await oracle.send("neo", "arthur", "hi")
    await mbp.receives("arthur", ["hi"])
    (message,) = await mbp.inbox("arthur")
    me = agent(mbp, "arthur")
    assert await marking(mbp).fail(me, [message["seq"]], "pane: not at its\nprompt") == [message["seq"]]
    assert await marking(mbp).fail(me, [message["seq"]], "pane: not at its\nprompt") == []
    item = await until_state(oracle, sent, "arthur@mbp", "failed")
    assert item["why"] == "pane: not at its\N{REPLACEMENT CHARACTER}prompt"
    await marking(mbp).mark(me, [message["seq"]], "delivered", "pane")
    item = await until_state(oracle, sent, "arthur@mbp", "delivered")
    assert (item["why"], item["via"]) == (None, "pane")
    assert await marking(mbp).fail(me, [message["seq"]], "later") == [], "it was delivered once"


async def test_of_an_agent_that_was_removed_nothing_more_is_waited_for(two: tuple[Host, Host]) -> None:
    mbp, oracle = two
    sent = await oracle.send("neo", "ford", "hi")
    await mbp.receives("ford", ["hi"])
    await mbp.service.remove_user(await mbp.owner(), "ford")
    item = await until_state(oracle, sent, "ford@mbp", "failed")
    assert item["why"] == "ford@mbp was removed from its host"
    receipt = await oracle.service.wait_reached(sent["id"], DEADLINE_S, "read")
    assert receipt["state"] == "failed"


async def test_only_its_author_hears_what_others_made_of_a_post(two: tuple[Host, Host]) -> None:
    mbp, oracle = two
    await oracle.add("smith")
    sent = await oracle.post("neo", "@arthur look")
    await mbp.receives("arthur", ["@arthur look"])
    await mbp.service.ack(await mbp.as_("arthur"), None)
    await reaches(oracle, sent, "acked")
    smith = replace(await oracle.as_("smith"), is_admin=False)
    for told in (
        await oracle.service.message(smith, sent["id"]),
        await oracle.service.trace(smith, sent["id"]),
    ):
        assert [item["state"] for item in told["recipients"]] == ["replicated"]
    neo = replace(await oracle.as_("neo"), is_admin=False)
    for told in (await oracle.service.message(neo, sent["id"]), await oracle.service.trace(neo, sent["id"])):
        assert [item["state"] for item in told["recipients"]] == ["acked"]


async def test_a_trace_tells_what_this_node_knows(two: tuple[Host, Host]) -> None:
    mbp, oracle = two
    await oracle.post("neo", "the first receipt has no time")
    sent = await oracle.send("neo", "arthur", "hi", intent="ask")
    await mbp.receives("arthur", ["hi"])
    await mbp.service.read(await mbp.as_("arthur"), [sent["id"]], "inbox")
    await reaches(oracle, sent, "read")
    there = await oracle.service.trace(await oracle.as_("neo"), sent["id"])
    assert (there["author"], there["intent"], there["here"]["host"]) == ("neo@oracle", "ask", "oracle")
    assert [(one["host"], one["state"]) for one in there["hosts"]] == [("mbp", "replicated")]
    assert [(one["agent"], one["state"], one["via"]) for one in there["recipients"]] == [
        ("arthur@mbp", "read", "inbox")
    ]
    here = await mbp.service.trace(await mbp.as_("arthur"), sent["id"])
    assert (here["here"]["host"], here["hosts"]) == ("mbp", [])
    assert [(one["agent"], one["state"]) for one in here["recipients"]] == [("arthur@mbp", "read")]


# -- lies and losses -----------------------------------------------------------------------------------------------


async def claims(liar: Host, author: Host, seqs: list[int], agent_id: bytes, **more: Any) -> None:
    """A host says of an agent, in its own log, that he acknowledged these of another's."""
    epoch, head = author.node.state.newest_epoch(author.me)
    group = Group(0, agent_id, "acked", 5, "", tuple((seq, seq) for seq in seqs))
    told = Progress(((author.me, more.get("epoch", epoch), more.get("head", head)),), (group,))
    await liar.node.authoring.say(Kind.PROGRESS, told.content())
    await liar.post("arthur", "after the lie")


async def arrives(host: Host, text: str, times: int) -> None:
    try:
        async with asyncio.timeout(DEADLINE_S):
            while (await host.channel()).count(text) < times:
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"{text!r} did not come {times} times") from None


async def test_a_host_speaks_only_for_its_own_agents_who_got_it(make_home: MakeHome) -> None:
    homes = make_home("mbp"), make_home("oracle"), make_home("eve")
    async with all_running(*homes) as (mbp, oracle, eve):
        await mbp.add("arthur")
        await oracle.add("neo")
        await eve.add("arthur", "mallory")
        for other in (mbp, eve):
            await pair(oracle, other)
        await acquainted(mbp, oracle)
        await acquainted(eve, oracle)
        sent = await oracle.send("neo", "arthur@mbp", "hi")
        post = await oracle.post("neo", "@arthur@mbp look")
        seqs = [int(one["id"].rpartition("-")[2]) for one in (sent, post)]
        victim, own = agent(mbp, "arthur"), agent(eve, "arthur")
        await eve.node.authoring.say(Kind.AGENT, AgentCard(victim.id, "arthur", "agent").content())
        for about in (victim.id, own.id, agent(eve, "mallory").id, b"nobody.at.all..."):
            await claims(eve, oracle, seqs, about)
        head = oracle.node.state.newest_epoch(oracle.me)[1]
        await claims(eve, oracle, seqs, own.id, head=Head(head.seq, b"x" * 32))
        await claims(eve, oracle, [seqs[0]], own.id, head=Head(1 << 40, b"x" * 32))
        await claims(eve, oracle, [seqs[0]], own.id, epoch=77)
        await arrives(oracle, "after the lie", 7)
        assert await oracle.node.db.rows("SELECT * FROM progress") == []
        for one in (sent, post):
            assert (await oracle.service.wait_reached(one["id"], DEADLINE_S))["state"] == "replicated"


async def test_of_another_branch_nothing_is_believed(two: tuple[Host, Host]) -> None:
    """A seq alone may be two messages: what is told names the branch by the id of its head."""
    mbp, oracle = two
    sent = await oracle.send("neo", "arthur", "hi")
    seq = int(sent["id"].rpartition("-")[2])
    who = agent(mbp, "arthur").id
    await claims(mbp, oracle, [seq], who, head=Head(seq, b"x" * 32))
    await arrives(oracle, "after the lie", 1)
    assert await oracle.node.db.rows("SELECT * FROM progress") == []
    await claims(mbp, oracle, [seq], who)
    await reaches(oracle, sent, "acked")


async def test_an_author_who_lost_his_database_hears_it_again(make_home: MakeHome) -> None:
    mbp_home, oracle_home = make_home("mbp"), make_home("oracle")
    async with running(mbp_home) as mbp:
        await mbp.add("arthur")
        async with running(oracle_home) as oracle:
            await oracle.add("neo")
            await pair(mbp, oracle)
            await acquainted(mbp, oracle)
            sent = await oracle.send("neo", "arthur", "hi")
            await mbp.receives("arthur", ["hi"])
            await mbp.service.ack(await mbp.as_("arthur"), None)
            await reaches(oracle, sent, "acked")
            other = await oracle.send("neo", "arthur", "ho")
            await reaches(oracle, other, "replicated")
        for path in oracle_home.path.glob("colony.db*"):
            path.unlink()
        async with running(oracle_home) as oracle:
            await until(lambda: "neo" in oracle.node.state.local, "neo is back")
            await arrives_at(oracle, sent)
            await reaches(oracle, sent, "acked")
            await reaches(oracle, other, "replicated")


async def arrives_at(host: Host, sent: Json) -> None:
    try:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                try:
                    await host.node.talking.any(sent["id"])
                    return
                except Exception:
                    await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError("the message did not come back") from None


async def test_a_recipient_that_lost_its_database_takes_nothing_back(make_home: MakeHome) -> None:
    mbp_home, oracle_home = make_home("mbp"), make_home("oracle")
    async with running(oracle_home) as oracle:
        await oracle.add("neo")
        async with running(mbp_home) as mbp:
            await mbp.add("arthur")
            await pair(mbp, oracle)
            await acquainted(mbp, oracle)
            first = await oracle.send("neo", "arthur", "a")
            await mbp.receives("arthur", ["a"])
            await mbp.service.ack(await mbp.as_("arthur"), None)
            told = await reaches(oracle, first, "acked")
        for path in mbp_home.path.glob("colony.db*"):
            path.unlink()
        async with running(mbp_home) as mbp:
            await until(lambda: "arthur" in mbp.node.state.local, "arthur is back")
            second = await oracle.send("neo", "arthur", "b")
            await mbp.receives("arthur", ["a", "b"])
            await mbp.service.read(await mbp.as_("arthur"), [first["id"], second["id"]], "inbox")
            await reaches(oracle, second, "read")
            again = await reaches(oracle, first, "acked")
            assert again["recipients"][0]["acked_at"] == told["recipients"][0]["acked_at"]


async def test_what_a_hook_and_a_pane_say_comes_back(two: tuple[Host, Host]) -> None:
    mbp, oracle = two
    sent = await oracle.send("neo", "arthur", "hi")
    await mbp.receives("arthur", ["hi"])
    arthur = await mbp.as_("arthur")
    asked: dict[str, Any] = {"wake": False, "wait": 0.0, "session": None, "limit": 5, "gone": lambda: False}

    async def claim(via: str) -> str:
        found = await mbp.service.hear(arthur, via, slice_s=5.0, **asked)
        assert found is not None
        return str(found["claim"])

    await mbp.service.heard(arthur, await claim("pane"), failed="somebody types", renew=False)
    item = await until_state(oracle, sent, "arthur@mbp", "failed")
    assert item["why"] == "somebody types"
    await mbp.service.heard(arthur, await claim("hook"), failed=None, renew=False)
    item = await until_state(oracle, sent, "arthur@mbp", "delivered")
    assert (item["via"], item["why"]) == ("hook", None)


async def test_one_damaged_entry_keeps_no_other_from_its_author_and_is_told_when_it_is_mended(
    two: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maw.node.reporting.QUIET_S", 0.1)
    mbp, oracle = two
    first, second = [await oracle.send("neo", "arthur", text) for text in ("one", "two")]
    await mbp.receives("arthur", ["one", "two"])
    seqs = [message["seq"] for message in await mbp.inbox("arthur")]
    (header,) = (await mbp.node.db.rows("SELECT header FROM entries WHERE shown = ?", (seqs[0],)))[0]
    monkeypatch.setattr(mbp.node.scrubber, "mend", nothing)

    async def spoil(conn: Any, header: bytes) -> None:
        await conn.execute("UPDATE entries SET header = ? WHERE shown = ?", (header, seqs[0]))

    await mbp.node.writer.submit(lambda conn: spoil(conn, b"\0"))
    await marking(mbp).mark(agent(mbp, "arthur"), seqs, "delivered", "hook")
    await reaches(oracle, second, "delivered")
    assert any(kind == "damaged" for kind, _ in await mbp.alerts())
    assert (await oracle.service.wait_reached(first["id"], 0.1, "delivered"))["state"] == "replicated"
    await mbp.node.writer.submit(lambda conn: spoil(conn, header))
    await reaches(oracle, first, "delivered")
