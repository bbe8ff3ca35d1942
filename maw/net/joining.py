"""Pairing over a connection: the joiner's half and the listener's, with every commit before its answer.

    joiner                                       listener
    JoinDesk.begin           (pending join)
    role J, MAC        ─▶                        InviteDesk.find, judge
                                                 InviteDesk.claim      (claimed by this key)
                       ◀─  L, claimed(welcome)
    JoinDesk.welcomed        (peer pinned)
                       ─▶  pinned(acceptance)
                                                 InviteDesk.complete   (pinned, admitted, burnt: one commit)
                       ◀─  paired
    JoinDesk.finished

Whichever side dies in between, the same joiner's next attempt goes through the same steps with the same
answers for a day, and nothing else has happened meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from maw.core.handshake import JoinClaim, Joining
from maw.core.handshake import Listener as Machine
from maw.core.identity import NodeId
from maw.core.pairing import Denied, Invite, InviteLine, check_line, judge
from maw.core.transcript import (
    Claimed,
    Paired,
    Pinned,
    Refusal,
    decode,
    encode,
    plain_words,
)
from maw.errors import (
    BadInput,
    Conflict,
    HandshakeRefused,
    LinkError,
    ProtocolViolation,
    Refused,
    Unavailable,
)

if TYPE_CHECKING:
    from maw.net.dialer import Connection, Dialer
    from maw.net.wire import Pipe

_F = TypeVar("_F", Claimed, Pinned, Paired)


class InviteDesk(Protocol):
    """The listener's invites, kept in its database."""

    async def find(self, invite_id: bytes) -> Invite | None:
        """The invite with everything that happened to it so far."""

    async def claim(self, invite_id: bytes, joiner: NodeId, name: str, now: float) -> bytes:
        """Commits *claimed by this key* (again: changes nothing), and returns the welcome for the joiner.

        Raises Refused when somebody else was faster. ``now``: unix seconds.
        """

    async def complete(self, invite_id: bytes, joiner: NodeId, acceptance: bytes) -> None:
        """Commits pin, admit and burn in one transaction; again: changes nothing. Raises Refused."""

    async def turned_away(self, invite: Invite, claim: JoinClaim, why: Denied) -> None:
        """Somebody who knows the secret was refused: what the owner is alerted to."""


class JoinDesk(Protocol):
    """The joiner's side of it, kept in its database."""

    async def begin(self, line: InviteLine) -> None:
        """Commits the pending join. Raises Refused when this node may not join (any more)."""

    async def welcomed(self, line: InviteLine, welcome: bytes) -> bytes:
        """Commits pin and Colony, and returns the acceptance for the listener. Raises Refused, BadInput."""

    async def finished(self, line: InviteLine) -> None:
        """Commits that the join is complete on both sides."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Whom this node is paired with now, and by which address."""

    peer: NodeId
    name: str
    colony: bytes
    address: str


async def receive_joiner(
    pipe: Pipe, machine: Machine, claim: JoinClaim, desk: InviteDesk | None, wall: Callable[[], float]
) -> None:
    """The listener's half, from the proved claim on. Raises LinkError after saying so to the joiner."""
    if desk is None:
        await pipe.advance(machine.refuse(HandshakeRefused("this node invites nobody", code="unknown")))
        return
    try:
        welcome = await _claim(machine, claim, desk, wall())
        pipe.believe()
        await pipe.advance(machine.accept())
        await pipe.send(encode(Claimed(welcome)))
        pinned = await _next(pipe, Pinned)
        await desk.complete(claim.invite_id, claim.joiner, pinned.acceptance)
    except (Refused, Conflict, Unavailable) as no:
        await pipe.advance(machine.refuse(HandshakeRefused(_with_hint(no), code=no.code)))
    await pipe.send(encode(Paired()))


async def _claim(machine: Machine, claim: JoinClaim, desk: InviteDesk, now: float) -> bytes:
    """Judges and claims. Raises Refused with the verdict's code."""
    invite = await desk.find(claim.invite_id)
    if invite is not None and not machine.mac_matches(invite.secret):
        invite = None  # who does not know the secret learns nothing about the invite
    verdict = judge(invite, claim.joiner, now)
    if isinstance(verdict, Denied):
        if invite is not None:
            await desk.turned_away(invite, claim, verdict)
        raise Refused(verdict.reason, code=verdict.code)
    return await desk.claim(claim.invite_id, claim.joiner, claim.name, now)


async def join(
    line: InviteLine, dialer: Dialer, desk: JoinDesk, *, now: float, exchange_timeout: float = 30.0
) -> Joined:
    """The joiner's half: tries the invite's addresses in turn. ``now``: unix seconds.

    Raises Refused when this host or the other says no (the code says why), Unavailable (``unreachable``)
    naming every address and what was wrong with it. After either, the same line may be tried again.
    """
    check_line(line, dialer.me().signer.node, now)
    await desk.begin(line)
    tried: list[str] = []
    for address in line.addresses:
        try:
            connection = await dialer.connect(address, line.node)
        except (LinkError, BadInput) as problem:
            tried.append(f"{address}: {problem.message}")
            continue
        try:
            async with asyncio.timeout(exchange_timeout):
                return await _exchange(line, dialer, connection, desk, address)
        except HandshakeRefused as no:
            raise Refused(no.message, code=no.code, hint=no.hint) from no
        except LinkError as problem:
            tried.append(f"{address}: {problem.message}")
        except TimeoutError:
            tried.append(f"{address}: timed out in the middle of pairing")
        finally:
            await connection.pipe.close("done")
    raise Unavailable(
        f"cannot reach {line.name} to join: {'; '.join(tried)}",
        code="unreachable",
        hint="check that both hosts are on one network and that no firewall blocks the port; then join again",
    )


async def _exchange(
    line: InviteLine, dialer: Dialer, connection: Connection, desk: JoinDesk, address: str
) -> Joined:
    me = replace(dialer.me(), colony=line.colony)
    await dialer.greet(connection, me, joining=Joining(line.invite_id, line.secret))
    pipe = connection.pipe
    claimed = await _next(pipe, Claimed)
    try:
        acceptance = await desk.welcomed(line, claimed.welcome)
    except (Refused, Conflict, Unavailable, BadInput) as no:
        await pipe.send(encode(Refusal(no.code, plain_words(no.message))))
        raise
    await pipe.send(encode(Pinned(acceptance)))
    await _next(pipe, Paired)
    await desk.finished(line)
    return Joined(line.node, line.name, line.colony, address)


async def _next(pipe: Pipe, kind: type[_F]) -> _F:
    """The next frame, which has to be of this kind. A refusal is raised as such."""
    frame = decode(await pipe.receive())
    if isinstance(frame, Refusal):
        raise frame.as_error()
    if not isinstance(frame, kind):
        raise ProtocolViolation(f"{type(frame).__name__.lower()} instead of {kind.__name__.lower()}")
    return frame


def _with_hint(no: Refused | Conflict | Unavailable) -> str:
    return f"{no.message}; {no.hint}" if no.hint else no.message
