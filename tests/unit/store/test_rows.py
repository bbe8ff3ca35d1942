"""Many rows in few statements, in order and complete."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import aiosqlite
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maw.store.rows import CHUNKS, Insert, execute_all


@given(st.integers(0, 1200))
def test_every_row_once_in_order_and_few_shapes(count: int) -> None:
    rows = [(n, f"row {n}") for n in range(count)]
    statements = list(Insert("t", ("a", "b")).statements(rows))
    flat = [value for _, parameters in statements for value in parameters]
    assert flat == [value for row in rows for value in row]
    assert len({sql for sql, _ in statements}) <= len(CHUNKS)
    assert len(statements) <= count // CHUNKS[0] + 16
    for sql, parameters in statements:
        assert sql.count("?") == len(parameters) <= 32_766, "SQLite's limit of parameters"


async def test_statements_run_in_order_and_stop_at_the_first_failure(tmp_path: Path) -> None:
    async with aiosqlite.connect(tmp_path / "t.db", isolation_level=None) as conn:
        await conn.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b)")
        insert = Insert("t", ("a", "b"))
        await execute_all(conn, list(insert.statements([(n, n) for n in range(600)])))
        assert list(await conn.execute_fetchall("SELECT count(*), sum(b) FROM t")) == [(600, 599 * 300)]
        bad = [("INSERT INTO t VALUES (?, ?)", (1000 + n, 0)) for n in range(3)]
        bad.insert(1, ("INSERT INTO t VALUES (?, ?)", (1, 0)))
        with pytest.raises(sqlite3.IntegrityError):
            await execute_all(conn, bad)
        assert list(await conn.execute_fetchall("SELECT count(*) FROM t")) == [(601,)]


async def test_or_ignore(tmp_path: Path) -> None:
    async with aiosqlite.connect(tmp_path / "t.db", isolation_level=None) as conn:
        await conn.execute("CREATE TABLE t (a INTEGER PRIMARY KEY)")
        insert = Insert("t", ("a",), verb="INSERT OR IGNORE")
        await execute_all(conn, list(insert.statements([(1,), (1,), (2,)])))
        assert list(await conn.execute_fetchall("SELECT a FROM t")) == [(1,), (2,)]
