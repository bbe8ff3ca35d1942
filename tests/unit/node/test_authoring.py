"""Our own log: FIFO, idempotent, a new epoch whenever two runs of us could contradict each other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from maw.core.clock import HybridClock, pack
from maw.core.colony import Card, Said
from maw.core.entry import START, Entry, Kind, decode, unpack_payload
from maw.core.identity import Signer
from maw.core.log import EPOCH_CHANCE_BITS, check_run
from maw.core.once import Asked
from maw.errors import Conflict, MawError, Unavailable
from maw.node import authoring as authoring_module
from maw.node.authoring import Authoring, Written
from maw.store.fold import Fold
from tests.unit.store.opened import COLONY, Store, open_store

ME = Signer(b"m" * 32)
AGENT = b"a" * 16


class Bench:
    """An Authoring over a store; ``committed`` is what it told of."""

    def __init__(self, store: Store, *, new_epoch: str | None = "first", **more: Any) -> None:
        self.store = store
        self.committed: list[Entry] = []
        options: dict[str, Any] = {
            "instance": b"i" * 16, "fingerprint": "b|m|f", "new_epoch": new_epoch, "last_epoch": 0,
            "recovery": b"r" * 32, "card": lambda: Card("mbp", ("10.0.0.1:6290",), "1"),
            "on_committed": lambda entries, _: self.committed.extend(entries), **more,
        }  # fmt: skip
        clock = options.pop("clock", None) or HybridClock()
        self.authoring = Authoring(ME, COLONY, store.state, store.writer, clock, **options)

    async def post(self, text: str, once: Asked | None = None) -> Written:
        said = Said(AGENT, "bot", "agent", "uid", text, (), channel="general")
        return await self.authoring.say(Kind.POST, said.content(), said=said, once=once)

    async def log(self) -> list[Entry]:
        rows = await self.store.db.rows("SELECT header, signature, payload FROM entries ORDER BY place")
        return [decode(*row) for row in rows]

    async def texts(self) -> list[str]:
        return [unpack_payload(e.payload or b"")["text"] for e in await self.log() if e.kind == Kind.POST]


async def test_the_first_words_open_an_epoch_with_instance_recovery_and_card(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        bench = Bench(store)
        written = await bench.post("hello")
        opened, card, post = await bench.log()
        assert [entry.kind for entry in (opened, card, post)] == [Kind.OPEN, Kind.CARD, Kind.POST]
        content = unpack_payload(opened.payload or b"")
        assert (content["prev"], content["instance"], content["recovery"], content["why"]) == (
            None, b"i" * 16, b"r" * 32, "first"
        )  # fmt: skip
        assert unpack_payload(card.payload or b"")["name"] == "mbp"
        assert (written.position, written.seq, written.repeated) == (post.position, 1, False)
        assert [entry.id for entry in bench.committed] == [opened.id, card.id, post.id]
        assert abs(opened.epoch / 1000 - time.time()) < 5
        check_run(COLONY, START, await bench.log())
        assert await store.db.rows("SELECT value FROM meta WHERE key = 'fingerprint'") == [("b|m|f",)]


async def test_an_epoch_goes_on_when_nothing_speaks_against_it(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        await Bench(store).post("1")
        await Bench(store, new_epoch=None).post("2")
        assert len(store.state.heads()[ME.node]) == 1
        assert await Bench(store, new_epoch=None).texts() == ["1", "2"]


async def test_a_new_epoch_names_the_head_before_it_and_lies_above_every_other(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        bench = Bench(store)
        await bench.post("1")
        before = (await bench.log())[-1]
        bench.authoring.end_epoch("the clock was set")
        bench.authoring.end_epoch("a second reason changes nothing")
        await bench.post("2")
        opened = next(e for e in await bench.log() if e.kind == Kind.OPEN and e.epoch != before.epoch)
        content = unpack_payload(opened.payload or b"")
        assert content["prev"] == [before.epoch, before.seq, before.id]
        assert (content["why"], content["recovery"]) == ("the clock was set", None)
        assert opened.epoch > before.epoch
        assert await bench.texts() == ["1", "2"]
        await bench.post("3")
        assert len(store.state.heads()[ME.node]) == 2, "one reason, one epoch"


async def test_a_lost_database_does_not_open_an_epoch_that_there_was(tmp_path: Path) -> None:
    """Lost within the second in which it was opened, or with a clock that fell: the mark remembers."""
    far = time.time_ns() // 1_000_000 + 10_000_000
    async with open_store(tmp_path / "c.db") as store:
        bench = Bench(store, new_epoch="the database is new beside an old key", last_epoch=far)
        await bench.post("1")
        assert far < (await bench.log())[0].epoch <= far + (1 << EPOCH_CHANCE_BITS)


async def test_a_clock_that_fell_starts_anew_in_the_new_epoch(tmp_path: Path) -> None:
    ahead = pack((int(time.time()) + 86_400) * 1000)
    async with open_store(tmp_path / "c.db") as store:
        bench = Bench(store, new_epoch="the clock fell behind", clock=HybridClock(ahead))
        await bench.post("1")
        for entry in await bench.log():
            assert abs((entry.hlc >> 16) / 1000 - time.time()) < 60


async def test_what_is_said_at_once_keeps_its_order_in_few_commits(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        bench = Bench(store)
        written = await asyncio.gather(*(bench.post(f"{n}") for n in range(300)))
        assert await bench.texts() == [f"{n}" for n in range(300)]
        assert [item.seq for item in written] == list(range(1, 301))
        assert store.writer.commits <= 6
        stamps = [entry.hlc for entry in await bench.log()]
        assert stamps == sorted(set(stamps)), "the clock never stands still"
        salts = {(entry.payload or b"")[:16] for entry in await bench.log()}
        assert len(salts) == 302, "each payload has random bytes of its own"


async def test_a_caller_who_gave_up_is_written_all_the_same_and_the_rest_too(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        bench = Bench(store)
        posts = [asyncio.ensure_future(bench.post(f"{n}")) for n in range(5)]
        await asyncio.sleep(0)
        posts[2].cancel()
        done = await asyncio.gather(*posts, return_exceptions=True)
        assert [type(item) for item in done].count(Written) == 4
        assert await bench.texts() == ["0", "1", "2", "3", "4"]


# -- idempotency -----------------------------------------------------------------------------------------


def once(key: str, request: bytes = b"r", agent: int = 1) -> Asked:
    return Asked(f"{key} {agent}".ljust(16).encode(), request, (key, agent))


async def test_the_same_request_twice_is_one_message(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        bench = Bench(store)
        first = await bench.post("1", once("k"))
        again = await bench.post("1", once("k"))
        assert (again.seq, again.repeated) == (first.seq, True)
        assert (await Bench(store, new_epoch=None).post("1", once("k"))).seq == first.seq, (
            "after a restart too"
        )
        assert await bench.texts() == ["1"]


async def test_the_same_request_twice_at_once_is_one_message(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        bench = Bench(store)
        both = await asyncio.gather(*(bench.post("1", once("k")) for _ in range(10)))
        assert len({item.seq for item in both}) == 1
        assert [item.repeated for item in both].count(False) == 1
        assert await bench.texts() == ["1"]


async def test_a_key_used_otherwise_is_refused_and_takes_nobody_along(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        bench = Bench(store)
        done = await asyncio.gather(
            bench.post("1", once("k", b"one")), bench.post("2", once("k", b"other")), bench.post("3"),
            bench.post("4", once("k", b"other", agent=2)),
            return_exceptions=True,
        )  # fmt: skip
        assert [type(item) for item in done] == [Written, Conflict, Written, Written]
        assert isinstance(done[1], MawError)
        assert done[1].code == "key_reused"
        assert await bench.texts() == ["1", "3", "4"]


async def test_a_key_is_free_again_when_the_commit_failed(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        bench = Bench(store)
        await bench.post("0")
        pages = (await store.db.rows("PRAGMA page_count"))[0][0]
        await store.db.writing.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(Unavailable):
            await bench.post("x" * 60_000, once("k"))
        await store.db.writing.execute("PRAGMA max_page_count = 1000000")
        assert not (await bench.post("x" * 60_000, once("k"))).repeated


async def test_a_request_that_an_older_version_answered_is_known(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        bench = Bench(store)
        first = await bench.post("1")

        async def as_it_was(conn: Any) -> None:
            await conn.execute("INSERT INTO idempotency VALUES ('k', 1, ?, ?, 0)", (b"r", first.seq))

        await store.writer.submit(as_it_was)
        again = await bench.post("1", once("k"))
        assert (again.seq, again.repeated) == (first.seq, True)
        assert not (await bench.post("1", once("k", agent=2))).repeated, "that was another agent's"


async def test_while_our_log_comes_back_a_key_waits_and_nothing_else(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        bench = Bench(store)
        bench.authoring.recovering = True
        with pytest.raises(Unavailable) as told:
            await bench.post("1", once("k"))
        assert told.value.code == "recovering"
        await bench.post("2")
        bench.authoring.recovering = False
        await bench.post("1", once("k"))
        assert await bench.texts() == ["2", "1"]


async def test_old_keys_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_store(tmp_path / "c.db") as store:
        bench = Bench(store)
        await bench.post("1", once("k"))
        await bench.authoring.forget_old_keys()
        assert len(await store.db.rows("SELECT * FROM idempotency")) == 1
        monkeypatch.setattr(authoring_module, "KEYS_KEPT_MS", -1000)
        await bench.authoring.forget_old_keys()
        assert await store.db.rows("SELECT * FROM idempotency") == []


# -- refusals --------------------------------------------------------------------------------------------


async def test_a_failed_commit_refuses_all_leaves_nothing_and_ends_the_epoch(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        bench = Bench(store)
        await bench.post("before")
        pages = (await store.db.rows("PRAGMA page_count"))[0][0]
        await store.db.writing.execute(f"PRAGMA max_page_count = {pages}")
        done = await asyncio.gather(
            *(bench.post(f"{n}" + "x" * 30_000) for n in range(5)), return_exceptions=True
        )
        assert all(isinstance(item, Unavailable) and item.code == "cannot_write" for item in done)
        await store.db.writing.execute("PRAGMA max_page_count = 1000000")
        assert await bench.texts() == ["before"]
        assert store.state.messages == store.state.seq == 1, "memory was reread"
        assert (await bench.post("after")).seq == 2
        heads = store.state.heads()[ME.node]
        assert len(heads) == 2
        why = [unpack_payload(e.payload or b"")["why"] for e in await bench.log() if e.kind == Kind.OPEN]
        assert why == ["first", "a commit failed"]
        for epoch in heads:
            check_run(COLONY, START, [e for e in await bench.log() if e.epoch == epoch])


async def test_another_jobs_failure_refuses_what_waited_and_the_next_goes_on(tmp_path: Path) -> None:
    """The transaction failed before our turn in it came."""
    import sqlite3

    async def broken(_: Any) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    async with open_store(tmp_path / "c.db", run=False) as store:
        bench = Bench(store)
        other = store.writer.submit_nowait(broken)
        post = asyncio.ensure_future(bench.post("refused"))
        await asyncio.sleep(0)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(store.writer.run())
            done: Sequence[Any] = await asyncio.gather(other, post, return_exceptions=True)
            assert all(isinstance(item, Unavailable) for item in done)
            await bench.post("accepted")
            assert await bench.texts() == ["accepted"]
            await store.writer.close()


async def test_read_only_refuses_with_the_reason(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        bench = Bench(store)
        bench.authoring.read_only = "the disk is full"
        with pytest.raises(Unavailable, match="the disk is full") as no:
            await bench.post("1")
        assert no.value.code == "read_only"
        bench.authoring.read_only = None
        await bench.post("2")


async def test_too_many_drafts_are_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authoring_module, "MAX_DRAFTS", 10)
    async with open_store(tmp_path / "c.db") as store:
        bench = Bench(store)
        done = await asyncio.gather(*(bench.post(f"{n}") for n in range(30)), return_exceptions=True)
        refused = [item for item in done if isinstance(item, Unavailable)]
        assert {item.code for item in refused} == {"busy"}
        assert len(refused) == 20
        assert await bench.texts() == [f"{n}" for n in range(10)]


async def test_a_full_writer_refuses_and_a_stopped_one_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(tmp_path / "c.db") as store:
        bench = Bench(store)

        def full(*_: Any) -> None:
            raise asyncio.QueueFull

        with monkeypatch.context() as patch:
            patch.setattr(store.writer, "submit_nowait", full)
            with pytest.raises(Unavailable) as no:
                await bench.post("1")
            assert no.value.code == "busy"
        await bench.post("2")
    with pytest.raises(Unavailable, match="stopping"):
        await bench.post("3")


async def test_a_claim_that_is_refused_takes_nobody_along(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        bench = Bench(store)

        def no(_: Fold) -> None:
            raise Conflict("taken")

        done = await asyncio.gather(
            bench.post("1"),
            bench.authoring.say(Kind.CHANNEL, {"name": "x", "by": ""}, local=no),
            bench.post("2"),
            return_exceptions=True,
        )
        assert [type(item) for item in done] == [Written, Conflict, Written]
        assert await bench.texts() == ["1", "2"]
        assert "x" not in store.state.channels
        assert len(store.state.heads()[ME.node]) == 1, "no commit failed"


async def test_while_it_is_still_nothing_is_written_and_nothing_is_lost(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        bench = Bench(store)
        early = [asyncio.ensure_future(bench.post(f"early {n}")) for n in range(3)]
        await asyncio.sleep(0)
        async with bench.authoring.still():
            await asyncio.gather(*early)
            late = [asyncio.ensure_future(bench.post(f"late {n}")) for n in range(3)]
            await store.writer.submit(lambda conn: conn.execute("SELECT 1"))
            assert len(await bench.texts()) == 3
            assert not any(post.done() for post in late)
        await asyncio.gather(*late)
        assert await bench.texts() == [f"early {n}" for n in range(3)] + [f"late {n}" for n in range(3)]
