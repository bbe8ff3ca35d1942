"""The writing connection: a transaction begins in one visit to the connection's thread with what it does first.

A visit is two switches between threads, and a post is a handful of statements; BEGIN alone was a third of the way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiosqlite


class WritingConnection(aiosqlite.Connection):
    """``begin`` says that a transaction is wanted: nothing is executed from then on before BEGIN has succeeded.

    Where BEGIN fails, what was to come after it raises that error and is not executed, and the next call tries again:
    no row is ever let through outside of a transaction.
    """

    _to_begin = False

    def begin(self) -> None:
        """The next call begins a transaction first."""
        self._to_begin = True

    def forget_begin(self) -> None:
        """No transaction is wanted any more, if none began."""
        self._to_begin = False

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # each of aiosqlite's own methods comes down to this one
        if not self._to_begin:
            return await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]

        def begin_first() -> Any:
            if self._to_begin:  # in the connection's thread: of several calls under way the first begins
                self._conn.execute("BEGIN IMMEDIATE")
                self._to_begin = False
            return fn(*args, **kwargs)

        return await super()._execute(begin_first)  # type: ignore[no-untyped-call]
