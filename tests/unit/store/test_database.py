"""Opening the file: made once, refused when it is none or from the future; readers only read."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from maw.errors import BadConfig
from maw.store.database import READERS, open_database
from tests.unit.store.opened import until


async def test_a_fresh_database_and_the_same_again(tmp_path: Path) -> None:
    path = tmp_path / "colony.db"
    async with open_database(path) as db:
        assert db.fresh
        assert await db.row("PRAGMA journal_mode") == ("wal",)
        assert await db.row("SELECT count(*) FROM entries") == (0,)
        assert await db.row("SELECT 1 WHERE 0") is None
    async with open_database(path) as db:
        assert not db.fresh


async def test_a_commit_that_returned_is_on_the_disk(tmp_path: Path) -> None:
    async with open_database(tmp_path / "c.db") as db:
        async with db.writing.execute("PRAGMA synchronous") as cursor:
            assert await cursor.fetchone() == (2,), "FULL"
        async with db.writing.execute("PRAGMA wal_autocheckpoint") as cursor:
            assert await cursor.fetchone() == (0,), "the writer does it"


async def test_readers_cannot_write_and_go_back_after_a_failure(tmp_path: Path) -> None:
    async with open_database(tmp_path / "c.db") as db:
        for _ in range(2 * READERS):
            with pytest.raises(sqlite3.OperationalError):
                await db.rows("INSERT INTO meta VALUES ('x', 1)")
        assert await db.rows("SELECT * FROM meta") == []


async def test_a_path_that_looks_like_a_question(tmp_path: Path) -> None:
    folder = tmp_path / "50% of #1?mode=ro&x"
    folder.mkdir()
    async with open_database(folder / "colony.db") as db:
        assert db.fresh
    assert (folder / "colony.db").exists()


async def test_what_is_no_database_is_refused_and_lets_go_of_everything(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    path.write_bytes(b"no database" * 500)
    before = set(threading.enumerate())
    with pytest.raises(BadConfig) as no:
        async with open_database(path):
            pass
    assert no.value.code == "bad_database"
    assert str(path) in no.value.message
    assert path.read_bytes() == b"no database" * 500
    await until(lambda: set(threading.enumerate()) <= before)  # one left behind would keep the process alive


async def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    before = {thread.name for thread in threading.enumerate()}
    with pytest.raises(BadConfig):
        async with open_database(tmp_path / "nowhere" / "c.db"):
            pass
    left = {thread.name for thread in threading.enumerate()} - before
    assert not [name for name in left if "connection" in name], "nor does it speak to a loop that is closed"


async def test_a_database_from_the_future_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(BadConfig) as no:
        async with open_database(path):
            pass
    assert no.value.code == "newer_database"
    assert "99" in no.value.message
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    assert len(before) == path.stat().st_size
