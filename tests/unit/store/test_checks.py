"""Bookkeeping that drifted is found, told and mended; what is right is left alone."""

from __future__ import annotations

from pathlib import Path

from maw.core.identity import Signer
from maw.store.checks import recount
from maw.store.state import State
from tests.unit.store.opened import Author, Store, open_store

ME = Signer(b"m" * 32)


async def filled(store: Store) -> Author:
    neo = Author(1)
    await store.fold(ME, [neo.card("neo"), neo.post("1"), neo.post("2", channel="ops"), neo.post("3")])
    return neo


async def test_what_is_right_stays(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        await filled(store)
        assert await recount(store.db.writing, store.state) == []


async def test_counters_are_mended_and_seq_never_falls(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        await filled(store)
        conn = store.db.writing
        await conn.execute("UPDATE meta SET value = 1 WHERE key = 'messages'")
        await conn.execute("UPDATE meta SET value = 1 WHERE key = 'seq'")
        await store.state.reload(conn)
        (told,) = await recount(conn, store.state)
        assert "1 messages up to 1 were counted, there are 3 up to 3" in told
        assert (store.state.messages, store.state.seq) == (3, 3)
        await conn.execute("UPDATE meta SET value = 7 WHERE key = 'messages'")
        await conn.execute("UPDATE meta SET value = 1000 WHERE key = 'seq'")
        await store.state.reload(conn)
        await recount(conn, store.state)
        assert (store.state.messages, store.state.seq) == (3, 1000), "a cursor may be up there"
        fresh = State()
        await fresh.reload(conn)
        assert fresh == store.state, "mended on the disk too"


async def test_channel_counts_are_mended(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        await filled(store)
        conn = store.db.writing
        await conn.execute("UPDATE channels SET messages = 40, last_seq = 1 WHERE name = 'general'")
        await store.state.reload(conn)
        (told,) = await recount(conn, store.state)
        assert "general" in told
        assert store.state.channels["general"].messages == 2
        assert await recount(conn, store.state) == []


async def test_a_log_that_is_shorter_than_its_head_says_is_told(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        await filled(store)
        conn = store.db.writing
        await conn.execute("DELETE FROM entries WHERE place = (SELECT max(place) FROM entries)")
        (told,) = await recount(conn, store.state)
        assert "says it ends at 4, its entries end at 3" in told
