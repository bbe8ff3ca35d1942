"""Backups of a node: a directory each, with what is needed to come back and a manifest that proves it whole.

    maw-mbp-20261121T030000Z/
        manifest.json   what it is and the SHA-256 of every file; written last
        colony.db       the database as it stood at one moment
        trust.copy      statements, pins, tombstones
        maw.toml, peers.toml
        node.key        only when asked for, and with it seal.keys

It is made under a name that begins with a dot, checked as it lies on the disk, and renamed: what is listed is
whole. One that was cut short is removed by the next. What is not sound is kept apart from those that are: it
neither counts for rotation nor lets a sound one go.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from maw import __version__
from maw.core.identity import NodeId, key_text, parse_key
from maw.core.rotation import KEEP, KEEP_WEEKS, surplus
from maw.core.statement import colony_text
from maw.errors import BadInput, Conflict, MawError, NotFound, Unavailable
from maw.node.backup_record import note
from maw.node.home import NodeHome, read_key
from maw.store.copying import copy_database, database_bytes, open_readonly
from maw.store.verifying import Report, verify_database

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
DATABASE: Final = "colony.db"
KEY: Final = "node.key"
SEAL_KEYS: Final = "seal.keys"
COPIED: Final = ("trust.copy", "maw.toml", "peers.toml")
MAKING: Final = ".making-"
_STAMP: Final = "%Y%m%dT%H%M%SZ"
_SLACK_BYTES: Final = 1 << 20
_MAX_MANIFEST: Final = 1 << 20

Progress = Callable[[str, int, int], None]
"""What is being done, how far it is, and how far it goes."""


def quiet(what: str, done: int, total: int) -> None:
    """Progress for nobody."""


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup as its manifest tells. ``own``: the newest (epoch, seq) of this node's log in it;
    ``files``: name -> (bytes, SHA-256 in hex)."""

    path: Path
    node: str
    key: NodeId
    colony: str
    made_at: datetime
    maw: str
    entries: int
    messages: int
    own: tuple[int, int]
    sound: bool
    files: Mapping[str, tuple[int, str]]

    @property
    def bytes(self) -> int:
        return sum(size for size, _ in self.files.values())

    @property
    def with_key(self) -> bool:
        return KEY in self.files

    @property
    def database(self) -> Path:
        return self.path / DATABASE


@dataclass(frozen=True, slots=True)
class Made:
    """``report``: what checking the copy found; ``removed``: the backups that had to go for it."""

    backup: Backup
    report: Report
    removed: tuple[str, ...]


# -- making one ----------------------------------------------------------------------------------------


def make_backup(
    home: NodeHome,
    folder: Path | None = None,
    *,
    name: str,
    keep: int = KEEP,
    weeks: int = KEEP_WEEKS,
    with_key: bool = False,
    reserve: int = 0,
    now: datetime | None = None,
    progress: Progress = quiet,
) -> Made:
    """Makes one in ``folder`` (the node's own ``backups`` if None), checks it, and lets old ones go.

    The daemon may run. ``name``: what the node calls itself; ``reserve``: bytes of its disk the node keeps free.
    How it went is noted in the node's directory, for status and doctor. Raises BadConfig, NotFound, Conflict when
    another is being made there, Unavailable when there is no room; nothing is left behind then.
    """
    now = (now or datetime.now(UTC)).replace(microsecond=0)
    try:
        made = _make(home, folder, name, keep, weeks, with_key, reserve, now, progress)
    except MawError as error:
        note(home, now, problem=error.message)
        raise
    except OSError as error:
        failure = _failed(folder or home.backups, error)
        note(home, now, problem=failure.message)
        raise failure from None
    problem = None if made.report.sound else f"what was copied is damaged at {made.report.wrong} places"
    note(home, now, str(made.backup.path), problem)
    return made


def _make(
    home: NodeHome, folder: Path | None, name: str, keep: int, weeks: int, with_key: bool, reserve: int,
    now: datetime, progress: Progress,
) -> Made:  # fmt: skip
    me = read_key(home.key).node
    folder = _folder(home, folder)
    with _alone(folder):
        for left in folder.glob(f"{MAKING}*"):  # cut short: we are alone here, so nobody is making it
            shutil.rmtree(left)
        _check_room(home, folder, reserve)
        target = _free_name(folder, f"maw-{name}-{now.strftime(_STAMP)}")
        making = folder / (MAKING + target.name)
        making.mkdir(mode=0o700)
        try:
            copy_database(home.database, making / DATABASE, lambda *far: progress("copying", *far))
            for file in (*COPIED, *((KEY, SEAL_KEYS) if with_key else ())):
                _copy(home.path / file, making / file)
            report, colony = _checked(making / DATABASE, me, progress)
            backup = Backup(
                target, name, me, colony, now, __version__, report.entries, report.messages,
                report.newest.get(me, (0, 0)), report.sound, _hashes(making),
            )  # fmt: skip
            _write(making / MANIFEST, json.dumps(_as_json(backup), indent=1).encode() + b"\n")
            _sync(making)
            making.rename(target)
            _sync(folder)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
        return Made(backup, report, tuple(_rotate(folder, backup, keep, weeks)))


def _folder(home: NodeHome, wanted: Path | None) -> Path:
    if wanted is None:
        home.backups.mkdir(mode=0o700, exist_ok=True)
        return home.backups
    if not wanted.is_dir():
        raise NotFound(
            f"{wanted} is not there, or no directory",
            code="no_folder",
            hint="is the disk mounted? else make it",
        )
    return wanted


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Only one is made in a directory at a time. Raises Conflict."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                f"another backup is being made in {folder}", code="backup_running", hint="wait for its end"
            ) from None
        yield
    finally:
        os.close(handle)


def _check_room(home: NodeHome, folder: Path, reserve: int) -> None:
    needed = database_bytes(home.database) + _SLACK_BYTES
    if folder.stat().st_dev == home.path.stat().st_dev:
        needed += reserve  # else the backup itself would turn the node read-only
    info = os.statvfs(folder)
    free = info.f_bavail * info.f_frsize
    if free < needed:
        raise Unavailable(
            f"{folder} has {free >> 20} MiB free, a backup needs {(needed >> 20) + 1} MiB there",
            code="no_room",
            hint="make room, or --to another disk; `maw backup --keep N` keeps fewer of the old ones",
        )


def _free_name(folder: Path, name: str) -> Path:
    names = (name if n == 1 else f"{name}-{n}" for n in range(1, 100))
    return next(folder / one for one in names if not (folder / one).exists())


def _copy(source: Path, target: Path) -> None:
    try:
        data = source.read_bytes()
    except FileNotFoundError:
        return
    _write(target, data)


def _write(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _checked(database: Path, me: NodeId, progress: Progress) -> tuple[Report, str]:
    with closing(open_readonly(database, still=True)) as conn:
        report = verify_database(
            conn, me=me, signatures=False, progress=lambda *far: progress("checking", *far)
        )
        row = conn.execute("SELECT value FROM meta WHERE key = 'colony'").fetchone()
    return report, colony_text(row[0]) if row and isinstance(row[0], bytes) and len(row[0]) == 32 else ""


def _hashes(folder: Path) -> dict[str, tuple[int, str]]:
    return {path.name: (path.stat().st_size, _sha256(path)) for path in sorted(folder.iterdir())}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _failed(folder: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"a backup could not be written to {folder}: {error.strerror or error}",
        code="cannot_write",
        hint="is there room, and may this user write there?",
    )


# -- rotation ------------------------------------------------------------------------------------------


def _rotate(folder: Path, fresh: Backup, keep: int, weeks: int) -> Iterator[str]:
    """Removes what may go; only this node's, and sound ones only for a sound one."""
    ours = [one for one in list_backups(folder)[0] if one.key == fresh.key]
    going = [one.path.name for one in ours if not one.sound and one.path != fresh.path]
    if fresh.sound:
        going += surplus({one.path.name: one.made_at for one in ours if one.sound}, keep, weeks)
    for name in going:
        # out of the list in one step: one that is half removed must not look whole
        aside = folder / (MAKING + name)
        (folder / name).rename(aside)
        shutil.rmtree(aside)
        yield name
    _sync(folder)


# -- reading them --------------------------------------------------------------------------------------


def list_backups(folder: Path) -> tuple[list[Backup], list[str]]:
    """Those in a directory, newest first, and what looks like one and is none, a sentence each."""
    found: list[Backup] = []
    broken: list[str] = []
    if not folder.is_dir():
        return found, broken
    for path in sorted(folder.iterdir()):
        if path.name.startswith("maw-") and path.is_dir():
            try:
                found.append(read_backup(path))
            except BadInput as error:
                broken.append(error.message)
    return sorted(found, key=lambda one: (one.made_at, one.path.name), reverse=True), broken


def read_backup(path: Path) -> Backup:
    """By its manifest; every file it names must be there in its size. Raises BadInput."""
    try:
        with (path / MANIFEST).open("rb") as file:
            fields = json.loads(file.read(_MAX_MANIFEST))
        backup = _from_json(path, fields)
        for name, (size, _) in backup.files.items():
            if (path / name).stat().st_size != size:
                raise ValueError(f"{name} is not {size} bytes long")
    except OSError as error:
        what = Path(error.filename).name if error.filename else str(error)
        raise _no_backup(path, f"{what}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError, BadInput) as error:
        raise _no_backup(path, str(error)) from None
    return backup


def check_files(backup: Backup, progress: Progress = quiet) -> None:
    """Every file has the content the manifest tells. Raises BadInput naming the first that has not."""
    for at, (name, (_, digest)) in enumerate(backup.files.items()):
        progress("hashing", at, len(backup.files))
        if _sha256(backup.path / name) != digest:
            raise _no_backup(backup.path, f"{name} is not what was written (its SHA-256 differs)")


def _no_backup(path: Path, why: str) -> BadInput:
    return BadInput(
        f"{path} is no whole backup: {why}",
        code="bad_backup",
        hint="`maw backup --list` shows those that are",
    )


def _as_json(backup: Backup) -> dict[str, Any]:
    fields = asdict(backup)
    del fields["path"]
    return {
        "format": FORMAT, **fields, "key": key_text(backup.key),
        "made_at": backup.made_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "files": {name: {"bytes": size, "sha256": text} for name, (size, text) in backup.files.items()},
    }  # fmt: skip


def _from_json(path: Path, fields: Any) -> Backup:
    if fields["format"] != FORMAT:
        raise ValueError(f"its format is {fields['format']}; this maw knows {FORMAT}")
    files = {name: (int(one["bytes"]), str(one["sha256"])) for name, one in fields["files"].items()}
    if DATABASE not in files or any(name not in (DATABASE, KEY, SEAL_KEYS, *COPIED) for name in files):
        raise ValueError("it lists other files than a backup has")
    epoch, seq = fields["own"]
    return Backup(
        path, str(fields["node"]), parse_key(fields["key"]), str(fields["colony"]),
        datetime.fromisoformat(fields["made_at"]), str(fields["maw"]), int(fields["entries"]),
        int(fields["messages"]), (int(epoch), int(seq)), fields["sound"] is True, files,
    )  # fmt: skip
