"""Below a reserve of free disk the node only reads: better refused clearly than lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


class DiskGuard:
    """``changed`` hears why nothing is written, or None when it is again. ``reserve``: bytes."""

    def __init__(self, path: Path, reserve: int, changed: Callable[[str | None], None]) -> None:
        self._path = path
        self._reserve = reserve
        self._changed = changed
        self.low = False
        self.free = 0

    def check(self) -> None:
        """Looks at the disk. Coming back takes a tenth more than the reserve, so that it does not flap."""
        info = os.statvfs(self._path)
        self.free = info.f_bavail * info.f_frsize
        low = self.free < self._reserve * (1.1 if self.low else 1.0)
        if low != self.low:
            self.low = low
            why = f"the disk of {self._path} has less free than the {self._reserve >> 20} MiB kept in reserve"
            self._changed(why if low else None)
