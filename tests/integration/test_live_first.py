"""A live message does not wait behind somebody's catch-up on the same slow link."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from maw.core.identity import NodeId
from maw.node.home import NodeHome
from tests.integration.nodes import NOWHERE, Host, config_of, pair, running, until
from tests.integration.slow_line import slow_line

MakeHome = Callable[[str], NodeHome]
BACKLOG = 8_000
RATE = 600_000
"""Bytes a second: a link of 12 Mbit/s, on which the backlog takes some seconds."""
AHEAD = 700_000
"""Bytes of backlog that may go out before a message that is said now."""
APART = 90_000
"""Bytes of backlog between two live messages."""


async def _fill(host: Host, count: int) -> None:
    for at in range(0, count, 500):
        older = [host.post("owner", f"an older message, number {n} of them all") for n in range(at, at + 500)]
        await asyncio.gather(*older)


def _holds(host: Host, author: NodeId) -> int:
    held = host.node.runtime.held
    return sum(head.seq for head in held.of(author).values())


async def test_a_live_message_goes_ahead_of_a_catch_up_on_the_same_link(make_home: MakeHome) -> None:
    homes = make_home("full"), make_home("third"), make_home("late")
    async with AsyncExitStack() as stack:
        full_config = config_of(homes[0])
        line = await stack.enter_async_context(slow_line(full_config.mesh.listen[0].port, RATE))
        configs = [full_config, *(config_of(home, advertise=NOWHERE) for home in homes[1:])]
        full, third, late = [
            await stack.enter_async_context(running(home, config=config))
            for home, config in zip(homes, configs, strict=True)
        ]
        await pair(full, third)
        full.node.mesh._config = config_of(homes[0], advertise=line.address)
        await pair(full, late)  # over the line; and late and third cannot dial each other
        await until(lambda: late.held() == full.held(), "late has all there is")
        await _fill(full, BACKLOG)
        ahead: list[int] = []
        while _holds(late, full.me) < _holds(full, full.me) and len(ahead) < 8:
            before = line.carried
            await until(
                lambda before=before: (
                    line.carried > before + APART or _holds(late, full.me) == _holds(full, full.me)
                ),  # type: ignore[misc]
                "the catch-up goes on",
            )
            carried = line.carried
            seq = _holds(third, third.me)
            await third.post("owner", "live")
            await until(lambda seq=seq: _holds(late, third.me) > seq, "it is there")  # type: ignore[misc]
            ahead.append(line.carried - carried)
        assert len(ahead) >= 4, "the backlog was still on its way"
        assert sorted(ahead)[len(ahead) // 2] < AHEAD, ahead
        await until(lambda: late.held() == full.held(), "late has all there is", 30)
        assert late.node.runtime.machine.followed.discarded_entries == 0
