"""maw move: what is asked of the daemon, and what is told of the answer."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from maw.agents.life.home import write_home
from maw.agents.moving import folder
from maw.node.homes import pack
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_daemon import FakeDaemon, error

TIME = "2026-11-21T08:00:00.123Z"


def move(**more: Any) -> dict[str, Any]:
    return {
        "id": "0a1b2c3d4e5f", "agent": "scout", "leaving": True, "host": "pi", "key": "mk1", "step": "offered",
        "why": None, "at": TIME, "progress": None, "uid": None, "home": None, "home_waits": False,
        "warnings": [], **more,
    }  # fmt: skip


@pytest.fixture(autouse=True)
def nobody(home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAW_AGENT", "MAW_AGENT_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_one_that_waits_for_consent_says_how_it_goes_on(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/moves"] = (200, [])
    daemon.answers["POST /api/moves"] = (201, move())
    result = cli("move", "@scout", "pi", "--wait", "0s", "--without-home")
    assert result.code == 7
    assert "it accepts with `maw move accept 0a1b2c3d4e5f`" in result.err
    assert "maw move cancel" in result.err
    asked = [one for one in daemon.asked if one.method == "POST"]
    assert [(one.path, one.body) for one in asked] == [("/api/moves", {"agent": "scout", "host": "pi"})]


def test_one_that_was_refused_stays(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/moves"] = (200, [])
    daemon.answers["POST /api/moves"] = (201, move(step="refused", why="no room"))
    result = cli("move", "to", "scout", "pi", "--without-home")
    assert result.code == 6
    assert "the move of scout was refused: no room" in result.err


def test_one_that_has_moved_already_is_done(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/moves"] = (200, [move(step="moved")])
    daemon.answers["GET /api/users"] = (200, [{"username": "scout", "local": False}])
    result = cli("move", "scout", "pi", "--without-home")
    assert (result.code, result.out) == (0, "scout has moved to pi\n")


def test_how_the_moves_are(cli: Cli, daemon: FakeDaemon) -> None:
    ways = [
        move(progress="home.tar.gz: 5 of 9 bytes (coming)", step="handed"),
        move(id="1a1b2c3d4e5f", leaving=False, step="home", home_waits=True),
        move(id="2a1b2c3d4e5f", leaving=False),
    ]
    daemon.answers["GET /api/moves"] = (200, ways)
    lines = cli("move", "status").out.splitlines()
    assert "to pi" in lines[0] and "5 of 9 bytes" in lines[0]
    assert "from pi" in lines[1] and "its folder waits: maw move home 1a1b2c3d4e5f" in lines[1]
    offers = cli("move", "offers", "--json")
    assert [one["id"] for one in json.loads(offers.out)] == ["2a1b2c3d4e5f"]
    assert "2026-11-21T08:00:00Z" in lines[0], "to the second, and of which zone"
    assert cli("move").out == cli("move", "status").out
    assert cli("move", "--json").out == cli("move", "status", "--json").out
    daemon.answers["GET /api/moves"] = (200, [])
    assert cli("move", "status").code == cli("move", "offers").code == 1


@pytest.mark.parametrize(
    ("words", "body", "step"),
    [
        (("refuse", "scout", "--why", "no room"), {"do": "refuse", "why": "no room"}, "refused"),
        (("cancel", "scout"), {"do": "cancel"}, "cancelled"),
    ],
)
def test_what_is_decided(
    cli: Cli, daemon: FakeDaemon, words: tuple[str, ...], body: dict[str, Any], step: str
) -> None:
    daemon.answers["POST /api/moves/scout"] = (200, move(step=step))
    result = cli("move", *words, tty=True)
    assert (result.code, result.out) == (0, f"the move of scout was {step}\n")
    assert daemon.asked[-1].body == body


def test_accepting_waits_and_tells_what_is_left_to_do(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["POST /api/moves/scout"] = (200, move(leaving=False, step="accepted"))
    daemon.answers["GET /api/moves"] = (200, [move(leaving=False, step="home")])
    result = cli("move", "accept", "scout", "--user", "0", "--dir", "/srv/scout", "--as", "~")
    assert (result.code, result.out) == (0, "scout lives here now\n")
    (asked,) = [one for one in daemon.asked if one.method == "POST"]
    assert asked.body == {"do": "accept", "uid": 0, "home": "/srv/scout"}
    assert "maw agent token scout" in result.err


def test_an_error_of_the_daemon_is_told(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["POST /api/moves/scout"] = error(409, "not_now", "the move of scout is done: it has moved")
    result = cli("move", "cancel", "scout")
    assert result.code == 6 and "the move of scout is done" in result.err


@pytest.mark.parametrize("named", [True, False])
def test_what_is_in_the_way_is_told_before_anything_is_accepted(
    cli: Cli, daemon: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    monkeypatch.setattr(folder, "default_home", lambda name, uid: tmp_path / "agents" / name)
    place = tmp_path / "agents" / "scout"
    place.mkdir(parents=True)
    (place / "mine").write_text("something")
    where = ["--dir", str(place)] if named else []
    daemon.answers["GET /api/moves"] = (200, [move(leaving=False)])
    result = cli("move", "accept", "0a1b", "--as", "~", *where)
    assert result.code == 6
    assert f"{place} is there, and not empty" in result.err and "--without-home" in result.err
    assert [one.method for one in daemon.asked] == ["GET"], "nothing was accepted"
    daemon.answers["POST /api/moves/0a1b"] = (200, move(leaving=False, step="home", home_waits=True))
    daemon.answers["GET /api/moves"] = (200, [move(leaving=False, step="home", home_waits=True)])
    assert cli("move", "accept", "0a1b", "--as", "~", *where, "--without-home").code == 0, (
        "it was brought by hand"
    )


def test_of_an_agent_that_went_and_came_back_the_coming_is_meant(
    cli: Cli, daemon: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is in the way then is told with the command that goes on."""
    (tmp_path / "mine").write_text("something")
    there = move(id="1a1b2c3d4e5f", leaving=False, step="home", home_waits=True, uid=os.geteuid())
    daemon.answers["GET /api/moves"] = (200, [move(step="moved"), there])
    packed = io.BytesIO()
    (tmp_path / "empty").mkdir()
    pack(tmp_path / "empty", packed)
    monkeypatch.setattr("maw.client.files.pull", lambda daemon, path: [packed.getvalue()])
    result = cli("move", "home", "scout", "--dir", str(tmp_path))
    assert result.code == 6 and "maw move home scout --dir HOME" in result.err
    daemon.answers["POST /api/moves/1a1b2c3d4e5f"] = (200, there)
    assert cli("move", "home", "scout", "--dir", str(tmp_path / "new")).code == 0


def test_its_old_home_is_set_aside_once_it_has_moved(
    cli: Cli, daemon: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "scout"
    write_home(home, "scout")
    folder.note_move(home, "0a1b2c3d4e5f")
    daemon.answers["GET /api/moves"] = (200, [move(step="moved")])
    daemon.answers["GET /api/users"] = (200, [])
    result = cli("move", "scout", "pi", "--dir", str(home))
    (kept,) = tmp_path.glob("scout.moved-*")
    assert (result.code, result.out) == (0, "scout has moved to pi\n")
    assert str(kept) in result.err and (kept / "soul.md").is_file() and not home.exists()
    again = cli("move", "scout", "pi", "--dir", str(home))
    assert (again.code, again.out) == (0, "scout has moved to pi\n"), "asked again it is no error"


def test_what_is_to_be_done_before_it_goes_is_told(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/moves"] = (200, [])
    daemon.answers["POST /api/moves"] = (201, move(warnings=["scout made #plans"]))
    assert "note: scout made #plans" in cli("move", "scout", "pi", "--wait", "0s", "--without-home").err
