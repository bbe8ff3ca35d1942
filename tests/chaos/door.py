"""A program that talks to its daemon through the socket: one connection kept open, made anew when it broke."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

PATIENCE_S: Final = 5.0


class AwayError(Exception):
    """No answer: what became of the request is not known."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(str(self._path))


class Door:
    """For one thread. ``agent`` is who speaks."""

    def __init__(self, path: Path, agent: str | None = None) -> None:
        self._connection = _UnixConnection(path)
        self._headers = {"X-Maw-Agent": agent} if agent else {}

    def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and decoded body. Raises AwayError."""
        data = None if body is None else json.dumps(body).encode()
        sent = {**self._headers, **(headers or {})}
        if data is not None:
            sent["Content-Type"] = "application/json"
        try:
            self._connection.request(method, path, data, sent)
            answer = self._connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise AwayError(f"{type(error).__name__}: {error}") from None

    def close(self) -> None:
        with suppress(OSError):
            self._connection.close()
