"""An answer that leaves whole: head and body in one write, where nothing stands against it.

aiohttp puts the head of each answer together step by step, for streams, compression, cookies and old clients; for
a post that was a tenth of all it cost. What is not plain (HTTP/1.0, HEAD, a connection that ends, a caller who
has not read his last answer yet) goes aiohttp's long way.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter


class Headers:
    """Headers of many answers, also as they stand on the wire: each after a line break. Raises ValueError for one
    that would break a line itself."""

    __slots__ = ("by_name", "lines")

    def __init__(self, by_name: Mapping[str, str]) -> None:
        self.by_name = dict(by_name)
        self.lines = _lines(self.by_name)


def _lines(headers: Mapping[str, str]) -> str:
    lines = "".join([f"\r\n{name}: {value}" for name, value in headers.items()])
    if not lines.count("\n") == lines.count("\r") == len(headers):
        raise ValueError("a header of an answer has a line break in it")
    return lines


class Answer(web.Response):
    """A Response with ``fixed`` headers; its own ``headers`` are added to those."""

    def __init__(self, body: bytes, status: int, fixed: Headers) -> None:
        super().__init__(body=body, status=status)
        self.whole = body
        self.fixed = fixed
        self._left = False

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        transport = request.transport
        if (
            transport is None
            or transport.is_closing()
            or transport.get_write_buffer_size()
            or request.version != HttpVersion11
            or request.method == "HEAD"
            or not request.keep_alive
            or self.keep_alive is False
        ):
            for name, value in self.fixed.by_name.items():
                self.headers.setdefault(name, value)
            return await super().prepare(request)
        transport.write(self._head() + self.whole)
        self._left = True
        return None

    def _head(self) -> bytes:
        own = _lines(self.headers) if self.headers else ""
        length = "" if self.status == 304 else f"\r\nContent-Length: {len(self.whole)}"
        return (
            f"HTTP/1.1 {self.status} {self.reason}{self.fixed.lines}{own}"
            f"{length}\r\nDate: {_date(int(time.time()))}\r\n\r\n"
        ).encode()

    async def write_eof(self, data: bytes = b"") -> None:
        if not self._left:
            await super().write_eof(data)

    @property
    def prepared(self) -> bool:
        return self._left or super().prepared

    @property
    def keep_alive(self) -> bool | None:
        return True if self._left else super().keep_alive


@lru_cache(maxsize=4)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
