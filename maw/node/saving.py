"""What is written along at leisure, for it is told again after a crash: receipts, and when peers were last seen."""

from __future__ import annotations

import aiosqlite

from maw.net.switchboard import Switchboard
from maw.node.authoring import Authoring, wall_clock_ms
from maw.node.receipts import Receipts, Saved
from maw.store.state import State
from maw.store.writer import Writer


class Saving:
    def __init__(
        self, state: State, writer: Writer, receipts: Receipts, board: Switchboard, authoring: Authoring
    ) -> None:
        self._state = state
        self._writer = writer
        self._receipts = receipts
        self._board = board
        self._authoring = authoring

    async def save_receipts(self) -> None:
        """All of it, when a receipt has risen. Raises MawError, as below, when the disk does not take it."""
        if self._receipts.unsaved:
            await self.save()

    async def save(self) -> None:
        now = wall_clock_ms()
        for link in self._board.all():
            if (row := self._state.nodes.get(link.peer)) is not None:
                row.seen = now

        async def write(conn: aiosqlite.Connection) -> Saved:
            seen = [(row.seen, row.n) for row in self._state.nodes.values() if row.seen is not None]
            await conn.executemany("UPDATE nodes SET seen = ? WHERE n = ?", seen)
            return await self._receipts.save(conn, self._state)

        if not self._authoring.read_only:
            await self._writer.submit(write, self._receipts.saved)
