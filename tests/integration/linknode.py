"""A node that has nothing but links: what the tests of the network floor run several of in one process."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import pytest

from maw.core.handshake import Local
from maw.core.identity import NodeId, Signer
from maw.core.transcript import Hello
from maw.errors import HandshakeRefused, LinkError
from maw.net.dialer import Dialer, DialTimers
from maw.net.joining import InviteDesk
from maw.net.link import Link, LinkTimers
from maw.net.listener import Bounds, Listener
from maw.net.reception import Reception, ReceptionTimers
from maw.net.switchboard import Switchboard
from maw.net.tls import NodeTls

COLONY = b"c" * 32
DEADLINE = 5.0


async def until(true: Callable[[], object], deadline: float = DEADLINE) -> None:
    """Waits for a condition, and fails the test when it does not come true."""
    async with asyncio.timeout(deadline):
        while not true():
            await asyncio.sleep(0.002)


class LinkNode:
    """Trusts ``trusted`` keys (None: everybody). Keeps what it received and why its links ended."""

    def __init__(
        self,
        name: str,
        *,
        signer: Signer | None = None,
        colony: bytes = COLONY,
        link_timers: LinkTimers | None = None,
        dial_timers: DialTimers | None = None,
        admission: bytes = b"admission",
    ) -> None:
        self.local = Local(signer or Signer(os.urandom(32)), colony, os.urandom(16), Hello(name))
        self.trusted: set[NodeId] | None = None
        self.shown: list[bytes | None] = []
        self.switchboard = Switchboard(self.node, ping_timeout=0.2)
        self.frames: list[bytes] = []
        self.ended: list[LinkError] = []
        self.link_timers = link_timers or LinkTimers(goodbye=0.2)
        self.dialer = Dialer(
            lambda: self.local,
            wall=time.time,
            timers=dial_timers or DialTimers(2.0, 2.0),
            link_timers=self.link_timers,
            admission=lambda _: admission,
        )
        self.address = ""
        self.listener: Listener | None = None

    @property
    def node(self) -> NodeId:
        return self.local.signer.node

    def judge(self, peer: NodeId, admission: bytes | None) -> None:
        self.shown.append(admission)
        if self.trusted is not None and peer not in self.trusted:
            raise HandshakeRefused("this key is not known here", code="unknown_key")

    async def admit_link(self, link: Link) -> None:
        await self.switchboard.admit(link)

    def drop_link(self, link: Link) -> None:
        self.switchboard.drop(link)

    async def serve(self, link: Link) -> None:
        self.ended.append(await link.run(self.frames.append))

    async def live(self, link: Link) -> None:
        """What the redialler does with a link that was dialled."""
        try:
            await self.admit_link(link)
        except HandshakeRefused as no:
            await link.shut(no.message)
            self.ended.append(no)
            return
        try:
            await self.serve(link)
        finally:
            self.drop_link(link)

    def restarted(self) -> LinkNode:
        """The same key in a new process, as far as anybody can tell."""
        return LinkNode(self.local.hello.name, signer=self.local.signer, link_timers=self.link_timers)

    @asynccontextmanager
    async def listening(
        self,
        *,
        host: str = "127.0.0.1",
        timers: ReceptionTimers | None = None,
        bounds: Bounds | None = None,
        invites: InviteDesk | None = None,
        known: Callable[[str], bool] = lambda _source: False,
    ) -> AsyncIterator[LinkNode]:
        reception = Reception(
            lambda: self.local,
            NodeTls(self.local.signer),
            self,
            invites=invites,
            wall=time.time,
            timers=timers or ReceptionTimers(1.0, 2.0, 2.0),
            link_timers=self.link_timers,
        )
        async with Listener(reception, self, self.serve, bounds=bounds, known=known) as self.listener:
            (binding,) = await self.listener.set_addresses([(host, 0)])
            assert binding.listening, binding.error
            self.address = binding.address
            yield self


@asynccontextmanager
async def linked(a: LinkNode, b: LinkNode) -> AsyncIterator[Link]:
    """``a`` (which need not listen) linked to listening ``b``; both run until the end of the block."""
    link = await a.dialer.dial(b.address, b.node)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(a.live(link))
        await until(lambda: a.switchboard.linked(b.node) and b.switchboard.linked(a.node))
        try:
            yield link
        finally:
            link.close("the test is over")
            await task


def timers(**changed: float) -> LinkTimers:
    """Link timers for tests: much shorter than the real ones."""
    quick = LinkTimers(ping_after=0.05, dead_after=0.3, measure_every=1.0, goodbye=0.2)
    return dataclasses.replace(quick, **changed)  # type: ignore[arg-type]


def everything(of: Iterable[LinkNode]) -> list[Link]:
    return [link for node in of for link in node.switchboard.all()]


async def refusal(a: LinkNode, address: str, b: LinkNode, code: str) -> HandshakeRefused:
    with pytest.raises(HandshakeRefused) as caught:
        await a.dialer.dial(address, b.node)
    assert caught.value.code == code
    return caught.value
