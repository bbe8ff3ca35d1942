"""Those who wait: long polls and streams. They are counted, bounded, and ended when the daemon stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from maw.api.backend import Backend, Page
from maw.api.limits import MAX_WAITING, MAX_WAITING_ANONYMOUS, POLL_SLICE_S
from maw.errors import Unavailable


def stopping() -> Unavailable:
    return Unavailable("the daemon is stopping", hint="ask again when it is back", code="stopping")


class Waiting:
    """The places of those who wait. One for both doors; `stop` ends all of them and takes no more."""

    def __init__(self, backend: Backend, *, places: int = MAX_WAITING, slice_s: float = POLL_SLICE_S) -> None:
        self._backend = backend
        self._places = places
        self._slice_s = slice_s
        self._scopes: set[asyncio.Timeout] = set()
        self._anonymous = 0
        self._stopped = False

    def __len__(self) -> int:
        return len(self._scopes)

    @property
    def stopped(self) -> bool:
        return self._stopped

    def stop(self) -> None:
        """End every wait now; each raises Unavailable with code ``stopping`` in its own task."""
        self._stopped = True
        now = asyncio.get_running_loop().time()
        for scope in self._scopes:
            scope.reschedule(now)

    @asynccontextmanager
    async def place(self, *, anonymous: bool = False) -> AsyncIterator[None]:
        """Wait inside. Raises Unavailable: ``stopping``, or ``too_many_waiting`` when none is free."""
        if self._stopped:
            raise stopping()
        taken, places = len(self._scopes), self._places
        if anonymous and self._anonymous >= MAX_WAITING_ANONYMOUS:
            taken, places = self._anonymous, MAX_WAITING_ANONYMOUS
        if taken >= places:
            raise Unavailable(
                f"{taken} callers are waiting already",
                hint="ask without wait",
                code="too_many_waiting",
            )
        scope = asyncio.timeout(None)
        self._anonymous += anonymous
        try:
            async with scope:
                self._scopes.add(scope)
                yield
        except TimeoutError:
            if scope.expired():
                raise stopping() from None
            raise
        finally:
            self._anonymous -= anonymous
            self._scopes.discard(scope)

    async def page(
        self,
        fetch: Callable[[int | None], Awaitable[Page]],
        after_seq: int | None,
        seconds: float,
        gone: Callable[[], bool],
        *,
        anonymous: bool = False,
    ) -> Page:
        """``fetch(after_seq)``, and as long as that is empty again whenever something became visible.

        Returns an empty page after ``seconds``, or when ``gone()`` says that nobody is listening.
        """
        if seconds <= 0:
            return await fetch(after_seq)
        async with self.place(anonymous=anonymous):
            loop = asyncio.get_running_loop()
            deadline = loop.time() + seconds
            # Asked before the page is read: what comes between the two wakes us rather than slips through.
            seen = await self._backend.wait_visible(0, 0)
            page = await fetch(after_seq)
            cursor = -1 if after_seq is None else after_seq
            while not page.items and not gone():
                if cursor < page.next_seq < seen:  # a stretch that held nothing, and there is more behind it
                    cursor = page.next_seq
                    page = await fetch(cursor)
                    continue
                left = deadline - loop.time()
                if left <= 0:
                    break
                seen = max(seen, page.next_seq)
                newest = await self._backend.wait_visible(seen, min(left, self._slice_s))
                if newest > seen:
                    seen, cursor = newest, page.next_seq
                    page = await fetch(cursor)
            return page
