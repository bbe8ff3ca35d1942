"""Whose word counts on a private channel: its maker's, and of who took his place."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

from maw.core.colony import Recipient
from maw.core.entry import Kind
from maw.node.keptkey import open_kept_key
from maw.node.rotating import rotate
from maw.store.rederiving import Rederiving
from tests.conftest import MakeHome
from tests.integration.nodes import all_running, settle, until
from tests.integration.test_rooms import opened
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
    with closing(sqlite3.connect(homes[1].database, isolation_level=None)) as conn:
        before = conn.execute("SELECT * FROM rooms").fetchall()
        conn.execute("BEGIN")
        conn.execute("DELETE FROM rooms")
        Rederiving(conn, oracle.me).run(())
        conn.execute("COMMIT")
        assert conn.execute("SELECT * FROM rooms").fetchall() == before
