"""A branch that comes back after its log was settled: which of its words were never published again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from maw.core.colony import Open
from maw.core.entry import Entry, Kind, unpack_payload
from maw.store.late import came_late, is_unsaid, said_again, unsaid
from tests.unit.store.opened import EPOCH, Author, Store, open_store

ME = Author(1)


def branches() -> tuple[list[Entry], list[Entry]]:
    """Two logs of one author that part at seq 3."""
    one, other = Author(1), Author(1)
    common = [one.post("a"), one.post("b")]
    other.head, other.hlc = one.head, one.hlc
    ours = [*common, *(one.post(f"ours {n}") for n in range(3))]
    theirs = [*common, *(other.post(f"theirs {n}") for n in range(3))]
    return ours, theirs


def later(adopted: Entry, said: list[Entry]) -> list[Entry]:
    """The epoch that adopts what ``adopted`` ends, and publishes ``said`` again."""
    author = Author(1, epoch=EPOCH + 1)
    head = (adopted.epoch, adopted.seq, adopted.id)
    opened = Open(None, b"i" * 16, None, "forked", adopts=(head,), again=2 + len(said))
    run = [author.say(Kind.OPEN, opened.content()), author.card("arthur")]
    for old in said:
        was = {"was": [old.epoch, old.seq, old.id]}
        run.append(author.say(old.kind, {**unpack_payload(old.payload or b""), **was}))
    return run


async def hold(store: Store, *entries: Entry) -> None:
    await store.fold(Author(9).signer, entries)


async def test_only_what_was_never_said_again_is_lost(tmp_path: Path) -> None:
    ours, theirs = branches()
    async with open_store(tmp_path / "colony.db") as store:
        await hold(store, *ours, *later(ours[-1], theirs[2:4]))
        late = await came_late(store.db, store.state, ME.node, EPOCH, theirs)
        assert late is not None
        assert (late.head, late.keep) == (ours[-1].head, ours[1].head)
        assert late.lost == theirs[4:]
        for run in (theirs[2:], theirs[4:]):
            found = await came_late(store.db, store.state, ME.node, EPOCH, run)
            assert found is not None
            assert found.lost == theirs[4:], "also when it is shown in pieces"
        assert await came_late(store.db, store.state, ME.node, EPOCH, theirs[:4]) is None
        assert await came_late(store.db, store.state, ME.node, EPOCH, ours) is None, "that is our own"


async def test_what_goes_on_from_ours_is_no_other_branch(tmp_path: Path) -> None:
    ours, theirs = branches()
    async with open_store(tmp_path / "colony.db") as store:
        await hold(store, *ours[:4], *later(ours[2], theirs[2:]))
        for run in (ours, ours[3:], ours[4:]):
            assert await came_late(store.db, store.state, ME.node, EPOCH, run) is None


async def test_without_an_adoption_that_we_follow_nothing_is_late(tmp_path: Path) -> None:
    ours, theirs = branches()
    async with open_store(tmp_path / "colony.db") as store:
        await hold(store, *ours)
        assert await came_late(store.db, store.state, ME.node, EPOCH, theirs) is None
        await hold(store, *later(theirs[-1], []))
        assert await came_late(store.db, store.state, ME.node, EPOCH, theirs) is None, "it is the one to take"


async def test_who_holds_the_other_branch_keeps_what_was_not_said_again(tmp_path: Path) -> None:
    ours, theirs = branches()
    async with open_store(tmp_path / "colony.db") as store:
        await hold(store, *theirs, *later(ours[-1], theirs[2:4]))
        assert await unsaid(store.db, store.state, ME.node, EPOCH, 3) == theirs[2:]
    async with open_store(tmp_path / "other.db") as store:
        await hold(store, *theirs, *later(ours[-1], theirs[2:]))
        assert not await unsaid(store.db, store.state, ME.node, EPOCH, 3)


async def test_an_epoch_that_is_here_in_part_does_not_tell_yet(tmp_path: Path) -> None:
    """Our own log comes back after a loss: what the rest of it publishes again is not lost."""
    ours, theirs = branches()
    run = later(ours[-1], theirs[2:])
    async with open_store(tmp_path / "colony.db") as store:
        await hold(store, *ours, *run[:3])
        assert await said_again(store.db, store.state, ME.node, EPOCH) is None
        assert await came_late(store.db, store.state, ME.node, EPOCH, theirs) is None
        await hold(store, *run[3:])
        assert await said_again(store.db, store.state, ME.node, EPOCH) == {(e.seq, e.id) for e in theirs[2:]}
        assert await came_late(store.db, store.state, ME.node, EPOCH, theirs) is None
    async with open_store(tmp_path / "other.db") as store:
        await hold(store, *theirs, *run[:3])
        assert await unsaid(store.db, store.state, ME.node, EPOCH, 3), (
            "who holds the other branch keeps it so long"
        )
        await hold(store, *run[3:])
        assert not await unsaid(store.db, store.state, ME.node, EPOCH, 3)


@pytest.mark.parametrize("lost", ["payload = NULL", "payload = x'00'"])
async def test_what_was_redacted_meanwhile_does_not_come_back(tmp_path: Path, lost: str) -> None:
    ours, theirs = branches()
    async with open_store(tmp_path / "colony.db") as store:
        run = later(ours[-1], theirs[2:])
        await hold(store, *ours, *run)
        place = store.state.logs[ME.node, EPOCH + 1].place(3)

        async def drop(conn: Any) -> None:
            await conn.execute(f"UPDATE entries SET {lost} WHERE place = ?", (place,))

        await store.writer.submit(drop)
        again = await said_again(store.db, store.state, ME.node, EPOCH)
        if "NULL" in lost:
            assert again is None
            assert await came_late(store.db, store.state, ME.node, EPOCH, theirs) is None
        else:
            assert again == {(one.seq, one.id) for one in theirs[3:]}, "what cannot be read says nothing"


async def test_who_is_shown_a_branch_knows_whether_its_author_need_see_it(tmp_path: Path) -> None:
    ours, theirs = branches()
    async with open_store(tmp_path / "colony.db") as store:
        await hold(store, *ours, *later(ours[-1], theirs[2:4]))
        assert await is_unsaid(store.db, store.state, ME.node, EPOCH, theirs)
        assert not await is_unsaid(store.db, store.state, ME.node, EPOCH, theirs[2:4])
