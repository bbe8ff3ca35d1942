"""Asking this host's daemon in as little time as can be: HTTP by hand over its Unix socket, one deadline for all."""

from __future__ import annotations

import json
import os
import socket
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

SYSTEM_SOCKET: Final = "/var/lib/maw/maw.sock"
LARGEST_ANSWER: Final = 1 << 20


class NoAnswer(Exception):
    """No daemon, none in time, or something that is none. ``refused``: nobody listens there."""

    def __init__(self, why: str, *, refused: bool = False) -> None:
        super().__init__(why)
        self.refused = refused


def find_socket(env: Mapping[str, str]) -> str | None:
    """The socket of the node meant here, as `maw.client.daemon` finds it; None where there is no node."""
    if env.get("MAW_SOCKET"):
        return env["MAW_SOCKET"]
    if env.get("MAW_HOME"):
        return os.path.abspath(os.path.join(os.path.expanduser(env["MAW_HOME"]), "maw.sock"))
    home = env.get("HOME") or os.path.expanduser("~")
    own = os.path.join(home, ".local", "share", "maw")
    if os.path.exists(os.path.join(own, "maw.sock")) or os.path.lexists(os.path.join(own, "maw.toml")):
        return os.path.join(own, "maw.sock")
    return SYSTEM_SOCKET if os.path.exists(SYSTEM_SOCKET) else None


def speaker_headers(env: Mapping[str, str]) -> dict[str, str]:
    """Who speaks: $MAW_AGENT, else the tmux pane that this runs in; empty where neither says it."""
    if env.get("MAW_AGENT"):
        return {"X-Maw-Agent": env["MAW_AGENT"].removeprefix("@")}
    parts, pane = env.get("TMUX", "").rsplit(",", 2), env.get("TMUX_PANE", "")
    if len(parts) == 3 and _is_pane(parts[0], parts[1], parts[2], pane):
        return {"X-Maw-Pane": f"{parts[0]},{parts[1]},{pane}"}
    return {}


def _is_pane(path: str, server: str, session: str, pane: str) -> bool:
    """As `maw.client.pane` has it."""
    numbers = (server, 10), (session, 10_000), (pane[1:], 9)
    written = all(text.isascii() and text.isdecimal() and len(text) <= most for text, most in numbers)
    return written and pane[0] == "%" and path[0:1] == "/" and 1 < len(path) <= 401 and _plain(path) == path


class Daemon:
    """Where the daemon is asked, a connection for each question; all answers are due at ``deadline`` (monotonic)."""

    def __init__(self, path: str, headers: Mapping[str, str], deadline: float) -> None:
        self._path = path
        self._headers = "".join(f"{name}: {_plain(value)}\r\n" for name, value in headers.items())
        self.deadline = deadline
        self.fields: Mapping[str, str] = {}
        """Headers of the last answer, in lower case."""
        self._line: socket.socket | None = None

    def ask(self, path: str, body: Mapping[str, object] | None) -> tuple[int, Any]:
        """POST, or GET without a body; the status and the decoded answer, None where there is none. Raises NoAnswer."""
        self.send(path, body)
        return self.receive()

    def send(self, path: str, body: Mapping[str, object] | None) -> socket.socket:
        """The request is on its way; the connection, so that who waits for more than one thing can wait for it."""
        payload = b"" if body is None else json.dumps(body).encode()
        method = "GET" if body is None else "POST"
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{self._headers}"
            f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
        )
        line = self._connect()
        try:
            line.settimeout(self._left())
            line.sendall(head.encode() + payload)
        except OSError as error:
            raise self._broken(error) from None
        return line

    def receive(self) -> tuple[int, Any]:
        """The answer to what was sent."""
        line, data = self._line, b""
        assert line is not None
        try:
            while b"\r\n\r\n" not in data:
                data += self._read(line)
            head, _, rest = data.partition(b"\r\n\r\n")
            status, fields = _read_head(head)
            size = _length(status, fields)
            self.fields = fields
            while len(rest) < size:
                rest += self._read(line)
            return status, json.loads(rest[:size]) if size else None
        except (OSError, ValueError) as error:
            raise self._broken(error) from None
        finally:
            self.close()

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def _connect(self) -> socket.socket:
        self.close()
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._line.settimeout(self._left())
            self._line.connect(self._path)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            self.close()
            raise NoAnswer(f"no daemon at {self._path}: {error.strerror}", refused=True) from None
        except OSError as error:
            raise self._broken(error) from None
        return self._line

    def _read(self, line: socket.socket) -> bytes:
        line.settimeout(self._left())
        data = line.recv(65536)
        if not data:
            raise OSError("the daemon hung up")
        return data

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise NoAnswer("the daemon did not answer in time")
        return left

    def _broken(self, error: Exception) -> NoAnswer:
        self.close()
        if isinstance(error, TimeoutError):
            return NoAnswer("the daemon did not answer in time")
        return NoAnswer(f"no answer from {self._path}: {error}")


def _read_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers. Raises ValueError on what is no HTTP."""
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdecimal():
        raise ValueError("this is no HTTP")
    return int(words[1]), {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines}


def _length(status: int, fields: dict[str, str]) -> int:
    """Of the body. Raises ValueError where it is not said, or is more than maw ever answers."""
    size = int(fields.get("content-length", "0" if status == 204 else "-1"))
    if not 0 <= size <= LARGEST_ANSWER:
        raise ValueError("an answer without a length")
    return size


def _plain(value: str) -> str:
    """A header's value: what would end it is left out, and the daemon refuses what is then no name."""
    return "".join(char for char in value if " " <= char <= "~")
