"""A host that lies about the agents it hands over: whom it offers, and what it says was in their mailboxes."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest

from maw.core import travels
from maw.core.colony import MOVE_BYTES, AgentCard
from maw.core.entry import Kind, Position
from maw.core.frames import Entries
from maw.core.handover import Handover, Mail
from maw.core.identity import NodeId
from maw.core.moving import MOVED, OFFERED, REFUSED, Moved
from maw.core.profile import Profile
from maw.errors import Refused
from maw.node import moving
from maw.store.handing import gather
from maw.store.travelling import MoveRow
from tests.conftest import MakeHome
from tests.integration.evil import evil_peer
from tests.integration.nodes import Host, all_running, pair, running, until
from tests.integration.test_moving import has, knows, move_over, three


async def offers(old: Host, new: Host, agent: bytes, name: str, role: str = "agent") -> bytes:
    """A lie in old's log, which new has read when this returns. The move."""
    said = Moved(secrets.token_bytes(MOVE_BYTES), agent, new.me, OFFERED, name, role)
    await old.node.authoring.say(Kind.MOVED, said.content())
    await reads_all(new, old)
    return said.move


async def reads_all(host: Host, author: Host) -> None:
    """Of this author's own log."""

    def read() -> bool:
        logs = [key for key in author.node.state.logs if key[0] == author.me]
        return all(host.node.state.head(*key).seq >= author.node.state.head(*key).seq for key in logs)

    await until(read, "it was read")


async def has_card(old: Host, agent: bytes, name: str, profile: Profile | None = None) -> None:
    card = AgentCard(agent, name, "agent", profile=profile or Profile())
    await old.node.authoring.say(Kind.AGENT, card.content())


async def test_only_who_is_the_offering_hosts_own_is_offered(make_home: MakeHome) -> None:
    async with all_running(make_home("old"), make_home("new")) as (old, new):
        await pair(old, new)
        await new.add("victim")
        await old.add("scout")
        victim, scout = new.node.directory.local("victim"), old.node.directory.local("scout")
        await knows(new, "scout@old")
        role = secrets.token_bytes(16)
        await has_card(old, role, "shadow", Profile(of=victim.id))
        await has_card(old, victim.id, "zed")
        lies = [
            await offers(old, new, victim.id, "zed"),
            await offers(old, new, new.node.directory.local("owner").id, "zed"),
            await offers(old, new, secrets.token_bytes(16), "nobody"),
            await offers(old, new, scout.id, "victim-s"),
            await offers(old, new, role, "shadow"),
        ]
        assert not set(lies) & set(new.node.state.moves), "each is set aside"
        honest = await offers(old, new, scout.id, "scout")
        assert new.node.state.moves[honest].step == OFFERED


@pytest.mark.parametrize("name", ["victim", "owner"])
async def test_an_offer_that_was_taken_already_takes_no_agent_of_this_host(
    make_home: MakeHome, name: str
) -> None:
    """Rows that an older version let in are looked at when they are accepted, and when the agent is to come."""
    async with all_running(make_home("old"), make_home("new")) as (old, new):
        await pair(old, new)
        await new.add("victim")
        agent, parts = new.node.directory.local(name), new.node.migrating
        before = (agent.id, agent.uid, agent.role)
        await has_card(old, agent.id, "zed")
        await knows(new, "zed@old")
        row = MoveRow(b"m" * 16, False, old.me, agent.id, "zed", "agent", OFFERED, "", None, {"uid": 4242}, 1)
        await parts.moving._luggage.set(row)
        with pytest.raises(Refused, match="has the id of an agent of this host"):
            await parts.moving.accept(row.move, 4242, None)
        for late in (row, row._replace(agent=b"a" * 16, name="boss", role="ape")):
            await parts.moving._luggage.set(late._replace(step=MOVED))
            parts.moving.stirred.set()
            await until(lambda: new.node.state.moves[row.move].step == REFUSED, "it is not taken in")
        now = new.node.directory.local(name)
        assert (now.id, now.uid, now.role) == before
        assert "zed" not in new.node.state.local and "boss" not in new.node.state.local


async def test_what_is_not_for_the_agent_does_not_come_into_its_mailbox(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with all_running(make_home("old"), make_home("new"), make_home("third")) as (old, new, third):
        await three(old, new, third)
        await new.add("victim")
        await knows(third, "victim@new")
        await third.send("neo", "victim@new", "secret for victim")
        await new.receives("victim", ["secret for victim"])
        await third.send("neo", "scout@old", "for scout")
        await third.post("neo", "for all")
        await has(old, ["for scout"])
        await reads_all(old, third)

        async def lying(*args: Any) -> Handover:
            handover = await gather(*args)
            every = [
                Mail(Position(one.author, one.epoch, seq), "direct", None, None, None, None, None)
                for one in handover.heads
                for seq in range(1, one.seq + 1)
            ]
            return handover._replace(mail=tuple(every))

        monkeypatch.setattr(moving, "gather", lying)
        await move_over(old, new)
        async with asyncio.timeout(30):  # what it may read comes, in one commit with the lie
            while not {"for scout", "for all"} <= set(await new.texts("scout")):
                await asyncio.sleep(0.01)
        assert "secret for victim" not in await new.texts("scout")
        assert await new.texts("victim") == ["secret for victim"]


async def test_moves_without_end_are_set_aside(make_home: MakeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(travels, "MAX_OF_AGENT", 3)
    agent, other = b"a" * 16, NodeId(b"c" * 32)
    async with running(make_home("mbp")) as host, evil_peer(host) as evil:
        say = evil.author.say
        entries = [say(Kind.AGENT, AgentCard(agent, "zed", "agent").content())]
        words = [Moved(bytes([move]) * 16, agent, other, MOVED) for move in range(5)]
        entries += [say(Kind.MOVED, word.content()) for word in words]
        await evil.followed()
        evil.send(Entries(tuple(entries)))
        log = (evil.node.node, evil.author.epoch)
        await until(lambda: host.held().get(log, 0) >= entries[-1].seq, "all is stored")
        rows = await host.node.db.rows("SELECT move FROM travels WHERE agent = ?", (agent,))
        assert sorted(move[0] for (move,) in rows) == [0, 1, 2]
        ((aside,),) = await host.node.db.rows("SELECT count(*) FROM set_aside")
        assert aside == 2
