"""The machine under the agents: what keepers report, what the giver allows, what is told once and in a channel."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from maw.config import HostConfig
from maw.errors import NotFound, Refused
from maw.node.host_facts import HostFacts
from maw.node.hosting import Hosting
from tests.conftest import MakeHome
from tests.integration.nodes import Host, running, until

MIB = 1 << 20
PLENTY = HostFacts(0.5, 2, 16_000 * MIB, 8_000 * MIB, 0)


def agent(name: str, mib: int = 300, started_ms: int = 1_000) -> dict[str, Any]:
    return {"name": name, "memory_bytes": mib * MIB, "processes": 3, "started_ms": started_ms}


async def report(host: Host, *agents: dict[str, Any], **more: Any) -> dict[str, Any]:
    speaker = await host.owner()
    return await host.service.measured(speaker, list(agents), more.get("logs"), more.get("folders"))


async def enlist(host: Host, *names: str) -> None:
    for name in names:
        await host.service.enlist(
            await host.owner(), name, {"command": ["sleep", "9"], "session": name}, None
        )


@pytest.fixture
def facts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[HostFacts]]:
    """What the kernel says; tests change it."""
    now = [PLENTY]
    monkeypatch.setattr("maw.node.hosting.read_facts", lambda: now[0])
    monkeypatch.setattr("maw.node.hosting.EVERY_S", 0.0)
    monkeypatch.setattr("maw.node.bulletin.GATHER_S", 0.0)
    yield now


async def test_what_a_keeper_measured_is_shown_and_said_how_many_more_fit(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(make_home("mbp")) as host:
        await host.add("neo", "trinity")
        hosting = host.node.hosting
        hosting._read = lambda: PLENTY
        hosting._next = 0.0
        hosting.look()
        await report(host, agent("neo", 400), agent("trinity", 200))
        shown = await host.service.host(await host.owner())
        assert {one["agent"]: one["memory_bytes"] // MIB for one in shown["agents"]} == {
            "neo": 400,
            "trinity": 200,
        }
        assert shown["more_fit"] == (8_000 - 512) // 300
        assert shown["agents"][0]["per_day_bytes"] is None, "too young to tell"
        status = await host.service.status(await host.owner())
        assert status["host"]["agents_memory_bytes"] == {"neo": 400 * MIB, "trinity": 200 * MIB}
        await hosting.keep()
        rows = await host.node.db.rows("SELECT low, high FROM vitals")
        assert sorted(rows) == [(200 * MIB, 200 * MIB), (400 * MIB, 400 * MIB)]


async def test_another_users_agents_are_not_reported_of(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        owner = await host.owner()
        await host.service.add_user(owner, "theirs", "agent", uid=os.getuid() + 1)
        stranger = replace(owner, is_admin=False)
        with pytest.raises(Refused) as no:
            await host.service.measured(stranger, [agent("theirs")], None, None)
        assert no.value.code == "not_yours"
        assert host.node.hosting.taken(host.node.directory.local("theirs")) is None
        log = {"agent": "theirs", "path": "/p", "files": 1, "bytes": 1, "largest_bytes": 0}
        with pytest.raises(Refused):
            await host.service.measured(stranger, [], [log], None)
        nobody = replace(stranger, uid=os.getuid() + 2)
        with pytest.raises(Refused):
            await host.service.measured(nobody, [], None, [{"path": "/x", "bytes": 9}])
        folder = {"path": "/home/theirs", "bytes": 5}
        await host.service.measured(replace(owner, uid=os.getuid() + 1), [], None, [folder])
        assert (await host.service.host(stranger))["folders"] == []
        assert (await host.service.host(owner))["folders"] == [folder]


async def test_a_pause_stops_all_says_why_and_outlasts_a_restart(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("neo")
        await enlist(host, "neo")
        assert (await report(host, agent("neo")))["refused"] == {}
        await host.service.pause_host(await host.owner(), None, "a new disk")
        told = await report(host, agent("neo"))
        assert told["refused"] == {"neo": "this host is paused: a new disk"}
    async with running(home) as host:
        assert (await host.service.host(await host.owner()))["paused"] == "a new disk"
        await host.service.pause_host(await host.owner(), None, None)
        assert host.node.hosting.refused() == {}


async def test_one_agent_is_stopped_by_the_giver_and_told_why(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("neo", "noisy")
        await enlist(host, "neo", "noisy")
        await host.service.pause_host(await host.owner(), "noisy", "it fills the disk")
    async with running(home) as host:
        told = await report(host, agent("neo"), agent("noisy"))
        assert told["refused"] == {"noisy": "whoever gives this host stopped it: it fills the disk"}
        await host.service.pause_host(await host.owner(), "noisy", None)
        assert (await report(host, agent("neo"), agent("noisy")))["refused"] == {}
        with pytest.raises(NotFound):
            await host.service.pause_host(await host.owner(), "nobody", "who?")
        await host.service.pause_host(await host.owner(), "noisy", "again")
        await host.service.remove_user(await host.owner(), "noisy")
        told = await host.service.pause_host(await host.owner(), "noisy", None)
        assert told["refused"] == {} and host.node.hosting.stopped == {}, "also of one that is gone"


async def test_where_it_cannot_be_read_who_was_stopped_nobody_runs_until_a_human_says_so(
    make_home: MakeHome,
) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("noisy")
        await enlist(host, "noisy")
        await host.service.pause_host(await host.owner(), "noisy", "it fills the disk")
    with closing(sqlite3.connect(home.database)) as conn:
        conn.execute("UPDATE meta SET value = '{' WHERE key = 'host_stopped'")
        conn.commit()
    async with running(home) as host:
        assert "cannot be read" in (await report(host, agent("noisy")))["refused"]["noisy"]
        await host.service.pause_host(await host.owner(), None, None)
    async with running(home) as host:
        assert (await report(host, agent("noisy")))["refused"] == {}


async def test_what_the_giver_allows_is_held_to(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        await host.add("old", "young")
        hosting: Hosting = host.node.hosting
        hosting._given = HostConfig(agents=1)
        await enlist(host, "old", "young")
        told = await report(host, agent("old", started_ms=1), agent("young", started_ms=2))
        assert told["refused"] == {"young": "this host gives room to 1 agents"}
        status = await host.service.status(await host.owner())
        assert status["host"]["refused"].keys() == {"young"}
        kept = await host.service.keep(await host.owner(), os.getpid(), "0")
        assert kept["refused"].keys() == {"young"}


async def test_a_line_is_told_once_in_the_channel_and_again_only_when_it_was_over(
    make_home: MakeHome, facts: list[HostFacts]
) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        hosting = host.node.hosting
        hosting._read = lambda: facts[0]

        async def told(count: int) -> list[str]:
            await until(lambda: _said(host) >= count, f"{count} alerts in the channel", 20)
            async with asyncio.timeout(20):  # counted as they are written, read when that is committed
                while len(found := await host.channel("alerts")) < count:
                    await asyncio.sleep(0.01)
            return found

        facts[0] = replace(PLENTY, available=100 * MIB)
        assert "100 MiB of memory are left on mbp" in (await told(1))[0]
        facts[0] = replace(PLENTY, available=90 * MIB)  # no better, no worse: nobody is told again
        hosting._next = 0.0
        hosting.look()
        await host.node.herald.keep()
        assert _said(host) == 1
        facts[0] = PLENTY
        hosting._next = 0.0
        hosting.look()
        facts[0] = replace(PLENTY, available=50 * MIB)
        hosting._next = 0.0
        hosting.look()
        assert "50 MiB" in (await told(2))[1]
        page = await host.service.channel_page(
            await host.owner(), "alerts", after_seq=0, before_seq=None, limit=9
        )
        assert {(item["author"], item["intent"]) for item in page.items} == {("maw@mbp", "inform")}
    async with running(home) as host:  # it is so still: a restart is no news
        hosting = host.node.hosting
        hosting._read = lambda: facts[0]
        hosting._next = 0.0
        hosting.look()
        await host.node.herald.keep()
        assert _said(host) == 2


async def test_session_logs_beyond_the_line_are_told_with_whose_they_are(
    make_home: MakeHome, facts: list[HostFacts]
) -> None:
    async with running(make_home("mbp")) as host:
        await host.add("neo")
        log = {"agent": "neo", "path": "/p", "files": 2, "bytes": 900 * MIB, "largest_bytes": 400 * MIB}
        small = {"agent": None, "path": "/q", "files": 1, "bytes": MIB, "largest_bytes": MIB}
        await report(host, agent("neo"), logs=[log, small])
        alerts = (await host.service.status(await host.owner()))["alerts"]
        assert [(one["kind"], one["subject"]) for one in alerts] == [("session_log", "neo")]
        assert "400 MiB (900 in all)" in alerts[0]["text"]
        await report(host, agent("neo"), logs=[{**log, "largest_bytes": MIB, "bytes": MIB}])
        assert (await host.service.status(await host.owner()))["alerts"] == []


async def test_who_tells_of_a_thousand_folders_is_not_made_a_thousand_alerts(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        await host.add("neo")
        for turn in range(3):
            logs = [
                {
                    "agent": None,
                    "path": f"/p/{turn}-{n}",
                    "files": 1,
                    "bytes": 400 * MIB,
                    "largest_bytes": 400 * MIB,
                }
                for n in range(1000)
            ]
            await report(host, agent("neo"), logs=logs)
        assert len(host.node.hosting._lines.crossed) <= 15
        assert len((await host.service.status(await host.owner()))["alerts"]) <= 15


def _said(host: Host) -> int:
    channel = host.node.state.channels.get("alerts")
    return channel.messages if channel else 0
