"""What a human is told: floods and silence by how often each speaks, in a channel, by a command, at an address."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from aiohttp import web

from maw.config import AlertsConfig
from maw.core.effects import Alert
from maw.core.rhythm import FLOOD_AT, KEPT_HOURS, REGULAR
from maw.errors import Unavailable
from maw.node.bell import run_command
from maw.node.rhythm import HOUR_MS
from tests.conftest import MakeHome
from tests.integration.nodes import Host, config_of, running, until

NOW = 500_000


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maw.node.bulletin.GATHER_S", 0.0)
    monkeypatch.setattr("maw.node.bulletin.PAUSE_S", 0.0)
    monkeypatch.setattr("maw.node.bell.LOOK_S", 0.01)


# -- how often each speaks -----------------------------------------------------------------------------


async def counted(host: Host, hour: int) -> dict[int, int]:
    """Looks once, in this hour; what neo said, by hour."""
    rhythm = host.node.rhythm
    rhythm._wall_ms = lambda: hour * HOUR_MS
    rhythm._next = 0.0
    await rhythm.keep()
    kept = await host.node.db.rows("SELECT agent, hour, messages FROM rhythm")
    sums: dict[int, int] = {}
    for _, at, messages in kept:
        sums[at] = sums.get(at, 0) + messages
    assert sums == rhythm._sums
    return {at: messages for agent, at, messages in kept if agent == host.node.state.local["neo"].n}


async def pretend(host: Host, counts: dict[int, int]) -> None:
    """As if neo had said so many in these hours, before this maw ran."""
    n = host.node.state.local["neo"].n

    async def write(conn: aiosqlite.Connection) -> None:
        await conn.executemany("INSERT INTO rhythm VALUES (?, ?, ?)", [(n, *one) for one in counts.items()])

    await host.node.writer.submit(write)
    host.node.rhythm._sums = dict(counts)
    host.node.rhythm._hour = -1


async def test_what_is_said_is_counted_once_also_over_a_restart(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("neo")
        hour = host.node.rhythm._wall_ms() // HOUR_MS
        assert await counted(host, hour) == {}
        for n in range(3):
            await host.post("neo", f"word {n}")
        assert sum((await counted(host, hour + 1)).values()) == 3
        assert sum((await counted(host, hour + 1)).values()) == 3
        await host.post("neo", "said just before the end")
    async with running(home) as host:
        assert sum((await counted(host, hour + 1)).values()) == 4
        late = await counted(host, hour + KEPT_HOURS + 2)
        assert late == {}
        assert await host.node.db.rows("SELECT count(*) FROM rhythm WHERE messages > 0") == [(0,)]


async def test_who_falls_silent_is_told_until_it_speaks_again(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("neo")
        await counted(host, NOW)
        await pretend(host, dict.fromkeys(range(NOW - REGULAR, NOW), 2))
        await counted(host, NOW + 2)
        assert ("quiet", "neo@mbp") not in await host.alerts()
        await counted(host, NOW + 5)
        assert "6 hours" in (await host.alerts())["quiet", "neo@mbp"]["text"]
        await host.node.herald.keep()
        assert ["neo@mbp has said nothing" in text for text in await host.channel("alerts")] == [True]
        await host.node.writer.submit(lambda conn: conn.execute("DELETE FROM rhythm"))
    async with running(home) as host:  # told by an earlier run, and over by now
        await counted(host, NOW + 5)
        assert ("quiet", "neo@mbp") not in await host.alerts()


async def test_a_flood_is_told_with_who_and_what_to_do(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        await host.add("neo")
        await counted(host, NOW)
        await pretend(host, {**dict.fromkeys(range(NOW - REGULAR, NOW), 2), NOW: FLOOD_AT})
        await counted(host, NOW)
        text = (await host.alerts())["surge", "neo@mbp"]["text"]
        assert f"{FLOOD_AT} messages within this hour; it usually says 2" in text
        assert "maw agent stop neo" in text
        host.node.rhythm._address = lambda row: "neo@renamed"
        await counted(host, NOW)
        assert ("surge", "neo@renamed") in await host.alerts() and (
            "surge",
            "neo@mbp",
        ) not in await host.alerts()
        await counted(host, NOW + 1)
        assert ("surge", "neo@renamed") not in await host.alerts(), "another hour"


async def test_nobodys_counts_are_read_while_nothing_happens(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        await host.add("neo")
        await host.post("neo", "one")
        hour = host.node.rhythm._wall_ms() // HOUR_MS
        await counted(host, hour)
        known = host.node.rhythm._of_agent.copy()
        assert known
        await counted(host, hour)
        assert all(host.node.rhythm._of_agent[n] is found for n, found in known.items())
        await host.post("neo", "two")
        await counted(host, hour)
        n = host.node.state.local["neo"].n
        assert host.node.rhythm._of_agent[n] is not known[n]


# -- the owner's own ways ------------------------------------------------------------------------------


@asynccontextmanager
async def called(make_home: MakeHome, **ways: str) -> AsyncIterator[Host]:
    home = make_home("mbp")
    async with running(home, config=replace(config_of(home), alerts=AlertsConfig(**ways))) as host:
        yield host


def kinds(lines: list[dict[str, Any]]) -> list[str]:
    return [alert["kind"] for line in lines for alert in line["alerts"]]


async def test_a_command_is_called_once_for_each_alert(make_home: MakeHome, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    program = f"import sys; open({str(heard)!r}, 'a').write(sys.stdin.read() + '\\n')"
    async with called(make_home, exec=shlex.join([sys.executable, "-c", program])) as host:
        alerts = host.node.alerts
        alerts.raise_alert(Alert("fork", "abc", "two things at one place\u202e"))

        def lines() -> list[dict[str, Any]]:
            return [json.loads(line) for line in heard.read_text().splitlines()] if heard.exists() else []

        await until(lambda: kinds(lines()) == ["fork"], "it is called")
        alerts.raise_alert(Alert("fork", "abc", "again"))
        alerts.raise_alert(Alert("disk", "mbp", "little is left"))
        await until(lambda: kinds(lines()) == ["fork", "disk"], "only what is new is told")
        assert lines()[0]["node"] == "mbp"


async def test_what_cannot_be_called_is_an_alert_and_is_tried_again(
    make_home: MakeHome, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    program = f"import os, sys; print('no pager'); sys.exit(0 if os.path.exists({str(there)!r}) else 3)"
    async with called(make_home, exec=shlex.join([sys.executable, "-c", program])) as host:
        host.node.alerts.raise_alert(Alert("fork", "abc", "two things at one place"))
        alert = await host.alert("bell")
        assert "ended with exit code 3: no pager" in alert["text"]
        there.touch()
        bulletin = host.node.bell._ways["exec"]
        await until(lambda: bulletin.times_told == 1, "it is told after all")
        await until(
            lambda: ("bell", "exec") in host.node.alerts._settled or not host.node.alerts.unsaved, "settled"
        )
        assert ("bell", "exec") not in await host.alerts()


async def test_a_webhook_is_posted_the_same(make_home: MakeHome, unused_tcp_port: int) -> None:
    posted: list[dict[str, Any]] = []
    answers = [503, 302, 200]

    async def take(request: web.Request) -> web.Response:
        status = answers.pop(0)
        if status == 200:
            posted.append(await request.json())
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else None)

    app = web.Application()
    app.router.add_post("/maw", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", unused_tcp_port)
    await site.start()
    try:
        async with called(make_home, webhook=f"http://127.0.0.1:{unused_tcp_port}/maw") as host:
            host.node.alerts.raise_alert(Alert("silence", "mbp", "three nodes fell silent"))
            await until(lambda: posted, "it is posted")
    finally:
        await runner.cleanup()
    assert posted == [
        {"node": "mbp", "alerts": [{"kind": "silence", "subject": "mbp", "text": "three nodes fell silent"}]}
    ]
    assert answers == []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["/nonexistent/pager"], "cannot be run"),
        ([sys.executable, "-c", "import time; time.sleep(60)"], "did not end within 0.5 s"),
        ([sys.executable, "-c", "raise SystemExit(4)"], "exit code 4"),
    ],
)
async def test_a_command_that_fails_is_told_with_why(
    words: list[str], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maw.node.bell.EXEC_S", 0.5)
    with pytest.raises(Unavailable, match=why):
        await run_command(words, b"{}")


async def test_a_command_may_print_more_than_a_pipe_holds_and_read_nothing() -> None:
    await run_command([sys.executable, "-c", "print('x' * 1_000_000)"], b"y" * 1_000_000)
