"""maw wakes, maw dnd: what is asked, and what is told of the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_daemon import Asked, FakeDaemon, error

TIME = "2026-11-21T08:00:00.123Z"


def one(name: str = "neo", **more: Any) -> dict[str, Any]:
    return {
        "agent": f"{name}@mbp", "used": 3.25, "held": [], "dnd": "off", "quiet": False, "waiting": 0,
        "hears_by": ["rewake", "stream"],
        "since_start": {"wakes": 3, "digests": 5, "digest_bytes": 912}, **more,
    }  # fmt: skip


@pytest.fixture(autouse=True)
def limits(home: object, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAW_AGENT", raising=False)
    daemon.answers["GET /api/status"] = (200, {"wakes": {"per_hour": 60}})


def test_all_agents(cli: Cli, daemon: FakeDaemon) -> None:
    held = [{"what": "trin@pi", "since": TIME, "wakes": 24}, {"what": "groups", "since": TIME, "wakes": 10}]
    daemon.answers["GET /api/wakes"] = (
        200,
        [one("arthur", held=held, waiting=2, hears_by=[]), one(dnd="22:00-07:00", quiet=True)],
    )
    result = cli("wakes")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == "arthur@mbp · woken 3.25 of 60 times this hour · nothing wakes it while it is idle"
    assert lines[1].startswith("  held since ")
    assert lines[1].endswith(": trin@pi, after 24 wakes")
    assert lines[2].endswith(": messages to groups, after 10 wakes")
    assert lines[3:] == [
        "  2 not announced yet",
        "neo@mbp · woken 3.25 of 60 times this hour · hears by rewake, stream · not to be disturbed: 22:00-07:00, now",
    ]


def test_one_agent_with_its_hour(cli: Cli, daemon: FakeDaemon) -> None:
    hour = [{"at": TIME, "via": "rewake", "causes": ["a@x", "b@y"], "messages": 3}]
    daemon.answers["GET /api/wakes"] = (200, [one(hour=hour)])
    result = cli("wakes", "@neo")
    assert daemon.asked[0].query == {"agent": "neo"}
    assert result.out.splitlines()[1].endswith(" · rewake · a@x, b@y · 3 messages")


def test_nobody_is_here(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/wakes"] = (200, [])
    assert cli("wakes").code == 1


def test_release(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["POST /api/wakes/release"] = (200, one())
    result = cli("wakes", "release", "@neo", "--as", "~")
    assert (result.code, daemon.last.body) == (0, {"agent": "neo"})
    assert result.out == "neo@mbp is woken again for what comes, and for what waits\n"
    assert json.loads(cli("wakes", "release", "neo", "--as", "~", "--json").out)["agent"] == "neo@mbp"
    daemon.answers["POST /api/wakes/release"] = error(403, "not_human", "an agent speaks here")
    assert cli("wakes", "release", "neo", "--as", "~").code == 6


@pytest.mark.parametrize("words", [["release"], ["neo", "trin"], ["release", "neo", "trin"]])
def test_what_makes_no_sense_is_refused(words: list[str], cli: Cli, daemon: FakeDaemon) -> None:
    assert cli("wakes", *words).code == 2
    assert daemon.asked == []


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (["neo", "on"], {"agent": "neo", "quiet": "on"}),
        (["@neo", "22:00-07:00"], {"agent": "neo", "quiet": "22:00-07:00"}),
        (["neo", "host"], {"agent": "neo", "quiet": "host"}),
        (["off", "--as", "neo"], {"agent": "neo", "quiet": "off"}),
        (["22:00-07:00", "--as", "neo"], {"agent": "neo", "quiet": "22:00-07:00"}),
    ],
)
def test_dnd_is_set(words: list[str], body: dict[str, str], cli: Cli, daemon: FakeDaemon) -> None:
    said: list[Asked] = []

    def take(asked: Asked) -> tuple[int, Any]:
        said.append(asked)
        return 200, one(dnd=body["quiet"])

    daemon.answers["POST /api/dnd"] = take
    daemon.answers["GET /api/wakes"] = (200, [one(dnd="22:00-07:00", quiet=True)])
    result = cli("dnd", *words)
    assert (result.code, result.err) == (0, "")
    assert result.out == "neo@mbp · not to be disturbed: 22:00-07:00, now\n"
    assert [asked.body for asked in said] == [body]


def test_dnd_is_shown(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/wakes"] = (200, [one()])
    assert cli("dnd", "neo").out == "neo@mbp · dnd off\n"
    assert json.loads(cli("dnd", "neo", "--json").out) == {"agent": "neo@mbp", "dnd": "off", "quiet": False}


def test_a_time_that_is_none_is_refused_before_anything_is_asked(cli: Cli, daemon: FakeDaemon) -> None:
    result = cli("dnd", "neo", "tonight")
    assert (result.code, daemon.asked) == (2, [])
    assert "22:00-07:00" in result.err
