"""The client that makes load: HTTP over a Unix socket with as little of its own as Python allows.

Every connection has one request under way. What a client costs is the same for maw and for its floor, and
the less it is, the less it hides.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Final, TypeVar

P = TypeVar("P", bound=asyncio.Protocol)

_WORDS: Final = ("the", "colony", "hears", "what", "each", "host", "said", "and", "keeps", "all", "of", "it")


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
        self.done = done
        self._requests = requests
        self._latencies = latencies
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
            self.done.set_result(None)
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
            self.done.set_exception(RuntimeError(f"refused: {self._buffer[:300]!r}"))
            return
        self._buffer = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError(f"the server hung up: {exc}"))


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
        client = _Client(waiting, latencies, loop.create_future())
        ends.append(client.done)
        await loop.create_unix_connection(partial(_itself, client), str(socket))
    await asyncio.gather(*ends)
    return Load(time.perf_counter() - began, latencies)


class Caller(asyncio.Protocol):
    """One connection that stays open, for requests made one at a time."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[float] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    async def ask(self, request: bytes) -> float:
        """When the whole answer was there (``perf_counter``). Raises RuntimeError at a refusal."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        assert self._answer is not None
        self._buffer += data
        if is_whole(self._buffer):
            answer, self._buffer = self._buffer, b""
            if answer.startswith(b"HTTP/1.1 20"):
                self._answer.set_result(time.perf_counter())
            else:
                self._answer.set_exception(RuntimeError(f"refused: {answer[:300]!r}"))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"the server hung up: {exc}"))

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()


@asynccontextmanager
async def calling(socket: Path) -> AsyncIterator[Caller]:
    """An open connection to ``socket``."""
    caller = Caller()
    await asyncio.get_running_loop().create_unix_connection(partial(_itself, caller), str(socket))
    try:
        yield caller
    finally:
        caller.close()


@asynccontextmanager
async def calling_rest(address: str) -> AsyncIterator[Caller]:
    """The same to ``127.0.0.1:PORT``."""
    caller = Caller()
    host, _, port = address.rpartition(":")
    await asyncio.get_running_loop().create_connection(partial(_itself, caller), host, int(port))
    try:
        yield caller
    finally:
        caller.close()


def _itself(protocol: P) -> P:
    return protocol
