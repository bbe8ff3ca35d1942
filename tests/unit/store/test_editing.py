"""Edits in the database: whatever the order in which entries and their payloads come, all replicas show the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maw.core.editing import Edit
from maw.core.entry import Entry, Kind, unpack_payload
from maw.core.message_ids import message_id
from maw.store import pages
from maw.store.editing import versions
from maw.store.fold import Fold
from tests.unit.store.opened import NOW_MS, Author, Store, open_store
from tests.unit.store.test_fold import ME, here, settle_here


def edit(
    author: Author, message: Entry, text: str, mentions: Sequence[str] = (), agent: bytes = b""
) -> Entry:
    said = Edit(agent or author.agent_id, message_id(message.position), text, tuple(mentions))
    return author.say(Kind.EDIT, said.content())


async def fill(store: Store, entry: Entry) -> None:
    async def write(conn: Any) -> None:
        fold = Fold(store.state, ME.node, NOW_MS)
        fold.fill(entry)
        await fold.write(conn)

    await store.writer.submit(write)


async def shows(store: Store, message: Entry) -> tuple[str, int]:
    """What it says, and how often it was edited."""
    place = store.state.logs[message.author, message.epoch].place(message.seq)
    row = await pages.at_place(store.db, place)
    assert row is not None and row.payload is not None
    if row.edit is None:
        return unpack_payload(row.payload)["text"], 0
    assert row.edit.payload is not None
    return unpack_payload(row.edit.payload)["text"], row.edit.times


async def test_the_last_counts_and_only_its_authors(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        neo = Author(1)
        post, other = neo.post("first"), neo.post("another's", agent=b"x" * 16, name="trin")
        edits = [edit(neo, post, "second"), edit(neo, post, "third"), edit(neo, other, "forged")]
        await store.fold(ME, [post, other, *edits])
        assert await shows(store, post) == ("third", 2)
        assert await shows(store, other) == ("another's", 0)
        row = await pages.at_place(store.db, store.state.logs[neo.node, neo.epoch].place(post.seq))
        assert row is not None
        said = [unpack_payload(one.payload or b"")["text"] for one in await versions(store.db, row.seq, 9)]
        assert said == ["second", "third"]


async def test_an_edit_of_what_is_anothers_is_set_aside(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        neo, eve = Author(1), Author(2)
        post = neo.post("first")
        done = await store.fold(ME, [post, edit(eve, post, "forged", agent=neo.agent_id)])
        assert [one.why for one in done.set_aside] == ["it would edit what another node has said"]
        assert await shows(store, post) == ("first", 0)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(order=st.permutations(range(6)), absent=st.sets(st.integers(0, 5)))
async def test_the_order_of_arrival_does_not_matter(
    tmp_path_factory: Any, order: Sequence[int], absent: set[int]
) -> None:
    """Some of the payloads come later, in any order: the message's own too, after all its edits."""
    neo = Author(1)
    post = neo.post("first @ford", ["ford"])
    entries = [post, neo.post("between"), edit(neo, post, "second @arthur", ["arthur"])]
    entries += [edit(neo, post, "third"), neo.post("after"), edit(neo, post, "fourth @ford", ["ford"])]
    shown = []
    for lacking in (set(), absent):
        async with open_store(tmp_path_factory.mktemp("edits") / "c.db") as store:
            here(store)
            local = {name: await settle_here(store, name) for name in ("arthur", "ford")}
            await store.fold(
                ME, [replace(one, payload=None) if at in lacking else one for at, one in enumerate(entries)]
            )
            for at in order:
                if at in lacking:
                    await fill(store, entries[at])
            place = store.state.logs[neo.node, neo.epoch].place(post.seq)
            sql = "SELECT agent FROM mailbox WHERE seq = (SELECT seq FROM messages WHERE place = ?) ORDER BY agent"
            mail = [agent for (agent,) in await store.db.rows(sql, (place,))]
            assert mail == sorted(row.n for row in local.values()), "each whom any of the words name, once"
            shown.append(await shows(store, post))
    assert shown == [("fourth @ford", 3)] * 2
