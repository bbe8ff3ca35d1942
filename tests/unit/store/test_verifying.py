"""A database file with something wrong in it: what is found, and that the rest is still read."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from maw.core.entry import decode
from maw.core.identity import Signer
from maw.core.statement import found
from maw.errors import BadConfig
from maw.store import trust
from maw.store.copying import copy_database, database_bytes, open_readonly
from maw.store.verifying import Report, verify_database
from tests.unit.store.opened import COLONY, Author, open_store

ME = Signer(bytes([1]) * 32)
POSTS = 700


async def fill(path: Path, posts: int = POSTS) -> None:
    """Two logs, more than a page each; ours is the first."""
    async with open_store(path) as store:

        async def belong(conn: object) -> None:
            await trust.set_meta(conn, "colony", COLONY)  # type: ignore[arg-type]
            await trust.add_statements(conn, [found(ME, "x", bytes(16), 1)], 1)  # type: ignore[arg-type]

        await store.writer.submit(belong)
        us, neo = Author(1), Author(2)
        await store.fold(ME, [us.card("arthur"), neo.card("neo")])
        for at in range(0, posts, 50):
            ours = [us.post(f"ours {at + n}", ["neo"], channel=f"c{n % 3}") for n in range(50)]
            theirs = [neo.post(f"theirs {at + n} " + "x" * 40, ["arthur", "all"]) for n in range(50)]
            await store.fold(ME, [*ours, *theirs])


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: it is one file, with nothing beside it."""
    path = tmp_path_factory.mktemp("filled") / "c.db"
    with ThreadPoolExecutor(1) as pool:  # a loop of its own
        pool.submit(lambda: asyncio.run(fill(path))).result()
    change(path, "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA journal_mode = DELETE")
    return path


@pytest.fixture
def path(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(filled, tmp_path))


def verify(path: Path) -> Report:
    with closing(open_readonly(path)) as conn:
        return verify_database(conn, me=ME.node)


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        for statement in statements:
            conn.execute(statement)


def test_a_sound_one(path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with closing(open_readonly(path)) as conn:
        report = verify_database(conn, me=ME.node, progress=lambda done, total: seen.append((done, total)))
    assert report.findings == []
    assert report.sound
    assert (report.entries, report.messages, report.logs, report.statements) == (1402, 1400, 2, 1)
    assert report.newest[ME.node][1] == 701
    assert seen[-1] == (1402, 1402)


@pytest.mark.parametrize(
    ("statement", "what", "count"),
    [
        ("UPDATE entries SET payload = zeroblob(length(payload)) WHERE place & 1023 = 300", "payload", 2),
        ("UPDATE entries SET payload = NULL WHERE place = (1 << 40) + 5", "payload", 1),
        ("UPDATE entries SET signature = zeroblob(64) WHERE place = (2 << 40) + 256", "header", 1),
        ("UPDATE entries SET signature = zeroblob(64) WHERE place = (2 << 40) + 257", "header", 1),
        ("UPDATE entries SET signature = zeroblob(64) WHERE place = (2 << 40) + 701", "header", 1),
        ("UPDATE entries SET header = 'text' WHERE place = (2 << 40) + 1", "header", 1),
        ("DELETE FROM entries WHERE place = (1 << 40) + 400", "missing", 1),
        ("UPDATE logs SET id = zeroblob(32) WHERE l = 1", "head", 1),
        ("UPDATE messages SET said = said + 1 WHERE seq = 9", "message", 1),
        ("UPDATE messages SET channel = 2 WHERE channel = 1 AND seq < 4", "message", 1),
        ("UPDATE messages SET agent = 3 - agent WHERE seq = 5", "message", 1),
        ("DELETE FROM messages WHERE seq = 5", "message", 1),
        ("UPDATE entries SET shown = NULL WHERE shown = 6", "message", 1),
        ("UPDATE mentions SET word = 'trinity' WHERE word = 'neo' AND seq < 10", "mentions", 1),
        ("DELETE FROM outbox WHERE seq < 3", "outbox", 1),
        ("INSERT INTO mailbox (agent, seq, why, acked) VALUES (9, 4, 'mention', NULL)", "mailbox", 1),
        ("UPDATE channels SET messages = messages + 1 WHERE n = 1", "count", 1),
        ("UPDATE meta SET value = 3 WHERE key = 'messages'", "count", 1),
        ("UPDATE statements SET wire = zeroblob(100)", "statement", 1),
        ("UPDATE meta SET value = 7 WHERE key = 'colony'", "unreadable", 1),
    ],
)
def test_each_lie_is_found(path: Path, statement: str, what: str, count: int) -> None:
    change(path, statement)
    report = verify(path)
    assert [finding.what for finding in report.findings if finding.what == what] != [], report.findings
    assert sum(finding.what == what for finding in report.findings) >= count
    assert not report.sound
    if what in ("payload", "header"):
        assert not report.structural, report.findings


def test_a_damaged_entry_says_what_belongs_there(path: Path) -> None:
    with closing(open_readonly(path)) as conn:
        sql = "SELECT header, signature FROM entries WHERE place = (2 << 40) + 256"
        header, signature = conn.execute(sql).fetchone()
    change(path, "UPDATE entries SET header = zeroblob(90) WHERE place = (2 << 40) + 256")
    (damage,) = verify(path).damages
    assert (damage.seq, damage.id) == (256, decode(header, signature).id)


@pytest.mark.parametrize("seed", range(25))
def test_flipped_bits_anywhere_are_survived_and_found(path: Path, seed: int) -> None:
    """Whatever a flipped bit makes of a page: an answer (that the tables' own descriptions are damaged is one too),
    and no damage goes unseen."""
    before = content(path)
    data = bytearray(path.read_bytes())
    random_ = random.Random(seed)
    for _ in range(3):
        bit = random_.randrange(8 * 4096, 8 * len(data))
        data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    try:
        report = verify(path)
    except BadConfig as error:
        assert error.code == "bad_database"
        undescribed = ("malformed database schema", "codec can't decode", "database disk image is malformed")
        assert any(words in error.message for words in undescribed)
        return
    if report.sound:  # a bit that nothing uses, or one that nothing proves: when a message came
        assert content(path) == before


PROVABLE = {
    "entries": "place, header, signature, payload, shown",
    "logs": "l, node, epoch, seq, id",
    "messages": "seq, place, direct, channel, agent, reply",
    "mentions": "word, seq",
    "outbox": "agent, seq",
    "statements": "id, wire",
}


def content(path: Path) -> dict[str, list[object]]:
    with closing(open_readonly(path)) as conn:
        return {
            table: conn.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2").fetchall()
            for table, columns in PROVABLE.items()
        }


async def test_it_runs_beside_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    await fill(path, 100)
    async with open_store(path) as store:
        trinity = Author(3)
        done = asyncio.Event()

        async def write() -> None:
            await store.fold(ME, [trinity.card("trinity")])
            while not done.is_set():
                await store.fold(ME, [trinity.post("more", ["neo"]) for _ in range(20)])

        writing = asyncio.ensure_future(write())
        try:
            for _ in range(5):
                report = await asyncio.to_thread(verify, path)
                assert report.findings == []
                copy = tmp_path / "copy.db"
                await asyncio.to_thread(copy_database, path, copy)
                assert verify(copy).findings == []
                assert [item.name for item in tmp_path.iterdir() if item.name.startswith("copy")] == [
                    "copy.db"
                ]
                copy.unlink()
        finally:
            done.set()
            await writing


def test_a_copy_is_one_file_and_equal(path: Path, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    copy_database(path, tmp_path / "copy.db", lambda done, total: steps.append((done, total)))
    with closing(open_readonly(path)) as one, closing(open_readonly(tmp_path / "copy.db", still=True)) as two:
        tables = [name for (name,) in one.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        same: Callable[[sqlite3.Connection, str], list[object]] = lambda c, t: c.execute(  # noqa: E731
            f"SELECT * FROM {t}"
        ).fetchall()
        assert all(same(one, table) == same(two, table) for table in tables)
        assert two.execute("PRAGMA journal_mode").fetchone() != ("wal",)
    assert steps[-1][0] == steps[-1][1]
    assert database_bytes(path) == (tmp_path / "copy.db").stat().st_size
