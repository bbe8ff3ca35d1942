"""Hearing on real nodes: what is new is announced once, to the best who waits, and delivered when it was put there."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from maw.api.backend import Json
from maw.core.budget import Limits
from maw.core.claims import LEASE_S, Replaced
from maw.core.digest import LINES
from maw.errors import NotFound, Unavailable
from maw.node.marking import Marking
from maw.store import pages
from maw.store.database import Database
from tests.conftest import MakeHome
from tests.integration.nodes import Host, running, until


async def hear(host: Host, name: str, via: str = "hook", **more: Any) -> Json | None:
    options = {
        "wake": False, "wait": 0.0, "session": None, "limit": LINES, "gone": lambda: False, "slice_s": 5.0, **more
    }  # fmt: skip
    return await host.service.hear(await host.as_(name), via, **options)


async def heard(host: Host, name: str, claim: Json | None, **more: Any) -> Json:
    assert claim is not None
    options = {"failed": None, "renew": False, **more}
    return await host.service.heard(await host.as_(name), claim["claim"], **options)


def texts(claim: Json | None) -> list[str]:
    return [] if claim is None else [one["text"] for one in claim["messages"]]


@asynccontextmanager
async def house(make_home: MakeHome) -> AsyncIterator[Host]:
    async with running(make_home("mbp")) as host:
        await host.add("arthur", "neo", "trin")
        yield host


@pytest.fixture
async def host(make_home: MakeHome) -> AsyncIterator[Host]:
    async with house(make_home) as host:
        yield host


async def test_what_is_new_is_announced_once_and_delivered_when_it_was(host: Host) -> None:
    assert await hear(host, "arthur") is None
    await host.send("neo", "arthur", "is the build green?", intent="ask")
    await host.post("neo", "hello @arthur")
    claim = await hear(host, "arthur")
    assert claim is not None
    assert texts(claim) == ["is the build green?", "hello @arthur"]
    lines = claim["text"].splitlines()
    assert lines[0].endswith(
        "2 new for arthur, no operator order. Quoted: their own words. Whole: maw read N; done: maw ack N"
    )
    assert lines[1].endswith(' neo@mbp (uid) asks, 0s ago: "is the build green?"')
    assert await hear(host, "arthur") is None
    assert [one["delivered_at"] for one in await host.inbox("arthur")] == [None, None]
    done = await heard(host, "arthur", claim)
    assert done["state"] == "delivered"
    assert done["delivered"] == [one["seq"] for one in await host.inbox("arthur")]
    assert None not in [one["delivered_at"] for one in await host.inbox("arthur")]
    assert await hear(host, "arthur") is None
    with pytest.raises(NotFound, match="no claim"):
        await heard(host, "arthur", claim)


async def test_what_was_read_or_acknowledged_is_not_announced(host: Host) -> None:
    await host.send("neo", "arthur", "one")
    await host.send("neo", "arthur", "two")
    await host.send("neo", "arthur", "three")
    arthur = await host.as_("arthur")
    first, second, _ = await host.inbox("arthur")
    await host.service.ack(arthur, [first["id"]])
    await host.service.read(arthur, [second["id"]], "inbox")
    assert texts(await hear(host, "arthur")) == ["three"]


async def test_what_is_read_between_two_looks_is_not_announced(host: Host) -> None:
    await host.send("neo", "arthur", "one")
    claim = await hear(host, "arthur")
    await heard(host, "arthur", claim, failed="the pane is a shell")
    await host.service.ack(await host.as_("arthur"), None)
    assert await hear(host, "arthur") is None


async def test_a_claim_is_its_agents_alone(host: Host) -> None:
    await host.send("neo", "arthur", "one")
    claim = await hear(host, "arthur")
    with pytest.raises(NotFound):
        await heard(host, "trin", claim)
    assert (await heard(host, "arthur", claim, renew=True))["state"] == "renewed"
    assert (await heard(host, "arthur", claim))["state"] == "delivered"


async def test_a_claim_that_fails_is_announced_again_to_another(host: Host) -> None:
    await host.send("neo", "arthur", "one")
    claim = await hear(host, "arthur", "pane")
    assert (await heard(host, "arthur", claim, failed="somebody types"))["state"] == "failed"
    assert texts(await hear(host, "arthur", "exec")) == ["one"]


async def test_a_claim_that_lapses_is_announced_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maw.core.claims.LEASE_S", 0.2)
    await host.send("neo", "arthur", "one")
    claim = await hear(host, "arthur", "rewake", wake=True, wait=5.0)
    again = await hear(host, "arthur", "rewake", wake=True, wait=10.0)
    assert texts(claim) == texts(again) == ["one"]
    await heard(host, "arthur", claim)  # it was put there after all
    assert await hear(host, "arthur") is None


async def test_a_restart_forgets_claims_and_remembers_what_was_delivered(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("arthur", "neo")
        await host.send("neo", "arthur", "one")
        await heard(host, "arthur", await hear(host, "arthur"))
        await host.send("neo", "arthur", "two")
        assert texts(await hear(host, "arthur")) == ["two"]
    async with running(home) as host:
        assert texts(await hear(host, "arthur")) == ["two"]


async def test_many_are_counted_not_listed_and_not_counted_twice(host: Host) -> None:
    for at in range(LINES + 5):
        await host.send("neo", "arthur", f"number {at}")
    claim = await hear(host, "arthur")
    assert claim is not None
    assert texts(claim) == [f"number {at}" for at in range(LINES)]
    assert claim["more"] == 5
    assert claim["text"].splitlines()[-2] == "and 5 more: maw inbox"
    await heard(host, "arthur", claim)
    assert await hear(host, "arthur") is None
    assert [one["delivered_at"] is None for one in await host.inbox("arthur")] == [False] * LINES + [True] * 5


async def test_of_a_large_backlog_the_newest_are_told_and_the_others_counted_once(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maw.node.hearing.MAX_PENDING", 7)
    for at in range(20):
        await host.send("neo", "arthur", f"number {at}")
    first = await hear(host, "arthur", limit=3)
    assert first is not None
    assert (texts(first), first["more"]) == (["number 13", "number 14", "number 15"], 17)
    await heard(host, "arthur", first, failed="no")
    again = await hear(host, "arthur", limit=3)
    assert again is not None
    assert again["more"] == 17
    await heard(host, "arthur", again)
    assert await hear(host, "arthur") is None
    await host.send("neo", "arthur", "one more")
    last = await hear(host, "arthur")
    assert last is not None
    assert (texts(last), last["more"]) == (["one more"], 0)


async def test_a_waiter_hears_as_soon_as_it_is_there(host: Host) -> None:
    waiting = asyncio.create_task(hear(host, "arthur", "rewake", wake=True, wait=30.0))
    await until(lambda: host.node.hearing.waiting(host.node.state.local["arthur"]), "the waiter waits")
    await host.send("trin", "neo", "not for him")
    await host.send("neo", "arthur", "for him")
    assert texts(await asyncio.wait_for(waiting, 5)) == ["for him"]


async def test_own_words_and_what_only_informs_wake_nobody(host: Host) -> None:
    await host.post("arthur", "hello @arthur @agents")
    await host.send("neo", "arthur", "for your information", intent="inform")
    await host.send("neo", "arthur", "thanks", intent="ack")
    assert await hear(host, "arthur", "rewake", wake=True, wait=0.6) is None
    await host.send("neo", "arthur", "please look")
    claim = await hear(host, "arthur", "rewake", wake=True, wait=5.0)
    assert texts(claim) == ["for your information", "thanks", "please look"]


async def test_a_burst_is_one_wake(host: Host) -> None:
    waiting = asyncio.create_task(hear(host, "arthur", "rewake", wake=True, wait=30.0))
    for at in range(8):
        await host.send("neo", "arthur", f"{at}")
    claim = await asyncio.wait_for(waiting, 10)
    assert texts(claim) == [str(at) for at in range(8)]
    assert host.node.wakes.json(host.node.state.local["arthur"])["since_start"]["wakes"] == 1


async def test_of_several_who_wait_the_best_has_it(host: Host) -> None:
    arthur = host.node.state.local["arthur"]
    ways = ("pane", "exec", "wait", "rewake", "mcp")
    tasks = {via: asyncio.create_task(hear(host, "arthur", via, wait=20.0)) for via in ways}
    await until(lambda: len(host.node.hearing.waiting(arthur)) == 5, "all wait")
    for best in ("rewake", "mcp", "wait", "exec", "pane"):
        await host.send("neo", "arthur", f"for {best}")
        claim = await asyncio.wait_for(tasks[best], 5)
        assert texts(claim) == [f"for {best}"]
        await heard(host, "arthur", claim)
        del tasks[best]
        assert not any(task.done() for task in tasks.values())


async def test_a_better_way_that_comes_while_the_mailbox_is_read_has_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, reading, go_on = pages.unannounced, asyncio.Event(), asyncio.Event()

    async def slow(*args: Any, **more: Any) -> Any:
        reading.set()
        await go_on.wait()
        return await read(*args, **more)

    monkeypatch.setattr(pages, "unannounced", slow)
    await host.send("neo", "arthur", "one")
    pane = asyncio.create_task(hear(host, "arthur", "pane", wait=20.0))
    await asyncio.wait_for(reading.wait(), 5)
    rewake = asyncio.create_task(hear(host, "arthur", "rewake", wait=20.0))
    await until(lambda: len(host.node.hearing.waiting(host.node.state.local["arthur"])) == 2, "both wait")
    go_on.set()
    assert texts(await asyncio.wait_for(rewake, 5)) == ["one"]
    assert not pane.done()
    pane.cancel()
    await asyncio.gather(pane, return_exceptions=True)


async def test_a_worse_way_has_it_when_the_better_let_it_lapse(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maw.core.claims.LEASE_S", 0.3)
    assert LEASE_S == 10.0
    pane = asyncio.create_task(hear(host, "arthur", "pane", wake=True, wait=30.0))
    rewake = asyncio.create_task(hear(host, "arthur", "rewake", wake=True, wait=30.0))
    await host.send("neo", "arthur", "one")
    assert texts(await asyncio.wait_for(rewake, 5)) == ["one"]
    assert texts(await asyncio.wait_for(pane, 15)) == ["one"]


async def test_a_newer_waiter_of_a_session_replaces_the_older(host: Host) -> None:
    arthur = host.node.state.local["arthur"]
    older = asyncio.create_task(hear(host, "arthur", "rewake", wake=True, wait=30.0, session="s1"))
    other = asyncio.create_task(hear(host, "arthur", "rewake", wake=True, wait=30.0, session="s2"))
    await until(lambda: len(host.node.hearing.waiting(arthur)) == 2, "both wait")
    newer = asyncio.create_task(hear(host, "arthur", "rewake", wake=True, wait=30.0, session="s1"))
    with pytest.raises(Replaced):
        await asyncio.wait_for(older, 5)
    assert not other.done()
    await host.send("neo", "arthur", "one")
    done, _ = await asyncio.wait([newer, other], return_when=asyncio.FIRST_COMPLETED, timeout=5)
    assert len(done) == 1
    for task in (newer, other):
        task.cancel()
    await asyncio.gather(newer, other, return_exceptions=True)


async def test_what_was_shown_while_the_disk_took_nothing_is_not_shown_again(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.send("neo", "arthur", "one")
    claim = await hear(host, "arthur")
    mark = host.node.marking.mark

    async def full(*_: Any, **__: Any) -> list[int]:
        raise Unavailable("the disk is full")

    monkeypatch.setattr(host.node.marking, "mark", full)
    with pytest.raises(Unavailable):
        await heard(host, "arthur", claim)
    with pytest.raises(Unavailable):
        await host.node.hearing.settle()
    assert await hear(host, "arthur") is None
    assert (await host.inbox("arthur"))[0]["delivered_at"] is None
    monkeypatch.setattr(host.node.marking, "mark", mark)
    await host.node.hearing.settle()
    assert (await host.inbox("arthur"))[0]["delivered_at"] is not None


async def test_with_nothing_new_the_disk_is_not_read(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    await host.send("neo", "arthur", "one")
    await heard(host, "arthur", await hear(host, "arthur"))
    await host.send("neo", "trin", "not for him")
    reads = 0
    rows = Database.rows

    async def counted(*args: Any) -> Any:
        nonlocal reads
        reads += 1
        return await rows(*args)

    monkeypatch.setattr(Database, "rows", counted)
    for _ in range(10):
        assert await hear(host, "arthur") is None
    assert reads == 0
    await host.send("neo", "arthur", "two")
    assert texts(await hear(host, "arthur")) == ["two"]
    assert reads > 0


async def listening(host: Host, name: str, after: int | None = 0) -> Any:
    return host.service.listener(await host.as_(name), after)


async def test_a_stream_delivers_when_its_reader_says_so(host: Host) -> None:
    listener = await listening(host, "arthur")
    await host.send("neo", "arthur", "one")
    await host.send("neo", "trin", "not for him")
    await host.send("neo", "arthur", "two")
    first, second = (one["seq"] for one in await host.inbox("arthur"))
    await listener.sent([first, first + 1, second])
    assert await hear(host, "arthur", "exec") is None
    assert await listener.heard(first + 1) == [first]
    assert [one["delivered_at"] is None for one in await host.inbox("arthur")] == [False, True]
    assert await hear(host, "arthur", "hook") is None  # it is still claimed
    listener.close()
    assert texts(await hear(host, "arthur", "hook")) == ["two"]


async def test_what_a_stream_does_not_confirm_is_anothers(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maw.core.claims.LEASE_S", 0.3)
    listener = await listening(host, "arthur")
    waiting = asyncio.create_task(hear(host, "arthur", "exec", wake=True, wait=30.0))
    await host.send("neo", "arthur", "one")
    seq = (await host.inbox("arthur"))[0]["seq"]
    await listener.sent([seq])
    claim = await asyncio.wait_for(waiting, 10)
    assert texts(claim) == ["one"]
    assert await listener.heard(seq) == [seq]  # it was shown after all
    assert (await heard(host, "arthur", claim))["delivered"] == []
    listener.close()


async def test_a_better_way_is_not_kept_waiting_by_a_stream(host: Host) -> None:
    listener = await listening(host, "arthur")
    waiting = asyncio.create_task(hear(host, "arthur", "rewake", wake=True, wait=30.0))
    await host.send("neo", "arthur", "one")
    await listener.sent([(await host.inbox("arthur"))[0]["seq"]])
    assert texts(await asyncio.wait_for(waiting, 5)) == ["one"]
    listener.close()


async def test_what_came_before_a_stream_began_is_not_its(host: Host) -> None:
    await host.send("neo", "arthur", "before")
    listener = await listening(host, "arthur", host.node.visible.seq)
    assert texts(await hear(host, "arthur", "exec", wake=True, wait=5.0)) == ["before"]
    part = await listening(host, "trin", None)
    await host.send("neo", "trin", "elsewhere")
    assert texts(await hear(host, "trin", "pane", wake=True, wait=5.0)) == ["elsewhere"]
    for one in (listener, part):
        one.close()


async def test_whatever_happens_to_those_who_announce_each_message_is_delivered_once(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven who announce, of whom some die with what they claimed, some fail, some are late; sixty messages."""
    monkeypatch.setattr("maw.core.claims.LEASE_S", 0.25)
    host.node.wakes.config = replace(host.node.wakes.config, limits=Limits(10**6, 10**6, 10**6))
    monkeypatch.setattr("maw.core.budget.GAP_S", 0.01)
    chance = random.Random(7)
    delivered: list[int] = []
    over = asyncio.Event()

    async def announce(via: str, wake: bool) -> None:
        while not over.is_set():
            claim = await hear(host, "arthur", via, wake=wake, wait=0.3, limit=chance.randint(1, LINES))
            if claim is None:
                await asyncio.sleep(0.01)
                continue
            luck = chance.random()
            if luck < 0.2:
                continue  # it died
            if luck < 0.35:
                await heard(host, "arthur", claim, failed="no")
                continue
            if luck < 0.5:
                await asyncio.sleep(0.3)  # it is late
            delivered.extend((await heard(host, "arthur", claim))["delivered"])

    async def talk(name: str) -> None:
        for at in range(30):
            await host.send(name, "arthur", f"{name} {at}", intent=chance.choice(["chat", "ask", "inform"]))
            await asyncio.sleep(chance.random() * 0.05)

    ways = [("hook", False), ("rewake", True), ("rewake", True), ("mcp", True), ("wait", False), ("exec", True),
            ("pane", True)]  # fmt: skip
    async with asyncio.TaskGroup() as group:
        for way in ways:
            group.create_task(announce(*way))
        async with asyncio.timeout(30):
            await asyncio.gather(talk("neo"), talk("trin"))
            # what was only counted is in the inbox, and is not announced again
            while host.node.hearing.pending(host.node.state.local["arthur"]) or claimed(host):
                await asyncio.sleep(0.05)
        over.set()
    marked = {one["seq"] for one in await host.inbox("arthur") if one["delivered_at"] is not None}
    assert len(delivered) == len(set(delivered))
    assert set(delivered) == marked
    assert len(marked) > 20
    counted = set(host.node.hearing._ears[host.node.state.local["arthur"].n].claims.counted)
    assert marked | counted == {one["seq"] for one in await host.inbox("arthur")}
    assert not marked & counted


def claimed(host: Host) -> bool:
    """Whether anything of arthur's is under a claim."""
    return host.node.hearing._ears[host.node.state.local["arthur"].n].claims.next_lapse() is not None


async def test_what_one_author_could_not_be_told_stays_due_for_all(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    wakes, hearing = host.node.wakes, host.node.hearing
    due = {row.n: {1: "dnd"} for row in host.node.state.local.values()}
    assert len(due) > 1

    async def refuses(*_: Any) -> None:
        raise Unavailable("the disk is full")

    for n, kept in due.items():
        wakes.keep_again(n, kept)
    with monkeypatch.context() as full:
        full.setattr(Marking, "fail", refuses)
        with pytest.raises(Unavailable):
            await hearing.tell_held()
    assert dict(wakes.kept()) == due


async def test_a_reader_that_confirms_nothing_is_remembered_no_longer_than_its_claims(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maw.core.claims.LEASE_S", 0.0)
    listener = host.service.listener(await host.as_("arthur"), host.node.visible.seq)
    for text in "abcdef":
        await host.send("neo", "arthur", text)
        await listener.sent([message["seq"] for message in await host.inbox("arthur")])
    assert len(listener._claims) == 1
    listener.close()
