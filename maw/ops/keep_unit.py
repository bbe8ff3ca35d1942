"""The keeper beside the service: one more unit, written and removed with it.

For the whole host it is a template, ``maw-keep@USER.service``: agents run as their own Unix users, and the daemon's has
none. Under a user's own systemd it is ``maw-keep.service``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from maw.errors import BadInput, Conflict
from maw.ops.machine import Machine
from maw.ops.report import Work
from maw.ops.units import Manager, Record, is_ours, render_file

TEMPLATE: Final = "maw-keep@.service"
OWN: Final = "maw-keep.service"


def name_of(manager: Manager) -> str:
    return TEMPLATE if manager is Manager.SYSTEM else OWN


def check(machine: Machine, manager: Manager, folder: Path, users: Sequence[str], replace: bool) -> None:
    """Raises Conflict when a unit of this name is there that is not ours, BadInput for a user that there is not."""
    path = machine.path(folder / name_of(manager))
    if path.exists() and not is_ours(path) and not replace:
        raise Conflict(
            f"{folder / path.name} is there already, and was not written by `maw service install`",
            code="foreign_unit",
            hint="maw service install --replace writes over it",
        )
    for user in users:
        if not machine.run(("getent", "passwd", user)).ok:
            raise BadInput(f"--keep: this machine has no user called {user[:40]!r}")


def install(
    work: Work, manager: Manager, folder: Path, systemctl: Sequence[str], *,
    command: Path, home: Path, users: Sequence[str],
) -> None:  # fmt: skip
    """Write it and start it; for the whole host, for each of ``users``. The service is there already."""
    name = name_of(manager)
    record = Record(manager.value, str(home))
    text = render_file(manager, name, command=command, home=home, backups=None, record=record)
    work.machine.path(folder / name).write_text(text, encoding="utf-8")
    work.did(f"wrote {folder / name}", f"rm {folder / name}")
    work.run("told systemd of the keeper", (*systemctl, "daemon-reload"))
    units = [OWN] if manager is not Manager.SYSTEM else [TEMPLATE.replace("@", f"@{user}") for user in users]
    for unit in units:
        undo = f"{' '.join(systemctl)} disable --now {unit}"
        work.run(f"keeps agents running ({unit})", (*systemctl, "enable", unit), undo)
        work.run(f"started {unit}", (*systemctl, "restart", unit), undo)
    if manager is Manager.SYSTEM and not users:
        work.hints.append(
            "for each user whose agents run in tmux here: sudo maw service install --keep USER (their keeper)"
        )


def remove(work: Work, manager: Manager, folder: Path, systemctl: Sequence[str]) -> None:
    """Stop every instance and remove the unit where it is ours. Agents run on."""
    name = name_of(manager)
    if not is_ours(work.machine.path(folder / name)):
        return
    for unit in _instances(work, manager, folder, name):
        work.run(f"stopped {unit}, now and at boot", (*systemctl, "disable", "--now", unit))
    work.machine.path(folder / name).unlink()
    work.did(f"removed {folder / name}")
    work.hints.append("agents that run go on; nobody brings them back: `maw keep` does by hand")


def kept_users(machine: Machine, folder: Path) -> list[str]:
    """For whom a keeper is enabled on this host."""
    wants = machine.path(folder / "multi-user.target.wants")
    before, _, after = TEMPLATE.partition("@")
    try:
        names = sorted(path.name for path in wants.iterdir())
    except OSError:
        return []
    return [
        name.removeprefix(f"{before}@").removesuffix(after) for name in names if name.startswith(f"{before}@")
    ]


def _instances(work: Work, manager: Manager, folder: Path, name: str) -> list[str]:
    if manager is not Manager.SYSTEM:
        return [name]
    return [name.replace("@", f"@{user}") for user in kept_users(work.machine, folder)]
