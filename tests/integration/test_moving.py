"""Agents that move between hosts: what goes along, what comes later, and what everybody is told."""

from __future__ import annotations

import asyncio
import io
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from maw.api.backend import Json
from maw.config import MovesConfig
from maw.core.entry import Kind, Position, decode
from maw.core.handover import Handover
from maw.core.lent import Lent, Loan
from maw.core.moving import HOME
from maw.errors import Ambiguous, BadInput, Conflict, NotFound, Refused
from maw.node import arriving, moving
from maw.node.arriving import Arriving
from maw.node.homes import pack, unpack
from maw.node.moving import Moving
from maw.node.people import People
from maw.store import handing, sealed
from maw.store.rederiving import Rederiving
from maw.store.travelling import MoveRow
from maw.store.verifying import verify_database
from tests.conftest import MakeHome
from tests.integration.nodes import UID, Host, all_running, config_of, pair, running, until

KEY: Final = (b"i" * 32, b"k" * 32)


async def as_stream(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def three(old: Host, new: Host, third: Host) -> None:
    """Scout on the old host, neo on the third; all know each other and what to seal for."""
    await old.add("scout")
    await third.add("neo")
    await pair(old, new)
    await pair(old, third)
    hosts = (old, new, third)
    await until(lambda: new.linked(third), "all are linked")
    await until(lambda: all(len(host.node.state.seal_keys) == 3 for host in hosts), "keys are known")
    await knows(third, "scout@old")
    await knows(old, "neo@third")


async def knows(host: Host, address: str) -> None:
    def there() -> bool:
        try:
            return host.node.directory.address(host.node.directory.find_agent(address)) == address
        except NotFound:
            return False

    await until(there, f"{host.node.config.name} knows {address}")


async def offer(old: Host, new: Host, name: str = "scout") -> bytes:
    """Offered, and heard of on the new host. The move."""
    agent = old.node.directory.local(name)
    made = await old.node.migrating.moving.offer(agent, new.node.config.name)
    move = old.node.migrating.moving.find(made["id"])
    await reaches(new, move, "offered")
    return move


async def reaches(host: Host, move: bytes, *steps: str) -> None:
    def there() -> bool:
        row = host.node.state.moves.get(move)
        return row is not None and row.step in steps

    try:
        await until(there, f"{host.node.config.name}: the move is {steps}")
    except AssertionError as error:
        raise AssertionError(f"{error}; it is {host.node.migrating.moving.listing()}") from None


async def accept(old: Host, new: Host, move: bytes) -> None:
    await new.node.migrating.moving.accept(move, UID, None)
    await reaches(old, move, "accepted")


async def move_over(old: Host, new: Host, name: str = "scout", home: bytes | None = None) -> bytes:
    """All of it, with the consent of the new host."""
    move = await offer(old, new, name)
    await accept(old, new, move)
    stream = None if home is None else as_stream(home)
    await old.node.migrating.moving.hand_over(move, None, stream)
    await reaches(new, move, HOME)
    return move


async def ack(host: Host, name: str, text: str) -> None:
    (ref,) = [item["id"] for item in await host.inbox(name) if item["text"] == text]
    await host.service.ack(await host.as_(name), [ref])


async def has(host: Host, texts: list[str]) -> None:
    """Waits until scout's inbox holds these, each once: what had to be lent comes when it can be opened."""
    async with asyncio.timeout(30):
        while len(await host.texts("scout")) < len(texts):
            await asyncio.sleep(0.01)
    assert sorted(await host.texts("scout")) == sorted(texts)


async def reads(host: Host, name: str, ref: str) -> Json:
    """The message, once this agent can read it."""
    async with asyncio.timeout(30):
        while True:
            with suppress(NotFound):
                return await host.service.message(await host.as_(name), ref)
            await asyncio.sleep(0.01)


async def test_a_move_takes_mailbox_and_cursor_along(make_home: MakeHome) -> None:
    homes = [make_home(name) for name in ("old", "new", "third")]
    async with all_running(*homes) as (old, new, third):
        await three(old, new, third)
        first = await third.send("neo", "scout@old", "read before")
        await third.send("neo", "scout@old", "unread before")
        await third.post("neo", "for @scout and all")
        await has(old, ["read before", "unread before", "for @scout and all"])
        await ack(old, "scout", "read before")
        await move_over(old, new)
        await has(new, ["for @scout and all", "unread before"])
        history = await reads(new, "scout", first["id"])
        assert history["text"] == "read before", "what is done with is read on"
        with pytest.raises(NotFound, match="no agent of this host"):
            await old.as_("scout")
        await knows(third, "scout@new")
        sent = await third.send("neo", "scout@old", "to the old address")
        assert sent["warnings"] == ["scout@old has moved to scout@new"]
        assert [one["agent"] for one in sent["recipients"]] == ["scout@new"]
        await third.post("neo", "@scout@old is named as ever, and @scout")
        here = ["unread before", "for @scout and all", "to the old address"]
        await has(new, [*here, "@scout@old is named as ever, and @scout"])
        await ack(new, "scout", "to the old address")
        receipt = await third.service.wait_reached(sent["id"], 30, "acked")
        assert receipt["state"] == "acked"
        reply = await new.send("scout", "neo", "here I am", reply_to=sent["id"])
        assert reply["message"]["author"] == "scout@new"
        await third.receives("neo", ["here I am"])


async def test_what_senders_say_who_have_not_heard_arrives_once(make_home: MakeHome) -> None:
    """They seal for the old host, which lends the key: the new one opens what they signed."""
    homes = [make_home(name) for name in ("old", "new", "third")]
    async with all_running(*homes) as (old, new, third):
        await three(old, new, third)
        row = third.node.directory.find_agent("scout@old")
        move = await offer(old, new)
        await accept(old, new, move)
        await third.send("neo", "scout@old", "while it is carried")
        await old.node.migrating.moving.hand_over(move, None, None)
        await reaches(new, move, HOME)
        # as an older version, that never hears of moves
        state = third.node.state
        state.travels.drop(old.me, {})
        state.travels.drop(new.me, {})
        state.resettle(row.id)
        row.away = False
        sent = await third.send("neo", "scout@old", "to where it was")
        assert [one["agent"] for one in sent["recipients"]] == ["scout@old"]
        await has(new, ["while it is carried", "to where it was"])
        ids = [one["id"] for one in await new.inbox("scout")]
        assert ids.count(sent["id"]) == 1, "the author's own entry, and no copy"
        assert not old.node.state.local.get("scout")


async def test_a_home_comes_along(make_home: MakeHome, tmp_path: Path) -> None:
    folder = tmp_path / "scout"
    (folder / "memory").mkdir(parents=True)
    (folder / "soul.md").write_text("who it is")
    (folder / "memory" / "log.md").write_text("what happened\n" * 20_000)
    (folder / ".maw").mkdir()
    (folder / ".maw" / "lock").write_text("")
    packed = io.BytesIO()
    assert pack(folder, packed) == 2
    async with all_running(make_home("old"), make_home("new"), make_home("third")) as (old, new, third):
        await three(old, new, third)
        move = await move_over(old, new, home=packed.getvalue())
        file, _ = new.node.migrating.moving.home(move)
        parts = [part async for part in await new.node.uploads.open(file, 0, file.size)]
        assert unpack(io.BytesIO(b"".join(parts)), tmp_path / "there") == 2
        assert (tmp_path / "there" / "memory" / "log.md").read_text() == "what happened\n" * 20_000
        assert not (tmp_path / "there" / ".maw").exists()
        await until(lambda: not old.node.shelf.held, "the old host keeps nothing of it")
        await new.node.migrating.moving.unpacked(move)
        assert not new.node.shelf.held


async def test_on_and_back_again(make_home: MakeHome) -> None:
    async with all_running(make_home("old"), make_home("new"), make_home("third")) as (old, new, third):
        await three(old, new, third)
        await third.send("neo", "scout@old", "one")
        await old.receives("scout", ["one"])
        await move_over(old, new)
        await knows(third, "scout@new")
        await third.send("neo", "scout@new", "two")
        await has(new, ["one", "two"])
        await knows(new, "scout@new")
        await move_over(new, third)
        await third.send("neo", "scout@old", "three")
        await has(third, ["one", "two", "three"])
        await move_over(third, old)
        await knows(third, "scout@old")
        for address in ("scout@new", "scout@third", "scout@old"):
            sent = await third.send("neo", address, f"by {address}")
            assert [one["agent"] for one in sent["recipients"]] == ["scout@old"]
        await old.receives("scout", ["one", "two", "three", "by scout@new", "by scout@third", "by scout@old"])


async def test_nobody_is_moved_against_a_will(make_home: MakeHome) -> None:
    async with all_running(make_home("old"), make_home("new"), make_home("third")) as (old, new, third):
        await three(old, new, third)
        moving = old.node.migrating.moving
        move = await offer(old, new)
        again = await moving.offer(old.node.directory.local("scout"), "new")
        assert moving.find(again["id"]) == move, "asked twice it is one move"
        with pytest.raises(Conflict, match="moving to new already"):
            await moving.offer(old.node.directory.local("scout"), "third")
        with pytest.raises(Conflict, match="offered"):
            await moving.hand_over(move, None, None)
        await new.node.migrating.moving.refuse(move, "no room")
        await reaches(old, move, "refused")
        assert moving.json(old.node.state.moves[move])["why"] == "no room"
        await old.send("scout", "neo", "still here")

        move = await offer(old, new)
        await accept(old, new, move)
        with pytest.raises(Conflict, match="on its way here"):
            await new.add("scout")
        await moving.cancel(move)
        await reaches(new, move, "cancelled")
        await new.add("scout")
        move = await offer(old, new)
        with pytest.raises(Conflict, match="there is an agent called scout"):
            await new.node.migrating.moving.accept(move, UID, None)


async def test_who_does_not_move(make_home: MakeHome) -> None:
    async with all_running(make_home("old"), make_home("new"), make_home("third")) as (old, new, third):
        await three(old, new, third)
        moving = old.node.migrating.moving
        with pytest.raises(Refused, match="a human has a name on each host"):
            await moving.offer(old.node.directory.local("owner"), "new")
        await old.service.add_user(await old.owner(), "helper", "agent", uid=None, of="scout")
        with pytest.raises(Refused, match="it speaks as helper too"):
            await moving.offer(old.node.directory.local("scout"), "new")
        with pytest.raises(Refused, match="it is a role of scout"):
            await moving.offer(old.node.directory.local("helper"), "new")


async def test_the_name_that_moved_away_is_nobody_elses(make_home: MakeHome) -> None:
    async with all_running(make_home("old"), make_home("new"), make_home("third")) as (old, new, third):
        await three(old, new, third)
        await move_over(old, new)
        await knows(old, "scout@new")
        with pytest.raises(Conflict, match="scout@old still reaches scout@new"):
            await old.add("scout")
        await new.service.remove_user(await new.owner(), "scout")
        await until(lambda: not third.node.directory.agents_called("scout", "old"), "it has ended")
        await until(lambda: not old.node.directory.agents_called("scout", "old"), "it has ended")
        await old.add("scout")
        await knows(third, "scout@old")


@pytest.mark.parametrize("last", ["handed", "ready", "moved", "arrived"])
async def test_who_is_ended_at_a_step_goes_on_from_there(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    """Both hosts end when the move has come so far and nobody took the next step."""
    ends = True

    def stops(kind: type[Moving] | type[Arriving]) -> None:
        go_on = kind.go_on

        async def no_further(self: Any, row: MoveRow) -> None:
            if not (ends and row.step == last):
                await go_on(self, row)

        monkeypatch.setattr(kind, "go_on", no_further)

    stops(Moving)
    stops(Arriving)
    old_home, new_home, third_home = (make_home(name) for name in ("old", "new", "third"))
    async with running(third_home) as third:
        async with running(old_home) as old, running(new_home) as new:
            await three(old, new, third)
            await third.send("neo", "scout@old", "done with")
            await third.send("neo", "scout@old", "before")
            await old.receives("scout", ["done with", "before"])
            await ack(old, "scout", "done with")
            move = await offer(old, new)
            await accept(old, new, move)
            await old.node.migrating.moving.hand_over(move, None, None)
            await third.send("neo", "scout@old", "meanwhile")
            side = new if last in ("handed", "arrived") else old
            await reaches(side, move, last)
        ends = False
        async with running(old_home) as old, running(new_home) as new:
            await reaches(new, move, HOME)
            await until(lambda: old.node.state.moves[move].step == "moved", "the old host knows")
            await knows(third, "scout@new")
            await third.send("neo", "scout@old", "after")
            await has(new, ["after", "before", "meanwhile"])


async def test_a_move_goes_on_after_a_restart_of_either(make_home: MakeHome) -> None:
    """Each step is on the disk: whoever comes back goes on with it."""
    old_home, new_home, third_home = (make_home(name) for name in ("old", "new", "third"))
    async with running(third_home) as third:
        async with running(new_home) as new:
            async with running(old_home) as old:
                await three(old, new, third)
                await third.send("neo", "scout@old", "before")
                await old.receives("scout", ["before"])
                move = await offer(old, new)
                await accept(old, new, move)
            await third.send("neo", "scout@old", "while the old host is away")
        async with running(old_home) as old:
            await old.node.migrating.moving.hand_over(move, None, None)
            assert old.node.state.moves[move].step == "handed"
            with pytest.raises(Conflict, match="is moving at this moment"):
                await old.send("scout", "neo", "not now")
        async with running(new_home) as new, running(old_home) as old:
            await reaches(new, move, HOME)
            await new.receives("scout", ["before", "while the old host is away"])
            await knows(third, "scout@new")
        async with running(new_home) as new:
            await has(new, ["before", "while the old host is away"])


# -- what is private --------------------------------------------------------------------------------


async def test_private_channels_go_along(make_home: MakeHome) -> None:
    async with all_running(make_home("old"), make_home("new"), make_home("third")) as (old, new, third):
        await three(old, new, third)
        made = await third.service.add_channel(await third.as_("neo"), "plans", members=["scout@old"])
        room = made["id"]
        await until(lambda: old.node.directory.rooms_of(old.node.directory.local("scout").id), "it is in")
        before = await third.post("neo", "said before, @scout", room)
        await has(old, ["said before, @scout"])
        await move_over(old, new)
        await knows(third, "scout@new")
        await has(new, ["said before, @scout"])
        after = await third.post("neo", "said after, @scout", room)
        await has(new, ["said before, @scout", "said after, @scout"])
        posted = await new.post("scout", "I am here now", room)
        said = await reads(third, "neo", posted["id"])
        assert (said["text"], said["author"]) == ("I am here now", "scout@new")
        for one in (before, after):
            assert (await reads(new, "scout", one["id"]))["text"] == one["message"]["text"]
        with pytest.raises(NotFound):
            await new.service.message(await new.owner(), before["id"])


async def test_what_it_said_and_read_stays_readable(make_home: MakeHome) -> None:
    """Both sides of a sealed talk, and an edit that comes by way of the old host."""
    async with all_running(make_home("old"), make_home("new"), make_home("third")) as (old, new, third):
        await three(old, new, third)
        mine = await old.send("scout", "neo@third", "a question")
        await third.receives("neo", ["a question"])
        answer = await third.send("neo", "scout@old", "an anser", reply_to=mine["id"])
        await has(old, ["an anser"])
        await move_over(old, new)
        await knows(third, "scout@new")
        scout = await new.as_("scout")
        assert (await reads(new, "scout", mine["id"]))["text"] == "a question"
        await third.service.edit(await third.as_("neo"), answer["id"], "an answer", idempotency_key=None)

        await reads(new, "scout", answer["id"])

        async def edited() -> bool:
            return bool((await new.service.message(scout, answer["id"]))["text"] == "an answer")

        async with asyncio.timeout(30):
            while not await edited():
                await asyncio.sleep(0.01)
        reply = await new.send("scout", "neo@third", "thank you", reply_to=answer["id"])
        assert reply["message"]["reply_to"] == answer["id"]


async def test_a_redacted_message_leaves_no_key(make_home: MakeHome) -> None:
    async with all_running(make_home("old"), make_home("new"), make_home("third")) as (old, new, third):
        await three(old, new, third)
        sent = await third.send("neo", "scout@old", "to be forgotten")
        await has(old, ["to be forgotten"])
        await move_over(old, new)
        await has(new, ["to be forgotten"])
        await third.service.redact(await third.as_("neo"), [sent["id"]], None)
        for host in (old, new):
            async with asyncio.timeout(30):
                while await host.node.db.rows(
                    "SELECT place FROM opened UNION SELECT epoch FROM borrowed", ()
                ):
                    await asyncio.sleep(0.01)


# -- damage and loss --------------------------------------------------------------------------------


async def test_a_lost_database_of_either_host_knows_where_the_agent_lives(make_home: MakeHome) -> None:
    """Both logs come back from the others, in whatever order."""
    old_home, new_home, third_home = (make_home(name) for name in ("old", "new", "third"))
    async with running(third_home) as third:
        async with running(old_home) as old, running(new_home) as new:
            await three(old, new, third)
            await move_over(old, new)
            await knows(third, "scout@new")
            await new.send("scout", "neo@third", "here")
            await third.receives("neo", ["here"])
        for home in (old_home, new_home):
            for path in home.path.glob("colony.db*"):
                path.unlink()
        async with running(old_home) as old, running(new_home) as new:
            await until(lambda: "scout" in new.node.state.local, "it is the new host's")
            await knows(old, "scout@new")
            await until(lambda: not old.node.authoring.recovering, "its log is back")
            assert "scout" not in old.node.state.local
            await knows(third, "scout@new")
            await third.send("neo", "scout@old", "after the loss")
            await until(lambda: new.node.state.mail, "it came")
            await has(new, ["after the loss"])


async def test_what_is_made_again_from_the_entries_is_the_same(make_home: MakeHome) -> None:
    homes = [make_home(name) for name in ("old", "new", "third")]
    async with all_running(*homes) as (old, new, third):
        await three(old, new, third)
        await third.send("neo", "scout@old", "hello")
        await has(old, ["hello"])
        await move_over(old, new)
        await has(new, ["hello"])
        keys = [host.me for host in (old, new, third)]
    for home, me in zip(homes, keys, strict=True):
        with closing(sqlite3.connect(home.database)) as conn:
            assert verify_database(conn, me=me).findings == []
            before = conn.execute("SELECT * FROM travels ORDER BY 1, 2, 3, 4").fetchall()
            mail = conn.execute("SELECT agent, seq FROM mailbox ORDER BY 1, 2").fetchall()
            owned = conn.execute("SELECT agent FROM local_agents ORDER BY 1").fetchall()
            conn.execute("DELETE FROM travels")
            conn.execute("DELETE FROM mailbox")
            conn.execute("DELETE FROM local_agents")
            Rederiving(conn, me, torn=("travels", "mailbox", "local_agents")).run([])
            assert conn.execute("SELECT * FROM travels ORDER BY 1, 2, 3, 4").fetchall() == before
            assert conn.execute("SELECT agent, seq FROM mailbox ORDER BY 1, 2").fetchall() == mail
            assert conn.execute("SELECT agent FROM local_agents ORDER BY 1").fetchall() == owned


# -- old addresses ----------------------------------------------------------------------------------


async def test_an_old_address_that_means_two_is_refused(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older maw on the old host gives the name again: who is meant is asked, and not guessed."""
    async with all_running(make_home("old"), make_home("new"), make_home("third")) as (old, new, third):
        await three(old, new, third)
        await move_over(old, new)
        await knows(third, "scout@new")
        monkeypatch.setattr(People, "_check_unused", lambda self, name: None)
        await old.add("scout")
        await until(lambda: len(third.node.directory.agents_called("scout")) == 2, "both are known")
        with pytest.raises(Ambiguous) as asked:
            await third.send("neo", "scout@old", "which one?")
        assert asked.value.candidates == ("scout@new", "scout@old")
        posted = await third.post("neo", "@scout@old is who is there now")
        await has(old, ["@scout@old is who is there now"])
        await reads(new, "scout", posted["id"])
        assert await new.texts("scout") == []


async def test_mentions_of_the_old_address_are_found(make_home: MakeHome) -> None:
    async with all_running(make_home("old"), make_home("new"), make_home("third")) as (old, new, third):
        await three(old, new, third)
        await third.post("neo", "@scout@old before")
        await has(old, ["@scout@old before"])
        await move_over(old, new)
        await knows(third, "scout@new")
        posted = await third.post("neo", "@scout@old after")
        assert "scout@old has moved to scout@new" in posted["warnings"]
        assert [one["agent"] for one in posted["recipients"]] == ["scout@new"]
        await has(new, ["@scout@old before", "@scout@old after"])
        for address in ("scout@new", "scout@old"):
            page = await third.service.mentions_page(await third.as_("neo"), address, after_seq=None, limit=9)
            assert [one["text"] for one in page.items] == ["@scout@old before", "@scout@old after"]


async def test_a_mailbox_that_is_lost_before_it_is_in_place_is_given_again(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new host's disk was put back to before the files of the move: its agent is not held for ever."""
    monkeypatch.setattr(arriving, "TRIES", 1)
    go_on = Arriving.go_on
    ends = True

    async def no_further(self: Any, row: MoveRow) -> None:
        if not (ends and row.step == "arrived"):
            await go_on(self, row)

    monkeypatch.setattr(Arriving, "go_on", no_further)
    async with all_running(make_home("old"), make_home("new"), make_home("third")) as (old, new, third):
        await three(old, new, third)
        await third.post("neo", "@scout hello")
        await has(old, ["@scout hello"])
        move = await offer(old, new)
        await accept(old, new, move)
        await old.node.migrating.moving.hand_over(move, None, None)
        await reaches(new, move, "arrived")
        with pytest.raises(Conflict, match="is moving at this moment"):
            await new.send("scout", "neo@third", "not yet")
        await until(lambda: not old.node.shelf.held, "the old host keeps nothing")
        await new.node.shelf.drop(next(iter(new.node.shelf.held)))
        ends = False
        new.node.migrating.moving.stirred.set()
        await reaches(new, move, HOME)
        await has(new, ["@scout hello"])
        assert (await new.alert("move_mail"))["subject"] == "scout"


async def test_a_key_that_opens_nothing_is_none(make_home: MakeHome) -> None:
    """Whoever had an agent once lends what he likes: it shows nothing, hides nothing, and sets nothing aside."""
    async with all_running(make_home("old"), make_home("new"), make_home("third")) as (old, new, third):
        await three(old, new, third)
        await move_over(old, new)
        await knows(third, "scout@new")
        sent = await third.send("neo", "owner@old", "for the owner alone")
        position = third.node.directory.position(sent["id"])
        await until(
            lambda: new.node.state.head(position.author, position.epoch).seq >= position.seq, "it is there"
        )
        sql = "SELECT header, signature FROM entries WHERE place = ?"
        place = new.node.state.logs[position.author, position.epoch].place(position.seq)
        async with asyncio.timeout(30):
            while not (rows := await new.node.db.rows(sql, (place,))):
                await asyncio.sleep(0.01)
        agent = bytes(new.node.directory.local("scout").id)
        lent = Lent(
            agent,
            (
                Loan(position, decode(*rows[0]).id, b"k" * 32),
                Loan(position._replace(seq=9999), b"i" * 32, b"k" * 32),
            ),
        )
        content, _ = old.node.sealing.seal(Kind.LENT, lent.content(), {new.me}, itself=False)
        await old.node.authoring.say(Kind.LENT, content)
        await until(lambda: list(new.node.state.borrowed) == [position._replace(seq=9999)], "it was tried")
        assert not await new.node.db.rows("SELECT 1 FROM set_aside", ())
        await third.send("neo", "scout@new", "all is well")
        await has(new, ["all is well"])


async def test_keys_of_what_is_not_here_are_bounded_and_hold_nobody_up(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come in steps between which others write, and one lender uses up nobody else's."""
    monkeypatch.setattr(sealed, "MAX_BORROWED", 10)
    steps = []
    honest = handing.gather

    async def lying(conn: Any, state: Any, me: Any, agent: Any) -> Handover:
        found = await honest(conn, state, me, agent)
        at = found.heads[0]
        unreal = tuple(Loan(at._replace(seq=at.seq + n), *KEY) for n in range(1, 2001))
        return found._replace(keys=(*found.keys, *unreal))

    async def noted(self: Arriving, work: Any) -> None:
        steps.append(work)
        await step(self, work)

    step = Arriving._step
    monkeypatch.setattr(moving, "gather", lying)
    monkeypatch.setattr(Arriving, "_step", noted)
    async with all_running(make_home("old"), make_home("new"), make_home("third")) as (old, new, third):
        await three(old, new, third)
        await third.send("neo", "scout@old", "before")
        await has(old, ["before"])
        await move_over(old, new)
        await has(new, ["before"])
        assert len(steps) >= 2000 // handing.PAGE, "no commit has more than a page of them"
        state = new.node.state
        assert len(state.borrowed) == 10 == len(await new.node.db.rows("SELECT 1 FROM borrowed", ()))
        fold = SimpleNamespace(state=state)
        assert sealed.room_of(fold, old.me) == 0 and sealed.room_of(fold, third.me) == 10  # type: ignore[arg-type]
        lent = Lent(bytes(new.node.directory.local("scout").id), (Loan(Position(old.me, 0, 9999), *KEY),))
        content, _ = old.node.sealing.seal(Kind.LENT, lent.content(), {new.me}, itself=False)
        await old.node.authoring.say(Kind.LENT, content)
        async with asyncio.timeout(30):
            while not await new.node.db.rows("SELECT 1 FROM set_aside", ()):
                await asyncio.sleep(0.01)
        assert len(state.borrowed) == 10


async def test_who_may_say_what_of_a_move(make_home: MakeHome) -> None:
    async with all_running(make_home("old"), make_home("new"), make_home("third")) as (old, new, third):
        await three(old, new, third)
        owner = await old.owner()
        stranger = replace(owner, uid=12345, is_admin=False, agent=None, agent_key=None)
        with pytest.raises(Refused, match="belongs to another user"):
            await old.service.offer_move(stranger, "scout", "new")
        made = await old.service.offer_move(owner, "scout", "new")
        with pytest.raises(Refused, match="belongs to another user"):
            await old.service.decide_move(stranger, made["id"], "cancel", uid=None, home=None, why="")
        assert await old.service.moves(stranger) == []
        assert [one["id"] for one in await old.service.moves(owner)] == [made["id"]]
        await until(lambda: new.node.state.moves, "the offer is there")
        with pytest.raises(Refused, match="who administers it"):
            await new.service.decide_move(stranger, "scout", "accept", uid=None, home=None, why="")
        with pytest.raises(BadInput, match="say who is speaking"):
            nobody = await new.service.speaker_for_uid(UID, None)
            await new.service.decide_move(nobody, "scout", "accept", uid=None, home=None, why="")
        assert (await new.alert("move"))["text"].startswith("old offers the agent scout")
        await new.service.decide_move(await new.owner(), "scout", "refuse", uid=None, home=None, why="full")
        assert ("move", made["id"]) not in await new.alerts()
        with pytest.raises(Conflict, match="the move of scout was refused: full"):
            await new.service.decide_move(await new.owner(), "scout", "accept", uid=None, home=None, why="")


async def test_an_alert_ends_with_what_it_asks_also_over_a_kill(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon that was told so is killed before it noted it: the next one finds it."""
    new_home = make_home("new")
    async with running(make_home("old")) as old:
        async with running(new_home) as new:
            await old.add("scout")
            await pair(old, new)
            await until(lambda: len(old.node.state.seal_keys) == 2, "it can seal for the other")
            move = await offer(old, new)
            await new.alert("move")
            monkeypatch.setattr(new.node.migrating.moving, "_settle", lambda kind, subject: None)
            await accept(old, new, move)
        async with running(new_home) as new:
            async with asyncio.timeout(30):
                while any(kind == "move" for kind, _ in await new.alerts()):
                    await asyncio.sleep(0.01)


async def test_what_it_cannot_do_from_there_is_told_before(make_home: MakeHome) -> None:
    """And when it was made is as it was."""
    async with all_running(make_home("old"), make_home("new"), make_home("third")) as (old, new, third):
        await three(old, new, third)
        scout = await old.as_("scout")
        await old.service.add_channel(scout, "plans", members=["neo@third"])
        born = old.node.directory.born_at(old.node.directory.local("scout"))
        made = await old.service.offer_move(await old.owner(), "scout", "new")
        assert made["warnings"] == [
            "scout made #plans: only here can it say who is in there, so once it has moved that stays as it is"
        ]
        move = old.node.migrating.moving.find(made["id"])
        await reaches(new, move, "offered")
        await accept(old, new, move)
        await old.node.migrating.moving.hand_over(move, None, None)
        await reaches(new, move, HOME)
        for host in (new, third):
            await knows(host, "scout@new")
            there = host.node.directory.find_agent("scout@new")
            assert there.created > host.node.directory.born_at(there)
        assert new.node.directory.born_at(new.node.directory.local("scout")) == born


async def test_a_host_that_is_trusted_with_it_is_not_asked_about(make_home: MakeHome) -> None:
    """[moves] accept_from: taken in at once, or refused with the reason; others are asked about."""
    old_home, new_home, third_home = (make_home(name) for name in ("old", "new", "third"))
    open_to_old = replace(config_of(new_home), moves=MovesConfig(("old",)))
    async with (
        running(old_home) as old,
        running(new_home, config=open_to_old) as new,
        running(third_home) as third,
    ):
        await three(old, new, third)
        await new.add("taken")
        await old.add("taken")
        moving = old.node.migrating.moving
        made = await moving.offer(old.node.directory.local("scout"), "new")
        await reaches(old, moving.find(made["id"]), "accepted")
        made = await moving.offer(old.node.directory.local("taken"), "new")
        await reaches(old, moving.find(made["id"]), "refused")
        assert "an agent called taken" in str(
            moving.json(old.node.state.moves[moving.find(made["id"])])["why"]
        )
        asked = await third.node.migrating.moving.offer(third.node.directory.local("neo"), "new")
        await reaches(new, third.node.migrating.moving.find(asked["id"]), "offered")
        assert (await new.alert("move"))["text"].startswith("third offers the agent neo")
