"""When agents are woken, on a real node: budgets, quiet, release, restarts; what is told to whom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from maw.core.budget import Limits
from maw.core.claims import Pending
from maw.errors import BadInput, NotFound, Refused, Unavailable
from maw.store.pages import Shown
from maw.store.state import AgentRow
from tests.conftest import MakeHome
from tests.integration.nodes import Host, running
from tests.integration.test_hearing import hear, heard, texts

LIMITS = Limits(per_hour=12, per_sender=6, per_groups=4)


class Clock:
    """Seconds since 1970 as the node's wakes see them."""

    def __init__(self, host: Host) -> None:
        self.now = time.time()
        host.node.wakes._now = lambda: self.now
        pending = host.node.hearing._pending

        def came_just_now(agent: AgentRow, row: Shown) -> Pending:
            item = pending(agent, row)
            item.since = self.now - 1
            return item

        host.node.hearing._pending = came_just_now  # type: ignore[method-assign]
        host.node.wakes.config = replace(host.node.wakes.config, limits=LIMITS)


@pytest.fixture
async def host(make_home: MakeHome) -> AsyncIterator[Host]:
    async with running(make_home("mbp")) as host:
        await host.add("arthur", "neo", "trin")
        yield host


@pytest.fixture
def clock(host: Host) -> Clock:
    return Clock(host)


async def woken(host: Host, name: str = "arthur") -> list[str] | None:
    """What it is woken with now, put in front of it; None: it is not woken."""
    claim = await hear(host, name, "rewake", wake=True)
    if claim is None:
        return None
    await heard(host, name, claim)
    return texts(claim)


async def wakes_of(host: Host, name: str) -> Any:
    (one,) = await host.service.wakes(await host.owner(), name)
    return one


async def bounce(host: Host, clock: Clock, count: int) -> None:
    """neo wakes arthur so many times, as fast as he may."""
    for at in range(count):
        await host.send("neo", "arthur", f"{at}")
        for _ in range(100):
            if await woken(host) is not None:
                break
            clock.now += 5
        else:
            raise AssertionError(f"arthur was never woken for {at}")


async def test_a_loop_is_held_a_human_told_once_and_released(host: Host, clock: Clock) -> None:
    await bounce(host, clock, 6)
    await host.send("neo", "arthur", "again")
    for _ in range(3):
        clock.now += 30
        assert await woken(host) is None
    alert = (await host.alerts())["wakes", "arthur@mbp"]
    assert alert["count"] == 1
    assert "woken 6 times within an hour by neo@mbp" in alert["text"]
    await host.node.wakes.save()
    one = await wakes_of(host, "arthur")
    assert [held["what"] for held in one["held"]] == ["neo@mbp"]
    assert one["used"] == 6
    assert [wake["via"] for wake in one["hour"]] == ["hold", *["rewake"] * 6]

    await host.node.hearing.tell_held()
    (held,) = (await host.service.sent(await host.as_("neo"), limit=1))[0]["recipients"]
    assert (held["state"], held["why"]) == (
        "failed",
        "in its inbox; held: woken by neo@mbp 6 times within an hour",
    )

    await host.send("trin", "arthur", "an honest question")
    clock.now += 5
    assert await woken(host) == ["again", "an honest question"]

    await host.send("neo", "arthur", "and again")
    clock.now += 30
    assert await woken(host) is None
    released = await host.service.release_wakes(await host.owner(), "arthur")
    assert released["held"] == []
    assert await woken(host) == ["and again"]
    assert ("wakes", "arthur@mbp") not in await host.alerts()


async def test_an_agent_does_not_release_itself(host: Host, clock: Clock) -> None:
    with pytest.raises(Refused) as caught:
        await host.service.release_wakes(await host.as_("arthur"), "arthur")
    assert caught.value.code == "not_human"
    with pytest.raises(NotFound):
        await host.service.release_wakes(await host.owner(), "nobody")


async def test_a_release_lets_through_what_waits_at_once(host: Host, clock: Clock) -> None:
    await bounce(host, clock, 6)
    await host.send("neo", "arthur", "again")
    clock.now += 30
    waiting = asyncio.create_task(hear(host, "arthur", "rewake", wake=True, wait=30.0))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await host.service.release_wakes(await host.owner(), "arthur")
    assert texts(await asyncio.wait_for(waiting, 5)) == ["again"]


async def test_a_restart_does_not_make_anew_what_was_spent_or_held(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("arthur", "neo")
        clock = Clock(host)
        await bounce(host, clock, 6)
        await host.send("neo", "arthur", "again")
        clock.now += 5
        assert await woken(host) is None
        await host.node.wakes.save()
        later = clock.now
    async with running(home) as host:
        clock = Clock(host)
        clock.now = later + 60
        one = await wakes_of(host, "arthur")
        assert (one["used"], [held["what"] for held in one["held"]]) == (6, ["neo@mbp"])
        assert await woken(host) is None
        clock.now += 3600
        assert await woken(host) is None
        clock.now += 3600  # what comes now comes after an hour of silence
        await host.send("neo", "arthur", "good morning")
        assert await woken(host) == ["again", "good morning"]
        assert ("wakes", "arthur@mbp") not in await host.alerts()


async def test_two_that_talk_in_maw_wait_are_held_too_only_later(host: Host, clock: Clock) -> None:
    told = 0
    for at in range(400):
        await host.send("neo", "arthur", f"{at}")
        claim = await hear(host, "arthur", "wait")
        clock.now += 8
        if claim is not None:
            await heard(host, "arthur", claim)
            told += 1
    assert told == 5 * LIMITS.per_sender
    alert = (await host.alerts())["wakes", "arthur@mbp"]
    assert f"interrupted {told} times within an hour by neo@mbp" in alert["text"]
    await host.send("trin", "arthur", "an honest question")
    assert texts(await hear(host, "arthur", "wait")) == ["an honest question"]
    listener = host.service.listener(await host.as_("arthur"), 0)  # a program that reads all is not asked
    await listener.sent([one["seq"] for one in await host.inbox("arthur")])
    assert await host.service.release_wakes(await host.owner(), "arthur")
    listener.close()
    assert (await hear(host, "arthur", "wait")) is not None


async def test_groups_are_counted_together(host: Host, clock: Clock) -> None:
    for at in range(4):
        await host.post("neo" if at % 2 else "trin", f"hello @agents {at}")
        for _ in range(100):
            if await woken(host) is not None:
                break
            clock.now += 5
    await host.post("neo", "hello @agents, once more")
    clock.now += 300
    assert await woken(host) is None
    await host.send("neo", "arthur", "you")
    clock.now += 1
    assert await woken(host) == ["hello @agents, once more", "you"]


async def test_what_comes_while_it_is_quiet_is_shown_afterwards_with_how_long_it_waited(
    host: Host, clock: Clock
) -> None:
    owner = await host.owner()
    done = await host.service.set_dnd(owner, "arthur", "on")
    assert (done["dnd"], done["quiet"]) == ("on", True)
    await host.send("neo", "arthur", "are you there?")
    clock.now += 7200
    assert await woken(host) is None
    assert await hear(host, "arthur", "hook") is None
    assert texts(await hear(host, "arthur", "wait")) == ["are you there?"]  # who waits asks for it
    await host.service.set_dnd(owner, "arthur", "off")


async def test_quiet_ends_by_the_clock(host: Host, clock: Clock) -> None:
    minute = time.localtime(clock.now).tm_hour * 60 + time.localtime(clock.now).tm_min

    def at(offset: int) -> str:
        return f"{(minute + offset) // 60 % 24:02}:{(minute + offset) % 60:02}"

    await host.service.set_dnd(await host.as_("arthur"), None, f"{at(-60)}-{at(120)}")
    await host.send("neo", "arthur", "good night")
    clock.now += 60
    assert await woken(host) is None
    assert (await wakes_of(host, "arthur"))["quiet"] is True
    clock.now += 7200
    claim = await hear(host, "arthur", "rewake", wake=True)
    assert claim is not None
    assert f"1 of them waited up to 2h: dnd {at(-60)}-{at(120)}" in claim["text"]


async def test_the_hosts_quiet_counts_unless_an_agent_has_its_own(make_home: MakeHome) -> None:
    home = make_home("mbp")
    home.config.write_text(home.config.read_text().replace('# dnd = "22:00-07:00"', 'dnd = "on"'))
    async with running(home) as host:
        await host.add("arthur", "neo")
        await host.send("neo", "arthur", "one")
        assert await hear(host, "arthur") is None
        await host.service.set_dnd(await host.owner(), "arthur", "off")
        assert texts(await hear(host, "arthur")) == ["one"]
    async with running(home) as host:
        assert (await wakes_of(host, "arthur"))["dnd"] == "off"
        await host.service.set_dnd(await host.owner(), "arthur", "host")
        assert (await wakes_of(host, "arthur"))["dnd"] == "on"
        with pytest.raises(BadInput):
            await host.service.set_dnd(await host.owner(), "arthur", "tonight")


async def test_status_says_the_settings_and_what_was_counted(host: Host, clock: Clock) -> None:
    await bounce(host, clock, 2)
    await host.send("neo", "arthur", "shown to nobody")
    assert texts(await hear(host, "arthur")) == ["shown to nobody"]
    status = (await host.service.status(await host.owner()))["wakes"]
    assert {key: status[key] for key in ("per_hour", "per_sender", "per_groups", "dnd")} == {
        "per_hour": 12, "per_sender": 6, "per_groups": 4, "dnd": "off"
    }  # fmt: skip
    counts = status["agents"]["arthur"]["since_start"]
    assert (counts["wakes"], counts["digests"]) == (2, 2)
    assert counts["digest_bytes"] > 200
    others = await host.service.speaker_for_token((await host.service.add_user(
        await host.owner(), "stranger", "agent", uid=4242))["token"])  # fmt: skip
    assert list((await host.service.status(others))["wakes"]["agents"]) == ["stranger"]
    with pytest.raises(Refused):
        await host.service.wakes(others, "arthur")


async def test_a_nudge_that_was_never_typed_costs_nothing_on_the_disk_too(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("arthur", "neo")
        clock = Clock(host)
        for at in range(3 * LIMITS.per_sender):
            await host.send("neo", "arthur", f"{at}")
            clock.now += 20
            claim = await hear(host, "arthur", "pane", wake=True)
            await heard(host, "arthur", claim, failed="it is at work")
        one = await wakes_of(host, "arthur")
        assert (one["used"], one["held"], one["since_start"]["wakes"]) == (0.0, [], 0)
        await host.node.wakes.save()
        assert (await wakes_of(host, "arthur"))["hour"] == []
    async with running(home) as host:
        assert (await wakes_of(host, "arthur"))["used"] == 0.0
        assert texts(await hear(host, "arthur", "pane", wake=True, wait=5.0)) != []


async def test_a_keepers_claim_that_lapses_costs_nothing_until_it_is_confirmed_late(
    host: Host, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maw.core.claims.LEASE_S", 0.0)
    await host.send("neo", "arthur", "one")
    claim = await hear(host, "arthur", "exec", wake=True)
    assert (await wakes_of(host, "arthur"))["used"] == 1.0
    assert await hear(host, "arthur", "pane", wake=True) is None  # too soon after the one before
    assert (await wakes_of(host, "arthur"))["used"] == 0.0
    await heard(host, "arthur", claim)
    one = await wakes_of(host, "arthur")
    assert (one["used"], one["since_start"]["wakes"]) == (1.0, 1)


async def test_while_the_disk_takes_nothing_no_budget_is_used_up(
    host: Host, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(rows: object) -> None:
        raise Unavailable("the disk is full")

    await host.send("neo", "arthur", "are you there?")
    with monkeypatch.context() as patch:
        patch.setattr(host.node.wakes, "_write", full)
        for _ in range(2 * LIMITS.per_sender):
            clock.now += 10
            with pytest.raises(Unavailable):
                await woken(host)
    one = await wakes_of(host, "arthur")
    assert (one["used"], one["held"], one["since_start"]["wakes"]) == (0.0, [], 0)
    clock.now += 10
    assert await woken(host) == ["are you there?"]
