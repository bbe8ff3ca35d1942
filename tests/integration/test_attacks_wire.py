"""A trusted peer that is evil, on the wire: its names, its claims, its numbers; contained, told, survived."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from maw.core.effects import CheckFork
from maw.core.entry import START, Entry, Kind, make, pack_payload
from maw.core.frames import Entries, Fork
from maw.core.identity import Signer
from maw.core.message_ids import message_id
from maw.errors import Ambiguous
from maw.node import directory, presenting, runtime
from maw.node.forking import Forking
from maw.store import fold
from tests.conftest import MakeHome
from tests.integration.evil import Evil, evil_peer, stored
from tests.integration.nodes import Host, running, until

ID = b"a" * 16


@pytest.fixture
async def host(make_home: MakeHome) -> AsyncIterator[Host]:
    """Is up again after the attack, with everything the evil one said still on its disk."""
    home = make_home("mbp")
    async with running(home) as mbp:
        await mbp.add("arthur")
        yield mbp
        assert mbp.task is not None
        assert not mbp.task.done(), "the daemon lives"
        await mbp.post("arthur", "before")
    async with running(home) as mbp:
        await mbp.post("arthur", "after")
        assert (await mbp.channel())[-2:] == ["before", "after"]


def said(**odd: Any) -> dict[str, Any]:
    content = {
        "agent": ID, "name": "eve", "role": "agent", "known": "uid", "text": "hello", "mentions": [],
        "channel": "general",
    }  # fmt: skip
    return {**content, **odd}


async def says(evil: Evil, *contents: tuple[int, dict[str, Any]], wait: bool = True) -> list[Entry]:
    """One entry for each, in a log of its own; returns when they are on the host's disk."""
    head, entries, epoch = START, [], int(time.time() * 1000)
    for at, (kind, content) in enumerate(contents):
        payload = pack_payload(bytes(16), content)
        hlc = (int(time.time() * 1000) << 16) + at
        entry = make(evil.author.signer, evil.author.colony, epoch, head, hlc, kind, payload)
        head = entry.head
        entries.append(entry)
    before = await stored(evil.host, evil)
    await evil.says(*entries)
    place = (evil.node.node, epoch)
    await until(lambda: evil.host.held().get(place, 0) == len(entries), f"stored above {before}")
    return entries


ESCAPE = "\x1b]0;pwned\x07"
ODD: list[tuple[int, dict[str, Any]]] = [
    *(
        (Kind.POST, said(channel=name))
        for name in ("../etc", "A", "a b", ESCAPE, "ü", "#x", "x" * 33, "", "-x", "a\nb", "\u202egeneral")
    ),
    *((Kind.POST, said(name=name)) for name in ("operator", "system", "here", "all", "Eve", ESCAPE, "e ve")),
    *((Kind.AGENT, {"id": ID, "name": name, "role": "ape"}) for name in ("operator", "agents", "E", ESCAPE)),
    *((Kind.CHANNEL, {"name": name, "by": "eve@evil"}) for name in ("a/b", "GENERAL", ESCAPE)),
    (Kind.CHANNEL, {"name": "fine", "by": ESCAPE}),
    *(
        (Kind.CARD, {"name": name, "addresses": [], "version": "1"})
        for name in ("operator", "all", "Evil", ESCAPE, "evil~abcdef")
    ),
    (Kind.CARD, {"name": "evil", "addresses": [ESCAPE + ":1"], "version": "1"}),
    (Kind.CARD, {"name": "evil", "addresses": [], "version": ESCAPE}),
    (Kind.POST, said(known="operator key")),
    (Kind.POST, said(reply=ESCAPE)),
    (Kind.POST, said(mentions=[ESCAPE])),
    (Kind.POST, said(mentions=["arthur"] * 65)),
    (Kind.DIRECT, {**said(), "to": [[b"k" * 32, ID, "operator", "mbp"]]}),
    (Kind.DIRECT, {**said(), "to": [[b"k" * 32, ID, "eve", ESCAPE]]}),
    (99, {"some": "thing"}),
]


async def test_names_and_claims_obey_the_rules_or_are_set_aside(host: Host) -> None:
    async with evil_peer(host) as evil:
        await says(evil, *ODD)
        service, owner = host.service, await host.owner()
        assert await host.channel() == []
        assert await service.channels(owner) == []
        assert {user["username"] for user in await service.users(owner)} == {"owner", "arthur"}
        (peer,) = await service.peers(owner)
        assert (peer["name"], peer["addresses"]) == ("evil", ["127.0.0.1:1"])
        told = [item for (kind, _), item in (await host.alerts()).items() if kind == "set_aside"]
        assert [item["count"] for item in told] == [len(ODD) - 1], "once, counted; unknown kinds are no fault"
        assert all(item["text"].isprintable() for item in told)
        await says(evil, (Kind.POST, said(text="and now properly")))
        assert await host.channel() == ["and now properly"]


async def test_one_peer_brings_so_many_agents_and_channels_and_no_more(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold, "MAX_AGENTS_OF_A_PEER", 50)
    monkeypatch.setattr(fold, "MAX_CHANNELS_OF_A_PEER", 20)
    async with evil_peer(host) as evil:
        await says(evil, *((Kind.POST, said(agent=n.to_bytes(16, "big"))) for n in range(200)))
        assert len(await host.channel()) == 50
        one = (0).to_bytes(16, "big")
        await says(evil, *((Kind.POST, said(agent=one, channel=f"c{n}")) for n in range(200)))
        owner = await host.owner()
        assert len(await host.service.channels(owner)) <= 1 + 20
        assert len(await host.service.users(owner)) <= 2 + 50
        await host.service.add_channel(await host.as_("arthur"), "ours")
        await host.add("trinity")


async def test_two_keys_that_begin_alike_do_not_share_message_ids(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six characters of a key can be ground out in hours."""
    ours = await host.post("arthur", "the one that is meant")
    epoch, seq = (int(part, base) for part, base in zip(ours["id"].split("-")[1:], (36, 10), strict=True))
    async with evil_peer(host) as evil:
        head, entries = START, []
        for _ in range(seq):
            payload = pack_payload(bytes(16), said(text="the one that is not"))
            entry = make(evil.author.signer, evil.author.colony, epoch, head, 1 << 32, Kind.POST, payload)
            head = entry.head
            entries.append(entry)
        await evil.says(*entries)
        await until(lambda: host.held().get((evil.node.node, epoch)) == seq, "stored")
        for module in (directory, presenting):
            monkeypatch.setattr(module, "short_key", lambda _: ours["id"].split("-")[0], raising=False)
        with pytest.raises(Ambiguous) as told:
            await host.post("arthur", "what do you mean?", reply_to=ours["id"])
        assert len(told.value.candidates) == 2
        reply = await host.post("arthur", "this one", reply_to=str(ours["seq"]))
        assert reply["message"]["reply_to"] == ours["id"]


async def test_a_flood_of_forks_that_are_none_is_not_queued_without_end(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 0
    compare = Forking.check_fork

    async def counted(self: Forking, effect: CheckFork) -> None:
        nonlocal most
        most = max(most, host.node.runtime._fork_checks)
        await compare(self, effect)

    monkeypatch.setattr(Forking, "check_fork", counted)
    async with evil_peer(host) as evil:
        (entry,) = await says(evil, (Kind.POST, said()))
        for _ in range(500):
            evil.send(Fork(evil.node.node, entry.epoch, (entry,)))
        await says(evil, (Kind.POST, said(text="all was read")))
        assert 0 < most <= runtime.MAX_FORK_CHECKS
        assert ("fork", message_id(entry.position).partition("-")[0]) not in await host.alerts()
        second = make(
            evil.author.signer, evil.author.colony, entry.epoch, START, 1, Kind.POST,
            pack_payload(bytes(16), said(text="another")),
        )  # fmt: skip
        await until(lambda: host.node.runtime._fork_checks == 0, "all were looked at")
        evil.send(Fork(evil.node.node, entry.epoch, (second,)))
        await host.alert("fork")


async def test_a_damaged_payload_spoils_no_page(host: Host) -> None:
    """A bit that flipped on the disk: said so in its place, what stands around it can be read."""
    await host.post("arthur", "one")
    sent = await host.post("arthur", "two")
    await host.post("arthur", "three")

    async def damage(conn: Any) -> None:
        sql = "UPDATE entries SET payload = zeroblob(40) WHERE shown = ?"
        await conn.execute(sql, (sent["seq"],))

    await host.node.writer.submit(damage)
    one, two, three = await host.channel()
    assert (one, three) == ("one", "three")
    assert "damaged on this disk" in two
    found = await host.service.message(await host.as_("arthur"), sent["id"])
    assert found["author"] == "arthur@mbp"


async def test_entries_of_strangers_are_dropped_and_their_credit_returned(host: Host) -> None:
    async with evil_peer(host) as evil:
        await evil.followed()
        stranger = Signer(b"s" * 32)
        payload = pack_payload(bytes(16), said())
        entry = make(stranger, evil.author.colony, 5, START, 1 << 32, Kind.POST, payload)
        for _ in range(200):
            evil.send(Entries((entry,)))
        await says(evil, (Kind.POST, said(text="mine")))
        assert await host.channel() == ["mine"]
        assert stranger.node not in host.node.state.nodes
