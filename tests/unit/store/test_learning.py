"""Kinds that this version does not know are held and passed on; the version that does reads them, each once."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest

from maw.core.entry import Kind
from maw.store import learning
from maw.store.asides import UnfoldableError, unread
from maw.store.checks import recount
from maw.store.fold import Fold
from maw.store.learning import legible, read_step
from tests.unit.store.opened import NOW_MS, Author, Store, open_store

NEW = 4242


class Later(IntEnum):
    """The kinds of a later version: what is new reads as a post."""

    POST = 5
    NEW = 4242


def later(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Fold._fold

    def fold(self: Fold, entry: Any, place: int, said: Any) -> int | None:
        if entry.kind == NEW:
            entry.kind = Kind.POST
        return known(self, entry, place, said)

    monkeypatch.setattr(Fold, "_fold", fold)
    monkeypatch.setattr(learning, "Kind", Later)


async def read_all(store: Store) -> list[str]:
    """What was set aside on the way."""
    aside: list[str] = []
    for kind in await legible(store.db):
        after: int | None = 0
        while after is not None:
            start = after

            async def write(conn: Any, start: int = start, kind: Any = kind) -> Any:
                fold = lambda: Fold(store.state, Author(99).node, NOW_MS)  # noqa: E731
                return await read_step(conn, kind, start, fold, lambda: store.state.reload(conn))

            folds, after = await store.writer.submit(write)
            aside += [one.why for fold in folds for one in fold.set_aside]
    return aside


async def test_held_unread_and_read_by_a_later_version_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    neo = Author(1)
    content = neo.said("new", mentions=("arthur",)).content()
    monkeypatch.setattr(learning, "ROWS_A_STEP", 2)
    async with open_store(tmp_path / "colony.db") as store:
        await store.fold(Author(99).signer, [neo.post("one")])
        await store.fold(Author(99).signer, [neo.say(NEW, content) for _ in range(5)])
        assert await legible(store.db) == []
        assert store.state.head(neo.node, neo.epoch).seq == 6, "they are held"
        assert list(await store.db.rows("SELECT why, count(*) FROM withheld")) == [(unread(NEW), 5)]
        assert await store.db.rows("SELECT * FROM set_aside") == []
        later(monkeypatch)
        assert [int(kind) for kind in await legible(store.db)] == [NEW]
        assert await read_all(store) == []
        assert await store.db.rows("SELECT count(*) FROM messages") == [(6,)]
        assert await store.db.rows("SELECT count(*) FROM mentions") == [(5,)]
        assert await legible(store.db) == []
        assert await recount(store.db.writing, store.state) == []


async def test_one_that_the_database_will_not_have_is_set_aside_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    neo = Author(1)
    async with open_store(tmp_path / "colony.db") as store:
        good, bad = neo.said("good").content(), neo.said("bad").content()
        await store.fold(Author(99).signer, [neo.say(NEW, one) for one in (good, bad, good)])
        later(monkeypatch)
        written = Fold.write

        async def write(self: Fold, conn: Any) -> None:
            if any(entry.text == "bad" for entry in seen.pop(id(self), ())):
                raise UnfoldableError("a row that cannot be")
            await written(self, conn)

        seen: dict[int, list[Any]] = {}
        message = Fold.take_message

        def remember(self: Fold, entry: Any, place: int, said: Any) -> int:
            seen.setdefault(id(self), []).append(said)
            return message(self, entry, place, said)

        monkeypatch.setattr(Fold, "take_message", remember)
        monkeypatch.setattr(Fold, "write", write)
        assert await read_all(store) == ["a row that cannot be"]
        assert await store.db.rows("SELECT count(*) FROM messages") == [(2,)]
        assert await store.db.rows("SELECT count(*) FROM set_aside") == [(1,)]
        assert await legible(store.db) == [], "it is not tried again at every start"
