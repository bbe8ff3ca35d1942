"""`maw team`: worktrees, agents and a channel, with real git and tmux; killed at each step, it goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from maw.agents.acting import Acting
from maw.agents.running import Host
from maw.agents.teams import record
from maw.agents.teams.acting import Teams, Wish
from maw.client.daemon import Daemon
from maw.core.teams import Do, Step
from maw.errors import Conflict, Refused
from tests.e2e.conftest import need
from tests.e2e.daemons import MakeDaemon
from tests.e2e.fleet import Fleet
from tests.e2e.lab import wait_until

pytestmark = [pytest.mark.timeout(200)]

SLEEP = "sleep 86391"
WHO = ("-c", "user.name=nova", "-c", "user.email=nova@example.org")


class Killed(BaseException):
    """As kill -9 between two steps: nothing of what the process knew is left."""


class Yard:
    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.repo = fleet.root / "app"
        self.repo.mkdir()
        self.git("init", "--quiet", "--initial-branch", "main")
        (self.repo / "first.txt").write_text("x\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", "first")
        self.trees = fleet.root / "app-worktrees"
        host = Host(fleet.environment, os.getuid(), fleet.home, "/bin/sh")
        daemon = Daemon(fleet.daemon.home / "maw.sock")
        self.teams = Teams(Acting(daemon, host, "mbp"), daemon)

    def git(self, *words: str, at: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *WHO, "-C", str(at or self.repo), *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, at: Path, name: str) -> None:
        (at / name).write_text("x\n")
        self.git("add", name, at=at)
        self.git("commit", "--quiet", "-m", name, at=at)

    def team(self, *words: str, code: int = 0) -> str:
        done = self.fleet.run("team", *words)
        assert done.returncode == code, f"{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def wish(self, agents: int) -> Wish:
        return Wish(agents, self.repo, None, tuple(SLEEP.split()))

    def up(self, agents: int = 2, dies_at: int = -1) -> list[Step]:
        return self.teams.up("vault", self.wish(agents), dry=False, tell=dying(dies_at))[1]

    def down(self, dies_at: int = -1) -> dict[str, list[str]]:
        return self.teams.down(
            "vault", keep_work=False, forced=(), into=None, dry=False, tell=dying(dies_at)
        )[1]

    def names(self) -> list[str]:
        return sorted(one["username"] for one in self.fleet.json("agent", "list"))

    def sessions(self) -> list[str]:
        said = subprocess.run(
            ["tmux", "-S", self.fleet.socket, "list-sessions", "-F", "#{session_name} #{pane_current_path}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return sorted(said.stdout.splitlines())

    def runs(self, *agents: str) -> None:
        """These, each in its worktree, and no other: once tmux says so."""
        wanted = [f"{name} {self.trees}/{name}" for name in agents]
        wait_until(lambda: self.sessions() == wanted, f"{wanted} run, not {self.sessions()}")

    def branches(self) -> list[str]:
        return self.git("branch", "--format=%(refname:short)").splitlines()


def dying(at: int) -> Any:
    left = [at]

    def tell(step: Step) -> None:
        if left[0] == 0:
            raise Killed
        left[0] -= 1

    return tell


def until_done(act: Callable[[], object]) -> int:
    """How often it was killed, each time after one step more."""
    for deaths in range(30):
        try:
            assert not act(), "nothing is left to do"
        except Killed:
            continue
        return deaths
    raise AssertionError("it does not get on")


@pytest.fixture
def yard(daemon: MakeDaemon) -> Iterator[Yard]:
    need(None if shutil.which("tmux") and shutil.which("git") else "needs tmux and git")
    fleet = Fleet(daemon("mbp"))
    yield Yard(fleet)
    fleet.close()


def test_a_team_from_the_command_line(yard: Yard) -> None:
    begin = ["up", "vault", "--agents", "2", "--repo", str(yard.repo), "--command", SLEEP]
    begin += ["--role", "builder,judge"]
    assert "would make the worktree" in yard.team(*begin, "--dry-run")
    assert not yard.trees.exists() and "vault-1" not in yard.names()
    assert "vault is up: 2 in" in yard.team(*begin)
    yard.runs("vault-1", "vault-2")
    assert yard.branches() == ["main", "vault/1", "vault/2"]
    users = {one["username"]: one for one in yard.fleet.json("agent", "list")}
    assert [users[f"vault-{n}"]["roles"] for n in (1, 2)] == [["builder"], ["judge"]]
    yard.fleet.maw("post", "#vault", "hello", "--as", "vault-1")
    assert [one["text"] for one in yard.fleet.json("inbox", "--as", "vault-2")] == ["hello"], "it watches"
    assert "nothing is to be done" in yard.team("up", "vault")

    (yard.trees / "vault-2/new.txt").write_text("x")
    yard.commit(yard.trees / "vault-1", "work.txt")
    (told,) = json.loads(yard.team("list", "--json"))
    assert [(one["runs"], one["ahead"], one["changed"]) for one in told["members"]] == [
        (True, 1, 0),
        (True, 0, 1),
    ]
    refused = yard.team("down", "vault", code=6)
    assert (
        "vault-1: 1 commit of vault/1 not in main" in refused and "vault-2: 1 new file (new.txt)" in refused
    )
    yard.runs("vault-1", "vault-2")
    assert "rests" in yard.team("down", "vault", "--keep-work")
    yard.runs()
    assert (yard.trees / "vault-2/new.txt").exists()
    assert "start vault-1" in yard.team("up", "vault")

    yard.git("merge", "--quiet", "--no-edit", "vault/1")
    assert "vault is gone" in yard.team("down", "vault", "--force", "vault-2")
    yard.runs()
    assert (yard.branches(), list(yard.trees.iterdir())) == (["main"], [])
    assert "vault-1" not in yard.names()
    yard.team("list", code=1)
    assert "vault is up: 1 in" in yard.team(*begin, "--agents", "1"), (
        "its names, branches and channel are free again"
    )
    yard.team("down", "vault")


def test_killed_at_each_step_it_goes_on(yard: Yard) -> None:
    deaths = until_done(lambda: yard.up(dies_at=0))
    assert deaths == 11, "of two members: worktree, agent, roster, watch, start; and the channel"
    yard.runs("vault-1", "vault-2")
    # a checkout that was cut short, as git leaves it; and a team that grows
    half = yard.trees / "vault-3"
    yard.git("worktree", "add", "--quiet", "--lock", "--reason", "initializing", "-b", "vault/3", str(half))
    (half / "first.txt").unlink()
    record.write(yard.teams.folder, replace(yard.teams.read("vault"), agents=3))
    assert [one.do for one in yard.up(3)][:2] == [Do.AGENT, Do.CLEAR]
    assert (half / "first.txt").exists()
    yard.runs("vault-1", "vault-2", "vault-3")

    deaths = until_done(lambda: yard.down(dies_at=0))
    assert deaths == 12, "each stopped, its worktree, branch and name"
    yard.runs()
    assert (yard.branches(), list(yard.trees.iterdir())) == (["main"], [])
    assert yard.teams.names() == []


def test_what_stands_in_the_way_and_what_comes_up_meanwhile(yard: Yard) -> None:
    yard.fleet.maw("agent", "add", "vault-2")
    with pytest.raises(Conflict) as taken:
        yard.up()
    assert taken.value.code == "name_taken" and not yard.trees.exists() and yard.teams.names() == []
    yard.fleet.maw("agent", "remove", "vault-2")
    yard.fleet.maw("agent", "add", "neo")
    spawned = yard.fleet.run(
        "team", "up", "vault", "-n", "2", "--repo", str(yard.repo), env={"MAW_AGENT": "neo"}
    )
    assert spawned.returncode == 6 and "neo" in spawned.stderr, "agents make agents as the owner allows"
    assert not yard.trees.exists()
    assert yard.up()

    # its last words, after it was looked at and before its worktree goes
    def writes(step: Step) -> None:
        if step.do is Do.STOP:
            (yard.trees / "vault-2/last.txt").write_text("x")

    with pytest.raises(Refused) as late:
        yard.teams.down("vault", keep_work=False, forced=(), into=None, dry=False, tell=writes)
    assert "changed while its agent was ended" in late.value.message
    assert (yard.trees / "vault-2/last.txt").exists() and yard.teams.names() == ["vault"]
    yard.commit(yard.trees / "vault-2", "last.txt")
    assert list(yard.down()) == ["vault-2"], "committed, and not merged"
    yard.git("merge", "--quiet", "--no-edit", "vault/2")
    assert yard.down() == {}
