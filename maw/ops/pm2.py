"""The daemon under PM2, for hosts that keep everything else under it too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from maw.errors import Conflict, NotFound
from maw.ops.machine import Machine
from maw.ops.report import ServiceReport, Work
from maw.ops.timer import Nightly
from maw.ops.units import Manager, Record, read_record, render

_FILE: Final = "ecosystem.config.cjs"
_APP: Final = "maw"
_KEEP: Final = "maw-keep"


def obstacle(machine: Machine, manager: Manager) -> str | None:
    """Why PM2 cannot be used here; None when it can."""
    return None if machine.which("pm2") else "it is not on PATH (npm install -g pm2)"


def unit_path(machine: Machine, manager: Manager, home: Path) -> Path:
    return home / _FILE


def state(machine: Machine, manager: Manager) -> tuple[bool, bool]:
    """(saved for `pm2 resurrect`, online). Does not start PM2's own daemon where none runs."""
    pm2_home = Path(machine.environment.get("PM2_HOME") or machine.home / ".pm2")
    try:
        saved = json.loads(machine.path(pm2_home / "dump.pm2").read_text(encoding="utf-8"))
        enabled = any(app.get("name") == _APP for app in saved)
    except (OSError, ValueError, AttributeError, TypeError):
        enabled = False
    if not machine.which("pm2") or not machine.path(pm2_home / "rpc.sock").exists():
        return enabled, False
    return enabled, machine.run(("pm2", "pid", _APP)).out.strip() not in ("", "0")


def install(
    machine: Machine, manager: Manager, *, home: Path, command: Path, group: str | None, replace: bool,
    nightly: Nightly | None, keep: Sequence[str] = (),
) -> ServiceReport:  # fmt: skip
    """See `maw.ops.service.install`."""
    work = Work(machine)
    file = unit_path(machine, manager, home)
    path = machine.path(file)
    if (
        path.exists()
        and read_record(path.read_text(encoding="utf-8", errors="replace")) is None
        and not replace
    ):
        raise Conflict(
            f"{file} is there already, and was not written by `maw service install`",
            code="foreign_unit",
            hint="move it away",
        )
    text = render(manager, command=command, home=home, groups=(), record=Record(manager.value, str(home)))
    path.write_text(text, encoding="utf-8")
    work.did(f"wrote {file}", f"rm {file}")
    work.run(
        "started it under PM2",
        ("pm2", "startOrRestart", str(path), "--update-env"),
        f"pm2 delete {_APP} {_KEEP}",
    )
    work.run("saved PM2's list, for `pm2 resurrect`", ("pm2", "save"))
    work.hints.append(
        "so that systemd brings PM2 back after a reboot, run what this prints, once: pm2 startup"
    )
    work.hints.append("PM2 notices a daemon that died, not one that hangs; systemd does both")
    work.hints.append("so that PM2's logs do not grow without end: pm2 install pm2-logrotate")
    if nightly is not None:
        work.hints.append(
            f"for a backup every night, a line of `crontab -e`: 17 3 * * * MAW_HOME={home} {command} backup"
        )
    return work.report(manager, file, home, undo="maw service remove")


def remove(machine: Machine, manager: Manager, *, home: Path) -> ServiceReport:
    """See `maw.ops.service.remove`."""
    work = Work(machine)
    file = unit_path(machine, manager, home)
    if not machine.path(file).exists():
        raise NotFound(f"{file} is not there")
    work.run("ended it under PM2", ("pm2", "delete", _APP))
    machine.run(("pm2", "delete", _KEEP))  # not there where an older version installed it
    work.run("saved PM2's list without it", ("pm2", "save", "--force"))
    machine.path(file).unlink()
    work.did(f"removed {file}")
    work.hints.append(f"the node itself is untouched, in {home}")
    return work.report(manager, file, home, undo="maw service install --manager pm2")
