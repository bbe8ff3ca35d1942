"""One branch gives way to another; what is published again stays the same message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from maw.core.colony import Open
from maw.core.entry import Entry, Head, Kind, Position, unpack_payload
from maw.core.message_ids import message_id
from maw.store.fold import Fold
from maw.store.replacing import Lifted, cut, head_at, lift, published_again, seen_before
from tests.unit.store.opened import EPOCH, NOW_MS, Author, Store, open_store

ME = Author(9)


def again(old: Entry, **changed: Any) -> tuple[Author, Entry]:
    """``old`` of author 1, published again in its next epoch."""
    author = Author(1, epoch=EPOCH + 1)
    content = {**unpack_payload(old.payload or b""), "was": [old.epoch, old.seq, old.id], **changed}
    return author, author.say(old.kind, content)


async def taken(store: Store, *entries: Entry) -> Fold:
    async def write(conn: Any) -> Fold:
        fold = Fold(store.state, ME.node, NOW_MS)
        fold.again = await seen_before(conn, store.state, entries)
        for entry in entries:
            fold.add(entry)
        await fold.write(conn)
        return fold

    return await store.writer.submit(write)


async def messages(store: Store) -> list[tuple[Any, ...]]:
    return await store.db.rows("SELECT seq, place, reply FROM messages ORDER BY seq")


async def test_a_message_that_is_published_again_stays_where_it_is(tmp_path: Path) -> None:
    async with open_store(tmp_path / "colony.db") as store:
        author = Author(1)
        first = author.post("hi")
        answer = author.post("yes", reply_to=message_id(first.position))
        await taken(store, first, answer)
        _, new = again(first)
        await taken(store, new)
        place = store.state.logs[new.author, new.epoch].place(new.seq)
        rows = await messages(store)
        assert rows[0][:2] == (1, place)
        assert rows[1][2] == message_id(new.position), "and its answer still answers it"
        assert await store.db.rows("SELECT shown FROM entries WHERE place = ?", (place,)) == [(1,)]
        old_place = store.state.logs[author.node, EPOCH].place(1)
        assert await store.db.rows("SELECT shown FROM entries WHERE place = ?", (old_place,)) == [(None,)]


async def test_the_mark_of_its_request_goes_along(tmp_path: Path) -> None:
    async with open_store(tmp_path / "colony.db") as store:
        first = Author(1).post("hi", once=b"m" * 16)
        _, new = again(first)
        assert unpack_payload(new.payload or b"")["once"] == b"m" * 16
        await taken(store, first, new)
        assert len(await messages(store)) == 2, "in one batch nothing was seen before"
    async with open_store(tmp_path / "other.db") as store:
        await taken(store, first)
        await taken(store, new)
        assert len(await messages(store)) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"text": "bye"},
        {"channel": "other"},
        {"was": [EPOCH, 1, bytes(32)]},
        {"was": [EPOCH, 7, bytes(32)]},
        {"was": [EPOCH + 5, 1, bytes(32)]},
        {"was": "garbage"},
    ],
)
async def test_nobody_changes_his_words_by_publishing_them_again(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    async with open_store(tmp_path / "colony.db") as store:
        first = Author(1).post("hi")
        await taken(store, first)
        _, new = again(first, **changed)
        await taken(store, new)
        assert len(await messages(store)) == 2, "another message, and the old one as it was"
        assert await store.db.rows("SELECT shown FROM entries WHERE shown = 1") == [(1,)]


async def test_nobody_publishes_another_authors_words(tmp_path: Path) -> None:
    async with open_store(tmp_path / "colony.db") as store:
        first = Author(1).post("hi")
        await taken(store, first)
        thief = Author(2)
        content = {**unpack_payload(first.payload or b""), "was": [first.epoch, first.seq, first.id]}
        await taken(store, thief.say(Kind.POST, content))
        assert len(await messages(store)) == 2


async def test_what_later_epochs_publish_again_is_found_by_what_it_was(tmp_path: Path) -> None:
    async with open_store(tmp_path / "colony.db") as store:
        lost = Author(1)
        old = [lost.post(f"dark {n}") for n in range(3)]
        ending, later, other = (
            Author(1, epoch=EPOCH + 1),
            Author(1, epoch=EPOCH + 2),
            Author(2, epoch=EPOCH + 1),
        )
        await taken(store, opened(ending, again=3), said_again(ending, old[0]), said_again(ending, old[1]))
        await taken(store, said_again(ending, old[2]))  # beyond what it says it publishes again
        await taken(store, opened(later, again=1), opened(other, again=2), said_again(other, old[0]))
        await taken(store, Author(1, epoch=EPOCH + 3).post("adopts: nothing"))

        async def found(epoch: int) -> dict[bytes, tuple[Position, Position]]:
            return await store.writer.submit(
                lambda conn: published_again(conn, store.state, lost.node, epoch)
            )

        assert await found(EPOCH) == {
            old[0].id: (old[0].position, Position(lost.node, EPOCH + 1, 2)),
            old[1].id: (old[1].position, Position(lost.node, EPOCH + 1, 3)),
        }
        assert await found(EPOCH + 1) == {}
        place = store.state.logs[lost.node, EPOCH + 1].place(2)
        await store.writer.submit(
            lambda conn: conn.execute("UPDATE entries SET payload = NULL WHERE place = ?", (place,))
        )
        assert list(await found(EPOCH)) == [old[1].id], "what was redacted is not told"


def opened(author: Author, *, again: int) -> Entry:
    adopts = ((EPOCH, 1, bytes(32)),)
    return author.say(Kind.OPEN, Open(None, b"i" * 16, None, "forked", adopts, again).content())


def said_again(author: Author, old: Entry) -> Entry:
    content = {**unpack_payload(old.payload or b""), "was": [old.epoch, old.seq, old.id]}
    return author.say(old.kind, content)


async def test_a_branch_that_is_cut_takes_its_messages_along_and_nothing_else(tmp_path: Path) -> None:
    async with open_store(tmp_path / "colony.db") as store:
        author, other = Author(1), Author(2)
        await taken(store, author.post("one", ["all"]), other.post("mine", ["all"]))
        keep = author.head
        await taken(store, author.post("two", ["all"]), author.post("three", channel="side"))
        log = store.state.logs[author.node, EPOCH]

        async def write(conn: Any) -> None:
            assert await head_at(conn, log, 1) == keep
            assert await head_at(conn, log, 0) == Head(0, bytes(32))
            assert await head_at(conn, log, 9) is None
            await cut(conn, store.state, log, keep)

        await store.writer.submit(write)
        assert [row[0] for row in await messages(store)] == [1, 2]
        assert store.state.messages == 2
        assert store.state.head(author.node, EPOCH) == keep
        general, side = store.state.channels["general"], store.state.channels["side"]
        assert (general.messages, general.last_seq, side.messages, side.last_seq) == (2, 2, 0, 0)
        assert [row[0] for row in await store.db.rows("SELECT seq FROM mentions ORDER BY seq")] == [1, 2]
        before = store.state.heads(), store.state.messages
        await store.state.reload(store.db.writing)
        assert (store.state.heads(), store.state.messages) == before, "memory says what the disk says"


async def test_what_is_lifted_off_its_log_leaves_its_messages(tmp_path: Path) -> None:
    async with open_store(tmp_path / "colony.db") as store:
        author = Author(1)
        first, second = author.post("one"), author.post("two")
        await taken(store, first, second)
        log = store.state.logs[author.node, EPOCH]
        lifted: list[Lifted] = await store.writer.submit(lambda conn: lift(conn, log, first.head))
        assert [(item.entry.id, item.shown) for item in lifted] == [(second.id, 2)]
        assert store.state.head(author.node, EPOCH) == first.head
        assert len(await messages(store)) == 2
