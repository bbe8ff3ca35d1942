"""An agent's timers on a made-up machine: what is written, started, left alone and undone."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from maw.cli import service_timers
from maw.errors import BadConfig, BadInput, Conflict, MawError, NotFound, Refused, Unavailable
from maw.ops import agent_timers, service
from maw.ops.agent_timers import AgentTimer, Kind
from maw.ops.machine import Machine, Ran
from maw.ops.report import ServiceReport
from maw.ops.units import Manager, read_record
from tests.unit.ops.test_service import COMMAND, HOME, World

UNITS = "etc/systemd/system"
SCOUT = Path("/home/nova/agents/scout")


@pytest.fixture
def world(tmp_path: Path) -> World:
    root = tmp_path / "root"
    root.mkdir()
    made = World(root)
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    made.answers = {
        "getent passwd ghost": Ran(2, ""),
        "getent": Ran(0, "nova:x:0:1000::/home/nova:/bin/bash\n"),  # these files belong to who runs the tests
        "runuser -l nova": Ran(0, "welcome!\n/home/nova/.local/bin:/usr/bin:/odd $one:/usr/bin"),
        "systemctl is-active": Ran(3, ""),
        "systemctl --user is-active": Ran(3, ""),
    }
    write_toml(made, 'name = "scout"\n')
    return made


def write_toml(world: World, text: str, folder: Path = SCOUT) -> None:
    path = world.root / str(folder).lstrip("/") / "agent.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def timer(kind: Kind = Kind.PULSE, agent: str = "scout", user: str = "nova", every: int = 1800) -> AgentTimer:
    return AgentTimer(kind, agent, SCOUT.with_name(agent), user, every, 300, "claude")


def install(world: World, *timers: AgentTimer, euid: int = 0, replace: bool = False) -> ServiceReport:
    machine = world.machine(euid)
    manager = agent_timers.choose(machine, None)
    chosen = timers or (timer(),)
    return agent_timers.install(machine, manager, chosen, home=HOME, command=COMMAND, replace=replace)


def text(world: World, name: str, folder: str = UNITS) -> str:
    return (world.root / folder / name).read_text()


def test_what_a_pulse_is_on_a_host(world: World) -> None:
    report = install(world)
    assert report.ok
    unit = text(world, "maw-pulse@.service")
    assert read_record(unit) is not None
    for line in ("Type=oneshot", f'ExecStart="{COMMAND}" pulse %i', "KillMode=control-group", "SuccessExitStatus=6",
                 "NoNewPrivileges=yes", "StandardOutput=journal", "User=%i"):  # fmt: skip
        assert line in unit.splitlines()
    assert f"InaccessiblePaths=-{HOME}/node.key" in unit
    assert (
        "@"
        not in unit.replace("maw-pulse@", "")
        .replace("@clock", "")
        .replace("@debug", "")
        .partition("SystemCallFilter")[0]
    ), "every placeholder is filled in"
    own = text(world, "maw-pulse@scout.service.d/maw.conf")
    assert "User=nova" in own and f'"MAW_AGENT_HOME={SCOUT}"' in own and "TimeoutStartSec=360" in own
    assert '"PATH=/home/nova/.local/bin:/usr/bin"' in own, "as after a login, without what no unit can hold"
    when = text(world, "maw-pulse@scout.timer.d/maw.conf").splitlines()
    reset = when.index("OnCalendar=")
    assert "OnBootSec=60" in when[reset:], "an empty OnCalendar= takes OnBootSec= away too"
    assert any(line.startswith("OnCalendar=*-*-* *:") and line.endswith(" UTC") for line in when[reset:])
    assert not any(line.startswith("Persistent") for line in text(world, "maw-pulse@.timer").splitlines())
    assert world.did("systemctl", "daemon-reload")
    assert world.did("systemctl", "enable", "maw-pulse@scout.timer")
    assert world.did("systemctl", "start", "maw-pulse@scout.timer")


def test_twice_changes_nothing(world: World) -> None:
    install(world)
    world.answers["systemctl is-active"] = Ran(0, "")
    world.ran.clear()
    report = install(world)
    assert [step.text for step in report.steps] == ["scout: the pulse timer runs already, nothing changed"]
    assert not any(world.did("systemctl", word) for word in ("daemon-reload", "start", "restart", "enable"))
    install(world, timer(every=3600))
    assert world.did("systemctl", "restart", "maw-pulse@scout.timer")


def test_each_agent_has_its_own_moment(world: World) -> None:
    install(world, timer(), timer(agent="judge"), timer(Kind.DREAM, every=14_400))
    lines = {
        name: next(line for line in text(world, f"{name}.timer.d/maw.conf").splitlines() if "UTC" in line)
        for name in ("maw-pulse@scout", "maw-pulse@judge", "maw-dream@scout")
    }
    assert len(set(lines.values())) == 3
    assert "OnBootSec=1800" in text(world, "maw-dream@scout.timer.d/maw.conf")
    assert f'ExecStart="{COMMAND}" dream %i' in text(world, "maw-dream@.service")


def test_removed_and_the_last_one_takes_the_templates(world: World) -> None:
    install(world, timer(), timer(agent="judge"))
    theirs = world.root / UNITS / "maw-pulse@scout.service.d/override.conf"
    theirs.write_text("[Service]\nNice=5\n")
    machine = world.machine()
    with pytest.raises(NotFound, match="no dream of scout"):
        agent_timers.remove(machine, Manager.SYSTEM, [(Kind.DREAM, "scout")], home=HOME)
    agent_timers.remove(machine, Manager.SYSTEM, [(Kind.PULSE, "scout")], home=HOME)
    assert world.did("systemctl", "disable", "--now", "maw-pulse@scout.timer")
    assert world.did("systemctl", "stop", "maw-pulse@scout.service")
    assert theirs.exists() and not theirs.with_name("maw.conf").exists()
    assert (world.root / UNITS / "maw-pulse@.timer").exists(), "judge has one still"
    assert agent_timers.installed(machine, Path("/") / UNITS) == [(Kind.PULSE, "judge")]
    agent_timers.remove(machine, Manager.SYSTEM, [(Kind.PULSE, "judge")], home=HOME)
    assert sorted(path.name for path in (world.root / UNITS).iterdir()) == ["maw-pulse@scout.service.d"]


def test_who_removes_the_daemon_hears_of_timers_that_stay(world: World) -> None:
    service.install(world.machine(), home=HOME, command=COMMAND)
    install(world)
    report = service.remove(world.machine(), home=HOME)
    told = service_timers.left_behind(world.machine(), report)
    assert told.hints[-1].endswith("maw service remove --pulse scout")
    agent_timers.remove(world.machine(), Manager.SYSTEM, [(Kind.PULSE, "scout")], home=HOME)
    assert service_timers.left_behind(world.machine(), report) == report


def test_under_a_users_own_systemd(world: World) -> None:
    report = install(world, euid=1000)
    folder = "home/nova/.config/systemd/user"
    own = text(world, "maw-pulse@scout.service.d/maw.conf", folder)
    assert "User=" not in own and f"WorkingDirectory={SCOUT}" in own
    assert "OnStartupSec=60" in text(world, "maw-pulse@scout.timer.d/maw.conf", folder)
    assert "OnBootSec" not in text(world, "maw-pulse@.timer", folder)
    assert world.did("systemctl", "--user", "start", "maw-pulse@scout.timer")
    assert any("enable-linger" in hint for hint in report.hints)
    machine = world.machine(1000)
    which = [(Kind.PULSE, "scout")]
    assert agent_timers.find(machine, which, None, home=HOME) is Manager.USER
    agent_timers.remove(machine, Manager.USER, which, home=HOME)
    assert not list((world.root / folder).iterdir())


def test_what_stands_in_the_way_is_said_before_anything_is_done(world: World) -> None:
    machine = world.machine()
    (world.root / UNITS / "maw-pulse@.timer").write_text("[Timer]\n")
    with pytest.raises(Conflict) as foreign:
        install(world)
    assert foreign.value.code == "foreign_unit"
    with pytest.raises(Refused) as daemons:
        install(world, timer(user="maw"), replace=True)
    assert "node's key" in daemons.value.message
    with pytest.raises(BadInput, match="no user called 'ghost'"):
        install(world, timer(user="ghost"), replace=True)
    odd = AgentTimer(Kind.PULSE, "scout", Path('/home/no"va'), "nova", 1800, 300, "claude")
    with pytest.raises(BadInput):
        agent_timers.install(machine, Manager.SYSTEM, [odd], home=HOME, command=COMMAND)
    world.answers = {"runuser -u nova -- test": Ran(1, ""), **world.answers}
    with pytest.raises(Refused, match="could not run") as closed:
        install(world, replace=True)
    assert closed.value.code == "command_out_of_reach"
    assert [path.name for path in (world.root / UNITS).iterdir()] == ["maw-pulse@.timer"]
    with pytest.raises(Refused, match="root's to remove"):
        agent_timers.remove(world.machine(1000), Manager.SYSTEM, [(Kind.PULSE, "scout")], home=HOME)


def test_without_systemd_the_line_for_cron_is_given(world: World) -> None:
    (world.root / "run/systemd/system").rmdir()
    for wanted in (None, "pm2"):
        with pytest.raises(Unavailable) as none:
            agent_timers.choose(world.machine(), wanted, [timer()])
        assert "timeout -k 20 360 maw pulse scout --dir /home/nova/agents/scout" in none.value.hint
    with pytest.raises(BadInput, match="no such manager"):
        agent_timers.choose(world.machine(), "cron")


def test_a_dry_run_shows_what_would_be_done_and_changes_nothing(world: World) -> None:
    def files() -> list[Path]:
        return sorted(world.root.rglob("*"))

    machine, before = world.machine(), files()
    shown = agent_timers.install(machine, Manager.SYSTEM, [timer()], home=HOME, command=COMMAND, dry_run=True)
    assert files() == before
    assert not [one for one in world.ran if {"enable", "start", "restart", "daemon-reload"} & set(one)]
    texts = [step.text for step in shown.steps]
    assert f"write /{UNITS}/maw-pulse@.timer" in texts
    assert any(text.endswith("systemctl start maw-pulse@scout.timer") for text in texts)
    done = install(world)
    assert len(done.steps) == len(shown.steps)
    again = agent_timers.install(machine, Manager.SYSTEM, [timer()], home=HOME, command=COMMAND, dry_run=True)
    assert not [step for step in again.steps if step.text.startswith("write")], "that is there"


def test_the_line_for_cron_runs_with_what_cron_has(world: World, tmp_path: Path) -> None:
    """It knows neither where maw lies nor the node, its PATH is short, and % ends its line."""
    (world.root / "run/systemd/system").rmdir()
    command, agent = tmp_path / "my bin/maw", tmp_path / "100% nova's"
    command.parent.mkdir()
    command.write_text('#!/bin/sh\nprintf "%s|" "$MAW_HOME" "$@"\n')
    command.chmod(0o755)
    with pytest.raises(Unavailable) as none:
        agent_timers.choose(
            world.machine(), None, [replace(timer(), home=agent)], home=tmp_path / "a node", command=command
        )
    line = none.value.hint.partition("`crontab -e`: ")[2]
    *_, asked = line.split(" ", 5)
    assert "%" not in asked.replace("\\%", "")
    ran = subprocess.run(  # as cron does
        ["/bin/sh", "-c", asked.replace("\\%", "%")], env={"PATH": "/usr/bin:/bin", "HOME": "/"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout == f"{tmp_path / 'a node'}|pulse|scout|--dir|{agent}|"


def test_what_a_run_will_miss_is_said(world: World) -> None:
    (world.root / "var/lib/maw/maw.sock").touch()
    world.answers = {
        "runuser -u nova -- env": Ran(1, ""), "runuser -u nova -- test -w": Ran(1, ""), **world.answers
    }  # fmt: skip
    hints = install(world).hints
    assert any("no claude is found" in hint for hint in hints)
    assert any("usermod -aG maw nova" in hint for hint in hints)
    assert any("as root writes to root" in hint for hint in install(world, timer(user="root")).hints)


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, object]]:
    """What a daemon hears; there is none else."""
    heard: list[tuple[str, object]] = []

    class Ear:
        def post(self, path: str, body: object) -> None:
            heard.append((path, body))

    monkeypatch.setattr(service_timers, "find_daemon", lambda *_: Ear())
    return heard


def asked(world: World, **more: object) -> ServiceReport:
    told = {
        "user": "nova",
        "folder": None,
        "every": None,
        "dream_every": None,
        "manager": None,
        "replace": False,
    }
    environment = {"MAW_HOME": str(HOME)}
    machine = Machine(0, {"HOME": "/home/nova", **environment}, world.run, world.root)
    return service_timers.install(machine, ["scout"], ["scout"], **(told | more))  # type: ignore[arg-type]


def test_the_limits_are_those_of_agent_toml(
    world: World, monkeypatch: pytest.MonkeyPatch, told: list[tuple[str, object]]
) -> None:
    monkeypatch.setattr(service, "this_command", lambda: COMMAND)
    write_toml(
        world, 'name = "scout"\n[pulse]\ntimeout_s = 30\nrunner = "codex exec -"\n[dream]\ntimeout_s = 900\n'
    )
    asked(world, every="1h")
    assert "TimeoutStartSec=90" in text(world, "maw-pulse@scout.service.d/maw.conf")
    assert "TimeoutStartSec=960" in text(world, "maw-dream@scout.service.d/maw.conf")
    assert any("codex" in command for command in world.ran), "its runner was looked for"
    assert told == [("/api/users/scout", {"pulse_s": 3600})], "who waits for it knows how long"
    machine = Machine(0, {"HOME": "/home/nova", "MAW_HOME": str(HOME)}, world.run, world.root)
    world.answers = {
        "env TZ=UTC systemctl show maw-pulse@scout.timer": Ran(0, "Tue 2023-11-14 22:13:20 UTC\n"),
        **world.answers,
    }
    assert agent_timers.next_times(machine, "scout", home=HOME) == [
        (Kind.PULSE, 1_700_000_000), (Kind.DREAM, None)
    ]  # fmt: skip
    service_timers.remove(machine, ["scout"], ["scout"], None)
    assert told[1:] == [("/api/users/scout", {"pulse_s": 0})]
    assert agent_timers.next_times(machine, "scout", home=HOME) == []


@pytest.mark.parametrize(
    ("toml", "words", "more"),
    [
        ('name = "judge"\n', "home of 'judge'", {}),
        ("name = \n", "agent.toml", {}),
        ('name = "scout"\n[pulse]\ntimeout_s = "long"\n', "timeout_s", {}),
        ('name = "scout"\n', "must divide", {"every": "45m"}),
        ('name = "scout"\n', "there is no such file", {"folder": "/home/nova/agents/none"}),
    ],
)
def test_a_home_that_is_none(world: World, toml: str, words: str, more: dict[str, str]) -> None:
    write_toml(world, toml)
    with pytest.raises((BadInput, BadConfig, NotFound), match=words):
        asked(world, **more)
    assert not list((world.root / UNITS).iterdir())


def test_a_home_of_somebody_else_is_not_run(world: World) -> None:
    world.answers["getent"] = Ran(0, "nova:x:4000:1000::/home/nova:/bin/bash\n")
    path = world.root / "home/nova/agents/scout/agent.toml"
    if path.stat().st_uid == 0:  # what root wrote, root may have run as anybody
        os.chown(path, 4001, 4001)
    with pytest.raises(MawError) as others:
        asked(world)
    assert others.value.code == "others_home"
