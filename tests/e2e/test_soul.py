"""Who agents are, with two real daemons: a soul said on one host and restored on the other, the policy, a dream."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from maw.agents.life.home import write_home
from tests.e2e.daemons import MAW, Daemon, MakeDaemon
from tests.e2e.lab import wait_until

SOUL = "# scout\n\nI look after the builds.\n"
ANSWER = "<summary>\n# What I know\n\n- the build is green\n</summary>\n<dream>\nI saw the build.\n</dream>\n"


class Scout:
    """An agent with a home on one of two hosts; its folder is called as it is."""

    def __init__(self, node: Daemon, folder: Path) -> None:
        self.node, self.folder, self.name = node, folder, folder.name
        folder.parent.mkdir(exist_ok=True)
        node.ask("POST", "/api/users", {"username": self.name}, agent="~")
        (folder.parent / "answer").write_text(ANSWER)
        runner = folder.parent / "runner"
        runner.write_text(f"#!/bin/sh\ncat > {folder.parent}/prompt\ncat {folder.parent}/answer\n")
        runner.chmod(0o755)
        write_home(folder, self.name, soul=SOUL, runner=[str(runner)])

    def maw(self, *words: str, code: int = 0, node: Daemon | None = None) -> subprocess.CompletedProcess[str]:
        env = (node or self.node).environment() | {"HOME": str(self.folder.parent)}
        done = subprocess.run(
            [*MAW, *words], env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == code, (words, done)
        return done

    def json(self, *words: str, code: int = 0, node: Daemon | None = None) -> Any:
        return json.loads(self.maw(*words, "--json", code=code, node=node).stdout)


@pytest.fixture
def two(daemon: MakeDaemon) -> tuple[Daemon, Daemon]:
    mbp, oracle = daemon("mbp"), daemon("oracle")
    oracle.maw("join", json.loads(mbp.maw("invite", "--json"))["line"])
    return mbp, oracle


def test_souls_policy_and_dreams(two: tuple[Daemon, Daemon], tmp_path: Path) -> None:
    """One pair of hosts for all: to start them takes longer than what is looked at."""
    a_soul_said_on_one_host_is_restored_on_another(*two, tmp_path)
    the_policy_is_in_every_prompt_and_who_runs_which_is_known(*two, tmp_path / "policy")
    a_dream_and_what_it_cost(two[0], tmp_path / "dreams")


def a_soul_said_on_one_host_is_restored_on_another(mbp: Daemon, oracle: Daemon, tmp_path: Path) -> None:
    scout = Scout(mbp, tmp_path / "scout")
    home = ("--dir", str(scout.folder))
    assert "told to the Colony" in scout.maw("soul", "sync", *home).stdout
    first = scout.json("soul", "show", "scout")
    (scout.folder / "soul.md").write_text(SOUL + "I am brief.\n")
    assert scout.maw("pulse", *home).stdout.startswith("HEARTBEAT_OK scout")

    def arrived() -> bool:
        status, found = oracle.ask("GET", "/api/souls/scout@mbp")
        return status == 200 and bool(found["text"] == SOUL + "I am brief.\n")

    wait_until(arrived, "the pulse told the Colony, and the other host has it", 30)
    assert [one["hash"] for one in scout.json("soul", "history", "scout@mbp", node=oracle)][1] == first[
        "hash"
    ]

    new = tmp_path / "new"
    scout.maw("soul", "restore", "scout@mbp", "--dir", str(new), node=oracle)
    assert (new / "soul.md").read_text() == SOUL + "I am brief.\n" and (new / "agent.toml").exists()
    told = scout.json(
        "soul", "restore", "scout@mbp", "--dir", str(new), "--version", first["id"], node=oracle
    )
    assert (new / "soul.md").read_text() == SOUL
    assert Path(told["old"]).read_text() == SOUL + "I am brief.\n"
    assert "no soul" in scout.maw("soul", "show", "owner@mbp", node=oracle, code=3).stderr

    (scout.folder / "soul.md").write_bytes(b"\0" * 100)
    for one in (scout.folder / ".maw").glob("soul.*"):
        one.unlink()
    pulsed = scout.maw("pulse", *home)
    assert "has NUL bytes in it: restored from the Colony" in pulsed.stderr
    assert (scout.folder / "soul.md").read_text() == SOUL + "I am brief.\n"
    assert next(scout.folder.glob("soul.md.broken-*")).read_bytes() == b"\0" * 100
    assert "restored from the Colony" in (scout.folder / "memory" / "log.md").read_text()

    def is_told() -> bool:
        alerts = mbp.ask("GET", "/api/status")[1]["alerts"]
        return any(one["kind"] == "soul" and "scout@mbp" in one["text"] for one in alerts)

    wait_until(is_told, "a human is told", 30)
    (scout.folder / "soul.md").write_text("")
    scout.maw("soul", "restore", "scout", *home)
    assert scout.json("soul", "check", *home)["sound"]


def the_policy_is_in_every_prompt_and_who_runs_which_is_known(
    mbp: Daemon, oracle: Daemon, tmp_path: Path
) -> None:
    rover = Scout(oracle, tmp_path / "rover")
    home = ("--dir", str(rover.folder))
    assert rover.maw("policy", "status", code=1).stdout == ""
    (tmp_path / "policy.md").write_text("Say who you are.\n")
    mbp.maw("policy", "publish", str(tmp_path / "policy.md"), *key(mbp))
    wait_until(lambda: oracle.ask("GET", "/api/policy")[0] == 200, "the other host has heard it", 30)
    assert rover.maw("policy", "show").stdout == "Say who you are.\n"
    assert standing(rover)["state"] == "never pulsed"
    oracle.ask("POST", "/api/direct", {"to": ["rover"], "text": "hello"}, agent="~")
    rover.maw("pulse", *home)
    assert "Say who you are." in (tmp_path / "prompt").read_text()
    assert (standing(rover)["state"], standing(rover)["version"]) == ("current", 1)
    (tmp_path / "policy.md").write_text("Say who you are, and why.\n")
    assert "no right" in oracle_publish(rover, tmp_path).stderr
    mbp.maw("policy", "publish", str(tmp_path / "policy.md"), *key(mbp))

    def is_old() -> bool:
        return bool(standing(rover)["state"] == "old")

    wait_until(is_old, "the one in force is another now", 30)
    rover.maw("pulse", *home)
    assert standing(rover)["version"] == 2


def key(node: Daemon) -> tuple[str, str]:
    return "--key", str(node.home / "operator.key")


def standing(one: Scout) -> Any:
    found = one.node.ask("GET", "/api/policy/status")[1]["agents"]
    return next(told for told in found if told["agent"].startswith(f"{one.name}@"))


def oracle_publish(scout: Scout, folder: Path) -> subprocess.CompletedProcess[str]:
    """By the key of a host that joined, which rules nothing."""
    return scout.maw("policy", "publish", str(folder / "policy.md"), *key(scout.node), code=6)


def a_dream_and_what_it_cost(mbp: Daemon, tmp_path: Path) -> None:
    scout = Scout(mbp, tmp_path / "dreamer")
    home = ("--dir", str(scout.folder))
    assert scout.maw("dream", *home).stdout == "DREAM_OK dreamer, nothing to consolidate\n"
    log = scout.folder / "memory" / "log.md"
    with log.open("a") as file:
        file.write("- heard: is it green?\n" * 100)
    before = log.read_text()
    mbp.maw("freeze", "@dreamer", *key(mbp))
    assert "frozen" in scout.maw("dream", *home, code=6).stderr and log.read_text() == before
    mbp.maw("thaw", "dreamer@mbp", *key(mbp))
    told = scout.json("dream", *home)
    assert (told["outcome"], told["consolidated_bytes"]) == ("dreamt", len(before))
    assert "the build is green" in (scout.folder / "memory" / "summary.md").read_text()
    assert log.read_text() == "# What dreamer did and heard\n"
    assert next((scout.folder / "memory" / "archive").glob("log-*")).read_text() == before
    assert "I look after the builds." in (tmp_path / "prompt").read_text()
    costs = mbp.ask("GET", "/api/costs?agent=dreamer")[1]
    assert costs["items"][0]["runs"] == 1, costs
    (tmp_path / "answer").write_text("I would rather not.")
    log.write_text(before)
    assert "no <summary>" in scout.maw("dream", *home, code=6).stderr
    assert log.read_text() == before
