"""Real daemons on loopback: `maw up` as a process of its own with its own $MAW_HOME. No root needed."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.e2e.lab import wait_until

MAW: Final = (sys.executable, "-m", "maw.cli.entry")
READY_S: Final = 15.0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(self._path))


class Daemon:
    """One node's directory and, between ``start`` and ``stop`` or ``kill``, its process."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.process: subprocess.Popen[str] | None = None
        self.log = home.with_suffix(".log")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAW_", "TMUX"))}
        return {**kept, "MAW_HOME": str(self.home)}

    def launch(self) -> subprocess.Popen[str]:
        with self.log.open("a") as log:
            return subprocess.Popen([*MAW, "up"], env=self.environment(), stdout=log, stderr=log, text=True)

    def start(self) -> Self:
        """Up and serving when it returns."""
        self.process = self.launch()
        wait_until(self._answers, f"the daemon of {self.home} answers: {self.log.read_text()}", READY_S)
        return self

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"it ended: {self.log.read_text()}"
        try:
            return self.ask("GET", "/healthz")[0] in (200, 503)
        except (OSError, http.client.HTTPException):
            return False

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)

    def fails(self) -> tuple[int, str]:
        """`maw up` that is refused: its exit code and what it said."""
        done = subprocess.run(
            [*MAW, "up"], env=self.environment(), capture_output=True, text=True, timeout=20, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def maw(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            [*MAW, *words], env=self.environment(), capture_output=True, text=True, timeout=30, check=False
        )
        assert not check or done.returncode == 0, f"maw {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def connect(self) -> _UnixConnection:
        return _UnixConnection(self.home / "maw.sock")

    def ask(
        self, method: str, path: str, body: object = None, *, agent: str | None = None, **headers: str
    ) -> tuple[int, Any]:
        """One request through the socket: status and decoded body."""
        connection = self.connect()
        try:
            return request(connection, method, path, body, agent=agent, **headers)
        finally:
            connection.close()

    def channel(self, name: str = "general") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["seq"] if found else 0
            status, page = self.ask("GET", f"/api/channels/{name}/messages?after_seq={after}&limit=500")
            assert status == 200, page
            if not page:
                return found
            found += page


MakeDaemon = Callable[[str], Daemon]
"""Of the fixture ``daemon``."""


def request(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: object = None,
    *,
    agent: str | None = None,
    **headers: str,
) -> tuple[int, Any]:
    sent: Mapping[str, str] = {
        "Content-Type": "application/json",
        **({"X-Maw-Agent": agent} if agent else {}),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    connection.request(method, path, None if body is None else json.dumps(body), dict(sent))
    answer = connection.getresponse()
    data = answer.read()
    return answer.status, json.loads(data) if data else None
