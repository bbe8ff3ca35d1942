"""Private channels: who is in one sees it, and nobody else, on any host or beside him on his own."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest

from maw.api.backend import Json
from maw.core.editing import Edit
from maw.core.entry import Kind
from maw.core.queries import parse
from maw.errors import Ambiguous, BadInput, NotFound, Refused
from maw.node.keptkey import open_kept_key
from maw.node.rotating import rotate
from maw.store.rederiving import Rederiving
from maw.store.rooms import NO_MEMBER
from maw.store.state import SaidKey
from maw.store.verifying import verify_database
from tests.conftest import MakeHome
from tests.integration.nodes import Host, all_running, running, settle, until
from tests.integration.test_editing import edit, when
from tests.integration.test_sealing import has, on_disk, three


async def opened(host: Host, by: str, name: str, members: Sequence[str], **more: Any) -> str:
    made = await host.service.add_channel(await host.as_(by), name, members=members, **more)
    return str(made["id"])


async def seen(host: Host, name: str) -> list[str]:
    return [one["id"] for one in await host.service.channels(await host.as_(name))]


async def page(host: Host, name: str, channel: str) -> list[str]:
    found = await host.service.channel_page(
        await host.as_(name), channel, after_seq=None, before_seq=None, limit=50
    )
    return [one["text"] for one in found.items]


async def post(host: Host, name: str, channel: str, text: str) -> Json:
    return await host.service.post_channel(
        await host.as_(name), channel, text, reply_to=None, idempotency_key=None
    )


async def found(host: Host, name: str, words: str) -> list[str]:
    await until(lambda: host.node.indexing.seq >= host.node.visible.seq, "the index is there")
    query = parse(words, now_ms=0)
    page = await host.service.search(
        await host.as_(name), query, limit=10, before_seq=None, newest_first=True
    )
    return [one["text"] for one in page.items]


async def test_who_is_in_it_sees_it_and_nobody_else(make_home: MakeHome) -> None:
    homes = [make_home(name) for name in ("mbp", "oracle", "pi")]
    async with all_running(*homes) as (mbp, oracle, pi):
        await three(mbp, oracle, pi)
        await mbp.add("ford")
        plans = await opened(mbp, "arthur", "plans", ["neo"], about="what to do on Thursday")
        sent = await post(mbp, "arthur", "plans", "the Quicksilver heist, @neo @ford")
        assert (sent["message"]["channel"], sent["message"]["sealed"], sent["reaches"]) == (plans, True, 1)
        assert [one["agent"] for one in sent["recipients"]] == ["neo@oracle"]
        (warning,) = sent["warnings"]
        assert warning.startswith("@ford is not in this channel")
        await oracle.receives("neo", ["the Quicksilver heist, @neo @ford"])
        answer = await oracle.service.post_channel(
            await oracle.as_("neo"), "plans", "I am in", reply_to=sent["id"], idempotency_key=None
        )
        await until(lambda: has(mbp, oracle) and has(pi, mbp) and has(pi, oracle), "all of it is everywhere")
        assert await page(mbp, "arthur", "plans") == await page(oracle, "neo", plans[:-3])
        assert await page(mbp, "arthur", plans) == ["the Quicksilver heist, @neo @ford", "I am in"]
        told = await mbp.service.message(await mbp.as_("arthur"), answer["id"])
        assert (told["reply_to"], told["kind"], told["channel"]) == (sent["id"], "post", plans)
        assert await found(oracle, "neo", "heist in:plans") == ["the Quicksilver heist, @neo @ford"]

        for host, name in ((mbp, "ford"), (pi, "trillian")):
            assert plans not in await seen(host, name)
            for ref in ("plans", plans):
                with pytest.raises(NotFound, match="no channel is called"):
                    await page(host, name, ref)
                with pytest.raises(NotFound, match="no channel is called"):
                    await post(host, name, ref, "let me in")
                with pytest.raises(NotFound, match="no channel is called"):
                    await host.service.stream_page(
                        await host.as_(name), after_seq=0, channel=ref, user=None, limit=10
                    )
            with pytest.raises(NotFound):
                await host.service.message(await host.as_(name), sent["id"])
            assert await found(host, name, "heist") == []
            stream = await host.service.stream_page(
                await host.as_(name), after_seq=0, channel=None, user=None, limit=100
            )
            assert not [one for one in stream.items if "heist" in one["text"]]
            assert await host.texts(name) == []
            mentions = await host.service.mentions_page(await host.as_(name), "neo", after_seq=0, limit=10)
            assert mentions.items == []
        assert plans in await seen(oracle, "neo") and plans in await seen(mbp, "arthur")
        (shown,) = [
            one for one in await oracle.service.channels(await oracle.as_("neo")) if one["id"] == plans
        ]
        assert (shown["private"], shown["members"]) == (True, ["arthur@mbp", "neo@oracle"])
        assert shown["about"] == "what to do on Thursday"
        assert b"ilver" not in on_disk(homes[2], "*") and b"plans" not in on_disk(homes[2], "*")
    with closing(sqlite3.connect(homes[1].database, isolation_level=None)) as conn:
        before = (
            conn.execute("SELECT * FROM rooms").fetchall(),
            conn.execute("SELECT * FROM seal_keys").fetchall(),
        )
        conn.execute("BEGIN")
        for table in ("rooms", "seal_keys", "messages"):
            conn.execute(f"DELETE FROM {table}")
        Rederiving(conn, oracle.me).run(())
        conn.execute("COMMIT")
        again = (
            conn.execute("SELECT * FROM rooms").fetchall(),
            conn.execute("SELECT * FROM seal_keys").fetchall(),
        )
        assert again == before
        assert verify_database(conn, me=oracle.me).sound
    async with running(homes[1]) as oracle:
        assert await page(oracle, "neo", "plans") == ["the Quicksilver heist, @neo @ford", "I am in"]


async def test_who_comes_later_reads_from_then_on_and_who_goes_no_more(make_home: MakeHome) -> None:
    async with all_running(*(make_home(name) for name in ("mbp", "oracle", "pi"))) as (mbp, oracle, pi):
        await three(mbp, oracle, pi)
        plans = await opened(mbp, "arthur", "plans", ["neo"])
        arthur = await mbp.as_("arthur")
        await post(mbp, "arthur", "plans", "one")
        await mbp.service.change_members(arthur, "plans", ["trillian"], [])
        await post(mbp, "arthur", "plans", "two")
        await until(lambda: has(pi, mbp) and has(oracle, mbp), "it is there")
        await post(pi, "trillian", "plans", "three")
        await until(lambda: has(mbp, pi) and has(oracle, pi), "it is there")
        assert await page(pi, "trillian", "plans") == ["two", "three"]
        assert await page(oracle, "neo", "plans") == ["one", "two", "three"]
        with pytest.raises(Refused, match="was made by arthur@mbp"):
            await pi.service.change_members(await pi.as_("trillian"), "plans", [], ["neo"])
        with pytest.raises(BadInput, match="stays in it"):
            await mbp.service.change_members(arthur, plans, [], ["arthur"])
        await mbp.service.change_members(arthur, plans, [], ["neo"])
        await until(lambda: has(pi, mbp) and has(oracle, mbp), "it is there")
        await post(pi, "trillian", plans, "four")
        await until(lambda: has(mbp, pi) and has(oracle, pi), "it is there")
        assert plans not in await seen(oracle, "neo")
        with pytest.raises(NotFound):
            await page(oracle, "neo", "plans")
        assert await page(mbp, "arthur", "plans") == ["one", "two", "three", "four"]
        archived = await mbp.service.change_channel(arthur, "plans", None, True)
        assert archived["archived"] is True
        await until(lambda: has(pi, mbp), "it is there")
        with pytest.raises(Refused, match="is archived"):
            await post(pi, "trillian", "plans", "five")


async def test_a_post_that_comes_before_its_author_is_known_waits(make_home: MakeHome) -> None:
    """The logs of its author and of who made the channel have no common order."""
    async with all_running(*(make_home(name) for name in ("mbp", "oracle", "pi"))) as (mbp, oracle, pi):
        await three(mbp, oracle, pi)
        plans = await opened(mbp, "arthur", "plans", ["neo", "trillian"])
        await until(lambda: has(oracle, mbp) and has(pi, mbp), "all know of it")
        room = oracle.node.state.channels[plans].n
        known = oracle.node.state.rooms.pop(room)
        await post(pi, "trillian", "plans", "early")
        await until(lambda: has(oracle, pi), "it is there")
        assert plans not in await seen(oracle, "neo")
        assert await oracle.node.db.rows("SELECT why FROM withheld", ()) != []
        oracle.node.state.rooms[room] = known
        await mbp.service.change_channel(await mbp.as_("arthur"), "plans", "what we do", None)

        async def shown() -> list[str]:
            return await page(oracle, "neo", "plans")

        for _ in range(3000):
            if await shown() == ["early"]:
                break
            await oracle.node.visible.wait(oracle.node.visible.seq, 0.01)
        assert await shown() == ["early"]


async def test_a_name_that_is_public_too_is_told(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as mbp:
        await mbp.add("arthur", "ford")
        arthur, ford = await mbp.as_("arthur"), await mbp.as_("ford")
        await mbp.service.add_channel(ford, "plans")
        plans = await opened(mbp, "arthur", "plans", [])
        with pytest.raises(Ambiguous) as told:
            await post(mbp, "arthur", "plans", "which?")
        assert told.value.candidates == tuple(sorted([plans, "plans~public"]))
        assert (await post(mbp, "arthur", "plans~public", "here"))["message"]["channel"] == "plans"
        assert (await post(mbp, "arthur", plans, "there"))["message"]["channel"] == plans
        assert (await post(mbp, "ford", "plans", "what is said here?"))["message"]["channel"] == "plans"
        assert await page(mbp, "ford", "plans") == ["here", "what is said here?"]
        with pytest.raises(Refused, match="is for all"):
            await mbp.service.change_members(arthur, "plans~public", ["ford"], [])
        mbp.node.state.seal_keys[mbp.node.state.nodes[mbp.me].n] = SaidKey(0, 0, b"")
        await mbp.node.sealing.keep()
        said = mbp.node.state.rooms[mbp.node.state.channels[plans].n]
        await mbp.node.rooms.settle()
        anew = mbp.node.state.rooms[said_at := mbp.node.state.channels[plans].n]
        assert (anew.seq > said.seq, anew.word) == (True, said.word), "sealed for the new key too"
        await mbp.node.rooms.settle()
        assert mbp.node.state.rooms[said_at] == anew
        await mbp.service.watch(arthur, plans, True)
        kept = await mbp.service.retain(arthur, plans, 7)
        assert (kept["keep_days"], kept["watched"], kept["private"]) == (7, True, True)
        await mbp.service.change_members(arthur, plans, ["ford"], [])
        await post(mbp, "ford", plans, "so that is it")
        assert await mbp.texts("arthur") == ["so that is it"]


async def test_a_stranger_says_nothing_there_and_changes_nobody(make_home: MakeHome) -> None:
    async with all_running(*(make_home(name) for name in ("mbp", "oracle", "pi"))) as (mbp, oracle, pi):
        await three(mbp, oracle, pi)
        plans = await opened(mbp, "arthur", "plans", ["neo"])
        await until(lambda: has(oracle, mbp) and has(pi, mbp), "all know of it")
        trillian = pi.node.state.local["trillian"]
        word = mbp.node.state.rooms[mbp.node.state.channels[plans].n].word
        members = [list(one) for one in (*word.members, pi.node.directory.recipient(trillian))]
        post_ = {
            "agent": trillian.id, "name": "trillian", "role": "agent", "known": "uid", "text": "it is off",
            "mentions": [], "channel": plans, "to": members,
        }  # fmt: skip
        said_of = word.content() | {"agent": trillian.id, "members": members}
        for kind, content in (
            (Kind.POST, post_),
            (Kind.CHANNEL, said_of),
            (Kind.POST, post_ | {"channel": "general"}),
        ):
            sealed, _ = pi.node.sealing.seal(kind, content, [oracle.me, mbp.me], itself=False)
            await pi.node.authoring.say(Kind.PRIVATE, sealed)
        await until(lambda: has(oracle, pi) and has(mbp, pi), "it is there")
        for host, name in ((mbp, "arthur"), (oracle, "neo")):
            assert await page(host, name, plans) == [] == await host.texts(name) == await host.channel()
            assert len(await host.node.db.rows("SELECT why FROM withheld", ())) == 1
            assert len(await host.node.db.rows("SELECT why FROM set_aside", ())) == 2


async def test_a_host_with_a_new_key_goes_on(make_home: MakeHome) -> None:
    homes = [make_home(name) for name in ("mbp", "oracle")]
    async with all_running(*homes) as (mbp, oracle):
        await settle(mbp, oracle)
        plans = await opened(mbp, "arthur", "plans", ["neo"])
        await post(mbp, "arthur", plans, "one")
        await oracle.send("neo", "arthur", "before")
        await until(lambda: has(oracle, mbp) and has(mbp, oracle), "it is there")
    key = open_kept_key(homes[0].path / "recovery.key", "recovery", lambda: "")
    await rotate(homes[0], key, "stolen")
    async with all_running(*homes) as (mbp, oracle):
        await until(lambda: mbp.linked(oracle) and oracle.linked(mbp), "they are linked under the new key")
        await until(lambda: has(oracle, mbp) and has(mbp, oracle), "it is there")
        number = oracle.node.state.channels[plans].n
        heir = oracle.node.state.nodes[mbp.me].n
        await until(lambda: oracle.node.state.rooms[number].node == heir, "the heir says who is in it")
        await post(oracle, "neo", plans, "two")
        await oracle.send("neo", "arthur@mbp", "after")
        await until(lambda: has(mbp, oracle), "it is there")
        await post(mbp, "arthur", plans, "three")
        await until(lambda: has(oracle, mbp), "it is there")
        assert await page(oracle, "neo", plans) == ["one", "two", "three"]
        assert await page(mbp, "arthur", plans) == ["one", "two", "three"]
        assert await mbp.texts("arthur") == ["before", "after"]


async def test_an_edit_is_for_who_is_in_it_and_had_the_message(make_home: MakeHome) -> None:
    homes = [make_home(name) for name in ("mbp", "oracle", "pi")]
    async with all_running(*homes) as (mbp, oracle, pi):
        await three(mbp, oracle, pi)
        await mbp.add("ford")
        mbp.node.indexing.rest_s = 0.01
        plans = await opened(mbp, "arthur", "plans", ["neo", "trillian", "ford"])
        await until(lambda: has(oracle, mbp) and has(pi, mbp), "all are in it")
        theirs = await post(oracle, "neo", plans, "as neo had it")
        ours = await post(mbp, "arthur", plans, "as arthur had it")
        await until(lambda: has(mbp, oracle) and has(pi, oracle) and has(oracle, mbp), "both are everywhere")
        number, room = oracle.node.state.channels[plans].n, dict(oracle.node.state.rooms)
        await mbp.service.change_members(await mbp.as_("arthur"), plans, [], ["neo", "ford"])
        await until(lambda: has(oracle, mbp) and has(pi, mbp), "they are out of it")
        with pytest.raises(Refused, match="is in it no longer"):
            await edit(oracle, "neo", theirs["id"], "what neo would rather have said")
        oracle.node.state.rooms[number] = room[number]  # he has not heard of it yet
        await edit(oracle, "neo", theirs["id"], "what neo would rather have said")
        await edit(mbp, "arthur", ours["id"], "what neo is not to know")
        await until(
            lambda: has(mbp, oracle) and has(pi, oracle) and has(pi, mbp) and has(oracle, mbp), "edited"
        )
        for host, name in ((mbp, "arthur"), (pi, "trillian")):
            assert sorted(await page(host, name, plans)) == ["as neo had it", "what neo is not to know"]
        for host, name in ((oracle, "neo"), (mbp, "ford")):
            who = await host.as_(name)
            assert (await host.service.message(who, ours["id"]))["text"] == "as arthur had it"
            assert [one["text"] for one in await host.service.history(who, ours["id"])] == [
                "as arthur had it"
            ]

        async def is_found() -> bool:
            return await found(mbp, "arthur", "not to know") == ["what neo is not to know"]

        await when(is_found, "the index has it as it is now")
        assert await found(mbp, "ford", "not to know") == []
        held = "SELECT count(*) FROM withheld WHERE why = ?"
        assert await pi.node.db.rows(held, (NO_MEMBER,)) == [(1,)]
        await mbp.service.change_members(await mbp.as_("arthur"), plans, ["neo"], [])
        await until(lambda: has(pi, mbp), "he is in it again")

        async def counts() -> bool:
            return "what neo would rather have said" in await page(pi, "trillian", plans)

        await when(counts, "and his edit counts")
        await mbp.service.change_channel(await mbp.as_("arthur"), plans, None, True)
        with pytest.raises(Refused, match="archived"):
            await edit(mbp, "arthur", ours["id"], "too late")
        me = pi.me
    with closing(sqlite3.connect(homes[2].database, isolation_level=None)) as conn:
        before = conn.execute("SELECT * FROM edits ORDER BY place").fetchall()
        conn.execute("BEGIN")
        conn.execute("DELETE FROM edits")
        Rederiving(conn, me).run(())
        conn.execute("COMMIT")
        assert verify_database(conn, me=me).sound
    async with running(homes[2]) as pi:
        rows = "SELECT * FROM edits ORDER BY place"

        async def same() -> bool:
            return await pi.node.db.rows(rows) == before

        await when(same, "who is in it is looked up again")


async def test_what_is_sealed_is_edited_sealed_and_what_is_open_in_the_open(make_home: MakeHome) -> None:
    homes = [make_home(name) for name in ("mbp", "oracle", "pi")]
    async with all_running(*homes) as (mbp, oracle, pi):
        await three(mbp, oracle, pi)
        public = await mbp.post("arthur", "for all")
        secret = await mbp.send("arthur", "neo", "for neo")
        plans = await opened(mbp, "arthur", "plans", ["neo"])
        await until(lambda: has(oracle, mbp), "all is there")
        inside = await post(mbp, "arthur", plans, "for members")
        node, arthur = mbp.node, mbp.node.state.local["arthur"]
        for said in (public, secret, inside):
            for hosts in ((), {oracle.me}):
                content = Edit(arthur.id, said["id"], "@neo something else", ("neo",)).content()
                if hosts and said is secret:
                    continue  # as it should be
                if hosts:
                    sealed, _ = node.sealing.seal(Kind.EDIT, content, hosts)
                    await node.authoring.say(Kind.PRIVATE, sealed)
                elif said is not public:
                    await node.authoring.say(Kind.EDIT, content)
        await until(lambda: has(oracle, mbp) and has(pi, mbp), "all is everywhere")
        for host in (mbp, oracle, pi):
            assert await host.channel() == ["for all"]
        neo = await oracle.as_("neo")
        for said, text in ((secret, "for neo"), (inside, "for members")):
            shown = await oracle.service.message(neo, said["id"])
            assert (shown["text"], "edits" in shown) == (text, False)
        assert sorted(await oracle.texts("neo")) == ["for neo"], "and nobody is called by them"


async def test_what_is_taken_back_is_told_to_who_could_read_it(make_home: MakeHome) -> None:
    homes = [make_home(name) for name in ("mbp", "oracle")]
    async with all_running(*homes) as (mbp, oracle):
        await settle(mbp, oracle)
        await mbp.add("ford", "eve")
        plans = await opened(mbp, "arthur", "plans", ["neo", "ford"])
        await until(lambda: has(oracle, mbp), "it is there")
        said = await post(oracle, "neo", plans, "the horse is Quicksilver")
        await until(lambda: has(mbp, oracle), "the post is here")
        after = mbp.node.visible.seq
        await oracle.service.redact(await oracle.as_("neo"), [said["id"]], None)
        await until(lambda: has(mbp, oracle), "and that it is gone")

        async def told(name: str) -> list[str]:
            found = await mbp.service.stream_page(
                await mbp.as_(name), after_seq=after, channel=None, user=None, limit=10, changes=True
            )
            return [item["id"] for _, item in found.changes]

        async def is_told() -> bool:
            return await told("arthur") == [said["id"]]

        await when(is_told, "its change is told")
        assert await told("ford") == [said["id"]]
        for name in ("arthur", "ford"):
            (text,) = await page(mbp, name, plans)
            assert text.startswith("[redacted by")
        assert await told("eve") == []
        with pytest.raises(NotFound):
            await mbp.service.message(await mbp.as_("eve"), said["id"])
        me = mbp.me
    with closing(sqlite3.connect(homes[0].database, isolation_level=None)) as conn:
        conn.execute("BEGIN")
        Rederiving(conn, me).run(())
        conn.execute("COMMIT")
        assert verify_database(conn, me=me).sound
        assert conn.execute("SELECT count(*) FROM gone_readers").fetchone() == (2,)


async def test_who_was_away_in_between_reads_on_behind_the_gap(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as mbp:
        await mbp.add("arthur", "neo")
        await until(lambda: len(mbp.node.state.seal_keys) == 1, "its key is known")
        await opened(mbp, "arthur", "plans", ["neo"])
        arthur, neo = await mbp.as_("arthur"), await mbp.as_("neo")
        await post(mbp, "arthur", "plans", "before")
        await mbp.service.change_members(arthur, "plans", [], ["neo"])
        for n in range(5):
            await post(mbp, "arthur", "plans", f"without him {n}")
        await mbp.service.change_members(arthur, "plans", ["neo"], [])

        async def texts(after: int | None) -> list[str]:
            found = await mbp.service.channel_page(neo, "plans", after_seq=after, before_seq=None, limit=2)
            if after is not None and found.next_seq > after:
                return [one["text"] for one in found.items] + await texts(found.next_seq)
            return [one["text"] for one in found.items]

        assert await texts(None) == ["before"], "the latest that are for him"
        assert await texts(0) == ["before"]
