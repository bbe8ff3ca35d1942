"""Migrations only go forward, each with its version in one transaction."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import aiosqlite
import pytest

from maw.store import schema
from maw.store.schema import MIGRATIONS, SEQ_BITS, migrate


def connect(path: Path) -> aiosqlite.Connection:
    return aiosqlite.connect(path, isolation_level=None)


async def version(conn: aiosqlite.Connection) -> int:
    (row,) = await conn.execute_fetchall("PRAGMA user_version")
    return int(row[0])


async def test_made_once(tmp_path: Path) -> None:
    async with connect(tmp_path / "c.db") as conn:
        assert await migrate(conn, "c.db") is True
        assert await version(conn) == len(MIGRATIONS)
        assert await migrate(conn, "c.db") is False


async def test_a_migration_that_fails_leaves_the_version_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def second(conn: aiosqlite.Connection) -> None:
        await conn.execute("CREATE TABLE half (x)")
        await conn.execute("CREATE TABLE half (x)")

    async with connect(tmp_path / "c.db") as conn:
        await migrate(conn, "c.db")
        monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, second))
        with pytest.raises(sqlite3.OperationalError):
            await migrate(conn, "c.db")
        assert await version(conn) == len(MIGRATIONS)
        found = list(await conn.execute_fetchall("SELECT 1 FROM sqlite_master WHERE name = 'half'"))
        assert found == []

        async def better(conn: aiosqlite.Connection) -> None:
            await conn.execute("CREATE TABLE whole (x)")

        monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, better))
        assert await migrate(conn, "c.db") is False
        assert await version(conn) == len(MIGRATIONS) + 1


def test_places_of_different_logs_never_meet() -> None:
    assert (1 << SEQ_BITS) - 1 > 10**12, "a log may be that long"


async def test_operators_words_of_an_older_database_stand_where_they_stood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect(tmp_path / "c.db") as conn:
        monkeypatch.setattr(schema, "MIGRATIONS", MIGRATIONS[:3])
        await migrate(conn, "c.db")
        await conn.execute("INSERT INTO orders (nonce, seq, key, is_order) VALUES (?, 7, ?, 1)", (b"n", b"k"))
        monkeypatch.setattr(schema, "MIGRATIONS", MIGRATIONS)
        await migrate(conn, "c.db")
        rows = list(await conn.execute_fetchall("SELECT key, nonce, seq, is_order FROM orders"))
        assert [tuple(row) for row in rows] == [(b"k", b"n", 7, 1)]
        await conn.execute("INSERT INTO orders VALUES (?, ?, 8, 1)", (b"another", b"n"))


async def test_answers_to_orders_that_are_not_known_are_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect(tmp_path / "c.db") as conn:
        monkeypatch.setattr(schema, "MIGRATIONS", MIGRATIONS[:5])
        await migrate(conn, "c.db")
        await conn.execute("INSERT INTO orders VALUES (?, ?, 7, 1)", (b"k", b"known"))
        for nonce in (b"known", b"other"):
            await conn.execute("INSERT INTO answers VALUES (?, 1, ?, 'seen', '', 5)", (nonce, b"a"))
        monkeypatch.setattr(schema, "MIGRATIONS", MIGRATIONS)
        await migrate(conn, "c.db")
        rows = list(await conn.execute_fetchall("SELECT nonce, early FROM answers ORDER BY nonce"))
        assert [tuple(row) for row in rows] == [(b"known", 0), (b"other", 1)]


async def test_recovery_keys_that_an_older_version_heard_of_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect(tmp_path / "c.db") as conn:
        monkeypatch.setattr(schema, "MIGRATIONS", MIGRATIONS[:4])
        await migrate(conn, "c.db")
        await conn.execute(
            "INSERT INTO nodes (n, key, recovery) VALUES (1, ?, ?), (2, ?, NULL)", (b"k", b"h", b"l")
        )
        monkeypatch.setattr(schema, "MIGRATIONS", MIGRATIONS)
        await migrate(conn, "c.db")
        rows = list(await conn.execute_fetchall("SELECT key, hash FROM recoveries"))
        assert [tuple(row) for row in rows] == [(b"k", b"h")]
