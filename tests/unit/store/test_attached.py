"""Which blobs may go, and when: what is known to be nobody's at once, what nobody is known to name much later."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from maw.core.entry import Kind
from maw.core.files import File
from maw.core.identity import Signer
from maw.core.redaction import REDACTED, Redaction
from maw.store import attached, trust
from maw.store.attached import STAY_LOOKS, Upload
from maw.store.copying import open_readonly
from maw.store.rederiving import Rederiving
from maw.store.verifying import verify_database
from tests.unit.store.opened import COLONY, EPOCH, Author, Store, open_store

ME = Signer(bytes([1]) * 32)


def file(n: int) -> File:
    return File(f"{n}.log", n, bytes([n]) * 32, b"k" * 32)


OURS, THEIRS, BOTH, STRANGE, UNSENT = (file(n).hash for n in range(1, 6))
ALL = {OURS, THEIRS, BOTH, STRANGE, UNSENT}


async def look(store: Store, *, certain: bool = True, before_ms: int = 1) -> set[bytes]:
    return await store.writer.submit(lambda conn: attached.look(conn, ALL, before_ms, certain=certain))


async def looks(store: Store, name: bytes) -> int | None:
    row = await store.db.row("SELECT looks FROM loose WHERE hash = ?", (name,))
    return None if row is None else int(row[0])


async def filled(store: Store) -> Author:
    us, neo = Author(1), Author(2)
    ours = [us.card("arthur"), us.post("ours", files=(file(1), file(3)))]
    theirs = [neo.card("neo"), neo.post("theirs", files=(file(2), file(3)))]
    await store.fold(ME, [*ours, *theirs])
    upload = Upload(UNSENT, b"k" * 32, 5, us.agent_id, "5.log", "text/plain", 5)
    await store.writer.submit(lambda conn: attached.add_upload(conn, upload))
    return us


async def test_what_was_dropped_here_goes_at_once_and_what_is_only_unnamed_stays(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        us = await filled(store)
        assert await look(store) == set()
        assert await looks(store, STRANGE) == STAY_LOOKS
        rule = Redaction(us.node, EPOCH, ((2, 2),), REDACTED, "").content()
        await store.fold(ME, [us.say(Kind.REDACT, rule)])
        assert await look(store, before_ms=6) == {OURS, UNSENT}, "the third is named by another still"
        await store.db.writing.execute("UPDATE loose SET looks = 2 WHERE hash = ?", (STRANGE,))
        assert STRANGE not in await look(store)
        assert STRANGE in await look(store)


async def test_while_our_log_is_not_here_in_full_no_look_counts(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        us = await filled(store)
        await look(store)
        await store.db.writing.execute("UPDATE loose SET looks = 1 WHERE hash = ?", (STRANGE,))
        assert await look(store, certain=False, before_ms=6) == set(), "a message may name the upload"
        assert await looks(store, STRANGE) == await looks(store, UNSENT) == STAY_LOOKS
        ours = [store.state.nodes[ME.node].n]
        assert not await attached.is_unread(store.db.writing, ours)
        await store.fold(ME, [us.say(99, {"of": "tomorrow"})])
        assert await attached.is_unread(store.db.writing, ours)


async def test_a_copy_is_what_anothers_message_names_and_none_of_ours(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        await filled(store)
        assert await attached.copies(store.db, [store.state.nodes[ME.node].n]) == {THEIRS}


async def test_a_repair_notes_files_again_and_a_check_finds_what_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    async with open_store(path) as store:
        await filled(store)
        await store.writer.submit(lambda conn: trust.set_meta(conn, "colony", COLONY))
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        before = conn.execute("SELECT * FROM attached").fetchall()
        assert len(before) == 4
        conn.execute("INSERT INTO attached VALUES (999, 1, ?)", (STRANGE,))
        conn.execute("UPDATE attached SET hash = ? WHERE hash = ?", (UNSENT, OURS))
        with closing(open_readonly(path)) as reading:
            assert "attached" in {found.what for found in verify_database(reading, me=ME.node).findings}
        conn.execute("BEGIN")
        Rederiving(conn, ME.node).run(())
        assert conn.execute("SELECT * FROM attached").fetchall() == before
        assert not conn.execute("SELECT * FROM loose").fetchall(), "a repair drops nothing"
        conn.execute("COMMIT")
    with closing(open_readonly(path)) as reading:
        assert "attached" not in {found.what for found in verify_database(reading, me=ME.node).findings}


async def test_nothing_is_noted_of_a_message_that_says_nothing_any_more(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        us = await filled(store)
        (row,) = await store.db.rows("SELECT seq FROM attached WHERE hash = ?", (OURS,))
        noted = [await store.writer.submit(lambda conn: attached.note(conn, row[0], [file(1)]))]
        rule = Redaction(us.node, EPOCH, ((2, 2),), REDACTED, "").content()
        await store.fold(ME, [us.say(Kind.REDACT, rule)])
        noted.append(await store.writer.submit(lambda conn: attached.note(conn, row[0], [file(1)])))
        assert noted == [True, False]
        assert not await store.db.rows("SELECT 1 FROM attached WHERE hash = ?", (OURS,))
