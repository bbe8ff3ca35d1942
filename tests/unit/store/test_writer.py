"""The writer's laws, one by one, on a real database; the disk fails for real (max_page_count, a tiny tmpfs)."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from maw.errors import Conflict, MawError, Unavailable
from maw.store import writer as writer_module
from maw.store.writer import MAX_JOBS_A_COMMIT, MAX_QUEUED, Closing
from tests.unit.store.opened import Store, open_store, until


def put(key: str, value: object = 1) -> Any:
    async def work(conn: Any) -> str:
        await conn.execute("INSERT INTO meta VALUES (?, ?)", (key, value))
        return key

    return work


def fail(error: Exception, key: str | None = None) -> Any:
    async def work(conn: Any) -> None:
        if key:
            await conn.execute("INSERT INTO meta VALUES (?, 1)", (key,))
        raise error

    return work


async def nothing(_: Any) -> None:
    """Writes no row."""


async def keys(store: Store) -> set[str]:
    return {key for (key,) in await store.db.rows("SELECT key FROM meta")}


async def test_a_job_is_durable_when_its_caller_hears_of_it(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        assert await store.writer.submit(put("a")) == "a"
        assert await keys(store) == {"a"}


async def test_what_is_queued_goes_into_one_commit(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        await asyncio.gather(*(store.writer.submit(put(f"k{n}")) for n in range(MAX_JOBS_A_COMMIT)))
        assert store.writer.commits <= 2
        assert len(await keys(store)) == MAX_JOBS_A_COMMIT


async def test_one_bad_job_does_not_take_others_along(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        jobs = (put("a"), fail(Conflict("no"), "half"), put("b"), fail(ValueError("bug"), "half2"), put("c"))
        done = await asyncio.gather(*(store.writer.submit(job) for job in jobs), return_exceptions=True)
        assert [type(item) for item in done] == [str, Conflict, str, ValueError, str]
        assert await keys(store) == {"a", "b", "c"}
        assert store.rereads == 2


async def test_a_constraint_is_one_jobs_fault_and_told_as_unavailable(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        done = await asyncio.gather(
            *(store.writer.submit(put(key)) for key in ("a", "a", "b")), return_exceptions=True
        )
        assert done[0] == "a"
        assert isinstance(done[1], Unavailable)
        assert done[2] == "b"
        assert await keys(store) == {"a", "b"}


async def test_a_bad_job_alone_leaves_nothing(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        with pytest.raises(Conflict):
            await store.writer.submit(fail(Conflict("no"), "half"))
        assert await keys(store) == set()
        assert store.writer.trouble is None, "a job's own error is no trouble with the disk"
        await store.writer.submit(put("a"))
        assert await keys(store) == {"a"}


async def test_a_caller_who_gives_up_leaves_nothing_open(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow(conn: Any) -> None:
            await conn.execute("INSERT INTO meta VALUES ('slow', 1)")
            begun.set()
            await go_on.wait()

        caller = asyncio.ensure_future(store.writer.submit(slow))
        await begun.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        after = asyncio.ensure_future(store.writer.submit(put("after")))
        go_on.set()
        assert await after == "after"
        assert await keys(store) == {"slow", "after"}, "it was begun, so it is finished, and nobody waits"
        assert not store.db.writing.in_transaction


async def test_after_runs_behind_the_commit_and_before_any_later_job(tmp_path: Path) -> None:
    seen: list[str] = []
    async with open_store(tmp_path / "c.db") as store:

        def work(name: str) -> Any:
            async def write(conn: Any) -> str:
                seen.append(f"work {name}")
                await conn.execute("INSERT INTO meta VALUES (?, 1)", (name,))
                return name

            return write

        first = asyncio.gather(
            *(store.writer.submit(work(name), lambda name: seen.append(f"after {name}")) for name in "ab")
        )
        await asyncio.sleep(0)
        await first
        await store.writer.submit(work("c"), lambda name: seen.append(f"after {name}"))
    assert seen == ["work a", "work b", "after a", "after b", "work c", "after c"]


@pytest.fixture
def crowded(tmp_path: Path) -> Path:
    return tmp_path / "c.db"


async def test_a_commit_that_fails_refuses_all_of_it_and_the_next_goes_on(crowded: Path) -> None:
    async with open_store(crowded) as store:
        await store.writer.submit(put("before"))
        pages = (await store.db.rows("PRAGMA page_count"))[0][0]
        await store.db.writing.execute(f"PRAGMA max_page_count = {pages + 1}")
        jobs = [store.writer.submit(put("small"))]
        jobs += [store.writer.submit(put(f"big{n}", "x" * 4000)) for n in range(20)]
        done = await asyncio.gather(*jobs, return_exceptions=True)
        assert all(isinstance(item, Unavailable) for item in done), "one transaction: all or none"
        assert {item.code for item in done if isinstance(item, MawError)} == {"cannot_write"}
        assert await keys(store) == {"before"}
        assert store.rereads == 1
        assert "full" in (store.writer.trouble or "")
        await store.db.writing.execute("PRAGMA max_page_count = 1000000")
        await store.writer.submit(put("later"))
        assert store.writer.trouble is None
        assert [bool(what) for what in store.troubles] == [True, False]
        assert await keys(store) == {"before", "later"}


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that is full after 1 MiB."""
    where = tmp_path / "tiny"
    where.mkdir()
    mounted = sys.platform == "linux" and os.geteuid() == 0
    mounted = mounted and not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", where], capture_output=True, check=False
    ).returncode  # fmt: skip
    if not mounted:
        pytest.skip("needs root and the right to mount (a tmpfs that fills up): sudo make test")
    yield where
    subprocess.run(["umount", where], check=True)


async def test_a_full_disk_refuses_and_loses_nothing(tiny_disk: Path) -> None:
    path = tiny_disk / "c.db"
    async with open_store(path) as store:
        accepted: list[str] = []
        while True:
            try:
                accepted.append(await store.writer.submit(put(f"k{len(accepted)}", "x" * 20_000)))
            except Unavailable as error:
                assert error.code == "cannot_write"
                break
            assert len(accepted) < 100, "the disk never filled: this tests nothing"
        for _ in range(3):
            with pytest.raises(Unavailable):
                await store.writer.submit(put("again", "x" * 200_000))
        assert await keys(store) == set(accepted)
    async with open_store(path) as store:
        assert await keys(store) == set(accepted), "what was acknowledged is there after a restart"


async def test_a_full_queue_says_so(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db", run=False) as store:
        futures = [store.writer.submit_nowait(put(f"k{n}")) for n in range(MAX_QUEUED)]
        with pytest.raises(asyncio.QueueFull):
            store.writer.submit_nowait(put("one too many"))
        waiting = asyncio.ensure_future(store.writer.submit(put("waits")))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(store.writer.run())
            assert await waiting == "waits"
            await asyncio.gather(*futures)
            await store.writer.close()
        assert len(await keys(store)) == MAX_QUEUED + 1


async def test_close_finishes_what_was_accepted_and_takes_no_more(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db", run=False) as store:
        futures = [store.writer.submit_nowait(put(f"k{n}")) for n in range(700)]
        await store.writer.close()
        with pytest.raises(Unavailable, match="stopping"):
            await store.writer.submit(put("late"))
        async with asyncio.timeout(10):
            await store.writer.run()
        with pytest.raises(Unavailable, match="stopping"):
            store.writer.submit_nowait(put("late"))
        assert all(future.done() for future in futures)
        assert len(await keys(store)) == 700


async def test_close_ends_although_a_job_brings_a_job(tmp_path: Path) -> None:
    """Authoring submits its next flush from within one: the last that was let in must not hide the end."""
    async with open_store(tmp_path / "c.db", run=False) as store:
        writer = store.writer
        nested: list[asyncio.Future[str]] = []

        async def parent(conn: Any) -> None:
            nested.append(writer.submit_nowait(put("child")))

        writer.submit_nowait(parent)
        await writer.close()
        async with asyncio.timeout(5):
            await writer.run()
        assert [await job for job in nested] == ["child"]
        assert await keys(store) == {"child"}


async def test_the_write_ahead_log_is_folded_in_when_idle_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "CHECKPOINT_IDLE_S", 0.02)
    path = tmp_path / "c.db"
    async with open_store(path) as store:
        before = path.stat().st_size
        await store.writer.submit(put("a", "x" * 50_000))
        await until(lambda: path.stat().st_size > before)
        await store.writer.submit(put("b"))
    assert not path.with_name("c.db-wal").exists() or path.with_name("c.db-wal").stat().st_size == 0


async def test_a_large_write_ahead_log_is_truncated_while_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "TRUNCATE_ABOVE_BYTES", 100_000)
    async with open_store(tmp_path / "c.db") as store:
        wal = tmp_path / "c.db-wal"
        sizes = []
        for n in range(130):
            await store.writer.submit(put(f"k{n}", "x" * 3000))
            sizes.append(wal.stat().st_size)
        assert max(sizes) > 100_000, "it never grew: this tests nothing"
        assert min(sizes[60:]) == 0 or min(sizes[60:]) < max(sizes) / 2


async def test_a_reader_in_the_way_does_not_stop_the_writer(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        await store.writer.submit(put("a"))
        async with store.db.reading() as conn:
            await conn.execute("BEGIN")
            await conn.execute_fetchall("SELECT * FROM meta")
            await store.writer.submit(put("b"))
            await store.db.writing.execute("PRAGMA busy_timeout = 10")
            await store.writer._checkpoint("TRUNCATE")
            await conn.execute("COMMIT")
        assert await keys(store) == {"a", "b"}


async def test_trouble_is_told_once_it_is_over(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        for _ in range(2):
            with pytest.raises(Unavailable):
                await store.writer.submit(fail(sqlite3.OperationalError("disk I/O error")))
        assert store.writer.trouble == "disk I/O error"
        await store.writer.submit(nothing)
        assert store.writer.trouble == "disk I/O error", "a commit of nothing says nothing of the disk"
        await store.writer.submit(put("a"))
        await store.writer.submit(put("b"))
        assert store.troubles == ["disk I/O error", "disk I/O error", None]


def closing(key: str, *, named: Any = lambda error: error, before: str | None = None) -> Any:
    """Leaves its row to the writer; ``before`` is a row that it puts in by itself."""

    async def work(conn: Any) -> Closing[str]:
        if before:
            await conn.execute("INSERT INTO meta VALUES (?, 1)", (before,))
        return Closing(key, [("INSERT INTO meta VALUES (?, 1)", (key,))], named)

    return work


async def test_a_job_alone_is_one_visit_when_it_leaves_its_rows_to_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(tmp_path / "c.db") as store:
        visits: list[object] = []
        visit = aiosqlite.Connection._execute

        async def counted(self: aiosqlite.Connection, fn: Any, *args: Any, **kwargs: Any) -> Any:
            visits.append(fn)
            return await visit(self, fn, *args, **kwargs)  # type: ignore[no-untyped-call]

        monkeypatch.setattr(aiosqlite.Connection, "_execute", counted)
        assert await store.writer.submit(closing("a")) == "a"
        assert len(visits) == 1
        assert await store.writer.submit(closing("b", before="c")) == "b"
        assert len(visits) == 3
        monkeypatch.undo()
        assert await keys(store) == {"a", "b", "c"}


async def test_rows_left_to_the_commit_fail_as_their_job_would(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        await store.writer.submit(put("there"))
        wrong = closing("there", before="half", named=lambda error: Conflict(f"named: {error}"))
        with pytest.raises(Conflict, match="named: UNIQUE"):
            await store.writer.submit(wrong)
        assert store.rereads == 1
        done = await asyncio.gather(
            *(store.writer.submit(job) for job in (closing("a"), wrong, closing("b"))), return_exceptions=True
        )
        assert [type(item) for item in done] == [str, Conflict, str]
        assert await keys(store) == {"there", "a", "b"}


async def test_where_begin_fails_no_row_gets_in_whatever_the_job_makes_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(tmp_path / "c.db") as store:
        await store.db.writing.execute("PRAGMA busy_timeout = 20")

        async def stubborn(conn: Any) -> None:
            for key in ("one", "two"):
                with suppress(sqlite3.Error):
                    await conn.execute("INSERT INTO meta VALUES (?, 1)", (key,))

        other = sqlite3.connect(tmp_path / "c.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for job in (stubborn, put("a"), closing("b"), nothing):
            with pytest.raises(Unavailable, match="locked"):
                await store.writer.submit(job)
        other.execute("ROLLBACK")
        other.close()
        assert await keys(store) == set()
        assert await store.writer.submit(closing("b")) == "b"
        assert await keys(store) == {"b"}
        assert store.troubles[-1] is None, "and it is over"
