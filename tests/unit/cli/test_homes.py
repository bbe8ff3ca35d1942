"""maw agent home: a home is made, and nothing that is there is written over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maw.agents.life.home import read_home
from tests.unit.cli.conftest import Cli


@pytest.fixture(autouse=True)
def at_home(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_home_is_made_without_a_daemon(cli: Cli, tmp_path: Path) -> None:
    result = cli("agent", "home", "@Scout", "--runner", "my-model --say 'a b'")
    assert result.code == 0 and "agent.toml" in result.out and "maw pulse scout`" in result.err
    made = read_home(tmp_path / "agents" / "scout")
    assert (made.name, made.runner) == ("scout", ("my-model", "--say", "a b"))


def test_what_is_there_stays_and_what_is_missing_is_made(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    assert cli("agent", "home", "scout", "--dir", str(folder)).code == 0
    (folder / "soul.md").write_text("mine\n")
    (folder / "tasks.md").unlink()
    result = cli("agent", "home", "scout", "--dir", str(folder), "--json")
    assert json.loads(result.out)["made"] == [str(folder / "tasks.md")]
    assert (folder / "soul.md").read_text() == "mine\n"
    assert "nothing is missing" in cli("agent", "home", "scout", "--dir", str(folder)).out


def test_another_agents_home_and_another_runner_are_refused(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    cli("agent", "home", "scout", "--dir", str(folder))
    result = cli("agent", "home", "neo", "--dir", str(folder))
    assert result.code == 2 and "is the home of scout, not of neo" in result.err
    result = cli("agent", "home", "scout", "--dir", str(folder), "--runner", "other")
    assert result.code == 2 and "stays as it is" in result.err
    result = cli("agent", "home", "ford", "--runner", "'")
    assert result.code == 2 and "no command" in result.err and not (tmp_path / "agents" / "ford").exists()
