"""Versions of a soul: whatever order they come in, hidden with who is revoked, found again in a damaged database."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from maw.core.entry import Entry, Kind
from maw.core.redaction import RETENTION, Redaction
from maw.core.souls import Soul
from maw.store.asides import unread
from maw.store.fold import Fold
from maw.store.learning import legible, read_step
from maw.store.salvaging import salvage
from maw.store.souls import versions
from maw.store.withholding import REVOKED, hide_beyond
from tests.unit.store.opened import COLONY, NOW_MS, Author, Store, open_store

ME = Author(99)


def soul(author: Author, text: str) -> Entry:
    return author.say(Kind.SOUL, Soul(author.agent_id, text).content())


async def texts(store: Store, author: Author) -> list[str]:
    node = store.state.nodes[author.node].n
    return [one.read() for one in await versions(store.db, [node], author.agent_id)]


async def test_the_latest_of_the_log_counts_and_what_is_dropped_is_no_version(tmp_path: Path) -> None:
    neo = Author(1)
    async with open_store(tmp_path / "c.db") as store:
        said = [soul(neo, f"I am {n}\n") for n in range(3)]
        await store.fold(ME.signer, said)
        assert await texts(store, neo) == ["I am 2\n", "I am 1\n", "I am 0\n"]
        rule = Redaction(neo.node, neo.epoch, ((3, 3),), RETENTION, "")
        await store.fold(ME.signer, [neo.say(Kind.REDACT, rule.content())])
        assert await texts(store, neo) == ["I am 1\n", "I am 0\n"]
        assert await store.db.rows("SELECT count(*) FROM souls") == [(2,)]


async def test_above_the_cut_of_a_revocation_no_soul_counts(tmp_path: Path) -> None:
    neo = Author(1)
    async with open_store(tmp_path / "c.db") as store:
        await store.fold(ME.signer, [soul(neo, "I am neo\n"), soul(neo, "I am a thief\n")])

        async def write(conn: Any) -> int:
            return await hide_beyond(conn, store.state, neo.node, {neo.epoch: 1}, NOW_MS)

        await store.writer.submit(write)
        assert await texts(store, neo) == ["I am neo\n"]
        assert await store.db.rows("SELECT why FROM withheld") == [(REVOKED,)]


async def test_a_repair_reads_them_off_the_entries(tmp_path: Path) -> None:
    path, target, neo = tmp_path / "c.db", tmp_path / "new.db", Author(1)
    async with open_store(path) as store:
        await store.fold(ME.signer, [soul(neo, "one\n"), soul(neo, "two\n")])
        before = await store.db.rows("SELECT * FROM souls")
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("DELETE FROM souls")
    await asyncio.to_thread(salvage, path, target, ME.node, COLONY)
    with closing(sqlite3.connect(target)) as conn:
        assert conn.execute("SELECT * FROM souls").fetchall() == before
    async with open_store(target) as store:
        assert await texts(store, neo) == ["two\n", "one\n"]


async def test_what_was_redacted_while_nobody_knew_souls_is_dropped_when_they_are_known(
    tmp_path: Path,
) -> None:
    neo = Author(1)
    async with open_store(tmp_path / "c.db") as store:
        said = [soul(neo, "the pin is 4711\n"), soul(neo, "I am neo\n")]
        await store.fold(ME.signer, said)
        rule = Redaction(neo.node, neo.epoch, ((1, 1),), RETENTION, "")
        await store.fold(ME.signer, [neo.say(Kind.REDACT, rule.content())])

        async def as_an_older_version_left_it(conn: Any) -> None:
            log = store.state.logs[neo.node, neo.epoch]
            await conn.execute("DELETE FROM souls")
            for entry in said:
                row = (entry.payload, log.place(entry.seq))
                await conn.execute("UPDATE entries SET payload = ? WHERE place = ?", row)
                await conn.execute("INSERT INTO withheld VALUES (?, ?, 0)", (row[1], unread(Kind.SOUL)))

        await store.writer.submit(as_an_older_version_left_it)
        assert await legible(store.db) == [Kind.SOUL]

        async def learn(conn: Any) -> Any:
            fold = lambda: Fold(store.state, ME.node, NOW_MS)  # noqa: E731
            return await read_step(conn, Kind.SOUL, 0, fold, lambda: store.state.reload(conn))

        await store.writer.submit(learn)
        assert await texts(store, neo) == ["I am neo\n"] and await legible(store.db) == []
        assert await store.db.rows("SELECT count(*) FROM entries WHERE instr(payload, '4711') > 0") == [(0,)]
