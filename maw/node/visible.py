"""The newest seq that readers may see, and waiting for a newer one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Visible:
    """Moves after commits only. Any number of waiters; none of them costs the writer more than a wake-up."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self._moved = asyncio.Event()
        self.on_move: Callable[[], None] = lambda: None
        """Called after each commit that made something visible."""

    def advance(self, seq: int) -> None:
        if seq > self.seq:
            self.seq = seq
            self._moved.set()
            self._moved = asyncio.Event()
            self.on_move()

    async def wait(self, after: int, timeout: float) -> int:
        """The newest seq: at once when it is above ``after``, else when it moves or after ``timeout`` s."""
        if self.seq > after or timeout <= 0:
            return self.seq
        try:
            async with asyncio.timeout(timeout):
                while self.seq <= after:
                    await self._moved.wait()
        except TimeoutError:
            pass
        return self.seq
