"""Keys of what was sealed for the host where an agent lived: lent by that one, used by the one where it lives."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import groupby
from typing import Final

import aiosqlite

from maw.core.entry import Kind
from maw.core.identity import NodeId
from maw.core.lent import MAX_LENT, Lent, Loan
from maw.core.moving import ARRIVED, MOVED
from maw.errors import Conflict
from maw.node.authoring import Authoring, wall_clock_ms
from maw.node.folds import Folds
from maw.node.sealing import Sealing
from maw.node.store import Store
from maw.store.fold import Fold
from maw.store.handing import open_lent, to_lend
from maw.store.sealed import STRANGE_LOAN
from maw.store.travelling import is_lending
from maw.store.withholding import release

RETRY_S: Final = 60.0


class Loans:
    def __init__(self, store: Store, authoring: Authoring, sealing: Sealing, folds: Folds) -> None:
        self._store = store
        self._authoring = authoring
        self._sealing = sealing
        self._folds = folds
        self._strange = True
        self._not_before = 0.0

    async def settle(self) -> None:
        """Raises MawError when the disk does not take it; then it is still due."""
        if is_lending(self._store.state):
            await self._lend()
        if self._strange:
            await self._look_again()
        coming = (row for row in self._store.state.moves.values() if not row.leaving)
        if self._store.state.borrowed and not any(row.step in (MOVED, ARRIVED) for row in coming):
            await self._use()  # all that comes along is opened together, in its authors' order

    def received(self, fold: Fold) -> None:
        self._strange = self._strange or bool(fold.changes.travels or fold.changes.moves)

    # -- lending ----------------------------------------------------------------------------------------

    async def _lend(self) -> None:
        """What was opened here for agents that live elsewhere now. While one is being handed over it waits."""
        state, me = self._store.state, self._store.me
        if state.holding or any(row.leaving and row.holds for row in state.moves.values()):
            return
        if self._authoring.read_only or self._authoring.barred:
            return
        while True:
            gone = self._gone()
            names = frozenset(gone)

            async def look(
                conn: aiosqlite.Connection, names: frozenset[bytes] = names
            ) -> tuple[list[tuple[bytes, Loan]], list[int]]:
                return await to_lend(conn, state, me, names, MAX_LENT)

            found, places = await self._store.writer.submit(look)
            if not places:
                return
            found.sort(key=lambda one: one[0])
            lots = [(agent, [loan for _, loan in some]) for agent, some in groupby(found, lambda one: one[0])]
            for agent, loans in lots:
                if not await self._say(gone[agent], agent, loans):
                    return
            await self._store.writer.submit(partial(_looked_at, places))

    def _gone(self) -> dict[bytes, NodeId]:
        """Agents that left, and the hosts where they live now as far as is known."""
        state, me = self._store.state, self._store.me
        found: dict[bytes, NodeId] = {}
        for row in sorted(state.moves.values(), key=lambda one: one.at):
            if row.leaving and row.step == MOVED and state.travels.has_left(me, row.agent):
                home = state.travels.home(me, row.agent)
                found[row.agent] = row.node if home == me else home
        return found

    async def _say(self, node: NodeId, agent: bytes, loans: list[Loan]) -> bool:
        """False where it cannot be said now: that host has named no key."""
        now = asyncio.get_running_loop().time()
        if now < self._not_before:
            return False
        lent = Lent(agent, tuple(loans))
        try:
            content, _ = self._sealing.seal(Kind.LENT, lent.content(), {node}, itself=False)
        except Conflict:
            self._not_before = now + RETRY_S
            return False
        await self._authoring.say(Kind.LENT, content)
        return True

    # -- using ------------------------------------------------------------------------------------------

    async def _use(self) -> None:
        after: tuple[bytes, int, int] | None = None
        while True:
            start = after

            async def write(
                conn: aiosqlite.Connection, start: tuple[bytes, int, int] | None = start
            ) -> tuple[tuple[bytes, int, int] | None, Fold]:
                fold = self._folds.new(wall_clock_ms())
                return await open_lent(conn, fold, start), fold

            after, _ = await self._store.writer.submit(write, lambda done: self._folds.took(done[1]))
            if after is None:
                return

    async def _look_again(self) -> None:
        """What was lent before it was known that the agent came from there."""
        self._strange = False
        after: int | None = 0
        try:
            while after is not None:
                start = after

                async def write(conn: aiosqlite.Connection, start: int = start) -> tuple[int | None, Fold]:
                    fold = self._folds.new(wall_clock_ms())
                    return await release(conn, fold, STRANGE_LOAN, start), fold

                after, _ = await self._store.writer.submit(write, lambda done: self._folds.took(done[1]))
        except BaseException:
            self._strange = True
            raise


async def _looked_at(places: list[int], conn: aiosqlite.Connection) -> None:
    await conn.executemany("DELETE FROM to_lend WHERE place = ?", [(place,) for place in places])
