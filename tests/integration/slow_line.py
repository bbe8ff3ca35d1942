"""A line between two nodes that carries so many bytes a second in one direction: a TCP relay."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_CHUNK = 8 * 1024
_BUFFER = 32 * 1024


class SlowLine:
    """``address``: what to dial instead of the node behind it. ``carried``: bytes from that node so far."""

    def __init__(self, port: int, rate: float) -> None:
        self._port = port
        self._rate = rate
        self.address = ""
        self.carried = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        near = socket.socket()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        near.setblocking(False)
        closing = [writer]
        try:
            try:
                await asyncio.get_running_loop().sock_connect(near, ("127.0.0.1", self._port))
            except OSError:
                near.close()
                raise
            back, forth = await asyncio.open_connection(sock=near, limit=_CHUNK)
            closing.append(forth)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._slowly(back, writer))
                group.create_task(_pump(reader, forth))
        except* (OSError, asyncio.IncompleteReadError):
            pass  # one end is gone: so is the line
        finally:
            for end in closing:
                end.close()
            self._tasks.discard(task)

    async def _slowly(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop().time
        free_at = clock()
        while data := await reader.read(_CHUNK):
            free_at = max(free_at, clock()) + len(data) / self._rate
            await asyncio.sleep(free_at - clock())
            self.carried += len(data)
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    raise ConnectionResetError


@asynccontextmanager
async def slow_line(port: int, rate: float) -> AsyncIterator[SlowLine]:
    """A line to the node that listens on ``port`` of this machine; ``rate``: bytes a second from it."""
    line = SlowLine(port, rate)
    server = await asyncio.start_server(line._serve, "127.0.0.1", 0)
    line.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield line
    finally:
        server.close()
        for task in list(line._tasks):
            task.cancel()
        await asyncio.gather(*line._tasks, return_exceptions=True)
