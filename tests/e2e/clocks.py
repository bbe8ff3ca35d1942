"""A wall clock of its own for a daemon: every look at it is off by what a file says, changed at any time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from tests.e2e.daemons import Daemon

SHIM: Final = """
import os, time
_path, _wall, _wall_ns = os.environ["CLOCK_FILE"], time.time, time.time_ns
def _off():
    with open(_path) as file:
        return int(file.read() or 0)
time.time = lambda: _wall() + _off()
time.time_ns = lambda: _wall_ns() + _off() * 1_000_000_000
"""


class ClockedDaemon(Daemon):
    """Python reads ``sitecustomize`` before anything of maw is imported."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._shim = home.with_suffix(".clock")
        self._shim.mkdir()
        (self._shim / "sitecustomize.py").write_text(SHIM)
        self.set_clock(0)

    def set_clock(self, seconds: int) -> None:
        """Off by so many seconds from now on; put in place whole, for it is read at any moment."""
        fresh = self._shim / "offset.new"
        fresh.write_text(str(seconds))
        fresh.rename(self._shim / "offset")

    def environment(self) -> dict[str, str]:
        paths = [str(self._shim), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {
            **super().environment(),
            "CLOCK_FILE": str(self._shim / "offset"),
            "PYTHONPATH": os.pathsep.join(paths),
        }
