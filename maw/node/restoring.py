"""A backup put back: into an empty directory on a new host, or in the place of a database that is no good.

Nothing is deleted: what was there is moved aside. From the first file that moves to the last one in place a note
lies in the directory, and no daemon starts over it: a restore that was cut short is done again, not half run.

The node then goes on as one whose database is older than what it said. The restored file no longer knows where it
last ran, so the next start opens a new epoch whatever the host and the mark beside the key say, and what came after
the backup is fetched from the peers. A trust.copy that is here already is newer than the backup and stays: the next
start takes from it what the backup does not know, so that no revocation is undone.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from maw.core.identity import NodeId, key_text
from maw.core.statement import colony_text
from maw.errors import BadConfig, BadInput, Conflict, MawError, NotFound, Refused, Unavailable
from maw.node.backups import DATABASE, KEY, SEAL_KEYS, Backup, Progress, check_files, quiet, read_backup
from maw.node.home import NodeHome, hold_lock, read_key, replace_file
from maw.store import trust as rows
from maw.store.copying import copy_database, open_readonly
from maw.store.reruling import Rerule
from maw.store.verifying import SQL_ERRORS, Report, verify_database

STAGED: Final = ".restoring"
_DATABASE_FILES: Final = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm")
_KEY_FILES: Final = (KEY, SEAL_KEYS, "node.mark", "trust.copy")


@dataclass(frozen=True, slots=True)
class Source:
    """What is restored: a backup, or a database file alone (``backup`` None)."""

    database: Path
    backup: Backup | None


@dataclass(frozen=True, slots=True)
class Restored:
    """``aside``: where what was here is now, None when nothing was; ``taken``: names of the files put in place;
    ``kept``: those that were here and stay; ``notes``: what a human should know."""

    home: Path
    key: NodeId
    report: Report
    aside: Path | None
    taken: tuple[str, ...]
    kept: tuple[str, ...]
    notes: tuple[str, ...]


def find_source(path: Path) -> Source:
    """A backup's directory, or a database file. Raises BadInput, NotFound."""
    if path.is_dir():
        return Source(path / DATABASE, read_backup(path))
    if path.is_file():
        if path.parent.joinpath("manifest.json").is_file() and path.name == DATABASE:
            return Source(path, read_backup(path.parent))
        return Source(path, None)
    raise NotFound(f"{path} is not there", code="no_backup", hint="`maw backup --list` shows what there is")


def restore(
    home: NodeHome, path: Path, *, force: bool = False, key: Path | None = None, progress: Progress = quiet
) -> Restored:
    """Puts the backup at ``path`` in place. ``key``: a node.key kept apart, where neither has one.

    Raises Conflict while a daemon runs here or a sound database would be replaced without ``force``, Refused
    when it is another node's, BadInput when the backup is damaged; then nothing was changed.
    """
    source = find_source(path)
    home.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    with hold_lock(home):
        if source.backup is not None:
            check_files(source.backup, progress)
        signer_file, me = _key(home, source, key, force)
        report = _sound(source, me, progress)
        notes: list[str] = []
        other = home.key.exists() and signer_file is not None
        if not force and not home.unfinished_restore.exists():
            _refuse_to_replace(home)
        colony = _colony(source.database)
        keep_copy = not other and _copy_stays(home, colony, force, notes)
        try:
            return _put(home, source, me, report, signer_file, other, keep_copy, notes, progress)
        except (OSError, sqlite3.Error) as error:
            raise Unavailable(
                f"the restore could not be finished in {home.path}: {error}",
                code="cannot_write",
                hint="when that is mended, the same command again finishes it; no daemon starts before",
            ) from None


# -- what stands in the way ------------------------------------------------------------------------------


def _key(home: NodeHome, source: Source, given: Path | None, force: bool) -> tuple[Path | None, NodeId]:
    """The key file to put in place (None: the one here stays), and whose it is."""
    wanted = source.backup.key if source.backup else None
    if home.key.exists():
        here = read_key(home.key).node
        if wanted in (None, here):
            return None, here
        if not force:
            raise Refused(
                f"{home.path} is the node {key_text(here)}, the backup is of {key_text(wanted or here)}",
                code="other_node",
                hint="MAW_HOME=DIR maw restore … puts it elsewhere; --force moves the node that is here aside",
            )
    inside = source.backup.path / KEY if source.backup and source.backup.with_key else None
    file = given or inside
    if file is None:
        raise BadInput(
            "the node.key that is here is another node's, and none is in the backup"
            if home.key.exists()
            else "there is no node.key, neither here nor in the backup",
            code="no_key",
            hint="--key FILE, with the copy you kept; without it this is lost, and `maw init` makes a new node",
        )
    node = read_key(file).node
    if wanted not in (None, node):
        raise Refused(
            f"{file} is the key of {key_text(node)}, the backup is of {key_text(wanted or node)}",
            code="other_node",
        )
    if source.backup is None:
        raise BadInput(
            "a database file alone makes no node: its settings are not in it",
            code="bad_backup",
            hint="put node.key and maw.toml in place first, or restore a directory that `maw backup` made",
        )
    return file, node


def _sound(source: Source, me: NodeId, progress: Progress) -> Report:
    """Checks it as it lies there. A file with a write-ahead log beside it was copied while in use."""
    wal = source.database.with_name(source.database.name + "-wal")
    if wal.exists() and wal.stat().st_size:
        raise BadInput(
            f"{source.database} has a write-ahead log beside it: it is a database in use, no backup",
            code="bad_backup",
            hint="`maw backup` makes one",
        )
    with closing(open_readonly(source.database, still=True)) as conn:
        report = verify_database(conn, me=me, progress=lambda *far: progress("checking", *far))
    if report.structural:
        first = next(one for one in report.findings if not one.peers)
        raise BadInput(
            f"{source.database} is damaged: {first.where}: {first.text}",
            code="bad_backup",
            hint="`maw verify` on it tells all; `maw backup --list` shows others",
        )
    return report


def _refuse_to_replace(home: NodeHome) -> None:
    """A database that can be used is not put aside unasked: it is newer than any backup of it."""
    if not home.database.exists():
        return
    try:
        with closing(open_readonly(home.database)) as conn:
            report = verify_database(conn, signatures=False)
            (messages,) = conn.execute("SELECT count(*) FROM messages").fetchone()
    except (MawError, *SQL_ERRORS):  # it cannot be used
        return
    if report.structural:
        return
    raise Conflict(
        f"{home.database} is there and can be used ({messages} messages)",
        code="database_in_place",
        hint="--force moves it aside, deletes nothing, and puts the backup in its place",
    )


def _colony(database: Path) -> bytes:
    with closing(open_readonly(database, still=True)) as conn:
        row = conn.execute("SELECT value FROM meta WHERE key = 'colony'").fetchone()
    return bytes(row[0])


def _copy_stays(home: NodeHome, colony: bytes, force: bool, notes: list[str]) -> bool:
    """Whether the trust.copy that is here is one to go on with."""
    try:
        records = rows.unpack_copy(home.trust_copy.read_bytes(), str(home.trust_copy))
    except FileNotFoundError:
        return False
    except BadConfig as error:
        notes.append(f"{error.message}: it was put aside, and the backup's taken")
        return False
    if records.colony == colony:
        return True
    if not force:
        raise Refused(
            f"the backup is from before this node joined the Colony {colony_text(records.colony)}",
            code="other_colony",
            hint="a newer backup; or none: start without colony.db and the peers give back what they hold."
            " --force goes back to the old Colony",
        )
    return False


# -- doing it --------------------------------------------------------------------------------------------


def _put(
    home: NodeHome, source: Source, me: NodeId, report: Report, key: Path | None, other: bool,
    keep_copy: bool, notes: list[str], progress: Progress,
) -> Restored:  # fmt: skip
    staged = _stage(home, source, key, other, keep_copy, progress)
    going = [*_DATABASE_FILES, *((*_KEY_FILES, "maw.toml", "peers.toml") if other else ())]
    if not keep_copy:
        going.append("trust.copy")
    moving = [home.path / name for name in dict.fromkeys(going) if os.path.lexists(home.path / name)]
    with while_noted(home, b"a restore was cut short: `maw restore` again finishes it\n"):
        aside = put_aside(home, "before-restore") if moving else None
        for path in moving:
            assert aside is not None
            path.rename(aside / path.name)
        for path in staged:
            path.rename(path.with_name(path.name.removesuffix(STAGED)))
        sync(home.path)
    taken = tuple(path.name.removesuffix(STAGED) for path in staged)
    names = (KEY, "maw.toml", "peers.toml", "trust.copy")
    kept = tuple(name for name in names if name not in taken and (home.path / name).exists())
    return Restored(home.path, me, report, aside, taken, kept, tuple(notes))


def _stage(
    home: NodeHome, source: Source, key: Path | None, other: bool, keep_copy: bool, progress: Progress
) -> list[Path]:
    """Everything is on this disk, whole, before anything moves."""
    for left in home.path.glob(f"*{STAGED}*"):
        left.unlink()
    staged = [home.path / (DATABASE + STAGED)]
    copy_database(source.database, staged[0], lambda *far: progress("copying", *far))
    with closing(sqlite3.connect(staged[0], isolation_level=None)) as conn:
        conn.execute("PRAGMA synchronous = FULL")
        # it never ran here: that opens a new epoch, and starts seq where no old cursor skips anything
        conn.execute("DELETE FROM meta WHERE key IN ('fingerprint', 'search')")
        if not other:
            _take_redactions(home, conn)
    files: dict[str, Path] = {} if key is None else {KEY: key}
    if (
        source.backup is not None
        and SEAL_KEYS in source.backup.files
        and (other or not home.seal_keys.exists())
    ):
        files[SEAL_KEYS] = source.backup.path / SEAL_KEYS
    if source.backup is not None:
        for name in ("maw.toml", "peers.toml", "trust.copy"):
            stays = keep_copy if name == "trust.copy" else (home.path / name).exists() and not other
            if name in source.backup.files and not stays:
                files[name] = source.backup.path / name
    for name, path in files.items():
        target = home.path / (name + STAGED)
        replace_file(target, path.read_bytes())
        staged.append(target)
    return staged


def _take_redactions(home: NodeHome, staged: sqlite3.Connection) -> None:
    """What was redacted since the backup is not brought back by it, as far as the database that gives way can be
    read; else it is when the peers say so again."""
    if not home.database.exists():
        return
    colony = "SELECT value FROM meta WHERE key = 'colony'"
    try:
        with closing(open_readonly(home.database)) as old:
            if old.execute(colony).fetchone() != staged.execute(colony).fetchone():
                return
            staged.execute("PRAGMA secure_delete = ON")
            staged.execute("BEGIN")
            rules = Rerule(staged)
            if rules.take_over(old):
                rules.carry_out()
            staged.execute("COMMIT")
    except (MawError, *SQL_ERRORS):
        if staged.in_transaction:
            staged.execute("ROLLBACK")


@contextmanager
def while_noted(home: NodeHome, text: bytes) -> Iterator[None]:
    """While files move, the note lies there; it stays when something fails."""
    replace_file(home.unfinished_restore, text)
    yield
    home.unfinished_restore.unlink()
    sync(home.path)


def put_aside(home: NodeHome, why: str) -> Path:
    """A fresh directory in the home for what must give way."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    names = (f"{why}-{stamp}" + (f"-{n}" if n else "") for n in range(100))
    path = next(home.path / name for name in names if not (home.path / name).exists())
    path.mkdir(mode=0o700)
    return path


def sync(folder: Path) -> None:
    """A file or directory is on the disk when this returns."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_finished(home: NodeHome) -> None:
    """For whoever starts a node here. Raises BadConfig after a restore that was cut short."""
    if home.unfinished_restore.exists():
        raise BadConfig(
            f"in {home.path}, {home.unfinished_restore.read_text('utf-8', 'replace').strip()}",
            code="unfinished_restore",
            hint="`maw restore` with the same backup finishes it",
        )
