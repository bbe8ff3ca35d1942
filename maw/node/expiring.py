"""Messages whose time is over before anybody was told of them: their authors hear that they expired unread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import aiosqlite

from maw.node.authoring import wall_clock_ms
from maw.node.marking import Marking
from maw.node.store import Store
from maw.node.upcoming import Upcoming
from maw.store import expiring

UNREAD: Final = "expired unread"


class Expiring:
    """``newest``: the newest seq that is visible."""

    def __init__(self, store: Store, marking: Marking, newest: Callable[[], int]) -> None:
        self._store = store
        self._marking = marking
        self._upcoming = Upcoming(newest)

    async def keep(self) -> None:
        """To be called once a second. Raises MawError when the disk does not take it; then it is still due."""
        now = wall_clock_ms()
        if not self._upcoming.may_be(now):
            return
        upcoming = await expiring.upcoming(self._store.db)
        self._upcoming.first(upcoming[0][1] if upcoming else None)
        seqs = [seq for seq, at in upcoming if at <= now]
        if not seqs:
            return
        for n, some in (await expiring.unheard(self._store.db, seqs, UNREAD)).items():
            if (agent := self._store.state.agent_at.get(n)) is not None:
                await self._marking.fail(agent, some, UNREAD)

        async def settle(conn: aiosqlite.Connection) -> None:
            await expiring.settle(conn, seqs)

        await self._store.writer.submit(settle)
