"""Logs read back for followers: from any head, in bounded batches that end in a good signature."""

from __future__ import annotations

from pathlib import Path

from maw.core.entry import START, Entry, Head
from maw.core.frames import TARGET_BATCH
from maw.core.identity import Signer
from maw.core.log import check_run
from maw.store.logs import all_of, read_after, run_from
from tests.unit.store.opened import COLONY, Author, open_store

ME = Signer(b"m" * 32)


async def test_from_every_head_comes_what_follows_it(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        neo = Author(1)
        said = [neo.post(f"{n}") for n in range(5)]
        await store.fold(ME, said)
        for at in range(5):
            head = said[at - 1].head if at else START
            read = await read_after(store.db, store.state, neo.node, {neo.epoch: head})
            assert [entry.wire() for entry in read.entries] == [entry.wire() for entry in said[at:]]
            check_run(COLONY, head, read.entries)
        assert (await read_after(store.db, store.state, neo.node, {neo.epoch: said[-1].head})).entries == []
        assert (await read_after(store.db, store.state, Author(2).node, {})).entries == []


async def test_epochs_come_in_order(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        old, new = Author(1), Author(1, epoch=Author(1).epoch + 5)
        await store.fold(ME, [new.post("new"), old.post("old 1"), old.post("old 2")])
        read = await read_after(store.db, store.state, old.node, {})
        assert [(entry.epoch, entry.seq) for entry in read.entries] == [
            (old.epoch, 1), (old.epoch, 2), (new.epoch, 1)
        ]  # fmt: skip
        assert [entry.id for entry in await all_of(store.db, store.state, old.node)] == [
            entry.id for entry in read.entries
        ]


async def test_a_head_that_contradicts_ours_is_answered_with_our_run(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        neo = Author(1)
        said = [neo.post(f"{n}") for n in range(4)]
        await store.fold(ME, said)
        read = await read_after(store.db, store.state, neo.node, {neo.epoch: Head(2, b"x" * 32)})
        assert read.entries == []
        assert [entry.id for entry in read.forked] == [entry.id for entry in said[1:]]


async def test_a_head_beyond_ours_is_no_contradiction(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        neo = Author(1)
        await store.fold(ME, [neo.post("1")])
        read = await read_after(store.db, store.state, neo.node, {neo.epoch: Head(9, b"x" * 32)})
        assert read == ([], [])


async def test_a_long_log_comes_in_bounded_batches(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        neo = Author(1)
        said = [neo.post(f"{n} " + "x" * 30_000) for n in range(40)]
        await store.fold(ME, said)
        got: list[Entry] = []
        batches = 0
        while True:
            heads = {neo.epoch: got[-1].head} if got else {}
            read = await read_after(store.db, store.state, neo.node, heads)
            if not read.entries:
                break
            assert sum(entry.size for entry in read.entries) < TARGET_BATCH + 40_000
            got += read.entries
            batches += 1
        assert [entry.id for entry in got] == [entry.id for entry in said]
        assert batches > 3


async def test_a_read_is_about_as_large_as_was_asked_for(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        neo, old = Author(1), Author(1, epoch=1)
        few, many = [old.post("x" * 3_000) for _ in range(20)], [neo.post("x" * 500) for _ in range(400)]
        await store.fold(ME, few)
        await store.fold(ME, many)
        for asked in (1, 30_000, 100_000, 200_000):
            read = await read_after(store.db, store.state, neo.node, {}, asked)
            size = sum(entry.size for entry in read.entries)
            assert asked <= size < asked + 4_000
        everything = await read_after(store.db, store.state, neo.node, {}, 1 << 20)
        assert [entry.id for entry in everything.entries] == [entry.id for entry in few + many]


async def test_a_batch_ends_where_a_signature_holds(tmp_path: Path) -> None:
    """Entries whose own signature is bad are held when a later one vouches for them."""
    async with open_store(tmp_path / "c.db") as store:
        neo = Author(1)
        said: list[Entry] = []
        for n in range(6):
            entry = neo.post(f"{n}")
            if n in (2, 5):
                from maw.core.entry import decode

                entry = decode(entry.header, bytes(64), entry.payload)
                neo.head = entry.head
            said.append(entry)
        await store.fold(ME, said)
        read = await read_after(store.db, store.state, neo.node, {})
        assert len(read.entries) == 5
        assert read.entries[-1].signature_holds()
        assert not read.entries[2].signature_holds()


async def test_a_run_for_a_proof(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        neo = Author(1)
        said = [neo.post(f"{n}") for n in range(3)]
        await store.fold(ME, said)
        run = await run_from(store.db, store.state, neo.node, neo.epoch, 2)
        assert [entry.id for entry in run] == [entry.id for entry in said[1:]]
        assert await run_from(store.db, store.state, neo.node, neo.epoch, 4) == []
        assert await run_from(store.db, store.state, neo.node, 1, 1) == []
