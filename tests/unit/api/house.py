"""A node in memory behind both real doors, and a caller at each."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp

from maw.api.doors import Doors, DoorSettings
from maw.api.limits import MAX_REST_CONNECTIONS, MAX_SOCKET_CONNECTIONS, Pace
from tests.unit.api.memory_backend import MemoryBackend

DOORS = ("socket", "rest")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def code(self) -> str:
        """The error's code; the shape is checked on the way."""
        error = self.json["error"]
        assert set(error) - {"candidates"} == {"code", "message", "hint"}, error
        assert all(isinstance(error[key], str) for key in ("code", "message", "hint")), error
        assert error["message"], error
        return str(error["code"])


@dataclass(frozen=True)
class Caller:
    """One who calls through ``door``, as ``agent`` or as nobody in particular."""

    door: str
    session: aiohttp.ClientSession
    base: str
    agent: str | None

    def as_agent(self, agent: str | None) -> Caller:
        return replace(self, agent=agent)

    @property
    def identity(self) -> dict[str, str]:
        if self.agent is None:
            return {}
        if self.door == "socket":
            return {"X-Maw-Agent": self.agent}
        return {"Authorization": f"Bearer token-{self.agent}"}

    async def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        async with self.session.request(
            method, self.base + path, data=data, headers={**self.identity, **(headers or {})}
        ) as response:
            return Answer(response.status, response.headers, await response.text())

    def stream(self, path: str = "/api/stream", **kwargs: Any) -> Any:
        return self.session.ws_connect(self.base + path, headers=self.identity, **kwargs)


@dataclass(frozen=True)
class House:
    backend: MemoryBackend
    doors: Doors
    sessions: dict[str, aiohttp.ClientSession]

    def caller(self, door: str, agent: str | None = "neo") -> Caller:
        rest = self.doors.rest_address
        base = f"http://{rest}" if door == "rest" else "http://localhost"
        return Caller(door, self.sessions[door], base, agent)


def new_backend() -> MemoryBackend:
    """neo and arthur are the caller's, smith another user's; the caller's uid administers."""
    backend = MemoryBackend(admin_uid=os.getuid())
    backend.add_agent("neo", os.getuid())
    backend.add_agent("arthur", os.getuid(), "ape")
    backend.add_agent("smith", os.getuid() + 1)
    return backend


@asynccontextmanager
async def opened(
    backend: MemoryBackend | None = None,
    *,
    anonymous: bool = True,
    hosts: tuple[str, ...] = (),
    pace: Pace | None = None,
    grace_s: float = 5,
    most: tuple[int, int] = (MAX_REST_CONNECTIONS, MAX_SOCKET_CONNECTIONS),
) -> AsyncIterator[House]:
    node = backend or new_backend()
    # Not pytest's tmp_path: a Unix socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="maw") as home:
        path = Path(home) / "maw.sock"
        settings = DoorSettings(path, rest=("127.0.0.1", 0), anonymous=anonymous, hosts=hosts, most=most)
        doors = Doors(node, settings, pace=pace, grace_s=grace_s)
        await doors.start()
        sessions = {
            "socket": aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))),
            "rest": aiohttp.ClientSession(),
        }
        try:
            yield House(node, doors, sessions)
        finally:
            for session in sessions.values():
                await session.close()
            await doors.stop()
