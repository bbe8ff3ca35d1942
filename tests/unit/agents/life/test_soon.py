"""A pulse in the background: by the agent's own unit, else as a process; one that runs is followed by another."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from maw.agents.life.home import AgentHome, read_home, write_home
from maw.agents.life.pulse import only_pulse
from maw.agents.life.soon import begin


@pytest.fixture
def home(tmp_path: Path) -> AgentHome:
    write_home(tmp_path / "scout", "scout")
    return read_home(tmp_path / "scout")


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def says(path: Path) -> str:
    deadline = time.monotonic() + 30
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return path.read_text()


def test_a_process_of_its_own(home: AgentHome, tmp_path: Path) -> None:
    maw = script(tmp_path / "maw", 'echo "$@" > "$HOME/said"')
    assert "begins" in begin(home, [str(maw)], {"HOME": str(tmp_path)}, tmp_path / "none")
    assert says(tmp_path / "said") == f"pulse scout --dir {home.folder}\n"
    assert (home.own / "again").exists(), "the pulse takes it away"


@pytest.mark.parametrize("code", [0, 1])
def test_the_agents_own_unit_where_it_has_one_and_may_be_started(
    home: AgentHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    script(tmp_path / "bin" / "systemctl", f'echo "$@" >> "{tmp_path}/told"; exit {code}')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    conf = tmp_path / ".config" / "systemd" / "user" / "maw-pulse@scout.service.d" / "maw.conf"
    conf.parent.mkdir(parents=True)
    conf.touch()
    maw = script(tmp_path / "maw", 'echo "$@" > "$HOME/said"')
    told = begin(home, [str(maw)], {"HOME": str(tmp_path)}, tmp_path / "none")
    asked = "--user --no-ask-password start --no-block maw-pulse@scout.service\n"
    assert (tmp_path / "told").read_text() == asked
    if code:
        assert says(tmp_path / "said").startswith("pulse scout")
    else:
        assert told.startswith("maw-pulse@scout.service begins") and not (tmp_path / "said").exists()


def test_one_that_runs_is_followed_by_another(home: AgentHome, tmp_path: Path) -> None:
    with only_pulse(home) as only:
        assert only
        assert "followed by another" in begin(home, ["/nonexistent"], {}, tmp_path / "none")
    assert (home.own / "again").exists()
