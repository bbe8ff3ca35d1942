"""Tells systemd how the daemon is: ready, reloading, stopping, alive. Does nothing under anything else.

The protocol is a datagram of ``NAME=value`` lines to the socket in ``$NOTIFY_SOCKET`` (see sd_notify(3)).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from typing import Final

_MAX_STATUS: Final = 512


class Notifier:
    """One process's voice to its service manager. ``path`` is ``$NOTIFY_SOCKET``; None: nobody listens.

    Every method returns whether the message was handed over, and never raises: a manager that is gone, or
    whose socket is full, must not stop a daemon that works. Each message opens a socket: a few a minute.
    """

    __slots__ = ("_path",)

    def __init__(self, path: str | None) -> None:
        self._path = path or None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Notifier:
        return cls((os.environ if environment is None else environment).get("NOTIFY_SOCKET"))

    @property
    def listening(self) -> bool:
        return self._path is not None

    def ready(self, status: str = "") -> bool:
        """Listening and serving: say it when it is so, not before. Also ends a reload."""
        return self._send("READY=1", *_status(status))

    def status(self, text: str) -> bool:
        """One line that ``systemctl status`` shows."""
        return self._send(*_status(text))

    def reloading(self) -> bool:
        """The configuration is being read again; `ready` must follow."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str = "") -> bool:
        return self._send("STOPPING=1", *_status(status))

    def watchdog(self) -> bool:
        """Still alive. Send it from the event loop, so that a loop that hangs falls silent."""
        return self._send("WATCHDOG=1")

    def extend_timeout(self, seconds: float) -> bool:
        """Starting or stopping takes longer (a migration, a long flush): ask for ``seconds`` more."""
        return self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1_000_000)}")

    def _send(self, *lines: str) -> bool:
        if self._path is None:
            return False
        # a name beginning with @ is in Linux's abstract namespace, spelled with a NUL
        address = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(lines).encode(), address)
        except OSError:
            return False
        return True


def watchdog_interval(environment: Mapping[str, str] | None = None, pid: int | None = None) -> float | None:
    """Seconds between two pings: a third of what systemd allows; None when no watchdog waits for us.

    ``$WATCHDOG_PID`` names the process that is meant: one started by it inherits the variables, not the duty.
    """
    variables = os.environ if environment is None else environment
    meant = variables.get("WATCHDOG_PID")
    if meant and meant != str(os.getpid() if pid is None else pid):
        return None
    usec = variables.get("WATCHDOG_USEC", "")
    if not (usec.isascii() and usec.isdigit()) or int(usec) == 0:
        return None
    return int(usec) / 1_000_000 / 3


def _status(text: str) -> tuple[str, ...]:
    """A status line, shortened, with nothing in it that could begin another line; none for an empty text."""
    line = "".join(c if c.isprintable() else " " for c in text)[:_MAX_STATUS].strip()
    return (f"STATUS={line}",) if line else ()
