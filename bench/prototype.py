"""The floor of a durable post: the whole accepting path and nothing besides.

aiohttp on a Unix socket, a msgpack record, a PyNaCl signature, a hash chain, one writer with group commit
through aiosqlite, synchronous=FULL. No agents, no channels, no mentions, no indexes, nobody to tell.

    python -m bench.prototype DIRECTORY     serves on DIRECTORY/maw.sock until it is killed
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from hashlib import blake2b
from pathlib import Path

import aiosqlite
import msgpack
from aiohttp import web
from nacl.signing import SigningKey

_SCHEMA = "CREATE TABLE entries (seq INTEGER PRIMARY KEY, header BLOB, signature BLOB, payload BLOB)"
_INSERT = "INSERT INTO entries VALUES (?, ?, ?, ?)"
_MAX_A_COMMIT = 1_000


class Prototype:
    """Requests gather while the last commit syncs; then they are chained, signed and written together."""

    def __init__(self, conn: aiosqlite.Connection) -> None:
        self._conn = conn
        self._key = SigningKey(bytes(32))
        self._head = bytes(32)
        self._seq = 0
        self._waiting: list[tuple[bytes, asyncio.Future[int]]] = []
        self._some = asyncio.Event()

    async def post(self, request: web.Request) -> web.Response:
        text = json.loads(await request.read())["text"]
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((msgpack.packb({"agent": request.headers["X-Maw-Agent"], "text": text}), done))
        self._some.set()
        return web.json_response({"seq": await done}, status=201)

    async def write(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            taken, self._waiting = self._waiting[:_MAX_A_COMMIT], self._waiting[_MAX_A_COMMIT:]
            if self._waiting:
                self._some.set()
            await self._conn.execute("BEGIN IMMEDIATE")
            await self._conn.executemany(_INSERT, [self._entry(payload) for payload, _ in taken])
            await self._conn.execute("COMMIT")
            first = self._seq - len(taken) + 1
            for at, (_, done) in enumerate(taken):
                if not done.done():
                    done.set_result(first + at)

    def _entry(self, payload: bytes) -> tuple[int, bytes, bytes, bytes]:
        self._seq += 1
        known_by = blake2b(payload, digest_size=32).digest()
        header = msgpack.packb((1, self._seq, self._head, time.time_ns(), known_by, len(payload)))
        signature = self._key.sign(header).signature
        self._head = blake2b(header + signature, digest_size=32).digest()
        return self._seq, header, signature, payload


async def _serve(directory: Path) -> None:
    async with AsyncExitStack() as stack:
        conn = await stack.enter_async_context(aiosqlite.connect(directory / "bare.db", isolation_level=None))
        for pragma in ("journal_mode = WAL", "synchronous = FULL"):
            await conn.execute(f"PRAGMA {pragma}")
        await conn.execute(_SCHEMA)
        prototype = Prototype(conn)
        app = web.Application()
        app.router.add_post("/api/channels/{name}/messages", prototype.post)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.UnixSite(runner, str(directory / "maw.sock"), backlog=512).start()
        await prototype.write()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
