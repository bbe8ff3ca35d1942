"""Clocks that jump on one host and not on the other, while it runs and when it starts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.conftest import MakeHome
from tests.e2e.clocks import ClockedDaemon
from tests.e2e.daemons import Daemon
from tests.e2e.lab import wait_until

HOUR = 3600
YEAR = 365 * 24 * HOUR
Pair = tuple[ClockedDaemon, ClockedDaemon]


@pytest.fixture
def hosts(make_home: MakeHome) -> Iterator[Pair]:
    """Two that are linked."""
    mbp, oracle = (ClockedDaemon(make_home(name).path) for name in ("mbp", "oracle"))
    with mbp, oracle:
        oracle.maw("join", json.loads(mbp.maw("invite", "--json"))["line"])
        wait_until(lambda: linked(mbp) and linked(oracle), "the two are linked")
        yield mbp, oracle


def linked(daemon: Daemon) -> bool:
    return [peer["state"] for peer in daemon.ask("GET", "/api/peers")[1]] == ["linked"]


def say(daemon: Daemon, text: str) -> None:
    status, said = daemon.ask("POST", "/api/channels/general/messages", {"text": text}, agent="owner")
    assert status == 201, said


def texts(daemon: Daemon, author: str = "") -> list[str]:
    return [item["text"] for item in daemon.channel() if item["text"].startswith(author)]


def clock_alerts(daemon: Daemon) -> list[dict[str, Any]]:
    return [item for item in daemon.ask("GET", "/api/status")[1]["alerts"] if item["kind"] == "clock"]


def noticed(daemon: Daemon, words: str, after: int) -> bool:
    return words in daemon.log.read_text()[after:]


@pytest.mark.parametrize("jumper", [0, 1])
def test_a_running_clock_that_jumps_by_hours_either_way(hosts: Pair, jumper: int) -> None:
    """Each message is everywhere once, each author in his order, and no time is shown from the far future."""
    expected: dict[str, list[str]] = {"mbp": [], "oracle": []}
    for number, hours in enumerate((5, -7, 30, 0)):
        seen = len(hosts[jumper].log.read_text())
        hosts[jumper].set_clock(hours * HOUR)
        wait_until(lambda seen=seen: noticed(hosts[jumper], "the wall clock was set", seen), "it is noticed")  # type: ignore[misc]
        for daemon, name in zip(hosts, expected, strict=True):
            for part in "ab":
                text = f"{name} {number}{part}"
                say(daemon, text)
                expected[name].append(text)
    for daemon in hosts:
        for name, said in expected.items():
            wait_until(lambda d=daemon, n=name, s=said: texts(d, n) == s, f"{name}'s words, once, in order")  # type: ignore[misc]
    other = hosts[1 - jumper]
    latest = time.time() + 16 * 60
    marked = [item for item in other.channel() if item["clock_suspect"]]
    assert marked, "what was said half a day ahead is marked where the clock is right"
    for item in other.channel():
        assert datetime.fromisoformat(item["created_at"]).timestamp() < latest, item


@pytest.mark.parametrize("wrong", [-56 * YEAR, 80 * YEAR], ids=["1970", "2106"])
@pytest.mark.parametrize("dead", [0, 1])
def test_a_host_without_a_battery_links_and_says_so(hosts: Pair, dead: int, wrong: int) -> None:
    """Whoever of the two dials: the certificate of the other is of another century, and that is all."""
    for daemon in hosts:
        assert daemon.stop() == 0
    hosts[dead].set_clock(wrong)
    for daemon in hosts:
        daemon.start()
    wait_until(lambda: linked(hosts[0]) and linked(hosts[1]), "they link all the same", 30)
    for daemon, text in zip(hosts, ("from mbp", "from oracle"), strict=True):
        say(daemon, text)
    for daemon in hosts:
        wait_until(lambda d=daemon: sorted(texts(d)) == ["from mbp", "from oracle"], "all is everywhere")  # type: ignore[misc]
        wait_until(lambda d=daemon: bool(clock_alerts(d)), "and somebody is told")  # type: ignore[misc]
    assert any("this host's clock says" in item["text"] for item in clock_alerts(hosts[dead]))
    assert not any("this host's clock says" in item["text"] for item in clock_alerts(hosts[1 - dead]))
