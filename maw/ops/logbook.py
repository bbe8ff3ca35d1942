"""The daemon's own log: written by a thread, so that whoever does not read it cannot stop the daemon.

Policy of its one queue: at most ``MAX_LINES`` lines wait. What is too much is counted and told of when there is
room again. A reader that is gone, or a disk that is full, loses lines and nothing else.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from typing import Final

MAX_LINES: Final = 2_000
GOODBYE_S: Final = 1.0


class Logbook(logging.Handler):
    """``handle``: a file descriptor, which stays the caller's."""

    def __init__(self, handle: int) -> None:
        super().__init__()
        self._handle = handle
        self._lines: queue.Queue[bytes | None] = queue.Queue(MAX_LINES)
        self._lost = 0
        self._writer = threading.Thread(target=self._write, name="log", daemon=True)
        self._writer.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            lines = self._told() + self.format(record) + "\n"
        except Exception:  # a record that cannot be put into words costs itself, and not who wrote it
            self.handleError(record)
            return
        try:
            self._lines.put_nowait(lines.encode(errors="backslashreplace"))
            self._lost = 0
        except queue.Full:
            self._lost += 1

    def _told(self) -> str:
        return f"WARNING {self._lost} lines of this log were lost: nobody took them\n" if self._lost else ""

    def close(self) -> None:
        """Writes what waits, for a moment."""
        try:
            self._lines.put(None, timeout=GOODBYE_S)
            self._writer.join(GOODBYE_S)
        except queue.Full:
            pass  # nobody reads: the process ends without its last words
        super().close()

    def _write(self) -> None:
        while (lines := self._lines.get()) is not None:
            try:
                while lines:
                    lines = lines[os.write(self._handle, lines) :]
            except OSError:
                continue  # nobody is there, or no room: there is nowhere to tell it
