"""Who holds our log up to where: it only rises, is written at leisure, and wakes who waits."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from maw.node.receipts import STEPS_KEPT, Receipts
from tests.unit.store.opened import Author, open_store

PEER, OTHER = Author(1).node, Author(2).node


def test_receipts_only_rise() -> None:
    receipts = Receipts()
    receipts.note(PEER, 7, 5, 1)
    receipts.note(PEER, 7, 3, 2)
    assert receipts.has(PEER, 7, 5)
    assert not receipts.has(PEER, 7, 6)
    assert not receipts.has(PEER, 8, 1), "another epoch is another matter"
    assert not receipts.has(OTHER, 7, 1)
    receipts.note(OTHER, 7, 9, 3)
    assert receipts.holders(7, 5) == [PEER, OTHER]
    assert receipts.holders(7, 6) == [OTHER]


async def test_whoever_waits_hears_of_every_rise() -> None:
    receipts = Receipts()
    waiting = [asyncio.ensure_future(receipts.next_move.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    receipts.note(PEER, 1, 1, 0)
    async with asyncio.timeout(1):
        await asyncio.gather(*waiting)
    late = asyncio.ensure_future(receipts.next_move.wait())
    await asyncio.sleep(0)
    receipts.note(PEER, 1, 1, 0)
    await asyncio.sleep(0)
    assert not late.done(), "nothing rose"
    late.cancel()


async def test_they_are_written_and_read_back(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        await store.fold(Author(9).signer, [Author(1).post("hi")])
        receipts = Receipts()
        receipts.note(PEER, 7, 5, 100)
        receipts.note(OTHER, 7, 5, 100)
        assert receipts.unsaved

        async def write(conn: Any) -> Any:
            return await receipts.save(conn, store.state)

        done = await store.writer.submit(write)
        assert receipts.unsaved, "nobody said that it is durable"
        receipts.note(PEER, 8, 1, 200)
        receipts.saved(done)
        assert receipts.unsaved, "what rose meanwhile is not written yet"
        receipts.saved(await store.writer.submit(write))
        assert receipts._dirty == {}
        again = Receipts()
        await again.load(store.db.writing, store.state)
        assert again.has(PEER, 7, 5)
        assert again.has(PEER, 8, 1)
        assert not again.has(OTHER, 7, 5), "a node of which nothing is known has no row: it says so again"


def test_since_when_a_host_has_what_was_said_lately() -> None:
    receipts = Receipts()
    assert receipts.since(PEER, 7, 1) is None
    receipts.note(PEER, 7, 5, 1000)
    assert receipts.since(PEER, 7, 5) is None, "it may have had that for long before it said so"
    receipts.note(PEER, 7, 8, 2000)
    receipts.note(PEER, 7, 9, 3000)
    assert [receipts.since(PEER, 7, seq) for seq in (5, 6, 8, 9, 10)] == [None, 2000, 2000, 3000, None]
    for step in range(STEPS_KEPT):
        receipts.note(PEER, 7, 10 + step, 4000 + step)
    assert receipts.since(PEER, 7, 8) is None, "it is forgotten, and not told wrong"
    assert receipts.since(PEER, 7, 9 + STEPS_KEPT) == 3999 + STEPS_KEPT
