"""Below a reserve of free disk, and where it is mounted read-only, the node only reads: better refused than lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def _file_id(path: Path | None) -> tuple[int, int] | None:
    try:
        info = path.stat() if path is not None else None
    except OSError:
        return None
    return (info.st_dev, info.st_ino) if info is not None else None


class DiskGuard:
    """``changed`` hears why nothing is written, or None when it is again. ``reserve``: bytes; ``database``: the file
    that is open, in ``path``."""

    def __init__(
        self,
        path: Path,
        reserve: int,
        changed: Callable[[str | None], None],
        *,
        database: Path | None = None,
    ) -> None:
        self._database = database
        self._opened = _file_id(database)
        self._path = path
        self._reserve = reserve
        self._changed = changed
        self.low = False
        self._why: str | None = None
        self.free = 0

    def check(self) -> None:
        """Looks at the disk. Coming back takes a tenth more than the reserve, so that it does not flap."""
        why = self._why_not()
        if why != self._why:
            self._why = why
            self._changed(why)

    def _why_not(self) -> str | None:
        """What keeps us from writing, if anything does."""
        try:
            info = os.statvfs(self._path)
        except OSError as error:  # a disk that cannot even be asked is none to write on
            return f"the disk of {self._path} does not answer: {error.strerror}"
        if _file_id(self._database) != self._opened:
            # what is written now goes into a file without a name, and is gone with the process
            return f"{self._database} was put in the place of the one that this node has open, or is gone: restart it"
        self.free = info.f_bavail * info.f_frsize
        if info.f_flag & os.ST_RDONLY:
            return f"the file system of {self._path} is mounted read-only"
        self.low = self.free < self._reserve * (1.1 if self.low else 1.0)
        if self.low:
            return (
                f"the disk of {self._path} has less free than the {self._reserve >> 20} MiB kept in reserve"
            )
        return None
