"""The daemon under systemd: a unit of the host's, or of one user's own manager."""

from __future__ import annotations

import dataclasses
import os
import pwd
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from maw.client.daemon import may_be_listening
from maw.errors import Conflict, NotFound, Refused
from maw.home import SYSTEM_HOME
from maw.ops import keep_unit, timer
from maw.ops.machine import Machine
from maw.ops.report import ServiceReport, Work
from maw.ops.timer import Nightly
from maw.ops.units import Manager, Record, read_record, render

USER: Final = "maw"
_UNIT: Final = "maw.service"
_SYSTEM_UNIT: Final = Path("/etc/systemd/system") / _UNIT
_ASIDE: Final = ".before-maw"
# These rule the Colony and are to be carried off this host: the service has no business reading them.
_NOT_FOR_THE_SERVICE: Final = ("operator", "recovery")


def obstacle(machine: Machine, manager: Manager) -> str | None:
    """Why this manager cannot be used by us here; None when it can."""
    if manager is Manager.SYSTEM:
        if not machine.path("/run/systemd/system").is_dir():
            return "systemd does not run this host"
        return None if machine.euid == 0 else "only root may (sudo)"
    if machine.euid == 0:
        return "root has no service of its own: use systemd"
    ran = machine.run((*systemctl_of(manager), "show-environment"))
    return None if ran.ok else f"no systemd of yours answers ({ran.words})"


def unit_path(machine: Machine, manager: Manager, home: Path) -> Path:
    """Where the unit belongs."""
    if manager is Manager.SYSTEM:
        return _SYSTEM_UNIT
    config = machine.environment.get("XDG_CONFIG_HOME")
    return (Path(config) if config else machine.home / ".config") / "systemd" / "user" / _UNIT


def state(machine: Machine, manager: Manager) -> tuple[bool, bool]:
    """(enabled, active)"""
    systemctl = systemctl_of(manager)
    enabled = machine.run((*systemctl, "is-enabled", "--quiet", _UNIT)).ok
    return enabled, machine.run((*systemctl, "is-active", "--quiet", _UNIT)).ok


def install(
    machine: Machine, manager: Manager, *, home: Path, command: Path, group: str | None, replace: bool,
    nightly: Nightly | None, keep: Sequence[str] = (),
) -> ServiceReport:  # fmt: skip
    """See `maw.ops.service.install`."""
    work = Work(machine)
    unit = unit_path(machine, manager, home)
    before, aside = _before(machine, unit, replace)
    keep_unit.check(machine, manager, unit.parent, keep, replace)
    if nightly is not None:
        timer.check(machine, unit.parent, replace)
    record = before or Record(manager.value, str(home))
    if manager is Manager.SYSTEM:
        _check_reach(machine, command)
        moved = _moved_home(machine, home)
        made = _make_user(work)
        record, home = _give_home(work, home, moved, record, made)
    if aside is not None:
        machine.path(unit).rename(machine.path(aside))
        record = dataclasses.replace(record, replaced=str(aside))
        work.did(f"kept the {_UNIT} that was there as {aside}")
    groups = (group,) if manager is Manager.SYSTEM and group and group != USER else ()
    text = render(manager, command=command, home=home, groups=groups, record=record)
    machine.path(unit).parent.mkdir(parents=True, exist_ok=True)
    machine.path(unit).write_text(text, encoding="utf-8")
    work.did(f"wrote {unit}", f"rm {unit}")
    _start(work, manager, again=before is not None)
    if nightly is not None:
        _give_folder(work, manager, nightly)
        timer.install(work, manager, unit.parent, systemctl_of(manager), nightly, command=command, home=home)
    else:
        timer.remove(work, unit.parent, systemctl_of(manager))
    users = dict.fromkeys((*keep_unit.kept_users(machine, unit.parent), *keep))
    keep_unit.install(
        work, manager, unit.parent, systemctl_of(manager), command=command, home=home, users=list(users)
    )
    _advise(work, manager)
    sudo = "sudo " if manager is Manager.SYSTEM else ""
    return work.report(manager, unit, home, undo=f"{sudo}maw service remove")


def remove(machine: Machine, manager: Manager, *, home: Path) -> ServiceReport:
    """See `maw.ops.service.remove`."""
    if manager is Manager.SYSTEM and machine.euid != 0:
        raise Refused("the system's service is root's to remove", hint="sudo maw service remove")
    work = Work(machine)
    systemctl = systemctl_of(manager)
    unit = unit_path(machine, manager, home)
    record = read_record(machine.path(unit).read_text(encoding="utf-8"))
    if record is None:
        raise NotFound(f"{unit} is not ours")
    timer.remove(work, unit.parent, systemctl)
    keep_unit.remove(work, manager, unit.parent, systemctl)
    work.run("stopped it, now and at boot", (*systemctl, "disable", "--now", _UNIT))
    machine.path(unit).unlink()
    work.did(f"removed {unit}")
    if record.replaced and machine.path(record.replaced).exists():
        machine.path(record.replaced).rename(machine.path(unit))
        work.did(f"put the {_UNIT} from before back (it is not enabled)")
    work.run("told systemd", (*systemctl, "daemon-reload"))
    machine.run((*systemctl, "reset-failed", _UNIT))  # fails when there is nothing to reset
    where = Path(record.home)
    if manager is Manager.SYSTEM:
        where = _give_back(work, record)
    work.hints.append(f"the node itself is untouched, in {where}")
    return work.report(manager, unit, where, undo="maw service install")


def systemctl_of(manager: Manager) -> tuple[str, ...]:
    return ("systemctl",) if manager is Manager.SYSTEM else ("systemctl", "--user")


def _before(machine: Machine, unit: Path, replace: bool) -> tuple[Record | None, Path | None]:
    """The record of an earlier install, or where to keep a unit that is not ours. Raises Conflict."""
    path = machine.path(unit)
    if not os.path.lexists(path):
        return None, None
    record = read_record(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else None
    if record is not None:
        return record, None
    if not replace:
        raise Conflict(
            f"{unit} is there already, and was not written by `maw service install`",
            code="foreign_unit",
            hint="maw service install --replace keeps it aside and puts it back on remove",
        )
    return None, unit.with_name(unit.name + _ASIDE)


def _check_reach(machine: Machine, command: Path) -> None:
    """Raises Refused when the service's user could not run ``command``, or the Python that it names."""
    for needed in (command, _interpreter(machine, command)):
        if needed is not None and (blocked := _closed(machine, needed)):
            raise Refused(
                f"the service's own user could not run {needed}: {blocked} is closed to others",
                code="command_out_of_reach",
                hint="/usr/bin/python3 -m venv /opt/maw && /opt/maw/bin/pip install maw-colony && "
                "/opt/maw/bin/maw service install",
            )


def _interpreter(machine: Machine, command: Path) -> Path | None:
    """What the script's first line names, links followed (a venv's Python may be a link into a home)."""
    with machine.path(command).open("rb") as script:
        first = script.readline(4096)
    words = first[2:].split() if first.startswith(b"#!") else []
    return Path(os.path.realpath(os.fsdecode(words[0]))) if words else None


def _closed(machine: Machine, path: Path) -> Path | None:
    """The first directory on the way to ``path`` that other users cannot pass; None when all are open."""
    for parent in reversed(path.parents):
        try:
            if not machine.path(parent).stat().st_mode & stat.S_IXOTH:
                return parent
        except FileNotFoundError:
            return None
    return None


def _moved_home(machine: Machine, home: Path) -> bool:
    """Whether the node must move to where the service can reach it. Raises Refused when it cannot."""
    blocked = _closed(machine, home)
    if blocked is None:
        return False
    target = machine.path(SYSTEM_HOME)
    if target.exists() and any(target.iterdir()):
        raise Refused(
            f"the service's own user cannot reach {home} ({blocked} is closed to others), "
            f"and {SYSTEM_HOME} is in use",
            hint=f"MAW_HOME={SYSTEM_HOME} maw service install, if that node is the one meant",
        )
    if may_be_listening(machine.path(home / "maw.sock")):
        raise Refused(
            f"a daemon is running on {home}, which has to move to {SYSTEM_HOME}", hint="stop it first"
        )
    return True


def _make_user(work: Work) -> bool:
    """Make the Unix user ``maw`` unless it is there; whether it was made. Raises Refused if it cannot."""
    if work.machine.run(("getent", "passwd", USER)).ok:
        return False
    # its group outlives it where others are members, as agents' users are
    group = ["--gid", USER] if work.machine.run(("getent", "group", USER)).ok else ["--user-group"]
    command = ["useradd", "--system", *group, "--no-create-home", "--home-dir", str(SYSTEM_HOME)]
    ran = work.run(
        f"made the Unix user {USER}", (*command, "--shell", "/usr/sbin/nologin", USER), f"userdel {USER}"
    )
    if not ran.ok:
        raise Refused(f"the Unix user {USER} could not be made: {ran.words}", code="no_user")
    return True


def _give_home(work: Work, home: Path, moved: bool, record: Record, made_user: bool) -> tuple[Record, Path]:
    """Hand the node's directory to the service's user; the record of how it was, and where it is now."""
    machine = work.machine
    was = machine.path(home).stat()
    if record.owner_before is None:
        record = dataclasses.replace(
            record, owner_before=(was.st_uid, was.st_gid), mode_before=stat.S_IMODE(was.st_mode)
        )
    if made_user:
        record = dataclasses.replace(record, made_user=True)
    if moved:
        target = machine.path(SYSTEM_HOME)
        if target.exists():
            target.rmdir()
        machine.path(SYSTEM_HOME.parent).mkdir(parents=True, exist_ok=True)
        shutil.move(machine.path(home), target)
        work.did(f"moved {home} to {SYSTEM_HOME}, where the service can reach it", f"mv {SYSTEM_HOME} {home}")
        record, home = dataclasses.replace(record, home_before=str(home)), SYSTEM_HOME
    _own(work, home, f"{USER}:{USER}")
    machine.path(home).chmod(0o751)
    return dataclasses.replace(record, home=str(home)), home


def _give_back(work: Work, record: Record) -> Path:
    """Undo `_give_home` and `_make_user`; where the node is now."""
    machine, home = work.machine, Path(record.home)
    if record.owner_before is not None and machine.path(home).exists():
        uid, gid = record.owner_before
        _own(work, home, f"{uid}:{gid}")
        if record.mode_before is not None:
            machine.path(home).chmod(record.mode_before)
    if record.home_before and machine.path(home).exists() and not machine.path(record.home_before).exists():
        machine.path(record.home_before).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(machine.path(home), machine.path(record.home_before))
        work.did(f"moved {home} back to {record.home_before}")
        home = Path(record.home_before)
    if record.made_user:
        work.run(f"removed the Unix user {USER}", ("userdel", USER))
    return home


def _own(work: Work, home: Path, owner: str) -> None:
    files = _owned(work.machine.path(home))
    work.run(f"gave {home} to {owner}", ("chown", "--no-dereference", owner, *files))


def _owned(home: Path) -> Sequence[str]:
    """The directory and all in it but the keys that belong off this host."""
    paths = [home, *sorted(home.rglob("*"))]
    return [str(path) for path in paths if not path.name.startswith(_NOT_FOR_THE_SERVICE)]


def _start(work: Work, manager: Manager, *, again: bool) -> None:
    systemctl = systemctl_of(manager)
    sudo = " ".join(systemctl)
    work.run("told systemd", (*systemctl, "daemon-reload"))
    work.run("will start at boot", (*systemctl, "enable", _UNIT), f"{sudo} disable {_UNIT}")
    ran = work.run(
        "started it again" if again else "started it", (*systemctl, "restart", _UNIT), f"{sudo} stop {_UNIT}"
    )
    if not ran.ok:
        user = "" if manager is Manager.SYSTEM else "--user "
        work.hints.append(f"why it did not start: journalctl {user}-u {_UNIT} -n 50 (systemd keeps trying)")


def _give_folder(work: Work, manager: Manager, nightly: Nightly) -> None:
    """A directory for backups that the service's user may not write is said now, not at three in the morning."""
    folder = nightly.directory
    if folder is None:
        return
    if not work.machine.path(folder).is_dir():
        work.hints.append(f"{folder} is not there yet: backups fail until it is")
    elif manager is Manager.SYSTEM and work.machine.path(folder).stat().st_uid not in _uid_of_user(work):
        work.hints.append(f"the backups are written as {USER}: chown {USER} {folder}")


def _uid_of_user(work: Work) -> set[int]:
    fields = work.machine.run(("getent", "passwd", USER)).out.split(":")
    return {int(fields[2])} if len(fields) > 2 and fields[2].isdecimal() else set()


def _advise(work: Work, manager: Manager) -> None:
    if manager is Manager.SYSTEM:
        work.hints.append(
            f"Unix users whose agents speak here need the socket's group: usermod -aG {USER} NAME "
            "(they log in anew)"
        )
        return
    name = login_of(work.machine)
    ran = work.machine.run(("loginctl", "show-user", name, "--property=Linger", "--value"))
    if ran.out.strip() != "yes":
        work.hints.append(
            f"it ends when you log out, and does not start at boot, until: sudo loginctl enable-linger {name}"
        )


def login_of(machine: Machine) -> str:
    try:
        return pwd.getpwuid(machine.euid).pw_name
    except KeyError:
        return str(machine.euid)
