"""Search on real nodes: what is found, by whom, and what no longer is."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import aiosqlite
import pytest

from maw.api.backend import ANONYMOUS, Found
from maw.core.queries import parse
from maw.errors import NotFound, Unavailable
from maw.node import indexing, searching
from maw.node.rebuilding import rebuild
from tests.conftest import MakeHome
from tests.integration.nodes import Host, pair, running, settle, until

DEADLINE_S = 30.0


def quick(host: Host) -> None:
    host.node.indexing.rest_s = host.node.indexing.look_s = 0.01


async def find(host: Host, text: str, who: str | None = None, **more: Any) -> Found:
    """Once everything that is visible is indexed."""
    kept = host.node.indexing
    await until(lambda: kept.off is None and kept.seq >= host.node.visible.seq, "all is indexed", DEADLINE_S)
    asked = {"limit": 20, "before_seq": None, "newest_first": False, **more}
    speaker = ANONYMOUS if who is None else await host.as_(who)
    return await host.service.search(speaker, parse(text, 2_000_000_000_000), **asked)


async def texts(host: Host, text: str, who: str | None = None, **more: Any) -> list[str]:
    return [item["text"] for item in (await find(host, text, who, **more)).items]


async def renewed(host: Host) -> None:
    """Waits until nothing that was taken away is left to be taken out of the index."""
    async with asyncio.timeout(DEADLINE_S):
        while await host.node.db.rows("SELECT 1 FROM stale") or any(
            shelf.dirty or not shelf.live for shelf in host.node.indexing.index.standing()
        ):
            await asyncio.sleep(0.01)


def in_file(host: Host, word: str) -> bool:
    index = host.node.indexing.index.path
    names = (index, index.with_name(index.name + "-wal"))
    return any(word.encode() in path.read_bytes() for path in names if path.exists())


async def test_words_phrases_and_filters_find_messages(make_home: MakeHome) -> None:
    async with running(make_home("oracle"), before=quick) as oracle:
        await oracle.add("neo", "trinity")
        await oracle.post("neo", "the deploy of Zürich failed: TypeError in get_user_name, @trinity")
        await oracle.post("trinity", "deploy again, 検索機能 ราคาทองคำ")
        assert len(await texts(oracle, "deploy")) == 2
        for asked in ("ZURICH", '"user name"', "get_user_name", "typeerr*", "@trinity", "deploy -again", "from:neo",
                      "from:@neo@oracle deploy", "has:mention", "mentions:trinity failed", '"deploy of'):  # fmt: skip
            assert len(await texts(oracle, asked)) == 1, asked
            assert "Zürich" in (await texts(oracle, asked))[0], asked
        for asked in (
            "検索",
            "機能",
            "ทอง",
            "in:#general -from:neo",
            "deploy -has:mention",
            "again in:general",
        ):
            assert len(await texts(oracle, asked)) == 1 and "again" in (await texts(oracle, asked))[0], asked
        for asked in (
            "deplo",
            '"failed deploy"',
            "until:2001-01-01",
            "deploy since:2099-01-01",
            "AND",
            "機検",
        ):
            assert await texts(oracle, asked) == [], asked
        await oracle.post("neo", "@role:reviewer please")
        assert await texts(oracle, "mentions:@role:reviewer") == ["@role:reviewer please"]
        with pytest.raises(NotFound, match="nowhere"):
            await find(oracle, "deploy in:nowhere")
        with pytest.raises(NotFound, match="morpheus"):
            await find(oracle, "deploy from:morpheus")


async def test_the_answer_says_where_the_words_stand_and_how_far_it_looked(make_home: MakeHome) -> None:
    async with running(make_home("oracle"), before=quick) as oracle:
        await oracle.add("neo")
        for number in range(6):
            await oracle.post("neo", f"<b>alpha</b> {number}")
        found = await find(oracle, "alpha", limit=4, newest_first=True)
        assert [item["snippet"] for item in found.items] == [f"<b>alpha</b> {n}" for n in (5, 4, 3, 2)]
        assert found.items[0]["highlights"] == [[3, 8]]
        assert found.indexed_seq == oracle.node.visible.seq
        rest = await find(oracle, "alpha", limit=4, newest_first=True, before_seq=found.before_seq)
        assert [item["snippet"][-1] for item in rest.items] == ["1", "0"] and rest.before_seq is None
        assert len((await find(oracle, "alpha", limit=1)).items) == 1
        state = await oracle.service.status(await oracle.owner())
        assert state["search"]["state"] == "on" and state["search"]["behind"] == 0, state["search"]


async def test_direct_messages_are_found_by_who_may_read_them(make_home: MakeHome) -> None:
    async with (
        running(make_home("mbp"), before=quick) as mbp,
        running(make_home("oracle"), before=quick) as oracle,
    ):
        await settle(mbp, oracle)
        await oracle.add("trinity")
        await mbp.send("arthur", "neo@oracle", "the rendezvous is at noon")
        await oracle.receives("neo", ["the rendezvous is at noon"])
        assert await texts(oracle, "rendezvous", "neo") == ["the rendezvous is at noon"]
        assert await texts(mbp, "rendezvous", "arthur") == ["the rendezvous is at noon"]
        for asked in ("rendezvous", "from:arthur", "-xyz rendezvous", "since:2001-01-01"):
            assert await texts(oracle, asked, "trinity") == []
            assert await texts(oracle, asked) == []


async def test_what_is_redacted_is_not_found_and_leaves_the_file(make_home: MakeHome) -> None:
    async with running(make_home("oracle")) as oracle:
        await oracle.add("neo")
        oracle.node.indexing.look_s = 0.01  # and rest_s long: the index still has the word when it is asked
        said = await oracle.post("neo", "the pin is xyzzy4711")
        await oracle.post("neo", "the pin is elsewhere")
        assert len(await texts(oracle, "xyzzy4711")) == 1
        assert in_file(oracle, "xyzzy4711")
        await oracle.service.redact(await oracle.as_("neo"), [said["id"]], None)
        assert await texts(oracle, "xyzzy4711") == []
        assert await texts(oracle, "pin") == ["the pin is elsewhere"]
        oracle.node.indexing.rest_s = 0.0
    home = oracle.node.home
    async with running(home, before=quick) as oracle:
        await until(lambda: oracle.node.indexing.off is None, "the index is open", DEADLINE_S)
        await until(lambda: not in_file(oracle, "xyzzy4711"), "the words have left the file", DEADLINE_S)
        await renewed(oracle)
        assert await texts(oracle, "pin") == ["the pin is elsewhere"]


async def test_a_database_that_is_another_gets_another_index(make_home: MakeHome) -> None:
    home = make_home("oracle")
    async with running(home, before=quick) as oracle:
        await oracle.add("neo")
        await oracle.post("neo", "before")
        await texts(oracle, "before")
        await oracle.node.db.writing.execute("VACUUM INTO ?", (str(home.path / "copy.db"),))
        await oracle.post("neo", "after")
        assert await texts(oracle, "after") == ["after"]
    for end in ("-wal", "-shm"):
        home.database.with_name(home.database.name + end).unlink(missing_ok=True)
    (home.path / "copy.db").replace(home.database)
    async with running(home, before=quick) as oracle:
        await oracle.post("neo", "new")
        assert await texts(oracle, "new") == ["new"]
        assert await texts(oracle, "before") == ["before"]
        assert "after" not in await texts(oracle, "from:neo")
    home.search.write_bytes(b"this is no database" * 1000)
    async with running(home, before=quick) as oracle:
        assert await texts(oracle, "new") == ["new"]


async def test_a_repaired_database_gets_a_new_index_and_rows_that_go_are_not_found(
    make_home: MakeHome,
) -> None:
    home = make_home("oracle")
    async with running(home, before=quick) as oracle:
        await oracle.add("neo")
        gone = await oracle.post("neo", "alpha one")
        await oracle.post("neo", "alpha two")
        assert len(await texts(oracle, "alpha")) == 2

        async def let_go(
            conn: aiosqlite.Connection,
        ) -> None:  # as where a branch gives way, or a ruling withholds
            await conn.execute("DELETE FROM messages WHERE seq = ?", (gone["seq"],))

        await oracle.node.writer.submit(let_go)
        assert await texts(oracle, "alpha") == ["alpha two"]
        await renewed(oracle)
        (shelf,) = oracle.node.indexing.index.standing()
        assert shelf.messages == 1
        stamp = oracle.node.indexing.index._meta("stamp")
    await asyncio.to_thread(rebuild, home)
    async with running(home, before=quick) as oracle:
        assert "alpha two" in await texts(oracle, "alpha")
        assert oracle.node.indexing.index._meta("stamp") != stamp


async def test_where_sqlite_cannot_search_the_node_runs(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "why_off", lambda: "this Python's SQLite has no FTS5")
    async with running(make_home("oracle")) as oracle:
        await oracle.add("neo")
        await until(lambda: "FTS5" in (oracle.node.indexing.off or ""), "it says why")
        await oracle.post("neo", "it talks all the same")
        with pytest.raises(Unavailable, match="search is off: this Python"):
            await oracle.service.search(
                ANONYMOUS, parse("talks", 0), limit=1, before_seq=None, newest_first=False
            )
        state = await oracle.service.status(await oracle.owner())
        assert state["search"]["state"] == "off" and "FTS5" in state["search"]["why"]


async def test_a_query_that_takes_too_long_is_ended_and_the_next_one_is_answered(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(make_home("oracle"), before=quick) as oracle:
        await oracle.add("neo")
        await oracle.post("neo", "alpha beta")
        await texts(oracle, "alpha")
        with monkeypatch.context() as patch:
            patch.setattr(searching, "TIME_LIMIT_S", -1.0)
            with pytest.raises(Unavailable, match="nothing was found"):
                await find(oracle, "a*")
        assert await texts(oracle, "a*") == ["alpha beta"]


async def test_an_index_that_is_damaged_while_it_is_used_is_made_again(make_home: MakeHome) -> None:
    async with running(make_home("oracle"), before=quick) as oracle:
        await oracle.add("neo")
        await oracle.post("neo", "alpha beta")
        await texts(oracle, "alpha")
        index = oracle.node.indexing.index
        (shelf,) = index.standing()
        index._conn.execute(f"DELETE FROM t{shelf.n}_data WHERE id > 10")
        with pytest.raises(Unavailable, match="damaged"):
            await find(oracle, "alpha")
        assert await texts(oracle, "alpha") == ["alpha beta"]


async def test_what_a_host_hears_of_late_is_found_there(make_home: MakeHome) -> None:
    async with (
        running(make_home("mbp"), before=quick) as mbp,
        running(make_home("oracle"), before=quick) as oracle,
    ):
        await mbp.add("arthur")
        for number in range(150):
            await mbp.post("arthur", f"line {number} of the log")
        await pair(mbp, oracle)
        await until(lambda: oracle.node.visible.seq == mbp.node.visible.seq, "oracle has them", DEADLINE_S)
        assert await texts(oracle, '"149 of the log"') == ["line 149 of the log"]
        assert len(await texts(oracle, "log", limit=100)) == 100


async def test_an_edited_message_is_found_by_its_last_words(make_home: MakeHome) -> None:
    async with running(make_home("mbp"), before=quick) as host:
        await host.add("arthur")
        said = await host.post("arthur", "vogon poetry tonight")
        assert await texts(host, "poetry") == ["vogon poetry tonight"]
        arthur = await host.as_("arthur")
        await host.service.edit(arthur, said["id"], "vogon prose tonight", idempotency_key=None)
        await renewed(host)
        assert await texts(host, "prose") == ["vogon prose tonight"]
        assert await texts(host, "poetry") == []


async def test_a_full_disk_holds_the_index_up_and_is_told_by_who_watches_it(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "FULL_PAUSE_S", 0.05)
    async with running(make_home("oracle"), before=quick) as oracle:
        await oracle.add("neo")
        await oracle.post("neo", "before")
        assert await texts(oracle, "before") == ["before"]
        kept = oracle.node.indexing
        add, full = kept.index.add, [True]

        def no_room(*args: Any) -> Any:
            if full:
                raise disk_full()
            return add(*args)

        monkeypatch.setattr(kept.index, "add", no_room)
        await oracle.post("neo", "meanwhile")
        await until(lambda: "waits for the disk" in (kept.off or ""), "it waits")
        assert await oracle.alerts() == {}
        full.clear()
        assert await texts(oracle, "meanwhile") == ["meanwhile"]


def disk_full() -> sqlite3.OperationalError:
    """As SQLite raises it, code and all."""
    with closing(sqlite3.connect(":memory:")) as conn:
        conn.execute("PRAGMA max_page_count = 1")
        try:
            conn.execute("CREATE TABLE t (x)")
        except sqlite3.OperationalError as error:
            return error
    raise AssertionError("there was room")
