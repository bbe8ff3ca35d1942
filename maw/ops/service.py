"""Keep the daemon alive: by systemd for the whole host, by a user's systemd, or by PM2; and undo it again.

Nothing here prints: the functions return a `ServiceReport` of what was done and how to undo it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from maw.errors import BadInput, NotFound, Refused, Unavailable
from maw.ops import pm2, systemd
from maw.ops.machine import Machine
from maw.ops.report import ServiceReport
from maw.ops.timer import Nightly
from maw.ops.units import Manager, read_record


class Keeper(Protocol):
    """What `maw.ops.systemd` and `maw.ops.pm2` are to this module."""

    def obstacle(self, machine: Machine, manager: Manager) -> str | None: ...
    def unit_path(self, machine: Machine, manager: Manager, home: Path) -> Path: ...
    def state(self, machine: Machine, manager: Manager) -> tuple[bool, bool]: ...
    def install(
        self,
        machine: Machine,
        manager: Manager,
        *,
        home: Path,
        command: Path,
        group: str | None,
        replace: bool,
        nightly: Nightly | None,
        keep: Sequence[str] = (),
    ) -> ServiceReport: ...
    def remove(self, machine: Machine, manager: Manager, *, home: Path) -> ServiceReport: ...


_KEEPERS: Final[Mapping[Manager, Keeper]] = {
    Manager.SYSTEM: systemd,
    Manager.USER: systemd,
    Manager.PM2: pm2,
}


@dataclass(frozen=True, slots=True)
class Installed:
    """A unit that is there. ``ours``: install wrote it; ``enabled``: it starts at boot (PM2: it is saved)."""

    manager: Manager
    unit: Path
    ours: bool
    enabled: bool
    active: bool
    home: Path | None


def this_command(argv0: str | None = None) -> Path:
    """The absolute path of the `maw` command that is running, as a unit must name it.

    Links are kept (a package manager moves what they point to). Raises NotFound when it was not run as one.
    """
    found = Path(os.path.abspath(argv0 or sys.argv[0]))  # noqa: PTH100 - resolve() would follow the links
    beside = Path(sys.executable).parent / "maw"
    for candidate in (found, beside):
        if candidate.name == "maw" and os.access(candidate, os.X_OK) and candidate.is_file():
            return candidate
    raise NotFound(
        "the maw command was not found beside this Python",
        code="no_command",
        hint="run the installed `maw`, not `python -m maw...`",
    )


def choose(machine: Machine, wanted: str | None = None) -> Manager:
    """The manager to use: ``wanted`` if it can be, else the first there is. Raises BadInput, Unavailable."""
    if wanted is not None and wanted not in list(Manager):
        words = tuple(manager.value for manager in Manager)
        raise BadInput(f"no such manager: {wanted}", hint=f"one of {', '.join(words)}")
    problems: list[str] = []
    for manager in Manager if wanted is None else (Manager(wanted),):
        problem = _KEEPERS[manager].obstacle(machine, manager)
        if problem is None:
            return manager
        problems.append(f"{manager.value}: {problem}")
    raise Unavailable(
        f"{wanted or 'no service manager'} cannot be used here: {'; '.join(problems)}",
        code="no_service_manager",
        hint="sudo maw service install where systemd runs; else npm install -g pm2; "
        "else have whatever starts programs on this host run: maw up",
    )


def install(
    machine: Machine,
    *,
    home: Path,
    command: Path,
    manager: str | None = None,
    group: str | None = None,
    replace: bool = False,
    nightly: Nightly | None = None,
    keep: Sequence[str] = (),
) -> ServiceReport:
    """Write the unit, start it now and at every boot. Doing it again brings the unit up to date.

    ``home``: the node's directory, with its maw.toml. ``group``: the one in maw.toml's [socket], if any.
    ``replace``: a unit of the same name that is not ours is kept aside instead of refused (Conflict).
    ``keep``: the Unix users whose agents get a keeper, of a service for the whole host; else it is the caller's, and
    nothing is made of this.
    ``nightly``: make a backup every night too; without it an earlier timer is removed.
    A step that failed is in the report (``ok``); what stood in the way before anything was done raises.
    """
    chosen = choose(machine, manager)
    if not machine.path(home / "maw.toml").is_file():
        raise NotFound(f"there is no node in {home}", code="no_config", hint="`maw init` makes one")
    other = [one for one in installed(machine, home) if one.ours and one.manager is not chosen]
    if other:
        raise Refused(
            f"{other[0].manager.value} keeps this node already ({other[0].unit}): "
            "two daemons on one directory refuse each other",
            hint=f"maw service remove --manager {other[0].manager.value}",
        )
    return _KEEPERS[chosen].install(
        machine, chosen, home=home, command=command, group=group, replace=replace, nightly=nightly, keep=keep
    )


def remove(machine: Machine, *, home: Path, manager: str | None = None) -> ServiceReport:
    """Stop the service and undo what install did; the node's directory stays. Raises NotFound, Refused."""
    if manager is not None and manager not in list(Manager):
        raise BadInput(f"no such manager: {manager}", hint=f"one of {', '.join(m.value for m in Manager)}")
    found = [one for one in installed(machine, home) if manager in (None, one.manager.value)]
    if not found:
        raise NotFound("no service of maw is installed here", code="no_service")
    if not (ours := [one for one in found if one.ours]):
        raise Refused(
            f"{found[0].unit} was not written by `maw service install`",
            hint="remove it by hand if you mean it",
        )
    return _KEEPERS[ours[0].manager].remove(machine, ours[0].manager, home=home)


def installed(machine: Machine, home: Path) -> tuple[Installed, ...]:
    """Every unit of maw on this host that this user can see, ours or not."""
    found = []
    for manager in Manager:
        unit = _KEEPERS[manager].unit_path(machine, manager, home)
        try:
            text = machine.path(unit).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # none there, or not for us to see
        record = read_record(text)
        enabled, active = _KEEPERS[manager].state(machine, manager)
        where = Path(record.home) if record else None
        found.append(Installed(manager, unit, record is not None, enabled, active, where))
    return tuple(found)
