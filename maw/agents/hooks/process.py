"""Which process a hook runs for, and whether a person sits at it."""

from __future__ import annotations

import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Final

_SHELLS: Final = ("sh", "dash", "bash", "zsh", "ash", "busybox", "ksh", "fish")
_PROC: Final = sys.platform == "linux"


def session_process() -> int:
    """The process id of the program that has this hook run: the nearest process above that is no shell."""
    pid = os.getppid()
    if not _PROC:
        told = os.environ.get("CLAUDE_PID", "")
        return int(told) if told.isdecimal() else pid
    for _ in range(4):
        name, parent = _name_and_parent(pid)
        if name not in _SHELLS or parent <= 1:
            break
        pid = parent
    return pid


def is_interactive(pid: int) -> bool:
    """Whether it is a program at a terminal, not one that answers once and ends (``claude -p``)."""
    if not _PROC:
        return os.environ.get("CLAUDE_CODE_ENTRYPOINT", "cli") == "cli"
    try:
        words = _read(f"/proc/{pid}/cmdline").split("\0")
        at = os.readlink(f"/proc/{pid}/fd/0")
    except OSError:
        return False
    return at.startswith(("/dev/pts/", "/dev/tty", "/dev/console")) and not {"-p", "--print"} & set(words)


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _PROC or _state(pid) not in "ZX"


class Watch:
    """Over one process, so that a wait for something else ends with it."""

    EVERY_S = 2.0
    """Where the kernel does not tell of a process' end: how often it is looked for."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._fd: int | None = None
        if hasattr(os, "pidfd_open"):
            try:
                self._fd = os.pidfd_open(pid)
            except OSError:  # it ended already, or the kernel is older than 5.3: looked for below
                self._fd = None

    def ended(self) -> bool:
        if self._fd is None:
            return not lives(self.pid)
        return bool(select.select([self._fd], [], [], 0)[0])

    def wait(self, line: socket.socket | None, seconds: float) -> str:
        """Until ``line`` can be read ("line"), the process ended ("ended"), or the time is over ("time")."""
        until = time.monotonic() + seconds
        while True:
            left = max(0.0, until - time.monotonic())
            watched: list[socket.socket | int] = [one for one in (line, self._fd) if one is not None]
            ready = select.select(watched, [], [], left if self._fd is not None else min(left, self.EVERY_S))[
                0
            ]
            if self._fd in ready or (self._fd is None and not lives(self.pid)):
                return "ended"
            if line is not None and line in ready:
                return "line"
            if time.monotonic() >= until:
                return "time"


def _name_and_parent(pid: int) -> tuple[str, int]:
    try:
        stat = _read(f"/proc/{pid}/stat")
    except OSError:
        return "", 1
    # the name stands in parentheses, and may hold some itself
    name = stat[stat.index("(") + 1 : stat.rindex(")")]
    return name, int(stat[stat.rindex(")") + 2 :].split(" ")[1])


def _state(pid: int) -> str:
    try:
        stat = _read(f"/proc/{pid}/stat")
    except OSError:
        return "X"
    return stat[stat.rindex(")") + 2]


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()
