"""Is this still the machine, the boot and the file that wrote last? If not, the log goes on in a new epoch.

A database that was restored, copied or rolled back would otherwise say a second thing at a place of its log
where others hold a first: a fork (ssb-server #410).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from maw.core.entry import Head


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Where the database lives now."""

    boot: str
    machine: str
    file: str

    def text(self) -> str:
        return f"{self.boot}|{self.machine}|{self.file}"


def take_fingerprint(database: Path) -> Fingerprint:
    """Reads boot id, machine id, and the database's device and inode; what is not there reads as ""."""
    info = database.stat()
    return Fingerprint(
        _line("/proc/sys/kernel/random/boot_id"), _line("/etc/machine-id"), f"{info.st_dev:x}:{info.st_ino:x}"
    )


def _line(path: str) -> str:
    try:
        return Path(path).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def why_new_epoch(
    *,
    last: tuple[int, Head] | None,
    stored: str | None,
    now: Fingerprint,
    mark: tuple[int, int],
    clock_fell: bool,
    lost: bool = False,
) -> str | None:
    """The reason to open an epoch with the next write, or None to go on in the last one.

    ``last``: newest own epoch and its head in the database; ``stored``: the fingerprint kept there;
    ``mark``: the high-water mark beside the key; ``lost``: a node was here, and its database is a new one.
    """
    if last is None:
        return "the database is new beside an old key" if lost or mark != (0, 0) else "first"
    if mark > (last[0], last[1].seq):
        return "the database is older than what this node has already said"
    if stored is None:
        return "the database was never run here"
    boot, _, rest = stored.partition("|")
    machine, _, file = rest.partition("|")
    if machine != now.machine:
        return "the machine id changed"
    if file != now.file:
        return "the database file is another one"
    if boot != now.boot:
        return "the machine was booted again"
    return "the clock fell behind" if clock_fell else None


def cursors_may_be_ahead(why: str) -> bool:
    """Whether readers may hold cursors that this database, opened for the reason ``why``, never gave: it is
    older than what was shown before, or stands where another one stood. A machine that was booted again may have
    been put back whole, disk, mark and all."""
    return why.startswith(("the database", "the machine"))
