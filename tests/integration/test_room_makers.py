"""Whose word counts on a private channel: its maker's, and of who took his place."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import aiosqlite
import pytest

from maw.core.colony import Recipient
from maw.core.entry import Kind
from maw.errors import Refused
from maw.node.keptkey import open_kept_key
from maw.node.rotating import rotate
from maw.store.rederiving import Rederiving
from maw.store.withholding import hide_beyond
from tests.conftest import MakeHome
from tests.integration.nodes import all_running, settle, until
from tests.integration.test_rooms import opened, post
from tests.integration.test_sealing import has, three


async def test_a_repair_lets_nobody_in_either(make_home: MakeHome) -> None:
    homes = [make_home(name) for name in ("mbp", "oracle", "pi")]
    async with all_running(*homes) as (mbp, oracle, pi):
        await three(mbp, oracle, pi)
        plans = await opened(mbp, "arthur", "plans", ["neo"])
        await until(lambda: has(oracle, mbp) and has(pi, mbp), "all know of it")
        known = oracle.node.state.rooms[oracle.node.state.channels[plans].n]
        intruder = Recipient(pi.me, pi.node.state.local["trillian"].id, "arthur", "mbp")
        forged = replace(known.word, members=(*known.word.members, intruder))
        sealed, _ = pi.node.sealing.seal(Kind.CHANNEL, forged.content(), {oracle.me}, itself=False)
        await pi.node.authoring.say(Kind.PRIVATE, sealed)
        await until(lambda: has(oracle, pi), "it is there")
    with closing(sqlite3.connect(homes[1].database, isolation_level=None)) as conn:
        before = conn.execute("SELECT * FROM rooms").fetchall()
        conn.execute("BEGIN")
        conn.execute("DELETE FROM set_aside")
        conn.execute("DELETE FROM rooms")
        Rederiving(conn, oracle.me).run(())
        conn.execute("COMMIT")
        assert conn.execute("SELECT * FROM rooms").fetchall() == before


async def test_an_heirs_word_counts_whatever_epoch_the_older_key_was_in(make_home: MakeHome) -> None:
    homes = [make_home(name) for name in ("mbp", "oracle")]
    async with all_running(*homes) as (mbp, oracle):
        await settle(mbp, oracle)
        plans = await opened(mbp, "arthur", "plans", ["neo"])
        await until(lambda: has(oracle, mbp) and has(mbp, oracle), "it is there")
    key = open_kept_key(homes[0].path / "recovery.key", "recovery", lambda: "")
    await rotate(homes[0], key, "stolen")
    for home in homes:  # as where the clock was set back, or a backup restored
        with closing(sqlite3.connect(home.database, isolation_level=None)) as conn:
            conn.execute("UPDATE rooms SET epoch = epoch * 2")
    async with all_running(*homes) as (mbp, oracle):
        await until(lambda: mbp.linked(oracle) and oracle.linked(mbp), "they are linked under the new key")
        number = oracle.node.state.channels[plans].n
        await until(lambda: mbp.me in oracle.node.state.nodes, "the heir is known")
        heir = oracle.node.state.nodes[mbp.me].n
        await until(lambda: oracle.node.state.rooms[number].node == heir, "the heir says who is in it")
        said = mbp.node.state.rooms[mbp.node.state.channels[plans].n]
        for _ in range(3):
            await mbp.node.rooms.settle()
        assert mbp.node.state.rooms[mbp.node.state.channels[plans].n] == said, "and says it once"
        arthur = await mbp.as_("arthur")
        await mbp.service.change_channel(arthur, plans, "what to do", True)
        await mbp.service.retain(arthur, plans, 3)
        await until(lambda: has(oracle, mbp), "it is there")
        for host, name in ((mbp, "arthur"), (oracle, "neo")):
            (told,) = [one for one in await host.service.channels(await host.as_(name)) if one["id"] == plans]
            assert (told["about"], told["archived"], told["keep_days"]) == ("what to do", True, 3)
        with pytest.raises(Refused, match="is archived"):
            await post(oracle, "neo", plans, "one more")
    with closing(sqlite3.connect(homes[1].database, isolation_level=None)) as conn:
        before = conn.execute("SELECT * FROM rooms").fetchall()
        conn.execute("BEGIN")
        conn.execute("DELETE FROM rooms")
        Rederiving(conn, oracle.me).run(())
        conn.execute("COMMIT")
        assert conn.execute("SELECT * FROM rooms").fetchall() == before


async def test_members_are_shown_as_who_they_are(make_home: MakeHome) -> None:
    homes = [make_home(name) for name in ("mbp", "oracle")]
    async with all_running(*homes) as (mbp, oracle):
        await settle(mbp, oracle)
        await mbp.add("mallory")
        plans = await opened(mbp, "arthur", "plans", ["neo"])
        word = mbp.node.state.rooms[mbp.node.state.channels[plans].n].word
        liars = (
            Recipient(mbp.me, mbp.node.state.local["mallory"].id, "bob", "home"),
            Recipient(mbp.me, bytes(16), "alice", "home"),
        )
        said = replace(word, members=(*word.members, *liars)).content()
        sealed, _ = mbp.node.sealing.seal(Kind.CHANNEL, said, {oracle.me}, itself=False)
        await mbp.node.authoring.say(Kind.PRIVATE, sealed)
        await until(lambda: has(oracle, mbp), "it is there")
        (told,) = [
            one for one in await oracle.service.channels(await oracle.as_("neo")) if one["id"] == plans
        ]
        assert told["members"] == ["arthur@mbp", "neo@oracle", "mallory@mbp", "alice@home [unknown]"]
        room = oracle.node.state.channels[plans].n
        row = oracle.node.state.rooms[room]  # as if 60 bits were found to be alike
        other = row._replace(word=replace(row.word, nonce=bytes(16)))
        oracle.node.state.rooms[room] = other
        await mbp.service.change_channel(await mbp.as_("arthur"), plans, "another", None)
        await until(lambda: has(oracle, mbp), "it is there")
        assert oracle.node.state.rooms[room] == other
        assert len(await oracle.node.db.rows("SELECT why FROM set_aside", ())) == 1


async def test_what_a_thief_said_of_a_channel_is_unsaid(make_home: MakeHome) -> None:
    homes = [make_home(name) for name in ("mbp", "oracle")]
    async with all_running(*homes) as (mbp, oracle):
        await settle(mbp, oracle)
        plans = await opened(mbp, "arthur", "plans", ["neo"], about="what to do")
        room, rooms = mbp.node.state.channels[plans].n, oracle.node.state.rooms
        before = mbp.node.state.rooms[room]
        await mbp.service.change_channel(await mbp.as_("arthur"), plans, "all is lost", True)
        await until(lambda: has(oracle, mbp), "it is there")
        n = oracle.node.state.channels[plans].n
        assert rooms[n].word.archived

        async def revoked(cut: dict[int, int]) -> list[tuple[int]]:
            async def write(conn: aiosqlite.Connection) -> int:
                return await hide_beyond(conn, oracle.node.state, mbp.me, cut, 1)

            await oracle.node.writer.submit(write)
            return await oracle.node.db.rows("SELECT place FROM withheld WHERE why = 'revoked'", ())

        assert len(await revoked({before.epoch: before.seq})) == 1
        assert (rooms[n].seq, rooms[n].word) == (before.seq, before.word)
        stored = await oracle.node.db.rows("SELECT * FROM rooms", ())
        assert stored == [rooms[n].row(n)]
        assert len(await revoked({})) == 2
        assert n not in rooms and await oracle.node.db.rows("SELECT * FROM rooms", ()) == []
        assert plans not in [one["id"] for one in await oracle.service.channels(await oracle.as_("neo"))]
