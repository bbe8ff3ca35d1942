"""What hooks keep between two runs, in the user's own state folder: who waits, who is busy, what went wrong."""

from __future__ import annotations

import os
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

LOG_BYTES: Final = 64 * 1024
BUSY_S: Final = 120.0
"""A session that showed no sign for so long counts as idle: it was interrupted, or a tool takes very long."""
_HANDOVER_S: Final = 3.0


def state_dir(env: Mapping[str, str]) -> str:
    """``~/.local/state/maw/hooks``."""
    base = env.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(base, "maw", "hooks")


def log_path(env: Mapping[str, str]) -> str:
    return os.path.join(state_dir(env), "log")


def log(env: Mapping[str, str], what: str) -> None:
    """One line, unless the last one says the same. Never raises: there is nobody to tell."""
    path = log_path(env)
    line = " ".join(what.split())[:400]
    try:
        os.makedirs(state_dir(env), mode=0o700, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            size = os.fstat(fd).st_size
            tail = os.pread(fd, 1024, max(0, size - 1024)).decode(errors="replace")
            if tail.rstrip("\n").rpartition("\n")[2].partition(" ")[2] == line:
                return
            if size > LOG_BYTES:
                os.replace(path, f"{path}.1")
                os.close(fd)
                fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            os.write(fd, f"{stamp} {line}\n".encode(errors="backslashreplace"))
        finally:
            os.close(fd)
    except OSError:
        return


class Busy:
    """The mark that a session's program is at work, so that its waiter leaves what comes to the next tool. Where it
    cannot be made (a full disk) a session only hears less politely: nothing here raises."""

    def __init__(self, env: Mapping[str, str], pid: int) -> None:
        self._path = os.path.join(state_dir(env), f"{pid}.busy")

    def set(self) -> None:
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            with open(self._path, "w"):
                os.utime(self._path)
        except OSError:
            return

    def clear(self) -> None:
        try:
            os.unlink(self._path)
        except OSError:
            return

    def left(self) -> float:
        """Seconds until it counts as idle unless it shows another sign; 0 when it is."""
        try:
            age = time.time() - os.stat(self._path).st_mtime
        except OSError:
            return 0.0
        # a clock that was set back must not keep an agent deaf
        return BUSY_S - age if 0 <= age < BUSY_S else 0.0


class Turn:
    """The right to wait for one session: the newest waiter has it, the one before ends when it is asked to."""

    def __init__(self, env: Mapping[str, str], pid: int) -> None:
        self._path = os.path.join(state_dir(env), f"{pid}.wait")
        self._fd: int | None = None

    def take(self) -> bool:
        """Whether this process is now the one that waits. Where the state folder cannot be used, each is: the daemon
        then ends the one before."""
        import fcntl

        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            return True
        until = time.monotonic() + _HANDOVER_S
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                _ask_to_end(fd)
            if time.monotonic() > until:
                os.close(fd)
                return False
            time.sleep(0.02)
        self._fd = fd  # held, and with it the lock, until this process ends
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, str(os.getpid()).encode(), 0)
        except OSError:
            return True  # the next one cannot ask this one to end, and leaves it its turn
        return True


def _ask_to_end(fd: int) -> None:
    """To whoever holds the lock: it lives, so the number in the file is still its own."""
    told = os.pread(fd, 32, 0)
    if told.isdigit() and int(told) != os.getpid():
        try:
            os.kill(int(told), signal.SIGTERM)
        except ProcessLookupError:
            return


def sweep(env: Mapping[str, str]) -> None:
    """Marks of sessions that ended are removed."""
    from maw.agents.hooks.process import lives

    try:
        names = os.listdir(state_dir(env))
    except OSError:
        return
    for name in names:
        pid, _, kind = name.partition(".")
        if kind in ("busy", "wait") and pid.isdecimal() and not lives(int(pid)):
            try:
                os.unlink(os.path.join(state_dir(env), name))
            except FileNotFoundError:
                continue
