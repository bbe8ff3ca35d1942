"""Pairing over real sockets: every way it can go, either side dying at every step, and trust ended again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maw.api.service import reload_peers
from maw.core.identity import key_text
from maw.core.pairing import encode_line, parse_line
from maw.errors import BadConfig, BadInput, Conflict, LinkClosed, MawError, NotFound, Refused, Unavailable
from maw.node import joiner as joiner_module
from tests.conftest import MakeHome
from tests.integration.nodes import (
    NOWHERE,
    Host,
    acquainted,
    all_running,
    config_of,
    pair,
    running,
    until,
)


@pytest.fixture
def quick_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A join that was cut off is tried again at once."""
    monkeypatch.setattr(joiner_module, "RETRY_S", 0.05)


def colony(host: Host) -> bytes:
    return host.node.membership.book.colony


def trusts(one: Host, other: Host) -> bool:
    return other.me in one.node.membership.book.trusted


async def joins(host: Host) -> int:
    return int((await host.node.db.rows("SELECT count(*) FROM joins"))[0][0])


async def until_no_join(host: Host) -> None:
    async with asyncio.timeout(5):
        while await joins(host):
            await asyncio.sleep(0.01)


async def test_pairing_makes_two_nodes_of_one_colony(make_home: MakeHome) -> None:
    async with all_running(make_home("a"), make_home("b")) as (a, b):
        before = colony(a)
        await pair(a, b)
        assert colony(a) == colony(b) == before
        assert ((await a.peer(b))["how"], (await b.peer(a))["how"]) == ("invited", "joined")
        assert ((await a.peer(b))["state"], (await b.peer(a))["state"]) == ("linked", "linked")
        assert (await a.peer(b))["vouched_by"] == ["a"]
        assert await joins(b) == 0


async def test_what_was_said_alone_comes_along(make_home: MakeHome) -> None:
    homes = make_home("a"), make_home("b")
    async with all_running(*homes) as (a, b):
        await a.add("arthur")
        await b.add("neo")
        alone = [await b.post("neo", f"alone {n}") for n in range(3)]
        reply = await b.post("neo", "answer", reply_to=alone[0]["id"])
        await b.post("neo", "is @arthur there?")
        await pair(a, b)
        await a.receives("arthur", ["is @arthur there?"])
        assert await a.channel() == await b.channel()
        assert [await b.channel()] == [["alone 0", "alone 1", "alone 2", "answer", "is @arthur there?"]]
        page = await b.service.channel_page(
            await b.owner(), "general", after_seq=None, before_seq=None, limit=9
        )
        assert [item["seq"] for item in page.items[:3]] == [item["seq"] for item in alone], "cursors hold"
        first, answer = page.items[0], page.items[3]
        assert first["id"] != alone[0]["id"]
        assert answer["reply_to"] == first["id"]
        assert answer["seq"] == reply["seq"]
        await b.post("neo", "afterwards")
        await until(lambda: a.held() == b.held(), "the same on both")
    async with all_running(*homes) as (a, b):
        assert await b.channel() == await a.channel()
        assert len(await a.channel()) == 6
        assert not await b.alerts()


async def test_posts_in_the_middle_of_joining_are_all_there(make_home: MakeHome) -> None:
    """A post and the joiner's commit may meet in one transaction."""
    async with all_running(make_home("a"), make_home("b")) as (a, b):
        await b.add("neo")
        line = await a.invite()
        stop = asyncio.Event()
        accepted: list[str] = []

        async def talk(who: int) -> None:
            n = 0
            while not stop.is_set():
                text = f"{who}.{n}"
                await b.post("neo", text)
                accepted.append(text)
                n += 1

        async with asyncio.TaskGroup() as tasks:
            for who in range(8):
                tasks.create_task(talk(who))
            await until(lambda: len(accepted) > 100, "it talks")
            await b.join(line)
            await until(lambda: a.linked(b), "linked")
            at = len(accepted)
            await until(lambda: len(accepted) > at + 50, "it goes on talking")
            stop.set()
        await until(lambda: a.held() == b.held(), "the same on both")
        page = await a.service.stream_page(await a.owner(), after_seq=0, channel=None, user=None, limit=500)
        seen = [item["text"] for item in page.items]
        while page.items:
            page = await a.service.stream_page(
                await a.owner(), after_seq=page.next_seq, channel=None, user=None, limit=500
            )
            seen += [item["text"] for item in page.items]
        assert sorted(seen) == sorted(accepted)


async def test_an_invite_of_ones_own(make_home: MakeHome) -> None:
    async with running(make_home("a")) as a:
        with pytest.raises(Refused) as no:
            await a.join(await a.invite())
        assert no.value.code == "own_invite"


async def test_mistyped(make_home: MakeHome) -> None:
    async with all_running(make_home("a"), make_home("b")) as (a, b):
        line = await a.invite()
        for wrong in (line[:-3], line[:30] + ("x" if line[30] != "x" else "y") + line[31:], "hello", ""):
            with pytest.raises(BadInput):
                await b.join(wrong)
        assert await joins(b) == 0
        assert not a.linked(b)


async def test_expired(make_home: MakeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    async with all_running(make_home("a"), make_home("b")) as (a, b):
        line = await a.invite(ttl_s=1)
        await until(lambda: __import__("time").time() > parse_line(line).expires_at + 1, "it expires", 5)
        with pytest.raises(Refused) as no:
            await b.join(line)
        assert no.value.code == "expired"
        # a joiner whose clock lags does not know: the inviter says it
        for module in ("maw.node.joiner", "maw.net.joining"):
            monkeypatch.setattr(f"{module}.check_line", lambda *_: None)
        with pytest.raises(Refused) as no:
            await b.join(line)
        assert no.value.code == "expired"
        assert colony(a) != colony(b)
        assert await joins(b) == 0


async def test_used_by_another_and_the_owner_hears_of_it(make_home: MakeHome) -> None:
    async with all_running(make_home("a"), make_home("b"), make_home("c")) as (a, b, c):
        line = await a.invite()
        await b.join(line)
        with pytest.raises(Refused) as no:
            await c.join(line)
        assert no.value.code == "used"
        assert "b" in no.value.message
        assert "used by" in (await a.alert("invite"))["text"]
        assert colony(c) != colony(a)
        assert not trusts(a, c)
        assert not trusts(c, a)


async def test_the_same_key_again_changes_nothing(make_home: MakeHome) -> None:
    async with all_running(make_home("a"), make_home("b")) as (a, b):
        line = await a.invite()
        first = await b.join(line)
        await until(lambda: a.linked(b), "linked")
        again = await b.join(line)
        assert {**again, "state": ""} == {**first, "state": ""}
        assert await joins(b) == 0
        assert len(a.node.membership.book.trusted) == len(b.node.membership.book.trusted) == 1


async def test_several_uses(make_home: MakeHome) -> None:
    async with all_running(*(make_home(name) for name in "abcd")) as (a, b, c, d):
        line = await a.invite(uses=2)
        await b.join(line)
        await c.join(line)
        with pytest.raises(Refused, match="used by"):
            await d.join(line)


async def test_for_one_key(make_home: MakeHome) -> None:
    async with all_running(*(make_home(name) for name in "abc")) as (a, b, c):
        line = await a.invite(for_key=key_text(c.me))
        with pytest.raises(Refused) as no:
            await b.join(line)
        assert no.value.code == "not_for_you"
        await c.join(line)
        await until(lambda: a.linked(c), "linked")


async def test_confirmed_by_the_owner(make_home: MakeHome) -> None:
    async with all_running(make_home("a"), make_home("b")) as (a, b):
        line = await a.invite(confirm=True)
        with pytest.raises(Refused) as no:
            await b.join(line)
        assert no.value.code == "unconfirmed"
        assert key_text(b.me) in (await a.alert("invite"))["text"]
        assert not trusts(a, b)
        told = await a.service.accept_peer(await a.owner(), key_text(b.me))
        assert told["state"] == "confirmed"
        assert (await b.join(line))["state"] == "linked"


async def test_unreachable_leaves_nothing_and_the_line_still_works(make_home: MakeHome) -> None:
    home = make_home("a")
    async with running(make_home("b")) as b:
        async with running(home) as a:
            line = await a.invite()
        before = colony(b)
        with pytest.raises(Unavailable) as no:
            await b.join(line)
        assert no.value.code == "unreachable"
        assert colony(b) == before
        assert await joins(b) == 0
        async with running(home) as a:
            assert (await b.join(line))["state"] == "linked"


async def test_a_node_that_has_linked_joins_no_other_colony(make_home: MakeHome) -> None:
    async with all_running(*(make_home(name) for name in "abc")) as (a, b, c):
        await pair(a, b)
        for linked in (a, b):
            before = colony(linked)
            with pytest.raises(Refused) as no:
                await linked.join(await c.invite())
            assert (no.value.code, no.value.exit_code) == ("already_in_a_colony", 6)
            assert colony(linked) == before
        assert a.linked(b)
        assert not trusts(c, a)


async def test_who_invited_belongs_to_its_colony_even_before_the_link(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its Colony has a member now, who would be left behind."""
    async with all_running(*(make_home(name) for name in "abc")) as (a, b, c):
        line = await a.invite()

        async def never(_: object) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(a.node.mesh._listener, "_serve", never)
        monkeypatch.setattr(a.node.mesh._redialler, "_serve", never)
        await b.node.joiner.join(line)
        with pytest.raises(Refused) as no:
            await a.join(await c.invite())
        assert no.value.code == "already_in_a_colony"


async def test_a_third_host_links_with_the_second_by_itself(make_home: MakeHome) -> None:
    async with all_running(*(make_home(name) for name in "abc")) as (a, b, c):
        for host, name in ((a, "arthur"), (b, "ben"), (c, "cleo")):
            await host.add(name)
        await pair(a, b)
        await pair(a, c)
        await until(lambda: b.linked(c) and c.linked(b), "the second and the third are linked")
        assert (await b.peer(c))["how"] == (await c.peer(b))["how"] == "admitted"
        assert (await b.peer(c))["vouched_by"] == ["a"]
        await acquainted(b, c)
        await b.send("ben", "cleo", "hello third")
        await c.receives("cleo", ["hello third"])


async def test_whom_a_newcomer_invites_is_pending_elsewhere_until_accepted(make_home: MakeHome) -> None:
    async with all_running(*(make_home(name) for name in "abc")) as (a, b, c):
        await c.add("cleo")
        await pair(a, b)
        await pair(b, c)
        await until(lambda: c.me in a.node.membership.book.pending, "c is pending at a")
        assert (await a.peer(c))["state"] == "pending"
        assert (await a.peer(c))["vouched_by"] == ["b"]
        assert not a.linked(c)
        await a.service.accept_peer(await a.owner(), "c")
        await until(lambda: a.linked(c), "linked once accepted")
        assert (await a.peer(c))["how"] == "accepted"
        with pytest.raises(Conflict, match="c is trusted here already"):
            await a.service.accept_peer(await a.owner(), "c")


async def test_whom_an_introducer_invites_is_known_everywhere(make_home: MakeHome) -> None:
    async with all_running(*(make_home(name) for name in "abc")) as (a, b, c):
        await pair(a, b, introducer=True)
        await pair(b, c)
        await until(lambda: a.linked(c), "a links with whom its introducer admitted")


# -- either side dies at every step --------------------------------------------------------------------


def dying(method: Any, when: str, dead: asyncio.Event) -> Callable[..., Any]:
    """``method``, whose host dies before or behind it: once, as far as the other side can see."""

    async def stand_in(*args: Any) -> Any:
        if when == "before":
            dead.set()
            raise LinkClosed("the power went out")
        result = await method(*args)
        dead.set()
        raise LinkClosed(f"the power went out, {type(result)}")

    return stand_in


@pytest.mark.parametrize("when", ["before", "behind"])
@pytest.mark.parametrize("step", ["begin", "claim", "welcomed", "complete", "finished"])
@pytest.mark.parametrize("late", [False, True], ids=["in time", "when the line has expired"])
async def test_a_side_that_dies_completes_by_itself(
    make_home: MakeHome, quick_retry: None, monkeypatch: pytest.MonkeyPatch, step: str, when: str, late: bool
) -> None:
    a_home, b_home = make_home("a"), make_home("b")
    a_dies = step in ("claim", "complete")
    dead = asyncio.Event()
    line = ""
    async with running(a_home) as a:
        await a.add("arthur")
        line = await a.invite()

    def break_it(host: Host) -> None:
        desk = host.node.inviting if a_dies else host.node.joiner._desk
        monkeypatch.setattr(desk, step, dying(getattr(desk, step), when, dead))

    async with (
        running(a_home, before=break_it if a_dies else None) as a,
        running(b_home, before=None if a_dies else break_it) as b,
    ):
        await b.add("neo")
        await b.post("neo", "said alone")
        with pytest.raises(MawError):
            await b.join(line)
        assert dead.is_set()
    if late:
        past = parse_line(line).expires_at + 60.0
        monkeypatch.setattr("time.time", lambda at=past: at)
    async with all_running(a_home, b_home) as (a, b):
        if not await joins(b) and colony(a) != colony(b):
            assert not trusts(b, a), "all or nothing"
            assert await b.channel() == ["said alone"]
            if not late:
                await b.join(line)
        if not late or colony(a) == colony(b):
            await until(lambda: a.linked(b) and b.linked(a), "it completed by itself")
            await until(lambda: a.held() == b.held(), "the same on both")
            assert await a.channel() == ["said alone"]
            await until_no_join(b)
            assert len(await b.node.db.rows("SELECT * FROM pins")) == 1


async def test_a_join_cut_off_waits_for_the_other_side_as_long_as_it_takes(
    make_home: MakeHome, quick_retry: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The inviter died before its last commit and stays away for a while: one failed retry is no reason."""
    a_home, b_home = make_home("a"), make_home("b")
    async with running(b_home) as b:
        async with running(a_home) as a:
            line = await a.invite()
            dead = asyncio.Event()
            monkeypatch.setattr(a.node.inviting, "complete", dying(None, "before", dead))
            with pytest.raises(MawError):
                await b.join(line)
        assert await joins(b) == 1
        tries: list[str] = []
        again = b.node.joiner._again

        async def counted(line: Any, at: int) -> None:
            tries.append("")
            await again(line, at)

        monkeypatch.setattr(b.node.joiner, "_again", counted)
        await until(lambda: len(tries) >= 3, "it is tried again and again")
        assert await joins(b) == 1
        async with running(a_home) as a:
            await until(lambda: a.linked(b), "it completed by itself")
            await until_no_join(b)


# -- trust ended, trust by hand --------------------------------------------------------------------------


async def test_forget_ends_trust_and_link_at_once_and_for_good(make_home: MakeHome) -> None:
    homes = [make_home(name) for name in "abc"]
    async with all_running(*homes) as (a, b, c):
        for host, name in ((a, "arthur"), (b, "ben"), (c, "cleo")):
            await host.add(name)
        await pair(a, b)
        await pair(a, c)
        await until(lambda: b.linked(c) and c.linked(b), "all are linked")
        await acquainted(b, c)
        await b.service.forget_peer(await b.owner(), "c")
        await until(lambda: not b.linked(c) and not c.linked(b), "the link ended at once")
        assert (await b.peer(c))["state"] == "forgotten"
        await c.post("cleo", "b hears nothing of this")
        await until(lambda: a.held().get((c.me, max(e for n, e in a.held() if n == c.me))), "a heard")
        with pytest.raises(NotFound):
            await b.send("ben", "cleo", "gone")
        # admitted anew by a: gossip does not bring it back
        again = a.node.membership.admit_statement(c.me, "c", (), False)
        await a.node.membership.keep([again])
        await until(lambda: again.id in b.node.membership.book.statements(), "the admit reached b")
        assert not trusts(b, c)
    async with all_running(*homes) as (a, b, c):
        await until(lambda: a.linked(b) and a.linked(c), "up again")
        assert not trusts(b, c)
        assert not b.linked(c)
        assert await b.channel() == []
        joined = await b.join(await c.invite())
        assert joined["state"] == "linked", "a new local invite lifts it"
        async with asyncio.timeout(30):  # what was missed comes
            while await b.channel() != ["b hears nothing of this"]:
                await asyncio.sleep(0.02)


def write_peers(path: Path, *peers: tuple[str, str, str]) -> None:
    text = "".join(
        f'[[peer]]\nname = "{name}"\nkey = "{key}"\naddresses = ["{where}"]\n' for name, key, where in peers
    )
    path.write_text(text)


async def test_peers_by_hand(make_home: MakeHome) -> None:
    """As with WireGuard: keys copied both ways. The two have one Colony because one joined it before."""
    a_home, b_home = make_home("a"), make_home("b")
    async with all_running(a_home, b_home) as (a, b):
        await pair(a, b)
        for one, other in ((a, b), (b, a)):
            address = one.node.mesh.addresses()[0]
            await one.service.forget_peer(await one.owner(), key_text(other.me))
            assert address
        await until(lambda: not a.linked(b), "forgotten")
        write_peers(a_home.peers, ("b", key_text(b.me), b.node.mesh.addresses()[0]))
        told = await reload_peers(a.node)
        assert told["peers"] == 1
        assert not trusts(a, b), "what was forgotten here overrides peers.toml"


async def test_peers_toml_is_taken_without_a_restart_and_a_broken_one_is_refused(make_home: MakeHome) -> None:
    a_home, b_home, c_home = (make_home(name) for name in "abc")
    async with all_running(a_home, b_home, c_home) as (a, b, c):
        await pair(a, b)
        await pair(b, c)
        await until(lambda: c.me in a.node.membership.book.pending, "c is pending at a")
        write_peers(a_home.peers, ("c", key_text(c.me), c.node.mesh.addresses()[0]))
        write_peers(c_home.peers, ("a", key_text(a.me), a.node.mesh.addresses()[0]))
        for host in (a, c):
            await host.service.reload_peers(await host.owner())
        await until(lambda: a.linked(c) and c.linked(a), "trusted by hand")
        assert (await a.peer(c))["how"] == "peers.toml"
        a_home.peers.write_text('[[peer]]\nname = "c"\nkey = "mk1nonsense"\n')
        with pytest.raises(BadConfig) as no:
            await a.service.reload_peers(await a.owner())
        assert "peers.toml" in no.value.message
        assert a.linked(c), "the old peers stay"
        a_home.peers.write_text("")
        told = await a.service.reload_peers(await a.owner())
        assert told["removed"] == 1
        await until(lambda: not a.linked(c), "gone from the file: the link ends")


async def test_an_invite_needs_an_address(make_home: MakeHome) -> None:
    async with running(make_home("a")) as a:
        a.node.inviting._addresses = lambda: ()
        with pytest.raises(MawError) as no:
            await a.invite()
        assert no.value.code == "no_address"


async def test_invites_name_what_the_owner_advertises(make_home: MakeHome) -> None:
    home = make_home("a")
    async with running(home, config=config_of(home, advertise=NOWHERE)) as a:
        assert parse_line(await a.invite()).addresses == (NOWHERE,)


async def test_a_line_of_another_colony_is_refused_at_the_door(make_home: MakeHome) -> None:
    """A line forged from two: the right node and secret, another Colony."""
    async with all_running(*(make_home(name) for name in "abc")) as (a, b, c):
        line = parse_line(await a.invite())
        from dataclasses import replace

        with pytest.raises(MawError):
            await b.join(encode_line(replace(line, colony=colony(c))))
        assert colony(b) not in (colony(a), colony(c))
        assert await joins(b) == 0
