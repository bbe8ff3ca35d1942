"""Files in memory: every message has one, of what was uploaded last."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from maw.api.backend import Json, Speaker
from maw.core.filenames import file_type, safe_name
from maw.errors import NotFound, TooLarge

MOST = 1 << 18


class MemoryFiles:
    """``message`` is the backend's own: it says who may read one."""

    content: bytes = b"a file\n"
    content_name: str = "file"
    message: Any

    async def upload(
        self, speaker: Speaker, name: str, kind: str, size: int | None, stream: AsyncIterator[bytes]
    ) -> Json:
        data = b""
        if (size or 0) > MOST:
            raise TooLarge(f"a file of {size} bytes")
        async for part in stream:
            data += part
            if len(data) > MOST:
                raise TooLarge("a file of more than a MiB")
        self.content, self.content_name = data, safe_name(name)
        return {
            "hash": hashlib.sha256(data).hexdigest(),
            "name": self.content_name,
            "size": len(data),
            "type": file_type(kind),
        }

    async def files(self, speaker: Speaker, ref: str) -> list[Json]:
        return [await self.fetch_file(speaker, ref, 1, seconds=0, anew=False)]

    async def fetch_file(self, speaker: Speaker, ref: str, n: int, *, seconds: float, anew: bool) -> Json:
        await self.message(speaker, ref)
        if n != 1:
            raise NotFound(f"that message has no file {n}: it has 1", code="no_file")
        size = len(self.content)
        return {
            "n": 1, "name": self.content_name, "size": size, "type": "text/plain",
            "hash": hashlib.sha256(self.content).hexdigest(), "state": "here", "fetched": size, "through": None,
            "holder": "oracle-world", "linked": True,
        }  # fmt: skip

    async def open_file(
        self, speaker: Speaker, ref: str, n: int, span: Callable[[int], tuple[int, int]]
    ) -> tuple[Json, AsyncIterator[bytes]]:
        found = await self.fetch_file(speaker, ref, n, seconds=0, anew=False)
        first, end = span(found["size"])

        async def stream() -> AsyncIterator[bytes]:
            yield self.content[first:end]

        return found, stream()
