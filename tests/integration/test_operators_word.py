"""Freezes, thaws and revocations between real nodes: what holds where, at once, after a restart, on return."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import msgpack
import pytest

from maw.core.authority import FREEZING, OPERATOR, RIGHTS, grant_statement
from maw.core.entry import decode
from maw.core.freezing import ALL, CHANNEL, NODE, Target, freeze_statement, thaw_statement
from maw.core.identity import Signer, digest, key_text
from maw.core.revocation import revocation_statement
from maw.core.statement import Statement, sign_statement
from maw.errors import BadInput, Conflict, MawError, Refused
from maw.node.home import NodeHome
from tests.conftest import MakeHome
from tests.integration.nodes import Host, running, until
from tests.integration.operators import founder, now, say, two_hosts


@pytest.fixture
async def two(make_home: MakeHome) -> AsyncIterator[tuple[Host, Host, Signer]]:
    """``mbp`` with arthur invited ``oracle`` with neo; and the operator key of their Colony."""
    async with two_hosts(make_home, "neo") as hosts:
        yield hosts


async def test_the_frozen_are_refused_and_reading_goes_on(two: tuple[Host, Host, Signer]) -> None:
    mbp, oracle, key = two
    await oracle.post("neo", "before")
    colony = mbp.node.membership.book.colony
    stop = freeze_statement(
        key, colony, Target(CHANNEL, channel="general", name="#general"), "too loud", now()
    )
    await say(mbp, stop, oracle)
    with pytest.raises(Refused) as refused:
        await oracle.post("neo", "after")
    assert refused.value.code == "frozen"
    assert "too loud" in refused.value.message
    await oracle.send("neo", "@arthur", "other ways stay open")
    await mbp.receives("arthur", ["other ways stay open"])
    assert await oracle.channel() == ["before"]
    await say(oracle, thaw_statement(key, colony, [stop.id], now()), mbp)
    await oracle.post("neo", "after")
    await until(lambda: mbp.node.visible.seq >= 3, "it arrives")
    assert await mbp.channel() == ["before", "after"]


async def test_a_freeze_survives_a_restart_and_is_told(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("arthur")
        stop = freeze_statement(
            founder(home.path), host.node.membership.book.colony, Target(ALL, name="all"), "", now()
        )
        await say(host, stop)
    async with running(home) as host:
        with pytest.raises(Refused):
            await host.post("arthur", "hello?")
        rows = await host.node.db.rows("SELECT statement FROM heeded")
        assert rows == [(stop.id,)], "said once, not at every start"


async def test_what_the_frozen_say_elsewhere_is_held_until_the_thaw(two: tuple[Host, Host, Signer]) -> None:
    mbp, oracle, key = two
    colony = mbp.node.membership.book.colony
    stop = freeze_statement(key, colony, Target(NODE, node=oracle.me, name="oracle"), "", now())
    # oracle does as if it had not heard: its own book is left without the freeze
    oracle.node.keeping.refuse = lambda agent, said: None  # type: ignore[method-assign]
    await say(mbp, stop)
    sent = await oracle.send("neo", "@arthur", "sneaked")
    seq = int(sent["id"].rpartition("-")[2])
    epoch, _ = oracle.node.state.newest_epoch(oracle.me)
    await until(lambda: mbp.held().get((oracle.me, epoch), 0) >= seq, "it is held")
    assert await mbp.texts("arthur") == []
    assert await mbp.node.db.rows("SELECT why FROM withheld") == [("frozen",)]
    await say(mbp, thaw_statement(key, colony, [stop.id], now()))
    await mbp.receives("arthur", ["sneaked"])


async def test_who_keeps_to_a_freeze_is_known_on_every_node(two: tuple[Host, Host, Signer]) -> None:
    mbp, oracle, key = two
    stop = freeze_statement(key, mbp.node.membership.book.colony, Target(ALL, name="all"), "", now())
    await say(mbp, stop, oracle)
    for host in (mbp, oracle):

        async def both(host: Host = host) -> bool:
            rows = await host.node.db.rows("SELECT node FROM heeded WHERE statement = ?", (stop.id,))
            return len(rows) == 2

        for _ in range(500):
            if await both():
                break
            await host.node.visible.wait(host.node.visible.seq, 0.02)
        assert await both()


async def test_the_revoked_are_cut_off_at_once_and_for_good(
    two: tuple[Host, Host, Signer], make_home: MakeHome
) -> None:
    mbp, oracle, key = two
    for text in ("one", "two", "stolen"):
        await oracle.send("neo", "@arthur", text)
    await mbp.receives("arthur", ["one", "two", "stolen"])
    heads = mbp.node.runtime.held.of(oracle.me)
    epoch, head = mbp.node.state.newest_epoch(oracle.me)
    row = await mbp.node.db.rows(
        "SELECT header, signature FROM entries WHERE place = ?",
        (mbp.node.state.logs[oracle.me, epoch].place(head.seq - 1),),
    )

    cut = {**heads, epoch: decode(*row[0]).head}
    word = revocation_statement(
        key, mbp.node.membership.book.colony, oracle.me, cut, [], "its laptop was stolen", now()
    )
    await say(mbp, word, oracle)
    await until(lambda: not mbp.linked(oracle), "the link ends")
    assert await mbp.texts("arthur") == ["one", "two"], "what lies above the cut is gone from sight"
    with pytest.raises(Refused) as refused:
        await oracle.send("neo", "@neo", "to myself")
    assert refused.value.code == "revoked"
    assert "its laptop was stolen" in (await oracle.alert("revoked"))["text"]
    peers = {peer["key"]: peer["state"] for peer in await mbp.service.peers(await mbp.owner())}
    assert "linked" not in peers.values()
    await mbp.post("arthur", "the rest goes on")


async def test_an_older_database_does_not_undo_a_revocation(two: tuple[Host, Host, Signer]) -> None:
    """The copy beside the key knows of it, whatever database is put back."""
    mbp, oracle, key = two
    home = NodeHome(mbp.node.home.path)
    mbp.stop.set()
    assert mbp.task is not None
    await mbp.task
    old = home.database.read_bytes()
    async with running(home) as again:
        word = revocation_statement(
            key, again.node.membership.book.colony, oracle.me, {}, [], "stolen", now()
        )
        await say(again, word)
    home.database.write_bytes(old)
    async with running(home) as restored:
        assert oracle.me in restored.node.membership.book.revoked
        assert oracle.me not in restored.node.membership.book.trusted
        assert "recovery" in {kind for kind, _ in await restored.alerts()}


async def stated(host: Host, signer: Signer, kind: str, **asked: object) -> Statement:
    """Drafted by the node and signed, as the command does it."""
    draft = await host.node.command.draft(kind, key_text(signer.node), asked)
    fields = msgpack.unpackb(base64.b64decode(draft["fields"]))
    return sign_statement(signer, kind, base64.b64decode(draft["colony"]), draft["at_ms"], fields)


async def test_to_dismiss_who_delegated_brings_back_nobody_whom_his_people_shut_out(
    two: tuple[Host, Host, Signer],
) -> None:
    mbp, oracle, key = two
    colony = mbp.node.membership.book.colony
    ann, bob = Signer(b"a" * 32), Signer(b"b" * 32)
    await say(mbp, grant_statement(key, colony, ann.node, "ann", RIGHTS, None, (), now()))
    await say(mbp, grant_statement(ann, colony, bob.node, "bob", RIGHTS, None, (), now()))
    much = [thaw_statement(ann, colony, [digest(bytes([n % 256, n // 256]))], now()) for n in range(410)]
    await mbp.node.membership.keep(much)  # more than a dismissal can list
    await say(mbp, await stated(mbp, bob, "revoke", who="oracle", why="stolen"))
    assert oracle.me in mbp.node.membership.book.revoked
    await say(mbp, await stated(mbp, key, "dismiss", who="ann"))
    book = mbp.node.membership.book
    assert oracle.me in book.revoked
    assert not book.ruling.authority.may_now(bob.node, FREEZING, now()), "what he had came from her"


async def test_what_a_thief_ruled_before_he_was_noticed_need_not_stand(
    two: tuple[Host, Host, Signer],
) -> None:
    """He has an operator's key, revokes a host and dates it back; then a second word narrows a first."""
    mbp, oracle, key = two
    colony = mbp.node.membership.book.colony
    ann = Signer(b"a" * 32)
    await say(mbp, grant_statement(key, colony, ann.node, "ann", RIGHTS, None, (), 1))
    honest = freeze_statement(ann, colony, Target(CHANNEL, channel="noise", name="#noise"), "", 2)
    await say(mbp, honest)
    await mbp.node.db.writing.execute("UPDATE statements SET at = 1000")
    theft = 2_000
    await say(mbp, revocation_statement(ann, colony, oracle.me, {}, (), "ha", 3))
    assert oracle.me in mbp.node.membership.book.revoked
    await say(mbp, await stated(mbp, key, "dismiss", who="ann"))
    assert oracle.me in mbp.node.membership.book.revoked, "as everything did, it stands"
    again = await stated(mbp, key, "dismiss", who="ann", void_since_ms=theft)
    await say(mbp, again)
    book = mbp.node.membership.book
    assert oracle.me not in book.revoked
    assert [one.id for one in book.ruling.freezes.active] == [honest.id]


async def test_who_was_appointed_a_hundred_times_is_dismissed_at_once(two: tuple[Host, Host, Signer]) -> None:
    mbp, _, key = two
    colony = mbp.node.membership.book.colony
    ann, bob = Signer(b"a" * 32), Signer(b"b" * 32)
    await say(mbp, grant_statement(key, colony, ann.node, "ann", RIGHTS, None, (), 1))
    await mbp.node.membership.keep(
        [grant_statement(ann, colony, bob.node, "bob", RIGHTS, None, (), n) for n in range(100)]
    )
    await say(mbp, await stated(mbp, key, "dismiss", who="bob"))
    authority = mbp.node.membership.book.ruling.authority
    assert authority.may_now(ann.node, FREEZING, now())
    assert not authority.may_now(bob.node, FREEZING, now())


async def test_what_is_mistyped_is_told_what_was_meant(two: tuple[Host, Host, Signer]) -> None:
    mbp, _, key = two
    colony = mbp.node.membership.book.colony
    ann = Signer(b"a" * 32)
    await say(mbp, grant_statement(key, colony, ann.node, "annabel", RIGHTS, None, (), 1))
    freeze = await stated(mbp, key, "freeze", who="@arthur")
    await say(mbp, freeze)
    assert (await mbp.service.status(await mbp.owner()))["frozen"] == ["arthur@mbp is frozen"]
    for kind, asked, meant in (
        ("freeze", {"who": "orakle"}, "no agent and no host is called orakle"),
        ("freeze", {"who": "arthru"}, "no agent and no host is called arthru"),
        ("thaw", {"who": "@arthru"}, "did you mean arthur?"),
        ("dismiss", {"who": "anabel"}, "did you mean annabel?"),
        ("dismiss", {"who": "founder"}, "nobody can dismiss the founder"),
        (
            "operator",
            {"name": "founder", "key": key_text(ann.node), "rights": "order"},
            "nobody else may be called",
        ),
    ):
        with pytest.raises(MawError) as refused:
            await stated(mbp, key, kind, **asked)
        assert meant in f"{refused.value.message} {refused.value.hint}", asked
    thaw = await stated(mbp, key, "thaw", who="@arthur")
    await say(mbp, thaw)
    assert (await mbp.service.status(await mbp.owner()))["frozen"] == []
    [shown] = [one for one in await mbp.node.command.statements() if one["type"] == "thaw"]
    assert shown["about"] == "arthur@mbp thawed"


async def test_one_key_is_one_operator_and_one_name_one_key(two: tuple[Host, Host, Signer]) -> None:
    mbp, _oracle, key = two
    ann, bob = Signer(b"a" * 32), Signer(b"b" * 32)

    async def add(who: Signer, name: str, rights: str) -> None:
        asked = {"key": key_text(who.node), "name": name, "rights": rights, "hosts": "", "until_ms": None}
        await say(mbp, await stated(mbp, key, "operator", **asked))

    await add(ann, "ann", "order")
    for who, name, hint in ((ann, "trinity", "add it as ann"), (bob, "ann", "another name")):
        with pytest.raises(Conflict, match="the operator ann has") as refused:
            await add(who, name, "freeze")
        assert (refused.value.code, refused.value.hint) == ("already_operator", hint)
    await add(ann, "ann", "order,freeze")
    assert mbp.node.membership.book.ruling.authority.may_now(ann.node, FREEZING, now())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"key": "mk1abc"}, ("not a maw key", "`maw operator new`")),
        ({"name": "ann b"}, ("an operator name has ' ' at position 4", "")),
    ],
)
async def test_what_is_wrong_with_a_new_operator_is_said_of_an_operator(
    make_home: MakeHome, change: dict[str, Any], words: tuple[str, str]
) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        asked = {"name": "ann", "key": key_text(Signer(bytes(32)).node), "rights": "order", **change}
        with pytest.raises(BadInput) as no:
            await host.node.command.draft(OPERATOR, key_text(founder(home.path).node), asked)
        assert words[0] in no.value.message
        assert words[1] in no.value.hint
