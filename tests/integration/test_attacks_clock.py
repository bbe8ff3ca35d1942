"""Clocks that lie, by a century either way: nothing is lost, refused, repeated or out of order."""

from __future__ import annotations

import time

import pytest

from maw.node.waking import WallJumped
from tests.conftest import MakeHome
from tests.integration.nodes import all_running, pair, until

YEAR = 365 * 86_400
OFFSETS = (0, 100 * YEAR, -55 * YEAR, YEAR // 4, -YEAR // 12, 6900 * YEAR, 0)
"""Seconds by which the clock is wrong, one after the other: 1971 (a board without a battery) among them."""


@pytest.mark.parametrize("last", [-55 * YEAR, -YEAR // 12, 0, 30 * YEAR])
async def test_clocks_that_jump_by_centuries_lose_and_reorder_nothing(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    """``last``: how wrong the clock is at the restart."""
    offset = 0
    wall, wall_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: wall() + offset)
    monkeypatch.setattr(time, "time_ns", lambda: wall_ns() + offset * 1_000_000_000)
    homes = make_home("mbp"), make_home("oracle")
    said: list[str] = []
    async with all_running(*homes) as (mbp, oracle):
        await mbp.add("arthur")
        await oracle.add("neo")
        await pair(mbp, oracle)
        for wrong in (*OFFSETS, last):
            jump, offset = wrong - offset, wrong
            for host in (mbp, oracle):  # as the housekeeping's next look at the clocks would tell it
                await host.node._clock_event(WallJumped(float(jump)))
            for host, name in ((mbp, "arthur"), (oracle, "neo")):
                text = f"{name} at {wrong}"
                receipt = await host.post(name, text)
                assert receipt["message"]["text"] == text
                said.append(text)
                await until(lambda: mbp.held() == oracle.held(), f"the other has it at {wrong}")
        assert await mbp.channel() == await oracle.channel() == said
    async with all_running(*homes) as (mbp, oracle):
        assert await mbp.channel() == await oracle.channel() == said
        await mbp.post("arthur", "and on")
        await until(lambda: mbp.held() == oracle.held(), "it goes on after a restart")
