"""maw cost: what is asked, and what is told of the answer."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from maw.cli import session
from maw.cli.costs import COLUMNS, as_csv
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_daemon import FakeDaemon

COUNTS = {
    "wakes": 3, "pulses": 40, "messages": 12, "bytes": 4096, "runs": 2, "unpriced_runs": 0, "untold_runs": 0,
    "runner_s": 61.5, "input_tokens": 1200, "output_tokens": 900, "cache_tokens": 48000, "usd": 0.0123,
}  # fmt: skip
CAP = {
    "scope": "agent", "of": "scout@mbp", "unit": "usd", "limit": 2.0, "spent": 1.7, "assumed": 0.5,
    "unknown_runs": 0, "percent": 85, "source": "maw.toml",
}  # fmt: skip


def line(**more: Any) -> dict[str, Any]:
    return {"day": "2026-11-22", "agent": "scout@mbp", "model": "opus", **COUNTS, **more}


def answer(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    total = {name: sum(item[name] for item in items) for name in COUNTS}
    told = {
        "today": "2026-11-22",
        "since": "2026-11-16",
        "until": "2026-11-22",
        "scope": "host",
        "more": False,
    }
    return {**told, "items": list(items), "total": total, "caps": [], "halted": [], "unseen": [], **more}


@pytest.fixture(autouse=True)
def nobody(home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAW_AGENT", raising=False)


def test_models_are_one_line_and_totals_follow(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/costs"] = (
        200,
        answer(line(), line(model="haiku", usd=1.5, unpriced_runs=1), line(day="2026-11-21")),
    )
    result = cli("cost")
    assert (result.code, daemon.asked[0].query) == (0, {"scope": "host"})
    rows = [row.split() for row in result.out.splitlines()]
    assert [(row[0], row[1], row[2]) for row in rows[:2]] == [
        ("2026-11-22", "scout@mbp", "$1.51+?"), ("2026-11-21", "scout@mbp", "$0.0123")
    ]  # fmt: skip
    assert rows[2][:3] == ["total", "$1.52+?", "6"]


def test_one_agent_by_model_and_days(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/costs"] = (200, answer(line(), line(model=None)))
    result = cli("cost", "@scout", "--days", "30", "--all")
    assert daemon.asked[0].query == {"agent": "scout", "scope": "colony"}
    assert daemon.asked[1].query == {
        "agent": "scout", "scope": "colony", "since": "2026-10-24", "until": "2026-11-22"
    }  # fmt: skip
    assert [row.split()[2] for row in result.out.splitlines()[:2]] == ["opus", "–"]


def test_caps_and_who_is_halted(cli: Cli, daemon: FakeDaemon) -> None:
    halted = [{"agent": "scout", "why": "halted: its $2.00 a day are spent; until 2026-11-23T00:00:00Z"}]
    daemon.answers["GET /api/costs"] = (200, answer(line(), caps=[CAP], halted=halted))
    lines = cli("cost").out.splitlines()
    assert lines[-2].split("  ")[0] == "scout@mbp"
    assert "$1.70 of $2.00 a day" in lines[-2] and "85 %" in lines[-2] and "assumed $0.5000" in lines[-2]
    assert lines[-1] == "scout is halted: its $2.00 a day are spent; until 2026-11-23T00:00:00Z"


@pytest.mark.parametrize(
    "words",
    [("cost", "cap", "bee", "usd=999"), ("cost", "resume", "bee"), ("cost", "resume", "--clock"),
     ("wakes", "release", "bee"), ("move", "accept", "bee"), ("move", "refuse", "bee"), ("host", "resume"),
     ("death", "bee"), ("birth", "bee", "--local")],
)  # fmt: skip
def test_an_agents_program_that_hides_whose_it_is_decides_nothing(
    cli: Cli, daemon: FakeDaemon, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`env -u MAW_AGENT maw cost cap bee usd=999` in a runner."""
    monkeypatch.setattr(session, "agent_above", lambda: "bee")
    daemon.answers["GET /api/whoami"] = (200, {"name": "bee", "role": "agent"})
    done = cli(*words)
    assert done.code == 6 and "bee runs this command" in done.err
    assert {one.path for one in daemon.asked} == {"/api/whoami"}


def test_a_cap_is_set_and_an_agent_resumed(
    cli: Cli, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAW_AGENT", "~")
    halted = [{"agent": "scout", "why": "halted: a run of its told no money"}]
    told = {"caps": [{**CAP, "unknown_runs": 2}], "halted": halted, "unseen": ["neo"]}
    daemon.answers["POST /api/costs/cap"] = daemon.answers["POST /api/costs/resume"] = (200, told)
    result = cli("cost", "cap", "@scout", "usd=$2.50/day", "tokens=1_000_000", "runner_s=off")
    assert daemon.asked[-1].body == {
        "agent": "scout",
        "usd": "2.500000",
        "tokens": 1000000,
        "runner_s": "off",
    }
    assert "scout is halted now, however much is left of the cap: 2 runs of today told no money" in result.err
    assert (
        "maw cost resume scout; [cost] unknown_usd in maw.toml" in result.err
        and "at least 85 %" in result.out
    )
    assert "neo work in a session of their own" in result.err
    cli("cost", "cap", "--host", "usd=20")
    assert daemon.asked[-1].body == {"usd": "20.000000"}
    cli("cost", "resume", "scout")
    assert daemon.asked[-1].body == {"agent": "scout"}
    cli("cost", "resume", "--host")
    assert daemon.asked[-1].body == {}
    cli("cost", "resume", "--clock")
    assert daemon.asked[-1].body == {"clock": True}


@pytest.mark.parametrize(
    "wrong",
    [
        ("cost", "cap"), ("cost", "cap", "scout"), ("cost", "cap", "scout", "--host", "usd=1"),
        ("cost", "cap", "scout", "euro=1"), ("cost", "resume"), ("cost", "resume", "scout", "usd=1"),
        ("cost", "scout", "neo"), ("cost", "--host"), ("cost", "--clock"),
        ("cost", "resume", "scout", "--clock"), ("cost", "--days", "0"), ("cost", "cap", "a", "b", "usd=1"),
    ],
)  # fmt: skip
def test_what_is_not_understood_asks_nobody(cli: Cli, daemon: FakeDaemon, wrong: tuple[str, ...]) -> None:
    assert (cli(*wrong).code, daemon.asked) == (2, [])


def test_nothing_was_counted(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/costs"] = (200, answer())
    assert cli("cost").code == 1
    assert cli("cost", "--json").code == 1


def test_csv_reads_back_and_holds_no_formula(cli: Cli, daemon: FakeDaemon) -> None:
    hostile = ['=HYPERLINK("http://x")', "+1", "-1", "@sum", 'a,"b"\r\nc', None]
    daemon.answers["GET /api/costs"] = (200, answer(*(line(model=model) for model in hostile)))
    text = cli("cost", "--csv").out
    rows = list(
        csv.reader(io.StringIO(text.replace("\n", "\r\n") if "\r\n" not in text else text, newline=""))
    )
    assert rows[0] == list(COLUMNS)
    assert [row[2] for row in rows[1:]] == ["'" + hostile[0], "'+1", "'-1", "'@sum", hostile[4], ""]  # type: ignore[operator]
    assert rows[1][-1] == "0.012300"
    assert as_csv([]) == ",".join(COLUMNS) + "\r\n"


def test_json_is_the_daemons(cli: Cli, daemon: FakeDaemon) -> None:
    told = answer(line())
    daemon.answers["GET /api/costs"] = (200, told)
    assert json.loads(cli("cost", "--json").out) == told
