"""What a rule keeps back is held, shown when the rule ends, and hidden when it begins late; counts stay true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from maw.core.colony import Said
from maw.core.entry import Entry
from maw.store.checks import recount
from maw.store.fold import Fold
from maw.store.withholding import FROZEN, PENDING, hide_beyond, release
from tests.unit.store.opened import NOW_MS, Author, Store, open_store


def hush(entry: Entry, said: Said | None) -> str | None:
    return FROZEN if said is not None and "hush" in said.text else None


async def take(store: Store, author: Author, entries: list[Entry]) -> Fold:
    async def write(conn: Any) -> Fold:
        fold = Fold(store.state, Author(99).node, NOW_MS, hush)
        for entry in entries:
            fold.add(entry)
        await fold.write(conn)
        return fold

    return await store.writer.submit(write)


async def texts(store: Store) -> list[int]:
    return [seq for (seq,) in await store.db.rows("SELECT seq FROM messages ORDER BY seq")]


async def test_what_is_withheld_is_held_and_shown_once_the_rule_ends(tmp_path: Path) -> None:
    neo = Author(1)
    async with open_store(tmp_path / "colony.db") as store:
        await take(store, neo, [neo.post("one"), neo.post("hush", ["arthur"]), neo.post("two")])
        assert await texts(store) == [1, 2]
        assert store.state.head(neo.node, neo.epoch).seq == 3, "it is held all the same"

        async def again(rule: Any) -> None:
            async def write(conn: Any) -> None:
                await release(conn, Fold(store.state, Author(99).node, NOW_MS, rule), FROZEN)

            await store.writer.submit(write)

        await again(hush)
        assert await texts(store) == [1, 2], "the rule still stands"
        await again(None)
        assert await texts(store) == [1, 2, 3]
        assert list(await store.db.rows("SELECT * FROM withheld")) == []
        assert list(await store.db.rows("SELECT word FROM mentions")) == [("arthur",)]
        assert list(await store.db.rows("SELECT shown FROM entries ORDER BY place")) == [(1,), (3,), (2,)]
        await again(None)
        assert await texts(store) == [1, 2, 3], "shown once"


async def test_what_lies_above_a_cut_is_hidden_and_every_count_stays_true(tmp_path: Path) -> None:
    neo, trinity = Author(1), Author(2)
    async with open_store(tmp_path / "colony.db") as store:
        await take(store, neo, [neo.post(f"neo {n}", ["arthur"]) for n in range(4)])
        await take(store, trinity, [trinity.post("stays", ["arthur"])])

        async def write(conn: Any) -> int:
            return await hide_beyond(conn, store.state, neo.node, {neo.epoch: 1}, NOW_MS)

        assert await store.writer.submit(write) == 3
        assert await texts(store) == [1, 5]
        assert list(await store.db.rows("SELECT seq FROM mentions ORDER BY seq")) == [(1,), (5,)]
        assert store.state.channels["general"].messages == 2

        async def count(conn: Any) -> list[str]:
            return await recount(conn, store.state)

        assert await store.writer.submit(count) == []


async def test_of_a_pending_author_nothing_is_shown_until_it_is_accepted(tmp_path: Path) -> None:
    neo = Author(1)
    pending = {neo.node}

    def strange(entry: Entry, said: Said | None) -> str | None:
        return PENDING if entry.author in pending else None

    async def write(conn: Any) -> Fold:
        fold = Fold(store.state, Author(99).node, NOW_MS, strange)
        for entry in [neo.card("neo"), neo.post("one"), neo.post("two")]:
            fold.add(entry)
        await fold.write(conn)
        return fold

    async def accept(conn: Any) -> None:
        await release(conn, Fold(store.state, Author(99).node, NOW_MS, strange), PENDING)

    async with open_store(tmp_path / "colony.db") as store:
        await store.writer.submit(write)
        assert store.state.head(neo.node, neo.epoch).seq == 3
        assert not store.state.agents
        assert not store.state.channels
        assert await texts(store) == []
        pending.clear()
        await store.writer.submit(accept)
        assert await texts(store) == [1, 2]
        assert [row.name for row in store.state.agents.values()] == ["neo"]
        assert list(await store.db.rows("SELECT * FROM withheld")) == []
