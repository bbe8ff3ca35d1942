"""A copy of the database as it stood at one moment, made while others write to it.

The copy is made through a connection of its own, read-only, that holds one snapshot: the daemon's writer never
waits for it. What the write-ahead log gains meanwhile is folded in when the copy is done. Pages are copied in
steps, as they are; whether they are sound is for ``verifying``.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

from maw.errors import BadConfig, Unavailable

STEP_PAGES: Final = 512
BUSY_S: Final = 10.0

Progress = Callable[[int, int], None]
"""Done and all, in one unit."""


def quiet(done: int, total: int) -> None:
    """Progress for nobody."""


def open_readonly(path: Path, *, still: bool = False) -> sqlite3.Connection:
    """A connection that cannot write. ``still``: nobody else does either, so nothing is locked or made beside it.

    Raises BadConfig when there is no such file or it is no database.
    """
    if not path.is_file():
        raise BadConfig(f"{path} is not there", code="no_database", hint="is this the directory meant?")
    uri = f"file:{quote(str(path))}?mode=ro{'&immutable=1' if still else ''}"
    try:
        conn = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_S, check_same_thread=False)
        try:
            conn.execute("PRAGMA query_only = ON")
            conn.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except BaseException:
            conn.close()
            raise
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise unreadable(path, error) from None
    return conn


def unreadable(path: Path, error: Exception) -> BadConfig:
    return BadConfig(
        f"the database {path} cannot be read: {error}",
        code="bad_database",
        hint="`maw verify --repair`, with the daemon stopped, saves what can be read and fetches the rest",
    )


def database_bytes(path: Path) -> int:
    """How much room a copy takes."""
    with closing(open_readonly(path)) as conn:
        (pages,), (size,) = (
            conn.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size")
        )
        return int(pages) * int(size)


def copy_database(source: Path, target: Path, progress: Progress = quiet) -> None:
    """Copies one snapshot of ``source`` into the new file ``target``, which is on the disk when this returns.

    The copy is one file that needs no other beside it. Raises BadConfig when the source cannot be read and
    Unavailable when the copy cannot be written; the target is then of no use.
    """
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with closing(open_readonly(source)) as reading, closing(_plain(target)) as writing:
            reading.execute("BEGIN")
            reading.execute(
                "SELECT count(*) FROM sqlite_master"
            ).fetchone()  # the snapshot is taken by reading
            reading.backup(
                writing, pages=STEP_PAGES, progress=lambda _, left, total: progress(total - left, total)
            )
            reading.execute("ROLLBACK")
            # a copied file says that it has a write-ahead log; this one has none
            writing.execute("PRAGMA journal_mode = DELETE")
        os.fsync(handle)
        if sys.platform == "linux":
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)  # what is checked next comes from the disk
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise unreadable(source, error) from None
        raise Unavailable(
            f"{target} could not be written: {error}", code="cannot_write", hint="is there room on that disk?"
        ) from None
    finally:
        os.close(handle)


def _plain(path: Path) -> sqlite3.Connection:
    """To write a file that is thrown away unless all of it succeeds: no journal, one sync at the end."""
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("PRAGMA journal_mode = OFF")
    conn.execute("PRAGMA synchronous = OFF")
    return conn
