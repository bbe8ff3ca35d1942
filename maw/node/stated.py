"""Redactions that operators stated are carried out here, before this node says that it keeps to them.

What they say is in the book, so it outlives a restored database, and one that was made anew: whatever a database does
not know yet of them is done again.
"""

from __future__ import annotations

from collections.abc import Callable

import aiosqlite

from maw.core.identity import NodeId
from maw.core.redaction import REDACTED, Redaction, StatedRedaction
from maw.core.trust import TrustBook
from maw.node.authoring import wall_clock_ms
from maw.node.folds import Folds
from maw.node.store import Store
from maw.store.fold import Fold
from maw.store.redacting import stated_number, stated_numbers


class Stated:
    def __init__(
        self,
        store: Store,
        book: Callable[[], TrustBook],
        folds: Folds,
    ) -> None:
        self._store = store
        self._book = book
        self._folds = folds
        self._done: set[int] | None = None

    async def settle(self) -> None:
        """Carry out what is in force and was not. Raises MawError when the disk does not take it."""
        found = self._book().ruling.redactions
        if not found:
            return
        if self._done is None:
            async with self._store.db.reading() as conn:
                self._done = await stated_numbers(conn)
        for one in found:
            number = stated_number(one.id)
            if number not in self._done and self._is_known(one.author):
                await self._carry_out(one, number)
                self._done.add(number)

    def _is_known(self, author: NodeId) -> bool:
        """Of whom nothing can be here, nothing need be dropped; when he is let in, this is settled again."""
        book = self._book()
        return author == self._store.me or author in self._store.state.nodes or author in book.trusted

    async def _carry_out(self, one: StatedRedaction, number: int) -> None:
        by = f"operator {self._book().ruling.authority.name_of(one.issuer)}"
        rule = Redaction(one.author, one.epoch, one.ranges, REDACTED, by, one.reason or None)

        async def write(conn: aiosqlite.Connection) -> Fold:
            now_ms = wall_clock_ms()
            fold = self._folds.new(now_ms)
            fold.take_rule(number, rule, min(one.at_ms, now_ms))
            await fold.write(conn)
            return fold

        await self._store.writer.submit(write, lambda fold: self._folds.took(fold, one.author))
