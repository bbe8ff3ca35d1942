"""An answer that leaves whole is byte for byte what HTTP wants, and what is not plain goes the long way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from aiohttp import web

from maw.api.answer import Answer, Headers
from maw.api.connection import Server

BODY = '{"a":"ä"}'.encode()


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    found = Answer(BODY, 201, Headers({"Content-Type": "application/json", "X-One": "1"}))
    found.headers["X-Two"] = "2"
    if request.headers.get("X-Last"):
        found.force_close()
    return found


@asynccontextmanager
async def serving(tmp_path: Path) -> AsyncIterator[Path]:
    runner = web.ServerRunner(Server(answer, most=8))
    await runner.setup()
    try:
        await web.UnixSite(runner, str(tmp_path / "s")).start()
        yield tmp_path / "s"
    finally:
        await runner.cleanup()


async def ask(path: Path, request: bytes, *, whole: int | None = None) -> tuple[list[str], bytes]:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        return head.split("\r\n"), await (reader.read() if whole is None else reader.readexactly(whole))
    finally:
        writer.close()
        await writer.wait_closed()


async def test_head_and_body_as_one(tmp_path: Path) -> None:
    async with serving(tmp_path) as path:
        lines, body = await ask(path, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", whole=len(BODY))
    assert body == BODY
    assert lines[0] == "HTTP/1.1 201 Created"
    headers = dict(line.split(": ", 1) for line in lines[1:] if line)
    assert parsedate_to_datetime(headers.pop("Date")).tzinfo is not None
    assert headers == {
        "Content-Type": "application/json", "X-One": "1", "X-Two": "2", "Content-Length": str(len(BODY)),
    }  # fmt: skip


async def test_one_connection_serves_many(tmp_path: Path) -> None:
    async with serving(tmp_path) as path:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3)  # pipelined
        for _ in range(3):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 201")
            assert await reader.readexactly(len(BODY)) == BODY
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("request_", "ends"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Last: 1\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", False),
    ],
)
async def test_the_long_way_says_the_same(tmp_path: Path, request_: bytes, ends: bool) -> None:
    async with serving(tmp_path) as path:
        lines, body = await ask(path, request_, whole=None if ends else len(BODY))
    assert body == BODY
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:] if line)}
    assert (headers["x-one"], headers["x-two"], headers["content-type"]) == ("1", "2", "application/json")
    assert headers["content-length"] == str(len(BODY))


async def test_head_has_no_body(tmp_path: Path) -> None:
    async with serving(tmp_path) as path:
        lines, body = await ask(path, b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert lines[0] == "HTTP/1.1 201 Created"
    assert body == b""


async def test_a_caller_who_does_not_read_is_waited_for(tmp_path: Path) -> None:
    """Answers do not pile up in memory: with one unread the next goes through aiohttp, which waits."""
    many = 2_000
    made = 0

    async def large(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal made
        made += 1
        return Answer(bytes(65_536), 200, Headers({}))

    runner = web.ServerRunner(Server(large, most=8))
    await runner.setup()
    try:
        await web.UnixSite(runner, str(tmp_path / "s")).start()
        _, writer = await asyncio.open_unix_connection(tmp_path / "s", limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * many)
        seen = -1
        while made != seen:  # until no more are made: only by waiting can be seen that nothing comes
            seen = made
            await asyncio.sleep(0.2)
        assert 0 < made < 100
        writer.transport.abort()
    finally:
        await runner.cleanup()


def test_no_header_breaks_its_line() -> None:
    with pytest.raises(ValueError, match="line break"):
        Headers({"X-One": "1\r\nX-Two: 2"})
    with pytest.raises(ValueError, match="line break"):
        Headers({"X-One": "1\n"})
