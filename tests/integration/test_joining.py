"""Pairing over real connections: what is committed when, either side dying in between, every refusal."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time

import pytest

from maw.core.handshake import JoinClaim
from maw.core.identity import NodeId, key_text
from maw.core.pairing import Denied, Invite, InviteLine, Use, encode_line, parse_line
from maw.errors import LinkError, Refused, Unavailable
from maw.net.joining import Joined, join
from tests.integration.linknode import COLONY, LinkNode, until


class Invites:
    """The listener's desk, in memory; ``die_at`` makes it fail once, like a process that was killed."""

    def __init__(self, invite: Invite) -> None:
        self.invite = invite
        self.complete_for: list[tuple[NodeId, bytes]] = []
        self.alerts: list[tuple[str, str]] = []
        self.die_at = ""

    async def find(self, invite_id: bytes) -> Invite | None:
        return self.invite if invite_id == self.invite.invite_id else None

    async def claim(self, invite_id: bytes, joiner: NodeId, name: str, now: float) -> bytes:
        self.die("before claim")
        if all(use.joiner != joiner for use in self.invite.used):
            self.invite = dataclasses.replace(self.invite, used=(*self.invite.used, Use(joiner, name, now)))
        self.die("after claim")
        return b"welcome " + name.encode()

    async def complete(self, invite_id: bytes, joiner: NodeId, acceptance: bytes) -> None:
        self.die("before complete")
        if (joiner, acceptance) not in self.complete_for:
            self.complete_for.append((joiner, acceptance))
        self.die("after complete")

    async def turned_away(self, invite: Invite, claim: JoinClaim, why: Denied) -> None:
        self.alerts.append((claim.name, why.code))

    def die(self, where: str) -> None:
        if self.die_at == where:
            self.die_at = ""
            raise KilledError(where)


class Joins:
    """The joiner's desk."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.die_at = ""
        self.refuse = ""

    async def begin(self, line: InviteLine) -> None:
        if self.refuse == "begin":
            raise Refused("this node has linked in another Colony", code="another_colony")
        self.done.append("begin")

    async def welcomed(self, line: InviteLine, welcome: bytes) -> bytes:
        if self.refuse == "welcome":
            raise Refused("the welcome does not verify", code="bad_welcome")
        self.die("before pin")
        self.done.append(welcome.decode())
        self.die("after pin")
        return b"accepted"

    async def finished(self, line: InviteLine) -> None:
        self.done.append("finished")

    def die(self, where: str) -> None:
        if self.die_at == where:
            self.die_at = ""
            raise KilledError(where)


class KilledError(LinkError):
    """Tears the connection down where it is raised, as a killed process would."""


@pytest.fixture
def invites() -> Invites:
    return Invites(Invite(os.urandom(16), time.time() + 600))


def line_to(b: LinkNode, invites: Invites, **changed: object) -> InviteLine:
    line = InviteLine(
        COLONY, b.node, "b", (b.address,), invites.invite.secret, int(invites.invite.expires_at)
    )
    return dataclasses.replace(line, **changed)  # type: ignore[arg-type]


async def joined(a: LinkNode, line: InviteLine, desk: Joins | None = None) -> Joined:
    return await join(line, a.dialer, desk or Joins(), now=time.time())


async def refused(a: LinkNode, line: InviteLine, code: str, desk: Joins | None = None) -> str:
    with pytest.raises(Refused) as caught:
        await joined(a, line, desk)
    assert caught.value.code == code
    return caught.value.message


async def test_one_line_pairs_two_nodes(invites: Invites) -> None:
    async with LinkNode("b").listening(invites=invites) as b:
        a, desk = LinkNode("a", colony=b"own colony, to be left behind.. "), Joins()
        line = parse_line(encode_line(line_to(b, invites)))
        outcome = await joined(a, line, desk)
        assert outcome == Joined(b.node, "b", COLONY, b.address)
        assert desk.done == ["begin", "welcome a", "finished"]
        assert invites.complete_for == [(a.node, b"accepted")]
        assert [use.joiner for use in invites.invite.used] == [a.node]
        assert b.switchboard.all() == ()
        assert b.listener is not None
        await until(lambda: b.listener is not None and b.listener.strangers == 0)


@pytest.mark.parametrize("where", ["before claim", "after claim", "before complete", "after complete"])
async def test_the_listener_dies_in_the_middle(invites: Invites, where: str) -> None:
    async with LinkNode("b").listening(invites=invites) as b:
        a, desk, line = LinkNode("a"), Joins(), line_to(b, invites)
        invites.die_at = where
        with pytest.raises(Unavailable) as caught:
            await joined(a, line, desk)
        assert caught.value.code == "unreachable"
        assert "finished" not in desk.done
        await joined(a, line, desk)
        assert desk.done[-1] == "finished"
        assert invites.complete_for == [(a.node, b"accepted")]
        assert len(invites.invite.used) == 1


@pytest.mark.parametrize("where", ["before pin", "after pin"])
async def test_the_joiner_dies_in_the_middle(invites: Invites, where: str) -> None:
    async with LinkNode("b").listening(invites=invites) as b:
        a, desk, line = LinkNode("a"), Joins(), line_to(b, invites)
        desk.die_at = where
        with pytest.raises(Unavailable):
            await joined(a, line, desk)
        assert invites.complete_for == []
        await joined(a, line, desk)
        assert invites.complete_for == [(a.node, b"accepted")]
        assert len(invites.invite.used) == 1
        await joined(a, line, desk)  # and once more, for who did not see the answer
        assert invites.complete_for == [(a.node, b"accepted")]


async def test_the_next_one_is_told_who_used_it_and_the_owner_is_alerted(invites: Invites) -> None:
    async with LinkNode("b").listening(invites=invites) as b:
        a, line = LinkNode("a"), line_to(b, invites)
        await joined(a, line)
        reason = await refused(LinkNode("thief"), line, "used")
        assert "a (" + key_text(a.node) in reason
        assert invites.alerts == [("thief", "used")]
        assert len(invites.complete_for) == 1


async def test_expired_by_the_listeners_clock(invites: Invites) -> None:
    async with LinkNode("b").listening(invites=invites) as b:
        line = line_to(b, invites)
        invites.invite = dataclasses.replace(invites.invite, expires_at=time.time() - 1)
        assert "expired at" in await refused(LinkNode("a"), line, "expired")


async def test_expired_by_our_own_clock_is_not_even_dialled(invites: Invites) -> None:
    async with LinkNode("b").listening(invites=invites) as b:
        desk = Joins()
        await refused(LinkNode("a"), line_to(b, invites, expires_at=5), "expired", desk)
        assert desk.done == []


async def test_a_guessed_secret_is_an_unknown_invite_and_alerts_nobody(invites: Invites) -> None:
    async with LinkNode("b").listening(invites=invites) as b:
        await refused(LinkNode("a"), line_to(b, invites, secret=b"a guess, not it."), "unknown")
        assert invites.alerts == []
        assert invites.invite.used == ()


async def test_the_id_without_the_secret_is_worth_nothing(
    invites: Invites, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with LinkNode("b").listening(invites=invites) as b:
        right = invites.invite.invite_id
        monkeypatch.setattr(InviteLine, "invite_id", property(lambda _self: right))
        await refused(LinkNode("a"), line_to(b, invites, secret=b"a guess, not it."), "unknown")
        assert invites.invite.used == ()


async def test_for_another_key(invites: Invites) -> None:
    invites.invite = dataclasses.replace(invites.invite, only_for=LinkNode("x").node)
    async with LinkNode("b").listening(invites=invites) as b:
        await refused(LinkNode("a"), line_to(b, invites), "not_for_you")


async def test_of_another_colony(invites: Invites) -> None:
    async with LinkNode("b").listening(invites=invites) as b:
        await refused(LinkNode("a"), line_to(b, invites, colony=b"d" * 32), "other_colony")


async def test_ones_own(invites: Invites) -> None:
    async with LinkNode("b").listening(invites=invites) as b:
        await refused(b, line_to(b, invites), "own_invite")


async def test_a_node_that_invites_nobody(invites: Invites) -> None:
    async with LinkNode("b").listening() as b:
        await refused(LinkNode("a"), line_to(b, invites), "unknown")


async def test_unreachable_names_every_address_and_why(invites: Invites) -> None:
    async with LinkNode("b").listening() as other:
        here = other.address
        line = line_to(other, invites, node=LinkNode("b").node, addresses=("127.0.0.1:1", here, "nonsense"))
        with pytest.raises(Unavailable) as caught:
            await joined(LinkNode("a"), line)
    message = caught.value.message
    assert "127.0.0.1:1: connection refused" in message
    assert f"{here}: wrong key at this address" in message
    assert "nonsense: " in message
    assert caught.value.hint


async def test_a_later_address_may_be_the_one(invites: Invites) -> None:
    async with LinkNode("b").listening(invites=invites) as b:
        line = line_to(b, invites, addresses=("127.0.0.1:1", b.address))
        assert (await joined(LinkNode("a"), line)).address == b.address


async def test_the_joiners_own_no_reaches_both(invites: Invites) -> None:
    async with LinkNode("b").listening(invites=invites) as b:
        desk = Joins()
        desk.refuse = "begin"
        await refused(LinkNode("a"), line_to(b, invites), "another_colony", desk)
        assert invites.invite.used == ()
        desk.refuse = "welcome"
        await refused(LinkNode("a"), line_to(b, invites), "bad_welcome", desk)
        assert invites.complete_for == []


async def test_two_at_once_only_one_gets_in(invites: Invites) -> None:
    async with LinkNode("b").listening(invites=invites) as b:
        line = line_to(b, invites)
        results = await asyncio.gather(
            *(joined(LinkNode(f"n{n}"), line) for n in range(4)), return_exceptions=True
        )
    assert sum(isinstance(result, Joined) for result in results) == 1
    assert {result.code for result in results if isinstance(result, Refused)} == {"used"}
    assert len(invites.complete_for) == 1


async def test_a_joiner_that_stops_answering_is_let_go(invites: Invites) -> None:
    async with LinkNode("b").listening(invites=invites) as b:

        class Stuck(Joins):
            async def welcomed(self, line: InviteLine, welcome: bytes) -> bytes:
                await asyncio.Event().wait()
                return b""

        with pytest.raises(Unavailable, match="timed out"):
            await join(
                line_to(b, invites), LinkNode("a").dialer, Stuck(), now=time.time(), exchange_timeout=0.2
            )
        await until(lambda: b.listener is not None and b.listener.strangers == 0)
        assert invites.complete_for == []
