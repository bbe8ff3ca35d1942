"""What a bare name means where a private channel is, or was, called so: never all where few were meant."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from maw.core.entry import Kind
from maw.errors import Ambiguous, BadInput, NotFound
from maw.store.rederiving import Rederiving
from tests.conftest import MakeHome
from tests.integration.nodes import all_running, running, settle, until
from tests.integration.test_rooms import opened, page, post, seen
from tests.integration.test_sealing import has


async def test_what_was_meant_for_few_is_not_said_to_all_by_whom_they_sent_away(make_home: MakeHome) -> None:
    homes = [make_home(name) for name in ("mbp", "oracle")]
    async with all_running(*homes) as (mbp, oracle):
        await settle(mbp, oracle)
        await oracle.add("ford")
        await oracle.service.add_channel(await oracle.as_("ford"), "plans")
        plans = await opened(mbp, "arthur", "plans", ["neo", "ford"])
        await until(lambda: has(oracle, mbp) and has(mbp, oracle), "it is there")
        await mbp.service.change_members(await mbp.as_("arthur"), plans, [], ["neo"])
        await until(lambda: has(oracle, mbp), "he is sent away")
        with pytest.raises(Ambiguous) as told:
            await post(oracle, "neo", "plans", "the heist is on Thursday")
        assert set(told.value.candidates) == {plans, "plans~public"}
        with pytest.raises(NotFound):
            await post(oracle, "neo", plans, "the heist is on Thursday")
    with closing(sqlite3.connect(homes[1].database, isolation_level=None)) as conn:
        before = conn.execute("SELECT * FROM room_guests").fetchall()
        assert len(before) == 2
        conn.execute("BEGIN")
        conn.execute("DELETE FROM room_guests")
        conn.execute("DELETE FROM rooms")
        Rederiving(conn, oracle.me).run(())
        conn.execute("COMMIT")
        assert conn.execute("SELECT * FROM room_guests").fetchall() == before
    async with running(homes[1]) as oracle:
        neo = await oracle.as_("neo")
        with pytest.raises(Ambiguous):
            await post(oracle, "neo", "plans", "the heist is on Thursday")
        assert (await post(oracle, "neo", "plans~public", "hello"))["message"]["channel"] == "plans"
        assert await oracle.service.leave_channel(neo, "plans", False) == {"id": plans, "left": True}
        assert (await post(oracle, "neo", "plans", "to all"))["message"]["channel"] == "plans"
        assert await page(oracle, "neo", "plans") == ["hello", "to all"]
        with pytest.raises(NotFound, match="never were in"):
            await oracle.service.leave_channel(neo, "heist", False)


async def test_nobody_takes_a_name_from_who_does_not_want_it(make_home: MakeHome) -> None:
    homes = [make_home(name) for name in ("mbp", "oracle")]
    async with all_running(*homes) as (mbp, oracle):
        await settle(mbp, oracle)
        with pytest.raises(BadInput, match="no private channel is called so"):
            await opened(mbp, "arthur", "general", ["neo"])
        await oracle.service.add_channel(await oracle.as_("neo"), "builds")
        builds = await opened(mbp, "arthur", "builds", ["neo"])
        word = mbp.node.state.rooms[mbp.node.state.channels[builds].n].word
        forged = word.content() | {"name": "general"}
        sealed, _ = mbp.node.sealing.seal(Kind.CHANNEL, forged, [oracle.me], itself=False)
        await mbp.node.authoring.say(Kind.PRIVATE, sealed)
        await until(lambda: has(oracle, mbp), "it is there")
        assert (await post(oracle, "neo", "general", "hello"))["message"]["channel"] == "general"
        assert len(await oracle.node.db.rows("SELECT why FROM set_aside", ())) == 1
        with pytest.raises(Ambiguous):
            await post(oracle, "neo", "builds", "green")
        neo = await oracle.as_("neo")
        await oracle.service.leave_channel(neo, builds, False)
        assert (await post(oracle, "neo", "builds", "green"))["message"]["channel"] == "builds"
        assert builds not in await seen(oracle, "neo")
        await post(mbp, "arthur", builds, "@neo look here")
        await until(lambda: has(oracle, mbp), "it is there")
        assert await oracle.texts("neo") == []
        with pytest.raises(BadInput, match="stays in it"):
            await mbp.service.leave_channel(await mbp.as_("arthur"), builds, False)
    async with running(homes[1]) as oracle:
        assert builds not in await seen(oracle, "neo")
        await oracle.service.leave_channel(await oracle.as_("neo"), builds, True)
        assert builds in await seen(oracle, "neo")
        assert await page(oracle, "neo", builds) == ["@neo look here"]
