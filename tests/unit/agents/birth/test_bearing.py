"""A birth that is killed at each of its moments, and goes on: everything is done in the end, and nothing twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from maw.agents.birth import bearing
from maw.agents.birth.bearing import Birth
from maw.agents.birth.engine import Engine, Told
from maw.agents.birth.journal import births, opened
from maw.agents.birth.plan import Wanted, checked
from maw.errors import Conflict, MawError, Refused, Unconfirmed
from tests.unit.agents.birth.world import FarHost, Killed, World

WANTED = checked(
    Wanted(
        "scout", "root@vault", "# scout", "git@example.org:vault.git", packages=("nodejs",), install=("npm i",),
        login_check="claude auth", login="claude login", login_hint="ask anna",
    )
)  # fmt: skip
ALL = [
    "packages",
    "maw",
    "node",
    "service",
    "join",
    "user",
    "home",
    "repo",
    "install",
    "agent",
    "timers",
    "hello",
]


@pytest.fixture(autouse=True)
def no_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        bearing, "wheels_for", lambda *_: SimpleNamespace(tar=b"tar", id="w1", count=1, how="in memory")
    )


def run(
    world: World, folder: Path, wanted: Wanted = WANTED, *, dry: bool = False
) -> tuple[Birth, list[Told]]:
    with opened(folder, wanted.name, "birth") as journal:
        daemon: Any = world
        birth = Birth(
            wanted, Engine(journal, dry), daemon, daemon, folder / "wheels", lambda _: FarHost(world)
        )
        return birth, birth.run()


def test_each_step_once_in_this_order(tmp_path: Path) -> None:
    world = World()
    birth, told = run(world, tmp_path)
    assert world.effects == ALL and world.asked == ["/api/births", "/api/invites"]
    assert birth.report(told)["address"] == "scout@vault" and birth.report(told)["state"] == "born"
    birth, told = run(world, tmp_path)
    assert {one.state for one in told} == {"already"}
    assert world.asked == ["/api/births", "/api/invites"], "nobody is asked again"


def test_killed_at_each_moment_it_goes_on(tmp_path: Path) -> None:
    moments = 0
    whole = World()
    run(whole, tmp_path / "whole")
    for moment in range(1, whole.calls + 1):
        world = World(kill=moment)
        folder = tmp_path / str(moment)
        with pytest.raises(Killed):
            run(world, folder)
        world.kill = None
        run(world, folder)
        assert world.effects == ALL, f"killed at moment {moment}"
        assert len(world.said) == 1
        moments += 1
    assert moments > 2 * len(ALL)


def test_killed_again_and_again(tmp_path: Path) -> None:
    world = World()
    for _ in range(60):
        world.calls, world.kill = 0, 9
        try:
            run(world, tmp_path)
            break
        except Killed:
            world.kill = 1 + len(world.effects) * 3
    world.kill = None
    run(world, tmp_path)
    assert world.effects == ALL


def test_the_plan_changes_nothing(tmp_path: Path) -> None:
    world = World(has_python=False)
    birth, told = run(world, tmp_path, dry=True)
    assert world.effects == [] and world.asked == []
    states = {one.name: one.state for one in told}
    assert states.pop("look") == "already" and set(states.values()) == {"to do"}
    assert "python3" in next(one.said for one in told if one.name == "packages")
    assert birth.report(told)["state"] == "planned" and not list(tmp_path.glob("*.json"))


def test_a_login_is_asked_for_and_never_skipped(tmp_path: Path) -> None:
    world = World(logged_in=False)
    for _ in range(2):
        with pytest.raises(Unconfirmed) as waits:
            run(world, tmp_path)
        assert waits.value.exit_code == 7 and waits.value.code == "login_needed"
        assert "ask anna" in waits.value.hint and "maw birth scout" in waits.value.hint
        assert "sudo -iu scout claude login" in waits.value.hint
    assert world.effects == ALL[: ALL.index("agent") + 1], "and nothing that would run it"
    world.logged_in = True
    run(world, tmp_path)
    assert world.effects == ALL


def test_a_host_that_runs_a_node_gets_only_the_agent(tmp_path: Path) -> None:
    world = World()
    run(world, tmp_path)
    world.effects = [one for one in world.effects if one in ("packages", "maw", "node", "service", "join")]
    world.said.clear()
    _, told = run(world, tmp_path, replace(WANTED, name="clerk", user="clerk"))
    states = {one.name: one.state for one in told}
    assert {states[name] for name in ("packages", "maw", "node", "service", "pairing")} == {"already"}
    assert states["agent"] == "done"


def test_a_node_of_another_colony_is_not_taken(tmp_path: Path) -> None:
    world = World(foreign_colony=True)
    with pytest.raises(Refused) as refused:
        run(world, tmp_path)
    assert (
        refused.value.code == "other_colony" and "join" not in world.effects and "user" not in world.effects
    )


def test_what_is_kept_here_holds_no_secret_and_is_for_nobody_else(tmp_path: Path) -> None:
    folder = tmp_path / "births"
    run(World(), folder)
    (kept,) = folder.glob("*.json")
    assert kept.stat().st_mode & 0o777 == 0o600 and folder.stat().st_mode & 0o777 == 0o700
    assert "mi1secret" not in kept.read_text()
    (one,) = births(folder)
    assert one["name"] == "scout" and one["steps"]["pulse"]["state"] == "done"


def test_what_is_damaged_is_said(tmp_path: Path) -> None:
    (tmp_path / "scout.birth.json").write_text('{"steps": ')
    with pytest.raises(MawError) as bad:
        run(World(), tmp_path)
    assert bad.value.code == "bad_journal"


def test_two_at_once(tmp_path: Path) -> None:
    with opened(tmp_path, "scout", "birth"), pytest.raises(Conflict) as busy:
        run(World(), tmp_path)
    assert busy.value.code == "birth_under_way"


def test_a_failed_step_is_told_and_on_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world, seen = World(), list[Told]()
    monkeypatch.setattr(
        FarHost, "_act", lambda self, asked: Refused("the disk is full", code="no_room").as_json()
    )
    with opened(tmp_path, "scout", "birth") as journal:
        daemon: Any = world
        engine = Engine(journal, False, told=seen.append)
        with pytest.raises(MawError, match="disk is full"):
            Birth(WANTED, engine, daemon, daemon, tmp_path, lambda _: FarHost(world)).run()
        assert seen[-1].state == "failed" and journal.data["steps"]["node"]["state"] == "failed"


def test_what_is_on_record_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from maw.cli.main import main

    monkeypatch.setenv("MAW_HOME", str(tmp_path))
    assert main(["birth", "--list"]) == 1
    run(World(), tmp_path / "births")
    world = World(logged_in=False)
    with pytest.raises(Unconfirmed):
        run(world, tmp_path / "births", replace(WANTED, name="clerk", user="clerk"))
    assert main(["birth", "--list", "--json"]) == 0
    found = {one["name"]: one["state"] for one in json.loads(capsys.readouterr().out)}
    assert found == {"scout": "at heard", "clerk": "at login"}
    assert main(["birth"]) == 2 and main(["birth", "scout2"]) == 2
