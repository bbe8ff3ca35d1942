"""How the demo itself looks at its nodes, to know when to go on and to count: HTTP on a node's socket."""

from __future__ import annotations

import http.client
import json
import os
import socket
from pathlib import Path
from typing import Any, Final

from maw.errors import NotRunning

TIMEOUT_S: Final = 10.0


def ask(path: Path, target: str, speaker: str | None = None) -> Any:
    """GET ``target`` of the daemon at the socket ``path``, as ``speaker``; the JSON it answers.

    Raises NotRunning when nobody answers there, or not with 200.
    """
    connection = _Connection(path)
    try:
        connection.request("GET", target, headers={"X-Maw-Agent": speaker} if speaker else {})
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise NotRunning(f"no answer at {path}: {error}") from None
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise NotRunning(f"{target} answers {response.status}: {body[:200].decode(errors='replace')}")
    return json.loads(body)


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))
