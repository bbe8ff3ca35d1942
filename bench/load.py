"""The client that makes load: HTTP over a Unix socket with as little of its own as Python allows.

Every connection has one request under way. What a client costs is the same for maw and for its floor, and
the less it is, the less it hides.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

_WORDS: Final = (
    "the colony hears what each host said and keeps it until every one of them has read it".split()
)


def texts(count: int, *, seed: int = 1, size: int = 200, mention_each: int = 10) -> list[str]:
    """``count`` different texts of about ``size`` characters; every ``mention_each``-th mentions @neo."""
    random = Random(seed)
    pool = " ".join(random.choices(_WORDS, k=4_000))
    made = []
    for number in range(count):
        at = random.randrange(len(pool) - size)
        who = "@neo " if mention_each and number % mention_each == 0 else ""
        made.append(f"{who}{number} {pool[at : at + size]}")
    return made


def post_request(text: str, *, agent: str = "neo", channel: str = "general") -> bytes:
    """A whole HTTP request that says ``text``."""
    body = json.dumps({"text": text}).encode()
    head = (
        f"POST /api/channels/{channel}/messages HTTP/1.1\r\nHost: localhost\r\nX-Maw-Agent: {agent}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@dataclass(frozen=True, slots=True)
class Load:
    """``latencies`` in seconds, in no particular order."""

    seconds: float
    latencies: Sequence[float]

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds


class _Client(asyncio.Protocol):
    """Sends requests one after the other until there are none left."""

    def __init__(self, requests: Iterator[bytes], latencies: list[float], done: asyncio.Future[None]) -> None:
        self._requests = requests
        self._latencies = latencies
        self._done = done
        self._buffer = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def _next(self) -> None:
        assert self._transport is not None
        request = next(self._requests, None)
        if request is None:
            self._done.set_result(None)
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not is_whole(self._buffer):
            return
        self._latencies.append(time.perf_counter() - self._sent_at)
        if not self._buffer.startswith(b"HTTP/1.1 20"):
            self._done.set_exception(RuntimeError(f"refused: {self._buffer[:300]!r}"))
            return
        self._buffer = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(ConnectionError(f"the server hung up: {exc}"))


def is_whole(answer: bytes) -> bool:
    """The answer has arrived with all of its body."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = answer[:end].lower()
    at = head.find(b"content-length: ")
    return at >= 0 and len(answer) >= end + 4 + int(head[at + 16 :].split(b"\r\n", 1)[0])


async def send_all(socket: Path, requests: Sequence[bytes], clients: int) -> Load:
    """Sends every request through ``clients`` connections at once. Raises RuntimeError at a refusal."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    waiting: Iterator[bytes] = iter(requests)
    ends: list[asyncio.Future[None]] = []
    began = time.perf_counter()
    for _ in range(min(clients, len(requests))):
        done: asyncio.Future[None] = loop.create_future()
        ends.append(done)
        await loop.create_unix_connection(
            lambda done=done: _Client(waiting, latencies, done),
            str(socket),  # type: ignore[misc]
        )
    await asyncio.gather(*ends)
    return Load(time.perf_counter() - began, latencies)
