"""What this host's agents came to, said in its log: when something changed, at most every ten minutes; at once when a
cap comes near, for other hosts halt their agents by what they know of the Colony's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from maw.core.entry import Kind
from maw.core.ledger import MAX_ROWS, ledger_content
from maw.node.authoring import Authoring
from maw.node.store import Store
from maw.store import costs as rows

EVERY_S: Final = 600.0


class Ledger:
    """``keep`` is called each second."""

    def __init__(
        self, store: Store, authoring: Authoring, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._authoring = authoring
        self._monotonic = monotonic
        self._next = monotonic() + EVERY_S
        """Not at once after a start: a daemon that is started again and again says it no more often."""
        self._due = True
        self._alone = asyncio.Lock()
        self.said: Callable[[], None] = lambda: None
        """Called when it is."""

    def counted(self) -> None:
        """There is more than was said."""
        self._due = True

    def hurry(self) -> None:
        self._due, self._next = True, 0.0

    async def keep(self) -> None:
        """Raises MawError when the disk does not take it; then it is still due."""
        async with self._alone:
            await self._keep()

    async def _keep(self) -> None:
        if not self._due or self._monotonic() < self._next:
            return
        if self._authoring.read_only or self._authoring.barred:
            return
        self._due = False
        try:
            me = self._store.state.nodes.get(self._store.me)
            unsaid = [] if me is None else await rows.unsaid(self._store.db, me.n, MAX_ROWS)
            if unsaid:
                await self._authoring.say(Kind.LEDGER, ledger_content(unsaid))
                self.said()
                self._next = self._monotonic() + EVERY_S
            if len(unsaid) == MAX_ROWS:
                self.hurry()
        except BaseException:
            self._due = True
            raise
