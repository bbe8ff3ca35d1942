"""How far something is, for whoever watches: one line on a terminal's standard error, after the first second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final, TextIO

SILENT_S: Final = 1.0
REFRESH_S: Final = 0.1
_CLEAR: Final = "\r\x1b[K"


class Meter:
    """Called with what is being done, how far it is and how far it goes; ``clear`` before anything else is said."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._next = clock() + SILENT_S if self._stream.isatty() else float("inf")
        self._shown = False

    def __call__(self, what: str, done: int, total: int) -> None:
        now = self._clock()
        if now < self._next:
            return
        self._next = now + REFRESH_S
        self._shown = True
        share = f"{100 * done // total} %" if total else "…"
        self._stream.write(f"{_CLEAR}{what} {share} ({done:,} of {total:,})")
        self._stream.flush()

    def clear(self) -> None:
        if self._shown:
            self._shown = False
            self._stream.write(_CLEAR)
            self._stream.flush()
