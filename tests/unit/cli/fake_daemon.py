"""A daemon that says what a test tells it to, over a real Unix socket, and remembers what it was asked."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_WS_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    line: socket.socket | None = field(default=None, compare=False, repr=False)

    def hung_up(self) -> bool:
        """Whether nobody waits for the answer any more."""
        assert self.line is not None
        try:
            return self.line.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False


@dataclass(frozen=True)
class Hangup:
    """The answer of a daemon that dies in the middle of a request."""


@dataclass(frozen=True)
class Stream:
    """A WebSocket: these frames, then the end."""

    frames: list[Any]
    ping: bool = False


Answer = tuple[int, Any] | Hangup | Stream
Script = Answer | Callable[[Asked], Answer]


@dataclass
class FakeDaemon:
    """``answers`` by "METHOD path"; a list is used up one by one, its last entry stays."""

    path: Path
    answers: dict[str, Script | list[Script]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    _server: _Server | None = None
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self.path.unlink(missing_ok=True)
        self._server = _Server(str(self.path), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        assert self._server is not None and self._thread is not None
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.path.unlink(missing_ok=True)

    def answer_to(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        script = self.answers.get(f"{asked.method} {asked.path}")
        if isinstance(script, list):
            script = script.pop(0) if len(script) > 1 else script[0]
        if script is None:
            return error(404, "no_such_route", f"the fake has no {asked.method} {asked.path}")
        return script(asked) if callable(script) else script

    @property
    def last(self) -> Asked:
        return self.asked[-1]


def error(status: int, code: str, message: str, hint: str = "", **more: Any) -> tuple[int, Any]:
    return status, {"error": {"code": code, "message": message, "hint": hint, **more}}


@contextmanager
def running(path: Path) -> Iterator[FakeDaemon]:
    daemon = FakeDaemon(path)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str, owner: FakeDaemon) -> None:
        self.owner = owner
        super().__init__(path, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The caller hung up: tests look at what it did, not at this side's complaint."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_DELETE(self) -> None:
        self._handle()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = self.server.owner.answer_to(
            Asked(
                method=self.command,
                path=unquote(parts.path),
                query={name: values[0] for name, values in parse_qs(parts.query).items()},
                headers={name.lower(): value for name, value in self.headers.items()},
                body=json.loads(raw) if raw else None,
                line=self.connection,
            )
        )
        self.close_connection = True
        if isinstance(answer, Hangup):
            self.connection.shutdown(socket.SHUT_RDWR)
        elif isinstance(answer, Stream):
            self._stream(answer)
        else:
            self._reply(*answer)

    def _reply(self, status: int, body: Any) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, stream: Stream) -> None:
        key = self.headers["Sec-WebSocket-Key"]
        accept = base64.b64encode(hashlib.sha1(f"{key}{_WS_GUID}".encode()).digest()).decode()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept)
        self.end_headers()
        if stream.ping:
            self.wfile.write(ws_frame(0x9, b"are you there"))
            self.wfile.flush()
            head = self.rfile.read(2)
            mask = self.rfile.read(4)
            payload = self.rfile.read(head[1] & 0x7F)
            self.server.owner.pongs.append(bytes(b ^ mask[at % 4] for at, b in enumerate(payload)))
        for one in stream.frames:
            self.wfile.write(one if isinstance(one, bytes) else ws_frame(0x1, json.dumps(one).encode()))


def ws_frame(kind: int, payload: bytes, *, last: bool = True) -> bytes:
    """An unmasked frame, as servers send them."""
    first = (0x80 if last else 0) | kind
    if len(payload) < 126:
        return bytes([first, len(payload)]) + payload
    if len(payload) < 1 << 16:
        return bytes([first, 126]) + struct.pack(">H", len(payload)) + payload
    return bytes([first, 127]) + struct.pack(">Q", len(payload)) + payload


def a_message(seq: int = 17, text: str = "hello", **more: Any) -> dict[str, Any]:
    """A message as the API gives it."""
    return {
        "id": f"k7q2mx-1n3f9zq-{seq}",
        "seq": seq,
        "kind": "post",
        "channel": "general",
        "to": [],
        "author": "neo@oracle-world",
        "author_name": "neo",
        "host": "oracle-world",
        "role": "agent",
        "known_by": "uid",
        "text": text,
        "mentions": [],
        "created_at": "2026-11-21T08:00:00.123Z",
        "received_at": "2026-11-21T08:00:00.200Z",
        "reply_to": None,
        "clock_suspect": False,
        "disputed": False,
        **more,
    }


def a_receipt(state: str = "stored", **recipient: Any) -> dict[str, Any]:
    """A receipt for a direct message to arthur@mbp, or with the recipient given."""
    to = {
        "agent": "arthur@mbp",
        "host": "mbp",
        "online": True,
        "last_seen": None,
        "state": state,
        **recipient,
    }
    return {
        "id": "k7q2mx-1n3f9zq-42",
        "seq": 42,
        "state": state,
        "recipients": [to],
        "message": a_message(42, kind="direct", channel=None, to=["arthur@mbp"]),
        "warnings": [],
    }
