"""Cancelling whoever runs a link, in the very moment in which the link ends, still cancels it."""

import asyncio

import pytest

from tests.integration.linknode import LinkNode


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 4])
async def test_a_link_closed_and_cancelled_at_once_is_cancelled(turns: int) -> None:
    """With Python 3.11 a task group reports only the end of the link and swallows the cancellation."""
    dialler = LinkNode("dialler")
    async with LinkNode("listener").listening() as listener:
        link = await dialler.dialer.dial(listener.address, listener.node)
        went_on = False

        async def run() -> None:
            nonlocal went_on
            await link.run(lambda frame: None)
            await asyncio.sleep(3600)
            went_on = True

        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            task = group.create_task(run())
            await asyncio.sleep(0)
            await link.ping(2.0)
            link.close("this node is stopping")
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
        assert task.cancelled()
        assert not went_on
