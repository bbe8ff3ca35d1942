"""Rules in the fold: in whatever order rule, entry and payload come, the same is held and seen in the end."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maw.core.entry import Entry, Kind, decode
from maw.core.redaction import REDACTED, RETENTION, Redaction, as_ranges
from maw.store import redacting
from maw.store.checks import recount
from maw.store.fold import Fold
from maw.store.redacting import DROP_AT_ONCE, covering, drop_due, stated_number, stated_numbers
from maw.store.replacing import cut
from tests.unit.store.opened import NOW_MS, Author, Store, open_store
from tests.unit.store.test_fold import ME, here, settle_here, unread


def bare(entry: Entry) -> Entry:
    return decode(entry.header, entry.signature)


def rule(author: Author, *entries: Entry, why: str = REDACTED, over: Any = None) -> Entry:
    ranges = tuple(as_ranges(entry.seq for entry in entries))
    said = Redaction((over or author).node, entries[0].epoch, ranges, why, f"{author.name}@mbp", days=None)
    return author.say(Kind.REDACT, said.content())


async def held(store: Store) -> dict[tuple[Any, int, int], bool]:
    """(author, epoch, seq) -> whether the payload is held."""
    found = {}
    for header, signature, payload in await store.db.rows("SELECT header, signature, payload FROM entries"):
        entry = decode(header, signature, payload)
        found[entry.author, entry.epoch, entry.seq] = payload is not None
    return found


async def missing(store: Store) -> list[int]:
    return [place for (place,) in await store.db.rows("SELECT place FROM missing")]


async def step(store: Store) -> bool:
    return await store.writer.submit(lambda conn: drop_due(conn, store.state))


async def test_what_it_names_is_dropped_and_nothing_else(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as plain:
        store = here(plain)
        arthur = await settle_here(store, "arthur")
        neo = Author(1)
        card, gone, kept = (
            neo.card("neo"),
            neo.post("gone @arthur", ["arthur"]),
            neo.post("kept @arthur", ["arthur"]),
        )
        await store.fold(ME, [card, gone, kept])
        await store.fold(ME, [rule(neo, card, gone)])
        payloads = await held(store)
        assert [payloads[neo.node, neo.epoch, seq] for seq in (1, 2, 3, 4)] == [True, False, True, True]
        assert await store.db.rows("SELECT word, seq FROM mentions") == [("arthur", 2)]
        rows = await store.db.rows("SELECT seq, acked FROM mailbox WHERE agent = ?", (arthur.n,))
        assert rows == [(1, None), (2, None)], "what was taken back is still listed"
        assert store.state.messages == 2


async def test_what_expired_is_no_mail_any_more(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as plain:
        store = here(plain)
        arthur = await settle_here(store, "arthur")
        neo = Author(1)
        gone = neo.post("gone @arthur", ["arthur"])
        await store.fold(ME, [gone, rule(neo, gone, why=RETENTION)])
        rows = await store.db.rows("SELECT acked FROM mailbox WHERE agent = ?", (arthur.n,))
        assert rows[0][0] is not None


async def test_a_node_cannot_redact_what_another_said(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        neo, smith = Author(1), Author(2)
        said = neo.post("mine")
        await store.fold(ME, [said])
        fold = await store.fold(ME, [rule(smith, said, over=neo)])
        assert len(fold.set_aside) == 1
        assert (await held(store))[neo.node, neo.epoch, 1]
        assert await store.db.rows("SELECT * FROM redactions") == []


async def test_without_payload_and_rule_it_is_missing_and_becomes_visible_when_it_comes(
    tmp_path: Path,
) -> None:
    async with open_store(tmp_path / "c.db") as plain:
        store = here(plain)
        arthur = await settle_here(store, "arthur")
        neo = Author(1)
        first, late, third = neo.post("1"), neo.post("late @arthur", ["arthur"]), neo.post("3")
        fold = await store.fold(ME, [first, bare(late), third])
        log = store.state.logs[neo.node, neo.epoch]
        assert fold.complete == {(neo.node, neo.epoch): first.head}
        assert (log.head, log.whole) == (third.head, first.head)
        assert await missing(store) == [log.place(2)]
        assert await unread(store, arthur) == []

        async def fill(conn: Any) -> Fold:
            again = Fold(store.state, ME.node, NOW_MS)
            again.fill(late)
            await again.write(conn)
            return again

        fold = await store.writer.submit(fill)
        assert fold.complete == {(neo.node, neo.epoch): None}
        assert await missing(store) == []
        assert await unread(store, arthur) == [("late @arthur", "mention")]
        assert log.whole is None
        assert await store.writer.submit(lambda conn: recount(conn, store.state)) == []
        shown = await store.db.rows("SELECT shown FROM entries WHERE place = ?", (log.place(2),))
        assert shown == [(3,)]


async def test_memory_reread_knows_what_is_missing_and_what_rules_came_before(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        neo, older = Author(1), Author(1, epoch=5)
        early, gone = older.post("early"), older.post("gone")
        await store.fold(ME, [bare(neo.post("lacking")), rule(neo, gone), early])
        log, old = store.state.logs[neo.node, neo.epoch], store.state.logs[neo.node, 5]
        before = (log.whole, list(old.ahead))
        assert before[0] is not None
        assert before[1] == [(2, 2)]
        await store.writer.submit(store.state.reload)
        log, old = store.state.logs[neo.node, neo.epoch], store.state.logs[neo.node, 5]
        assert (log.whole, old.ahead) == before
        await store.fold(ME, [gone])
        assert not (await held(store))[neo.node, 5, 2], "it came after the rule, with its payload"
        assert (await held(store))[neo.node, 5, 1]


async def test_much_is_dropped_a_step_at_a_time(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        neo = Author(1)
        posts = [neo.post(f"m{n}", ["x"]) for n in range(DROP_AT_ONCE + 1)]
        await store.fold(ME, posts)
        await store.fold(ME, [rule(neo, *posts)])
        assert sum(not there for there in (await held(store)).values()) == 0
        steps = 0
        while await step(store):
            steps += 1
        assert steps == 3
        assert sum(not there for there in (await held(store)).values()) == len(posts)
        assert await store.db.rows("SELECT count(*) FROM mentions") == [(0,)]


async def test_rules_about_what_is_not_here_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maw.store.fold.MAX_AHEAD", 3)
    assert redacting.MAX_AHEAD > 3
    async with open_store(tmp_path / "c.db") as store:
        neo, older = Author(1), Author(1, epoch=5)
        posts = [older.post(f"m{n}") for n in range(8)]
        fold = await store.fold(ME, [rule(neo, *posts[::2])])
        assert len(fold.set_aside) == 1
        fold = await store.fold(ME, [rule(neo, *posts[:3])])
        assert not fold.set_aside


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
async def test_the_order_of_arrival_does_not_matter(seed: int) -> None:
    """Two epochs of one author, some of it redacted by entries of the later one; the epochs come in either order, in
    batches cut anywhere, each entry with or without its payload; what is missing comes in the end."""
    rng = random.Random(seed)
    older, newer = Author(1, epoch=5), Author(1, epoch=6)
    posts = [older.post(f"old {n}", ["arthur"]) for n in range(6)]
    dropped = {post.seq for post in posts if rng.random() < 0.4}
    later: list[Entry] = [newer.post("new 1"), newer.post("new 2")]
    if dropped:
        later.append(rule(newer, *[post for post in posts if post.seq in dropped]))
    later.append(rule(newer, later[0]))
    logs = [posts, later]
    rng.shuffle(logs)
    with TemporaryDirectory() as directory:
        async with open_store(Path(directory) / "c.db") as store:
            for log in logs:
                coming = [
                    bare(entry) if entry.kind == Kind.POST and rng.random() < 0.4 else entry for entry in log
                ]
                cut = rng.randrange(len(coming) + 1)
                for batch in (coming[:cut], coming[cut:]):
                    if batch:
                        await store.fold(ME, batch)
            lacking = set(await missing(store))

            async def fill(conn: Any) -> None:
                fold = Fold(store.state, ME.node, NOW_MS)
                for entry in [*posts, *later]:
                    if store.state.logs[entry.author, entry.epoch].place(entry.seq) in lacking:
                        fold.fill(entry)
                await fold.write(conn)

            await store.writer.submit(fill)
            expected = {(e.author, e.epoch, e.seq): True for e in [*posts, *later]}
            expected |= {(older.node, 5, seq): False for seq in dropped} | {(newer.node, 6, 1): False}
            assert await held(store) == expected
            assert await missing(store) == []
            assert store.state.incomplete() == {}
            texts = await store.db.rows(
                "SELECT count(*) FROM messages m JOIN entries e ON e.place = m.place WHERE e.payload IS NOT NULL"
            )
            assert texts == [(len(posts) - len(dropped) + 1,)]
            words = await store.db.rows("SELECT count(*) FROM mentions")
            assert words == [(len(posts) - len(dropped),)]
            assert await store.writer.submit(lambda conn: recount(conn, store.state)) == []


async def state_rule(
    store: Store, author: Author, ranges: tuple[tuple[int, int], ...], statement: bytes
) -> int:
    """What an operator stated, as a node takes it in."""
    number = stated_number(statement)

    async def write(conn: Any) -> None:
        fold = Fold(store.state, ME.node, NOW_MS)
        said = Redaction(author.node, author.epoch, ranges, REDACTED, "operator founder", "a secret")
        fold.take_rule(number, said, NOW_MS)
        await fold.write(conn)

    await store.writer.submit(write)
    return number


async def test_what_an_operator_stated_holds_for_what_comes_later_too(tmp_path: Path) -> None:
    neo = Author(1)
    first, second, third = (neo.post(f"{n}") for n in range(3))
    async with open_store(tmp_path / "c.db") as store:
        number = await state_rule(store, neo, ((1, 2),), b"s" * 32)
        assert number < 0
        await store.fold(ME, [first])
        assert await held(store) == {(neo.node, neo.epoch, 1): False}
    async with open_store(tmp_path / "c.db") as store:  # over a restart
        assert await stated_numbers(store.db.writing) == {number}
        await store.fold(ME, [second, third])
        payloads = await held(store)
        assert [payloads[neo.node, neo.epoch, seq] for seq in (1, 2, 3)] == [False, False, True]
        assert await missing(store) == []
        assert await covering(store.db.writing, store.state.logs[neo.node, neo.epoch].place(2)) == (
            REDACTED, "operator founder", "a secret", None, NOW_MS,
        )  # fmt: skip


async def test_an_operators_word_holds_on_every_branch_of_a_log(tmp_path: Path) -> None:
    neo, other = Author(1), Author(1)
    first = neo.post("first")
    other.say(Kind.POST, None, payload=first.payload)
    async with open_store(tmp_path / "c.db") as store:
        await store.fold(ME, [first, neo.post("gone"), neo.post("stays")])
        await state_rule(store, neo, ((2, 2),), b"s" * 32)
        own = neo.say(Kind.REDACT, Redaction(neo.node, neo.epoch, ((3, 3),), REDACTED, "").content())
        await store.fold(ME, [own])
        log = store.state.logs[neo.node, neo.epoch]
        await store.writer.submit(lambda conn: cut(conn, store.state, log, first.head))
        await store.fold(ME, [other.post("gone too"), other.post("what its author never took back")])
        payloads = await held(store)
        assert [payloads[neo.node, neo.epoch, seq] for seq in (1, 2, 3)] == [True, False, True]
        before = dict(store.state.logs)
        await store.state.reload(store.db.writing)
        assert store.state.logs == before
