"""What becomes of messages in a mailbox: delivered, read, acknowledged; it only rises, and outlasts the daemon."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from maw.node.home import NodeHome
from maw.store.state import AgentRow
from tests.conftest import MakeHome
from tests.integration.nodes import Host, running


@pytest.fixture
def home(make_home: MakeHome) -> NodeHome:
    return make_home("mbp")


@pytest.fixture
async def host(home: NodeHome) -> AsyncIterator[Host]:
    async with running(home) as one:
        await one.add("arthur", "ford")
        yield one


def ford(host: Host) -> AgentRow:
    return host.node.state.local["ford"]


async def row(host: Host, seq: int) -> tuple[object, ...]:
    sql = "SELECT delivered, via, read, acked FROM mailbox WHERE agent = ? AND seq = ?"
    (found,) = await host.node.db.rows(sql, (ford(host).n, seq))
    return tuple(found)


async def test_delivered_then_read_then_acknowledged(host: Host) -> None:
    seq = (await host.send("arthur", "ford", "hi"))["seq"]
    mark = host.node.marking.mark
    assert await row(host, seq) == (None, None, None, None)
    assert await mark(ford(host), [seq], "delivered", "hook", at_ms=1000) == [seq]
    assert await row(host, seq) == (1000, "hook", None, None)
    assert await mark(ford(host), [seq], "delivered", "pane") == [], "it is told once"
    assert await mark(ford(host), [seq], "read", "inbox", at_ms=2000) == [seq]
    assert await row(host, seq) == (1000, "hook", 2000, None)
    assert await host.node.marking.ack(ford(host), [seq]) == ([seq], [])
    delivered, via, read, acked = await row(host, seq)
    assert (delivered, via, read) == (1000, "hook", 2000)
    assert isinstance(acked, int)
    assert acked > 2000
    assert await mark(ford(host), [seq], "read", "read") == [], "what is acknowledged was read"
    assert await row(host, seq) == (1000, "hook", 2000, acked)


async def test_read_implies_delivered_and_acknowledged_implies_both(host: Host) -> None:
    first, second = [(await host.send("arthur", "ford", text))["seq"] for text in ("a", "b")]
    assert await host.node.marking.mark(ford(host), [first], "read", "wait", at_ms=5) == [first]
    assert await row(host, first) == (5, "wait", 5, None)
    await host.node.marking.ack(ford(host), None)
    at = (await row(host, second))[3]
    assert await row(host, second) == (at, None, at, at)


async def test_only_what_is_in_his_own_mailbox(host: Host) -> None:
    mine = (await host.send("arthur", "ford", "hi"))["seq"]
    his = (await host.send("ford", "arthur", "ho"))["seq"]
    assert await host.node.marking.mark(ford(host), [his, mine, mine, 999], "read", None) == [mine]
    assert await host.node.marking.mark(ford(host), [], "read", None) == []
    assert await host.node.marking.ack(ford(host), [his, 999]) == ([], [])


async def test_a_clock_ahead_marks_nothing_in_the_future(host: Host) -> None:
    seq = (await host.send("arthur", "ford", "hi"))["seq"]
    await host.node.marking.mark(ford(host), [seq], "read", None, at_ms=1 << 50)
    assert (await host.inbox("ford"))[0]["read_at"] < "2100"


async def test_many_at_once(host: Host) -> None:
    seqs = [(await host.send("arthur", "ford", str(n)))["seq"] for n in range(3)]
    everything = [*seqs, *range(100_000, 101_200)]
    assert await host.node.marking.mark(ford(host), everything, "delivered", "stream") == seqs


async def test_what_is_marked_is_on_the_disk(home: NodeHome) -> None:
    async with running(home) as host:
        await host.add("arthur", "ford")
        seq = (await host.send("arthur", "ford", "hi"))["seq"]
        await host.node.marking.mark(ford(host), [seq], "delivered", "hook", at_ms=7)
    async with running(home) as host:
        assert await row(host, seq) == (7, "hook", None, None)


async def test_the_inbox_says_what_was_read_and_reading_it_there_changes_nothing(host: Host) -> None:
    said = await host.send("arthur", "ford", "hi")
    await host.post("arthur", "@ford look")
    assert [(one["delivered_at"], one["read_at"]) for one in await host.inbox("ford")] == [(None, None)] * 2
    speaker = await host.as_("ford")
    assert await host.service.read(speaker, [said["id"], "nobody-1-1", "999"], "inbox") == {
        "read": [said["id"]]
    }
    assert await host.service.read(speaker, [str(said["seq"])], "inbox") == {"read": []}
    first, second = await host.inbox("ford")
    assert first["read_at"] is not None
    assert first["read_at"] == first["delivered_at"]
    assert second["read_at"] is None
    shown = await host.service.message(speaker, said["id"])
    assert shown["read_at"] == first["read_at"]
    assert "read_at" not in await host.service.message(await host.as_("arthur"), said["id"])
