"""The nightly backup beside the service: two more units, written and removed with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from maw.errors import Conflict
from maw.ops.machine import Machine
from maw.ops.report import Work
from maw.ops.units import Manager, Record, is_ours, render_file

SERVICE: Final = "maw-backup.service"
TIMER: Final = "maw-backup.timer"


@dataclass(frozen=True, slots=True)
class Nightly:
    """A backup every night. ``directory``: where to, None for the node's own directory."""

    directory: Path | None = None


def check(machine: Machine, folder: Path, replace: bool) -> None:
    """Raises Conflict when units of these names are there that are not ours."""
    for name in (SERVICE, TIMER):
        path = machine.path(folder / name)
        if path.exists() and not is_ours(path) and not replace:
            raise Conflict(
                f"{folder / name} is there already, and was not written by `maw service install`",
                code="foreign_unit",
                hint="maw service install --replace writes over it; --no-backup leaves it alone",
            )


def install(
    work: Work, manager: Manager, folder: Path, systemctl: tuple[str, ...], nightly: Nightly, *,
    command: Path, home: Path,
) -> None:  # fmt: skip
    """Write both and start the timer. systemd must be told to read its units anew before ``start``."""
    record = Record(manager.value, str(home))
    for name in (SERVICE, TIMER):
        text = render_file(
            manager, name, command=command, home=home, backups=nightly.directory, record=record
        )
        work.machine.path(folder / name).write_text(text, encoding="utf-8")
        work.did(f"wrote {folder / name}", f"rm {folder / name}")
    work.run("told systemd of the backup", (*systemctl, "daemon-reload"))
    undo = f"{' '.join(systemctl)} disable --now {TIMER}"
    work.run("will make a backup every night", (*systemctl, "enable", "--now", TIMER), undo)


def remove(work: Work, folder: Path, systemctl: tuple[str, ...]) -> None:
    """Stop and remove those that are ours. systemd is told by who removes the service."""
    ours = [name for name in (TIMER, SERVICE) if is_ours(work.machine.path(folder / name))]
    if TIMER in ours:
        work.run("will make no more backups", (*systemctl, "disable", "--now", TIMER))
    for name in ours:
        work.machine.path(folder / name).unlink()
        work.did(f"removed {folder / name}")
