"""A damaged file written anew: all that can be read comes over, keeps its seq, and what lacks is named."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from maw.core.editing import Edit
from maw.core.entry import Kind, unpack_payload
from maw.core.identity import NodeId
from maw.core.message_ids import message_id
from maw.core.redaction import REDACTED, Redaction
from maw.core.word import sign_word
from maw.errors import Unavailable
from maw.store import trust
from maw.store.copying import open_readonly
from maw.store.database import open_database
from maw.store.fold import Fold
from maw.store.redacting import stated_number
from maw.store.replacing import seen_before
from maw.store.reruling import Rerule
from maw.store.salvaging import Salvaged, salvage
from maw.store.state import State
from maw.store.verifying import verify_database
from tests.unit.store.opened import COLONY, NOW_MS, Author, open_store
from tests.unit.store.test_verifying import ME, change
from tests.unit.store.test_verifying import filled as filled
from tests.unit.store.test_verifying import path as path

PAGE_BYTES = 4096


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(open_readonly(path)) as conn:
        return conn.execute(sql).fetchall()


ENTRIES = "SELECT place, header, signature, payload FROM entries ORDER BY place"
MESSAGES = "SELECT seq, place, direct, channel, agent, said, received, reply FROM messages ORDER BY seq"
MENTIONS = "SELECT word, seq FROM mentions ORDER BY word, seq"
MAILBOX = "SELECT agent, seq, why, acked FROM mailbox ORDER BY agent, seq"


def saved(path: Path, me: NodeId = ME.node) -> tuple[Salvaged, Path]:
    target = path.with_name("new.db")
    return salvage(path, target, me, COLONY), target


def test_a_sound_one_comes_over_whole(path: Path) -> None:
    done, target = saved(path)
    assert (done.entries, done.messages, done.lost, done.torn) == (1402, 1400, [], {})
    for sql in (ENTRIES, MESSAGES, MENTIONS, MAILBOX, "SELECT * FROM logs", "SELECT * FROM channels"):
        assert rows(target, sql) == rows(path, sql)
    with closing(open_readonly(target)) as conn:
        assert verify_database(conn, me=ME.node).findings == []


@pytest.mark.parametrize("seed", range(24))
def test_pages_full_of_noise(path: Path, seed: int) -> None:
    """Whatever pages are torn: no exception, everything else is there as it was, what lacks is named or was torn
    off an end, and the new file is sound but for it."""
    random_ = random.Random(seed)
    before = {place: rest for place, *rest in rows(path, ENTRIES)}
    seqs = dict(rows(path, "SELECT place, seq FROM messages"))
    data = bytearray(path.read_bytes())
    torn = random_.sample(range(1, len(data) // PAGE_BYTES), 3)
    for page in torn:
        for _ in range(random_.choice((1, 5, 4000))):
            bit = 8 * PAGE_BYTES * page + random_.randrange(8 * PAGE_BYTES)
            data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    try:
        done, target = saved(path)
    except Unavailable:
        assert torn_schema(path), "only where SQLite cannot even say which tables there are"
        return
    after = {place: rest for place, *rest in rows(target, ENTRIES)}
    assert all(before[place] == rest for place, rest in after.items()), "what came over is as it was"
    lacking = len(before) - len(after)
    assert lacking <= 3 * 40, (lacking, torn)
    with closing(open_readonly(target)) as conn:
        report = verify_database(conn, me=ME.node)
    assert {finding.what for finding in report.findings} <= {"missing"}, report.findings
    assert len(report.damages) == len(done.lost)
    moved = [p for p, s in rows(target, "SELECT place, seq FROM messages") if seqs[p] != s]
    assert len(moved) <= 3 * 80, "nearly all keep their seq"


def torn_schema(path: Path) -> bool:
    try:
        rows(path, "SELECT * FROM sqlite_master")
    except Exception:
        return True
    return False


def test_a_damaged_entry_keeps_the_message_row_it_will_come_back_to(path: Path) -> None:
    place = (2 << 40) + 300
    change(path, f"UPDATE entries SET payload = zeroblob(9) WHERE place = {place}")
    before = rows(path, MESSAGES), rows(path, MENTIONS), rows(path, MAILBOX)
    done, target = saved(path)
    assert [seq for _, _, seq in done.lost] == [300]
    assert (rows(target, MESSAGES), rows(target, MENTIONS), rows(target, MAILBOX)) == before


def test_whose_a_log_is_its_entries_say(path: Path) -> None:
    before = rows(path, ENTRIES)
    change(path, "UPDATE nodes SET key = zeroblob(32) WHERE n = 2", "UPDATE logs SET epoch = 5 WHERE l = 1")
    done, target = saved(path)
    assert done.lost == []
    assert rows(target, ENTRIES) == before
    with closing(open_readonly(target)) as conn:
        assert verify_database(conn, me=ME.node).findings == []


def test_a_head_out_of_reach_is_no_endless_search(path: Path) -> None:
    change(path, f"UPDATE logs SET seq = {1 << 39} WHERE l = 2")
    with closing(open_readonly(path)) as conn:
        report = verify_database(conn, me=ME.node)
    assert [finding.what for finding in report.findings] == ["head"]
    done, target = saved(path)
    assert done.lost == []
    assert rows(target, "SELECT seq FROM logs WHERE l = 2") == [(701,)]


def test_of_nothing_nothing_can_be_made(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    path.write_bytes(os.urandom(100_000))
    with pytest.raises(Unavailable, match="nothing of"):
        saved(path)


async def test_a_message_that_was_published_again_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    async with open_store(path) as store:
        old, new = Author(1), Author(1, epoch=Author(1).epoch + 5)
        await store.writer.submit(lambda conn: trust.set_meta(conn, "colony", COLONY))
        first = old.post("hi", ["neo"])
        await store.fold(ME, [first, old.post("other")])
        content = {**unpack_payload(first.payload or b""), "was": [first.epoch, first.seq, first.id]}
        again = new.say(Kind.POST, content)

        async def write(conn: Any) -> None:
            seen = await seen_before(conn, store.state, [again])
            assert len(seen) == 1
            fold = Fold(store.state, ME.node, NOW_MS + 99_000, again=seen)
            fold.add(again)
            await fold.write(conn)

        await store.writer.submit(write)
    with closing(open_readonly(path)) as conn:
        assert verify_database(conn, me=ME.node).findings == []
    before = rows(path, MESSAGES), rows(path, MENTIONS)
    _, target = await asyncio.to_thread(saved, path)
    assert (rows(target, MESSAGES), rows(target, MENTIONS)) == before
    assert len(before[0]) == 2


async def test_requests_that_were_answered_are_known_from_the_messages(tmp_path: Path) -> None:
    path, known = tmp_path / "c.db", "SELECT key, agent, request, seq FROM idempotency"
    async with open_store(path) as store:
        us, other = Author(1), Author(5)
        await store.writer.submit(lambda conn: trust.set_meta(conn, "colony", COLONY))
        said = [us.post(f"{n}", once=bytes([n]) * 16) for n in range(3)]
        await store.fold(us.signer, [*said, us.post("no mark"), other.post("not ours", once=b"x" * 16)])
        before = await store.db.rows(known)
    assert len(before) == 3
    change(path, "DELETE FROM idempotency WHERE seq = 2", "UPDATE idempotency SET seq = 77 WHERE seq = 3")
    _, target = await asyncio.to_thread(saved, path, us.node)
    assert rows(target, known) == before


async def test_an_operators_word_stands_where_it_stood(tmp_path: Path) -> None:
    """Of the same word twice in a log the first counts, also when the rows that say so are gone."""
    path = tmp_path / "c.db"
    author, key = Author(1), Author(7)
    targets = ("#general",)
    word = sign_word(key.signer, COLONY, author.node, NOW_MS, b"n" * 16, True, targets, "stop")
    async with open_store(path) as store:
        await store.writer.submit(lambda conn: trust.set_meta(conn, "colony", COLONY))
        await store.fold(ME, [author.post("stop", word=word.content()) for _ in range(2)])
    change(path, "DELETE FROM orders")
    _, target = await asyncio.to_thread(saved, path)
    assert rows(target, "SELECT nonce, seq, key, is_order FROM orders") == [(b"n" * 16, 1, key.node, 1)]


async def redacted(path: Path, secret: str) -> None:
    """A database in which two of four messages were redacted, one by its author and one by an operator."""
    async with open_store(path) as store:
        await store.writer.submit(lambda conn: trust.set_meta(conn, "colony", COLONY))
        us = Author(1)
        said = [us.post(f"{secret} {n}", ["neo"]) for n in range(4)]
        rule = Redaction(us.node, us.epoch, ((1, 1),), REDACTED, "arthur@mbp").content()
        await store.fold(ME, [*said, us.say(Kind.REDACT, rule)])

        async def state(conn: Any) -> None:
            fold = Fold(store.state, ME.node, NOW_MS)
            stated = Redaction(us.node, us.epoch, ((3, 3),), REDACTED, "operator founder")
            fold.take_rule(stated_number(b"s" * 32), stated, NOW_MS)
            await fold.write(conn)

        await store.writer.submit(state)


PAYLOADS = "SELECT place & 0xffffff, payload IS NULL FROM entries ORDER BY place"
RULES = "SELECT r.why, r.by, d.first & 0xffffff, d.last & 0xffffff FROM redactions d JOIN rules r ON r.rule = d.rule"


async def test_what_was_redacted_stays_so(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    await redacted(path, "secret")
    before = [rows(path, sql) for sql in (ENTRIES, MESSAGES, MENTIONS, RULES)]
    done, target = await asyncio.to_thread(saved, path)
    assert (done.lost, done.torn, done.messages) == ([], {}, 4)
    assert [rows(target, sql) for sql in (ENTRIES, MESSAGES, MENTIONS, RULES)] == before
    with closing(open_readonly(target)) as conn:
        assert verify_database(conn, me=ME.node).findings == []


async def test_a_redacted_text_that_was_found_in_the_file_is_not_brought_back(tmp_path: Path) -> None:
    """The tables of rules are lost, and the payload is there again: what the log says is enough."""
    path = tmp_path / "c.db"
    await redacted(path, "secret")
    change(path, "DELETE FROM redactions WHERE rule > 0", "DELETE FROM rules WHERE rule > 0")
    us = Author(1)
    payload = us.post("secret 0", ["neo"]).payload
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("UPDATE entries SET payload = ? WHERE place & 0xffffff = 1", (payload,))
        conn.execute("INSERT INTO mentions VALUES ('neo', (SELECT min(seq) FROM messages))")
    _, target = await asyncio.to_thread(saved, path)
    assert rows(target, PAYLOADS) == [(1, 1), (2, 0), (3, 1), (4, 0), (5, 0)]
    assert rows(target, RULES) == [("redacted", "arthur@mbp", 1, 1), ("redacted", "operator founder", 3, 3)]
    assert b"secret 0" not in target.read_bytes()
    with closing(open_readonly(target)) as conn:
        assert verify_database(conn, me=ME.node).findings == []


async def test_rules_go_from_the_database_that_gives_way_to_the_one_that_comes(tmp_path: Path) -> None:
    """By author, epoch and seq: the numbers of the two are their own."""
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    await redacted(old, "secret")
    async with open_store(new) as store:
        other, us = Author(3), Author(1)
        await store.fold(ME, [other.post("first of all")])
        await store.fold(ME, [us.post(f"secret {n}", ["neo"]) for n in range(2)])
    with closing(open_readonly(old)) as was, closing(sqlite3.connect(new, isolation_level=None)) as conn:
        rules = Rerule(conn)
        assert rules.take_over(was) == 2
        assert rules.carry_out() == 1
    sql = "SELECT place >> 40, place & 0xffffff, payload IS NULL FROM entries ORDER BY place"
    assert rows(new, sql) == [(1, 1, 0), (2, 1, 1), (2, 2, 0)]
    assert rows(new, "SELECT first >> 40, first & 0xffffff, ahead FROM redactions") == [
        (2, 1, None),
        (2, 3, 1),
    ]
    async with open_store(new) as store:
        us = Author(1)
        coming = [us.post(f"secret {n}", ["neo"]) for n in range(4)][2:]
        await store.fold(ME, coming)
        bare = await store.db.rows("SELECT place & 0xffffff FROM entries WHERE payload IS NULL")
        assert bare == [(1,), (3,)]


def test_without_its_first_page_entries_and_who_speaks_here_are_found(path: Path) -> None:
    before = rows(path, ENTRIES)
    path.write_bytes(bytes(PAGE_BYTES) + path.read_bytes()[PAGE_BYTES:])
    done, target = saved(path)
    assert rows(target, ENTRIES) == before
    assert done.torn["local_agents"] == 0
    ours = rows(target, "SELECT a.name, l.uid FROM local_agents l JOIN agents a ON a.n = l.agent")
    assert ours == [("arthur", os.stat(path).st_uid)]
    assert len(rows(target, "SELECT * FROM mailbox")) > 0, "its mail is there again, unread"
    with closing(open_readonly(target)) as conn:
        assert verify_database(conn, me=ME.node).findings == []


def leaves_of_the_list_of_tables(data: bytes) -> list[int]:
    """Page numbers, from 0, below the root of sqlite_master: https://sqlite.org/fileformat2.html#b_tree_pages."""
    kind, cells = data[100], int.from_bytes(data[103:105], "big")
    assert kind == 5, "the list of tables fills more than one page"
    places = [int.from_bytes(data[at : at + 2], "big") for at in range(112, 112 + 2 * cells, 2)]
    return [int.from_bytes(data[at : at + 4], "big") - 1 for at in [*places, 108]]


@pytest.mark.parametrize("byte", [0, 3, 5, 9, 40])
def test_a_torn_list_of_tables_costs_no_entry(path: Path, byte: int) -> None:
    """The kind of the page, how many cells it has, where they begin, and the place of some."""
    before, whole = rows(path, ENTRIES), path.read_bytes()
    for page in leaves_of_the_list_of_tables(whole):
        data = bytearray(whole)
        for at in range(page * PAGE_BYTES + byte, page * PAGE_BYTES + byte + 4):
            data[at] ^= 0b0101_0101
        path.write_bytes(data)
        _done, target = saved(path)
        assert rows(target, ENTRIES) == before
        for left in target.parent.glob("new.db*"):
            left.unlink()


OURS = "SELECT a.name FROM local_agents l JOIN agents a ON a.n = l.agent JOIN nodes n ON n.n = a.node WHERE n.key = ?"
INDEX_OF_AGENTS = "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_agents_1'"


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE agents SET node = 3 - node",
        "UPDATE agents SET node = 77",
        "UPDATE local_agents SET agent = 2",
        "DELETE FROM nodes",
        # rows without their numbers, which another table goes by
        f"UPDATE sqlite_master SET rootpage = ({INDEX_OF_AGENTS}) WHERE name = 'agents'",
    ],
    ids=["hosts swapped", "no such host", "another's agent", "hosts lost", "numbers lost"],
)
def test_nobody_elses_agent_becomes_ours_and_ours_nobody_elses(path: Path, damage: str) -> None:
    before = rows(path, MAILBOX)
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA writable_schema = ON")
        assert conn.execute(damage).rowcount > 0
    done, target = saved(path)
    with closing(open_readonly(target)) as conn:
        assert conn.execute(OURS, (ME.node,)).fetchall() == [("arthur",)]
        assert conn.execute("SELECT count(*) FROM local_agents").fetchone() == (1,)
        assert verify_database(conn, me=ME.node).findings == []
    assert done.torn
    assert len(rows(target, MAILBOX)) == len(before)


OF_NOBODY = {
    "roster": "(77, '{\"exec\": [\"x\"]}', '{}')",
    "panes": "(77, 4242, '/tmp/s', 1, '%0', 'boot')",
    "conversations": "(77, '1f2e', 1, 'boot', '', 1)",
    "vitals": "(77, 1, 1, 1, 1)",
    "wakes": "(NULL, 77, 1, 'hook', '[]', 1)",
    "dnd": "(77, 'on')",
}


@pytest.mark.parametrize("table", OF_NOBODY)
def test_who_gets_a_number_anew_gets_nothing_of_who_had_it(path: Path, table: str) -> None:
    ((known,),) = rows(path, "SELECT min(agent) FROM local_agents")
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute(f"INSERT INTO {table} VALUES {OF_NOBODY[table]}")
        sound = OF_NOBODY[table].replace("77", str(known)).replace("%0", "%1")
        conn.execute(f"INSERT INTO {table} VALUES {sound}")
    done, target = saved(path)
    assert rows(target, f"SELECT agent FROM {table}") == [(known,)]
    assert table in done.torn


def forget_numbers(path: Path, table: str) -> None:
    """One letter of the declaration of ``table``, as a flipped bit does it; wherever in the file it was written."""
    number = b"l" if table == "logs" else b"n"
    sound = b"CREATE TABLE %s (%s INTEGER PRIMARY" % (table.encode(), number)
    path.write_bytes(path.read_bytes().replace(sound, sound.replace(b"GER", b"GDR")))
    assert rows(path, f"SELECT count(*) FROM {table} NOT INDEXED WHERE {number.decode()} IS NULL") > [(0,)]


AGENTS = "SELECT n, node, id, name FROM agents ORDER BY n"
OWNED = "SELECT a.name, l.uid, l.token_hash FROM local_agents l JOIN agents a ON a.n = l.agent"


@pytest.mark.parametrize("table", ["agents", "nodes", "logs", "channels"])
def test_a_table_that_has_forgotten_that_its_numbers_are_the_rows_own_keeps_them(
    path: Path, table: str
) -> None:
    sqls = (
        AGENTS,
        OWNED,
        "SELECT n, key FROM nodes",
        "SELECT * FROM logs",
        "SELECT * FROM channels",
        MAILBOX,
    )
    before = [rows(path, sql) for sql in sqls]
    forget_numbers(path, table)
    _, target = saved(path)
    assert [rows(target, sql) for sql in sqls] == before
    with closing(open_readonly(target)) as conn:
        assert verify_database(conn, me=ME.node).findings == []


async def test_a_node_does_not_begin_with_such_a_file(path: Path) -> None:
    forget_numbers(path, "agents")
    async with open_database(path) as db:
        with pytest.raises(ValueError, match="have lost their numbers"):
            await State().reload(db.writing)


def test_who_gets_the_number_of_an_agent_that_was_lost_gets_nothing_else_of_it(path: Path) -> None:
    """Neither whose it is, nor its token, nor its mail: the last number is given again."""
    (last,) = rows(path, "SELECT max(n) FROM agents")[0]
    change(
        path,
        f"INSERT INTO local_agents VALUES ({last + 1}, 1234, x'aa', 0)",
        f"INSERT INTO mailbox (agent, seq, why, acked) VALUES ({last + 1}, 1, 'direct', NULL)",
        f"INSERT INTO outbox VALUES ({last + 1}, 1)",
        "DELETE FROM agents",
    )
    done, target = saved(path)
    assert {"local_agents", "mailbox"} <= done.torn.keys()
    assert rows(target, OWNED) == [("arthur", os.stat(path).st_uid, None)], (
        "who speaks here is known by our log alone"
    )
    assert rows(
        target, "SELECT count(*) FROM mailbox WHERE agent NOT IN (SELECT agent FROM local_agents)"
    ) == [(0,)]
    with closing(open_readonly(target)) as conn:
        assert verify_database(conn, me=ME.node).findings == []


async def test_edits_asks_and_what_expires_are_read_off_the_entries(tmp_path: Path) -> None:
    path, neo = tmp_path / "c.db", Author(1)
    post = neo.post("tea?", intent="ask", due=NOW_MS + 1, expires=NOW_MS + 2)
    edit = Edit(neo.agent_id, message_id(post.position), "coffee?", ())
    async with open_store(path) as store:
        await store.fold(ME, [post, neo.say(Kind.EDIT, edit.content())])
    tables = ("SELECT * FROM edits", "SELECT * FROM asks", "SELECT * FROM expiring")
    before = [rows(path, sql) for sql in tables]
    assert all(before)
    for table in ("edits", "asks", "expiring"):
        change(path, f"DELETE FROM {table}")
    _, target = await asyncio.to_thread(saved, path)
    assert [rows(target, sql) for sql in tables] == before
