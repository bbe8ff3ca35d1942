"""`maw verify --repair` with the daemon stopped: a database that is damaged beyond single entries is written anew.

What can be read comes over (see ``maw.store.salvaging``); entries that could not go on the list of the scrubber,
which has them fetched from the peers at the next start. The damaged file is moved aside, never deleted.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from maw.core.identity import NodeId
from maw.errors import BadConfig, MawError, Unavailable
from maw.node.home import NodeHome, hold_lock, read_key
from maw.node.restoring import put_aside, sync, while_noted
from maw.node.scrubbing import MEMORY_KEY, Round
from maw.store import trust as rows
from maw.store.copying import Progress, open_readonly, quiet
from maw.store.salvaging import Salvaged, salvage
from maw.store.verifying import SQL_ERRORS, Report, verify_database

SAVED: Final = "colony.db.saved"
_CUT_SHORT: Final = b"a repair was cut short: `maw verify --repair` again, or `maw restore`\n"


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """``report``: of the new database; ``aside``: where the damaged one is."""

    salvaged: Salvaged
    report: Report
    aside: Path


def rebuild(home: NodeHome, progress: Progress = quiet) -> Rebuilt:
    """Writes the database anew. Raises Conflict while a daemon runs, Unavailable when nothing can be made of it or
    there is no room; nothing is changed then."""
    with hold_lock(home):
        me = read_key(home.key).node
        target = home.path / SAVED
        if was_cut_short(home):  # what is new was whole before anything moved; the old is in pieces by now
            report, aside = _put_in_place(home, me)
            return Rebuilt(Salvaged(report.entries, report.messages), report, aside)
        for left in home.path.glob(f"{SAVED}*"):
            left.unlink()
        _check_room(home)
        salvaged = salvage(home.database, target, me, _colony(home), progress)
        with closing(sqlite3.connect(target, isolation_level=None)) as conn:
            _list_lost(conn, salvaged)
            conn.execute("PRAGMA journal_mode = DELETE")
        sync(target)
        report, aside = _put_in_place(home, me)
        return Rebuilt(salvaged, report, aside)


def was_cut_short(home: NodeHome) -> bool:
    """Whether a repair ended while files moved: no daemon starts before it is done again."""
    try:
        return home.unfinished_restore.read_bytes() == _CUT_SHORT
    except FileNotFoundError:
        return False


def _put_in_place(home: NodeHome, me: NodeId) -> tuple[Report, Path]:
    """The new database for the damaged one, which goes aside; done again it goes on where it was."""
    target = home.path / SAVED
    with closing(open_readonly(target if target.exists() else home.database, still=True)) as conn:
        report = verify_database(conn, me=me, signatures=False)
    begun = sorted(home.path.glob("damaged-*")) if was_cut_short(home) else []
    with while_noted(home, _CUT_SHORT):
        aside = begun[-1] if begun else put_aside(home, "damaged")
        if target.exists():
            for name in ("colony.db-shm", "colony.db-wal", "colony.db"):
                if (home.path / name).exists():
                    (home.path / name).rename(aside / name)
            sync(home.path)
            target.rename(home.database)
            sync(home.path)
    return report, aside


def _check_room(home: NodeHome) -> None:
    info = os.statvfs(home.path)
    needed, free = home.database.stat().st_size, info.f_bavail * info.f_frsize
    if free < needed:
        raise Unavailable(
            f"{home.path} has {free >> 20} MiB free, the new database needs {(needed >> 20) + 1} MiB",
            code="no_room",
            hint="make room; the damaged one is kept beside it until you remove it",
        )


def _colony(home: NodeHome) -> bytes:
    """Where this node belongs: as the copy beside the key says, else the database."""
    try:
        return rows.unpack_copy(home.trust_copy.read_bytes(), str(home.trust_copy)).colony
    except (OSError, BadConfig):
        pass
    try:
        with closing(open_readonly(home.database)) as conn:
            (colony,) = conn.execute("SELECT value FROM meta WHERE key = 'colony'").fetchone()
        if isinstance(colony, bytes) and len(colony) == 32:
            return colony
    except (MawError, TypeError, *SQL_ERRORS):
        pass
    raise Unavailable(
        f"neither {home.trust_copy} nor {home.database} says which Colony this node belongs to",
        code="not_saved",
        hint="restore a backup: `maw backup --list`, `maw restore`",
    )


def _list_lost(conn: sqlite3.Connection, salvaged: Salvaged) -> None:
    sql = "SELECT n.key, l.epoch, l.l FROM logs l JOIN nodes n ON n.n = l.node"
    logs = {(NodeId(key), epoch): number for key, epoch, number in conn.execute(sql)}
    lost = {(logs[a, e], seq) for a, e, seq in salvaged.lost if (a, e) in logs}
    conn.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (MEMORY_KEY, Round(damaged=lost).text()))
