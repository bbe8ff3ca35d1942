"""N real daemons: started a few at a time, joined through introducers, ended all at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from bench.house import Daemon, TroubleError

T = TypeVar("T")
STARTED_AT_ONCE: Final = 4
JOINED_AT_ONCE: Final = 4
STRANGERS: Final = ("pending", "forgotten", "asks to join", "revoked")
"""States of peers that are not trusted."""

Told = Callable[[str], None]


class Crowd:
    """The nodes ``n000`` …, each with one agent of its own name. A context manager; ends what it started."""

    def __init__(self, root: Path, count: int, introducers: int, told: Told, patience_s: float) -> None:
        if not 1 <= introducers <= count:
            raise ValueError("there are between one introducer and as many as nodes")
        self._root = root
        self._count = count
        self._told = told
        self._patience_s = patience_s
        self._ends = AsyncExitStack()
        self._introducers = introducers
        self.nodes: list[Daemon] = []

    async def __aenter__(self) -> Self:
        try:
            self.nodes += await _together(STARTED_AT_ONCE, (self._start(n) for n in range(self._count)))
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def _start(self, number: int) -> Daemon:
        daemon = await asyncio.to_thread(Daemon, self._root, f"n{number:03d}")
        await self._ends.enter_async_context(daemon)
        await daemon.post("/api/users", {"username": daemon.name})
        if (number + 1) % 10 == 0:
            self._told(f"{number + 1} of {self._count} daemons are up")
        return daemon

    async def _end(self) -> None:
        for node in self.nodes:
            node.hang_up()  # all at once: the waiting for each comes below
        await self._ends.aclose()

    # -- joining --------------------------------------------------------------------------------------

    async def join(self) -> int:
        """Each node pairs once: the introducers with the first, each other node by one invite of one of them.

        Returns how many pairings that took.
        """
        introducers, rest = self.nodes[: self._introducers], self.nodes[self._introducers :]
        for guest in introducers[1:]:
            invite = await introducers[0].post("/api/invites", {"introducer": True})
            await self._join(guest, invite["line"])
        lines = [(await node.post("/api/invites", {"uses": 1000}))["line"] for node in introducers]
        await _together(
            JOINED_AT_ONCE,
            (self._join(node, lines[number % len(lines)]) for number, node in enumerate(rest)),
        )
        return len(introducers) - 1 + len(rest)

    async def _join(self, guest: Daemon, line: str) -> None:
        """As people do: again, where the other host was too busy to answer in time."""
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                await guest.post("/api/join", {"line": line})
                return
            except TroubleError as error:
                if error.code != "unreachable" or time.monotonic() > deadline:
                    raise
                self._told(f"once more: {error}")

    async def until_all(self, holds: Callable[[Daemon], Awaitable[bool]], what: str) -> None:
        """Returns once ``holds`` was true of each node, asking one at a time: what holds goes on holding.

        Raises TroubleError naming who does not get there.
        """
        deadline = time.monotonic() + self._patience_s
        said = time.monotonic()
        for done, node in enumerate(self.nodes):
            while not await holds(node):
                now = time.monotonic()
                if now > deadline:
                    raise TroubleError(f"not in {self._patience_s:g} s: {what}: {node.name}")
                if now - said > 5:
                    said = now
                    self._told(f"{what}: {done} of {len(self.nodes)}")
                await asyncio.sleep(0.1)

    async def trusts_all(self, node: Daemon) -> bool:
        peers = await node.get("/api/peers")
        return sum(peer["state"] not in STRANGERS for peer in peers) >= self._count - 1

    async def knows_all_agents(self, node: Daemon) -> bool:
        users = {user["username"].partition("@")[0] for user in await node.get("/api/users")}
        return users >= {other.name for other in self.nodes}


async def _together(most: int, works: Iterable[Awaitable[T]]) -> list[T]:
    """All of them, ``most`` at a time; the first that fails ends it."""
    places = asyncio.Semaphore(most)

    async def one(work: Awaitable[T]) -> T:
        async with places:
            return await work

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(work)) for work in works]
    return [task.result() for task in tasks]
