"""Waiting for what becomes visible: no wake-up is lost, none comes twice."""

from __future__ import annotations

import asyncio

from maw.node.visible import Visible


async def test_what_is_there_is_told_at_once() -> None:
    visible = Visible(5)
    assert await visible.wait(4, 60) == 5
    assert await visible.wait(9, 0) == 5


async def test_everybody_who_waits_is_woken() -> None:
    visible = Visible(5)
    waiting = [asyncio.ensure_future(visible.wait(after, 60)) for after in (5, 5, 6)]
    await asyncio.sleep(0)
    visible.advance(6)
    async with asyncio.timeout(1):
        assert await asyncio.gather(*waiting[:2]) == [6, 6]
    assert not waiting[2].done()
    visible.advance(7)
    async with asyncio.timeout(1):
        assert await waiting[2] == 7


async def test_it_never_falls_and_gives_up_in_time() -> None:
    visible = Visible(5)
    visible.advance(3)
    assert visible.seq == 5
    assert await visible.wait(5, 0.01) == 5
