import json
import socket
import threading
from pathlib import Path

import pytest

from maw.demo.asking import ask
from maw.errors import NotRunning


def answering(path: Path, status: str, body: bytes) -> list[bytes]:
    """One request at ``path`` is answered so; the list will hold what was asked."""
    asked: list[bytes] = []
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(1)

    def serve() -> None:
        with server, server.accept()[0] as client:
            asked.append(client.recv(4096))
            client.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    threading.Thread(target=serve, daemon=True).start()
    return asked


def test_asks_as_the_agent_and_reads_the_json(tmp_path: Path) -> None:
    path = tmp_path / "s"
    asked = answering(path, "200 OK", json.dumps([{"seq": 1}]).encode())
    assert ask(path, "/api/inbox?limit=1", "neo") == [{"seq": 1}]
    assert asked[0].startswith(b"GET /api/inbox?limit=1 ")
    assert b"X-Maw-Agent: neo" in asked[0]


def test_nobody_there_and_anything_but_200_is_not_running(tmp_path: Path) -> None:
    with pytest.raises(NotRunning):
        ask(tmp_path / "none", "/healthz")
    answering(tmp_path / "s", "503 Service Unavailable", b"{}")
    with pytest.raises(NotRunning, match="503"):
        ask(tmp_path / "s", "/healthz")
