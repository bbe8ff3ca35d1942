"""The keeper's round: what is wrong with one agent stays with that one."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, cast

import pytest

from maw.agents import keeper as keeping
from maw.agents import running
from maw.agents.keeper import Keeper
from maw.agents.running import Host
from maw.agents.scene import Processes, Scene
from maw.client.daemon import Daemon
from maw.core.roster import Place, Plan


class Answer:
    def __init__(self, body: Any) -> None:
        self.body = body


class Told:
    """A daemon with a roster; it remembers what is reported: name, state and why."""

    def __init__(self, *agents: dict[str, Any]) -> None:
        self.agents = agents
        self.reports: list[tuple[str, str, str]] = []

    def post(self, path: str, body: dict[str, Any], **_: Any) -> Answer:
        if path.endswith("/report"):
            self.reports.append((path.split("/")[3], body["state"], body["why"]))
        return Answer({"stagger_s": 0, "load_per_core": 1e9, "agents": self.agents, "refused": {}})

    def get(self, path: str) -> Answer:
        return Answer(self.agents)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Who was begun in tmux, in order; nothing runs."""
    names: list[str] = []

    def begin(self: Any, session: str, agent: str, *_: Any) -> Place:
        names.append(agent)
        return Place(self.path, 1, "%0")

    monkeypatch.setattr("maw.agents.tmux.Server.begin", begin)
    monkeypatch.setattr(Scene, "now", classmethod(lambda cls, sockets: cls(Processes({}, {}), [])))
    return names


def agent(name: str, folder: Path, **more: Any) -> dict[str, Any]:
    plan = {"command": ("sleep", "60"), "socket": str(folder / "s"), "cwd": str(folder), **more}
    return {"name": name, "uid": 0, "plan": Plan(**plan).as_json()}


def keeper(daemon: Told, tmp_path: Path) -> Keeper:
    host = Host({"PATH": "/usr/bin:/bin"}, 0, tmp_path, "/bin/sh")
    return Keeper(cast(Daemon, daemon), host, "n", clock=lambda: 1000.0)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"cwd": "/" + "x" * 300}, "File name too long"),
        ({"socket": "/proc/nope/x/s"}, "No such file or directory"),
    ],
)
def test_one_that_cannot_be_started_is_told_of_and_the_others_run(
    bad: dict[str, str], why: str, tmp_path: Path, begun: list[str]
) -> None:
    daemon = Told(agent("aa", tmp_path, **bad), agent("bb", tmp_path))
    keep = keeper(daemon, tmp_path)
    keep.round()
    assert begun == ["bb"]
    keep.round()
    name, state, said = daemon.reports[-1] if daemon.reports[-1][0] == "aa" else daemon.reports[-2]
    assert (name, state) == ("aa", "dead")
    assert "could not be started" in said
    assert why in said


def test_a_fault_with_one_does_not_end_the_keeping_of_the_others(
    tmp_path: Path, begun: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    really = running.where

    def where(entry: Any, *more: Any) -> Any:
        if entry.name == "aa":
            raise RuntimeError("nobody thought of this")
        return really(entry, *more)

    monkeypatch.setattr(keeping, "where", where)
    keeper(Told(agent("aa", tmp_path), agent("bb", tmp_path)), tmp_path).round()
    assert begun == ["bb"]


def test_each_step_of_a_round_is_done_although_another_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, done = threading.Event(), []

    def fails(name: str) -> Any:
        def step(*_: Any) -> None:
            done.append(name)
            if name == "_survey":
                stop.set()
            raise OSError(name)

        return step

    steps = ["round", "_nudge", "_run_hooks", "_survey"]
    for name in steps:
        monkeypatch.setattr(Keeper, name, fails(name))
    keeper(Told(), tmp_path).run(stop)
    assert done == steps
