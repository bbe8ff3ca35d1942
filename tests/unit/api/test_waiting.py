"""Waiting: nothing slips between reading and waiting, and everybody leaves when told."""

from __future__ import annotations

import asyncio

import pytest

from maw.api.backend import Page
from maw.api.waiting import Waiting
from maw.errors import Unavailable
from tests.unit.api.memory_backend import MemoryBackend


def here() -> bool:
    return False


async def test_what_becomes_visible_while_the_page_is_read_is_not_missed() -> None:
    backend = MemoryBackend()
    asked: list[int | None] = []

    async def fetch(after: int | None) -> Page:
        asked.append(after)
        if len(asked) == 1:
            await backend.say("just as we looked")  # after the snapshot that this page shows
            return Page([], 0)
        return Page(backend.messages[after or 0 :], len(backend.messages))

    async with asyncio.timeout(5):
        page = await Waiting(backend).page(fetch, None, 60, here)
    assert [m["seq"] for m in page.items] == [1]
    assert asked == [None, 0]


async def test_nothing_is_read_again_while_nothing_happens() -> None:
    backend = MemoryBackend()
    reads = 0

    async def fetch(after: int | None) -> Page:
        nonlocal reads
        reads += 1
        return Page([], 0)

    await Waiting(backend, slice_s=0.01).page(fetch, 0, 0.1, here)
    assert reads == 1


async def test_without_seconds_it_reads_once_and_takes_no_place() -> None:
    waiting = Waiting(MemoryBackend(), places=0)

    async def fetch(after: int | None) -> Page:
        return Page([], 7)

    assert await waiting.page(fetch, 7, 0, here) == Page([], 7)
    with pytest.raises(Unavailable) as refused:
        await waiting.page(fetch, 7, 1, here)
    assert refused.value.code == "too_many_waiting"


async def test_stop_ends_every_wait_and_takes_no_more() -> None:
    waiting = Waiting(MemoryBackend())
    codes: list[str] = []

    async def wait() -> None:
        try:
            async with waiting.place():
                await asyncio.sleep(60)
        except Unavailable as error:
            codes.append(error.code)

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(wait())
        while len(waiting) < 3:
            await asyncio.sleep(0)
        waiting.stop()
    assert codes == ["stopping"] * 3
    assert len(waiting) == 0
    with pytest.raises(Unavailable):
        async with waiting.place():
            pass


async def test_a_timeout_of_its_own_is_not_taken_for_stopping() -> None:
    waiting = Waiting(MemoryBackend())
    with pytest.raises(TimeoutError):
        async with waiting.place():
            raise TimeoutError
    assert len(waiting) == 0
