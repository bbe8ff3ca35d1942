"""Installing and removing the service on a made-up machine: what is chosen, written and undone."""

import json
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from maw.errors import BadInput, Conflict, NotFound, Refused, Unavailable
from maw.ops import service
from maw.ops.machine import Machine, Ran
from maw.ops.timer import Nightly
from maw.ops.units import MARK, Manager, Record, read_record, render, template

COMMAND = Path("/opt/maw/bin/maw")
HOME = Path("/var/lib/maw")
UNIT = "etc/systemd/system/maw.service"


class World:
    """A directory that stands for /, and commands that are noted instead of run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ran: list[tuple[str, ...]] = []
        self.answers: dict[str, Ran] = {"getent": Ran(2, "")}
        self.tools = {"pm2"}
        for directory in (
            "etc/systemd/system",
            "run/systemd/system",
            "opt/maw/bin",
            "var/lib/maw",
            "home/nova",
        ):
            (root / directory).mkdir(parents=True)
        for path in [root, *root.rglob("*")]:
            path.chmod(0o755)
        (root / "opt/maw/bin/maw").write_text("#!/bin/sh\n")
        (root / "var/lib/maw/maw.toml").write_text("")
        (root / "var/lib/maw").chmod(0o700)

    def run(self, command: Sequence[str]) -> Ran:
        self.ran.append(tuple(command))
        words = " ".join(command)
        return next((ran for start, ran in self.answers.items() if words.startswith(start)), Ran(0, ""))

    def machine(self, euid: int = 0, **environment: str) -> Machine:
        given = {"HOME": "/root" if euid == 0 else "/home/nova", **environment}
        which = {tool: f"/usr/bin/{tool}" for tool in self.tools}.get
        return Machine(euid, given, self.run, self.root, which)

    def did(self, *words: str) -> bool:
        return any(command[: len(words)] == words for command in self.ran)


@pytest.fixture
def world(tmp_path: Path) -> World:
    root = tmp_path / "root"
    root.mkdir()
    return World(root)


def test_which_manager(world: World) -> None:
    assert service.choose(world.machine()) is Manager.SYSTEM
    assert service.choose(world.machine(1000)) is Manager.USER
    world.answers["systemctl --user"] = Ran(1, "", "Failed to connect to bus")
    assert service.choose(world.machine(1000)) is Manager.PM2
    world.tools.clear()
    with pytest.raises(Unavailable) as nothing:
        service.choose(world.machine(1000))
    assert "only root may (sudo)" in nothing.value.message
    assert "Failed to connect to bus" in nothing.value.message
    assert "maw up" in nothing.value.hint
    (world.root / "run/systemd/system").rmdir()
    world.tools.add("pm2")
    assert service.choose(world.machine()) is Manager.PM2


def test_a_wish_is_kept_or_refused(world: World) -> None:
    assert service.choose(world.machine(), "pm2") is Manager.PM2
    with pytest.raises(Unavailable, match="only root may"):
        service.choose(world.machine(1000), "systemd")
    with pytest.raises(Unavailable, match="root has no service of its own"):
        service.choose(world.machine(), "systemd-user")
    with pytest.raises(BadInput) as unknown:
        service.choose(world.machine(), "upstart")
    assert "systemd-user" in unknown.value.hint


def test_the_system_service(world: World) -> None:
    report = service.install(world.machine(), home=HOME, command=COMMAND, group="agents")
    text = (world.root / UNIT).read_text()
    assert report.ok
    assert report.unit == Path("/") / UNIT
    assert report.undo == "sudo maw service remove"
    assert 'ExecStart="/opt/maw/bin/maw" up' in text
    assert 'Environment="MAW_HOME=/var/lib/maw"' in text
    assert "SupplementaryGroups=agents" in text
    assert world.did("useradd", "--system")
    for words in (("daemon-reload",), ("enable", "maw.service"), ("restart", "maw.service")):
        assert world.did("systemctl", *words)
    assert stat.S_IMODE((world.root / "var/lib/maw").stat().st_mode) == 0o751
    assert any("usermod -aG maw" in hint for hint in report.hints)


def test_removing_undoes_exactly_that(world: World) -> None:
    service.install(world.machine(), home=HOME, command=COMMAND)
    service.install(world.machine(), home=HOME, command=COMMAND)  # again: the first record is kept
    world.ran.clear()
    report = service.remove(world.machine(), home=HOME)
    assert report.ok
    assert not (world.root / UNIT).exists()
    assert world.did("systemctl", "disable", "--now", "maw.service")
    assert world.did("userdel", "maw")
    home = world.root / "var/lib/maw"
    owner = f"{home.stat().st_uid}:{home.stat().st_gid}"
    assert world.did("chown", "--no-dereference", owner)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert (home / "maw.toml").exists()
    with pytest.raises(NotFound):
        service.remove(world.machine(), home=HOME)


def test_a_user_that_was_there_stays(world: World) -> None:
    world.answers["getent"] = Ran(0, "maw:x:999:")
    service.install(world.machine(), home=HOME, command=COMMAND)
    service.remove(world.machine(), home=HOME)
    assert not world.did("useradd")
    assert not world.did("userdel")


def test_the_keys_that_belong_off_the_host_are_not_given_to_the_service(world: World) -> None:
    for name in ("node.key", "operator.key", "recovery.key"):
        (world.root / "var/lib/maw" / name).write_text("")
    service.install(world.machine(), home=HOME, command=COMMAND)
    given = next(command for command in world.ran if command[0] == "chown")
    assert [Path(word).name for word in given[3:]] == ["maw", "maw.toml", "node.key"]


def test_a_foreign_unit_is_not_overwritten(world: World) -> None:
    (world.root / UNIT).write_text("[Service]\nExecStart=/bin/true\n")
    with pytest.raises(Conflict) as foreign:
        service.install(world.machine(), home=HOME, command=COMMAND)
    assert "--replace" in foreign.value.hint
    assert not world.did("useradd")
    with pytest.raises(Refused, match="not written by"):
        service.remove(world.machine(), home=HOME)

    service.install(world.machine(), home=HOME, command=COMMAND, replace=True)
    assert MARK in (world.root / UNIT).read_text()
    service.remove(world.machine(), home=HOME)
    assert (world.root / UNIT).read_text() == "[Service]\nExecStart=/bin/true\n"


def test_a_command_out_of_the_services_reach_is_refused(world: World) -> None:
    (world.root / "opt/maw").chmod(0o700)
    with pytest.raises(Refused) as closed:
        service.install(world.machine(), home=HOME, command=COMMAND)
    assert "/opt/maw is closed to others" in closed.value.message
    assert "/opt/maw" in closed.value.hint


def test_so_is_one_whose_python_lies_in_a_closed_home(world: World) -> None:
    (world.root / "home/nova").chmod(0o700)
    (world.root / "opt/maw/bin/maw").write_text("#!/home/nova/python/bin/python3\n")
    with pytest.raises(Refused, match="could not run /home/nova/python/bin/python3"):
        service.install(world.machine(), home=HOME, command=COMMAND)


def test_a_node_that_root_made_in_its_own_home_moves(world: World) -> None:
    own = world.root / "root/.local/share/maw"
    own.mkdir(parents=True)
    (world.root / "root").chmod(0o700)
    (own / "maw.toml").write_text("mine")
    (world.root / "var/lib/maw/maw.toml").unlink()
    report = service.install(world.machine(), home=Path("/root/.local/share/maw"), command=COMMAND)
    assert report.home == HOME
    assert (world.root / "var/lib/maw/maw.toml").read_text() == "mine"
    assert any("moved /root/.local/share/maw" in step.text for step in report.steps)
    again = service.remove(world.machine(), home=HOME)
    assert again.home == Path("/root/.local/share/maw")
    assert (own / "maw.toml").read_text() == "mine"


def test_it_does_not_move_over_another_node(world: World) -> None:
    own = world.root / "root/maw"
    own.mkdir(parents=True)
    (world.root / "root").chmod(0o700)
    (own / "maw.toml").write_text("mine")
    with pytest.raises(Refused, match="/var/lib/maw is in use"):
        service.install(world.machine(), home=Path("/root/maw"), command=COMMAND)
    assert (own / "maw.toml").read_text() == "mine"


def test_without_a_node_there_is_nothing_to_install(world: World) -> None:
    with pytest.raises(NotFound, match="there is no node"):
        service.install(world.machine(), home=Path("/var/lib/none"), command=COMMAND)


def test_a_step_that_fails_is_reported(world: World) -> None:
    world.answers["systemctl restart"] = Ran(1, "", "Job for maw.service failed")
    report = service.install(world.machine(), home=HOME, command=COMMAND)
    assert not report.ok
    assert [step.text for step in report.steps if not step.ok] == [
        "started it: FAILED: Job for maw.service failed"
    ]
    assert any("journalctl -u maw.service" in hint for hint in report.hints)


def test_a_users_unit(world: World) -> None:
    home = Path("/home/nova/maw")
    (world.root / "home/nova/maw").mkdir()
    (world.root / "home/nova/maw/maw.toml").write_text("")
    world.answers["loginctl show-user"] = Ran(0, "no\n")
    report = service.install(world.machine(1000), home=home, command=COMMAND)
    assert report.unit == Path("/home/nova/.config/systemd/user/maw.service")
    assert (world.root / "home/nova/.config/systemd/user/maw.service").exists()
    assert world.did("systemctl", "--user", "enable", "maw.service")
    assert not world.did("useradd")
    assert any("loginctl enable-linger" in hint for hint in report.hints)
    with pytest.raises(Refused, match="keeps this node already"):
        service.install(world.machine(1000), home=home, command=COMMAND, manager="pm2")
    service.remove(world.machine(1000), home=home)
    assert not (world.root / "home/nova/.config/systemd/user/maw.service").exists()


def test_pm2(world: World) -> None:
    report = service.install(world.machine(), home=HOME, command=COMMAND, manager="pm2")
    file = world.root / "var/lib/maw/ecosystem.config.cjs"
    assert 'script: "/opt/maw/bin/maw"' in file.read_text()
    assert 'MAW_HOME: "/var/lib/maw"' in file.read_text()
    assert world.did("pm2", "startOrRestart", str(file))
    assert world.did("pm2", "save")
    assert any("pm2 startup" in hint for hint in report.hints)
    service.remove(world.machine(), home=HOME)
    assert world.did("pm2", "delete", "maw")
    assert not file.exists()


def test_pm2_is_not_woken_to_look(world: World) -> None:
    """Asking `pm2` anything starts its daemon: not before we know that one runs."""
    service.install(world.machine(), home=HOME, command=COMMAND, manager="pm2")
    world.ran.clear()
    (found,) = service.installed(world.machine(), HOME)
    assert (found.manager, found.enabled, found.active) == (Manager.PM2, False, False)
    assert not world.did("pm2")
    (world.root / "root/.pm2").mkdir(parents=True)
    (world.root / "root/.pm2/dump.pm2").write_text(json.dumps([{"name": "maw"}]))
    (world.root / "root/.pm2/rpc.sock").write_text("")
    world.answers["pm2 pid"] = Ran(0, "4711\n")
    (found,) = service.installed(world.machine(), HOME)
    assert (found.enabled, found.active) == (True, True)


@pytest.mark.parametrize("manager", list(Manager))
def test_every_unit_is_filled_in_and_remembers(manager: Manager) -> None:
    record = Record(manager.value, "/srv/maw", owner_before=(0, 7), mode_before=0o700, replaced="/x")
    text = render(manager, command=COMMAND, home=Path("/srv/maw"), groups=(), record=record)
    assert read_record(text) == record
    assert "@MAW@" not in text
    assert "@HOME@" not in text
    assert "@GROUPS@" not in text
    assert "@MAW@" in template(manager)
    assert read_record(template(manager)) is None


@pytest.mark.parametrize(
    "path", ['/opt/"/maw', "/opt/100%/maw", "/opt/$HOME/maw", "/opt/a\nb/maw", "/opt/\\/maw"]
)
def test_a_path_that_would_break_out_of_the_unit_is_refused(path: str) -> None:
    with pytest.raises(BadInput, match="cannot be written into a unit"):
        render(Manager.SYSTEM, command=Path(path), home=HOME, groups=(), record=Record("systemd", "/"))


def test_a_broken_record_is_an_error() -> None:
    with pytest.raises(BadInput, match="record in the unit file is broken"):
        read_record(f"# {MARK}\n# maw-record: {{nonsense\n")


def test_this_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "maw"
    script.write_text("")
    script.chmod(0o755)
    assert service.this_command(str(script)) == script
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert service.this_command("/somewhere/__main__.py") == script
    script.unlink()
    with pytest.raises(NotFound, match="was not found"):
        service.this_command("/somewhere/__main__.py")


def test_a_backup_every_night(world: World) -> None:
    to = Path("/mnt/backup")
    report = service.install(world.machine(), home=HOME, command=COMMAND, nightly=Nightly(to))
    unit = (world.root / "etc/systemd/system/maw-backup.service").read_text()
    timer = (world.root / "etc/systemd/system/maw-backup.timer").read_text()
    assert 'ExecStart="/opt/maw/bin/maw" backup' in unit
    assert 'ReadWritePaths="/mnt/backup"' in unit
    assert 'Environment="MAW_HOME=/var/lib/maw"' in unit
    assert "Persistent=true" in timer
    assert "RandomizedDelaySec" in timer
    assert world.did("systemctl", "enable", "--now", "maw-backup.timer")
    assert any("/mnt/backup is not there yet" in hint for hint in report.hints)
    world.ran.clear()
    service.install(world.machine(), home=HOME, command=COMMAND)
    assert world.did("systemctl", "disable", "--now", "maw-backup.timer")
    assert not (world.root / "etc/systemd/system/maw-backup.timer").exists()


def test_removing_the_service_ends_the_backups(world: World) -> None:
    service.install(world.machine(), home=HOME, command=COMMAND, nightly=Nightly())
    service.remove(world.machine(), home=HOME)
    assert list((world.root / "etc/systemd/system").iterdir()) == []


def test_a_backup_unit_of_somebody_elses_is_refused_before_anything_is_done(world: World) -> None:
    theirs = world.root / "etc/systemd/system/maw-backup.timer"
    theirs.parent.mkdir(parents=True, exist_ok=True)
    theirs.write_text("[Timer]\n")
    with pytest.raises(Conflict, match=r"maw-backup\.timer"):
        service.install(world.machine(), home=HOME, command=COMMAND, nightly=Nightly())
    assert not (world.root / UNIT).exists()
    service.install(world.machine(), home=HOME, command=COMMAND)
    service.remove(world.machine(), home=HOME)
    assert theirs.read_text() == "[Timer]\n"


def test_the_whole_hosts_keepers_are_instances_of_one_unit(world: World) -> None:
    world.answers["getent"] = Ran(0, "nova:x:1000:1000::/home/nova:/bin/bash\n")
    service.install(world.machine(), home=HOME, command=COMMAND, keep=["nova"])
    unit = world.root / "etc/systemd/system/maw-keep@.service"
    text = unit.read_text()
    assert "User=%i" in text and f'ExecStart="{COMMAND}" keep' in text and "KillMode=process" in text
    assert world.did("systemctl", "enable", "maw-keep@nova.service")
    assert world.did("systemctl", "restart", "maw-keep@nova.service")

    wants = world.root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir()
    (wants / "maw-keep@nova.service").symlink_to(unit)
    world.ran.clear()
    service.install(world.machine(), home=HOME, command=COMMAND)
    assert world.did("systemctl", "restart", "maw-keep@nova.service"), "brought up to date with the rest"
    report = service.remove(world.machine(), home=HOME)
    assert world.did("systemctl", "disable", "--now", "maw-keep@nova.service")
    assert not unit.exists()
    assert any("maw keep" in hint for hint in report.hints)


def test_the_group_that_stayed_for_its_members_is_used_again(world: World) -> None:
    world.answers = {"getent group maw": Ran(0, "maw:x:999:nova\n"), **world.answers}
    service.install(world.machine(), home=HOME, command=COMMAND)
    assert world.did("useradd", "--system", "--gid", "maw")


def test_a_user_that_there_is_not_gets_no_keeper(world: World) -> None:
    with pytest.raises(BadInput, match="no user called 'ghost'"):
        service.install(world.machine(), home=HOME, command=COMMAND, keep=["ghost"])
    assert not (world.root / UNIT).exists(), "nothing was begun"


def test_a_users_own_keeper_comes_and_goes_with_the_service(world: World) -> None:
    home = Path("/home/nova/.local/share/maw")
    (world.root / "home/nova/.local/share/maw").mkdir(parents=True)
    (world.root / "home/nova/.local/share/maw/maw.toml").write_text("")
    service.install(world.machine(1000), home=home, command=COMMAND)
    unit = world.root / "home/nova/.config/systemd/user/maw-keep.service"
    assert read_record(unit.read_text()) is not None and "User=" not in unit.read_text()
    assert world.did("systemctl", "--user", "enable", "maw-keep.service")
    service.remove(world.machine(1000), home=home)
    assert world.did("systemctl", "--user", "disable", "--now", "maw-keep.service")
    assert not unit.exists()


def test_a_keep_unit_of_somebody_elses_is_not_written_over(world: World) -> None:
    (world.root / "etc/systemd/system/maw-keep@.service").write_text("[Service]\n")
    with pytest.raises(Conflict) as refused:
        service.install(world.machine(), home=HOME, command=COMMAND)
    assert refused.value.code == "foreign_unit"


def test_pm2_keeps_the_keeper_too(world: World) -> None:
    service.install(world.machine(), home=HOME, command=COMMAND, manager="pm2")
    text = (world.root / "var/lib/maw/ecosystem.config.cjs").read_text()
    assert 'name: "maw-keep"' in text and "treekill: false" in text
    service.remove(world.machine(), home=HOME)
    assert world.did("pm2", "delete", "maw-keep")
