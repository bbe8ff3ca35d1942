"""This node on its network: where it listens, whom it dials, what the interface does meanwhile.

Local sends and reads know nothing of this file: with the interface gone, only links are.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import random
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial

from maw.config import Config
from maw.core.handshake import Local
from maw.core.identity import NodeId
from maw.core.statement import Statement
from maw.errors import HandshakeRefused, LinkError, Unavailable
from maw.net.dialer import Dialer
from maw.net.joining import InviteDesk
from maw.net.link import Link, LinkTimers
from maw.net.listener import Binding, Listener
from maw.net.reception import Reception
from maw.net.redialler import DialState, Redialler
from maw.net.refusals import Refusals
from maw.net.switchboard import Switchboard
from maw.net.tls import NodeTls
from maw.net.wireguard import InterfaceState, watch
from maw.node.conduct import Conduct
from maw.node.linking import Linking
from maw.node.loops import Loops
from maw.node.membership import Membership

log = logging.getLogger(__name__)

REFUSALS = frozenset({"forgotten", "unknown_key", "pending", "other_colony", "copied_host", "wrong_key"})
LOOK_S = 1.0
"""How often the choice of links is looked at, besides at every change."""
REBIND_S = 2.0
"""How soon an address that could not be bound is tried again."""
STILL_S = 60.0
"""A watch of the interface that has not moved for so long is told of."""


class Gate:
    """Implements net.gatekeeper.Gatekeeper: trust first, then links enough, then at most one link a peer."""

    def __init__(
        self, membership: Membership, board: Switchboard, linking: Linking, conduct: Conduct
    ) -> None:
        self._membership = membership
        self._board = board
        self._linking = linking
        self._conduct = conduct
        self._shown: dict[NodeId, Statement] = {}

    def judge(self, peer: NodeId, admission: bytes | None) -> None:
        needed = self._membership.judge(peer, admission)
        if needed is not None:
            self._shown[peer] = needed

    async def admit_link(self, link: Link) -> None:
        self._conduct.check(link.peer)
        self._linking.check(link)
        shown = self._shown.pop(link.peer, None)
        if shown is not None:
            try:
                await self._membership.keep([shown])
            except Unavailable as error:
                raise HandshakeRefused(error.message, code=error.code) from None
        await self._board.admit(link)

    def drop_link(self, link: Link) -> None:
        self._board.drop(link)


class Mesh:
    """Owns the listener and the redialler."""

    def __init__(
        self,
        config: Config,
        local: Callable[[], Local],
        tls: NodeTls,
        membership: Membership,
        board: Switchboard,
        serve: Callable[[Link], Awaitable[None]],
        invites: InviteDesk,
        share: Callable[[NodeId], float],
        loops: Loops,
        conduct: Conduct,
        refused: Callable[[str, LinkError], None] = lambda _source, _why: None,
    ) -> None:
        self._config = config
        self._membership = membership
        self._board = board
        loop = asyncio.get_running_loop()
        mesh = config.mesh
        self.linking = Linking(board, loop.time, share, links=mesh.links, full_mesh=mesh.full_mesh)
        self._look = asyncio.Event()
        gate = Gate(membership, board, self.linking, conduct)
        self._loops = loops
        timers = LinkTimers(queue_bytes=config.limits.outbound_mib << 20)
        self.dialer = Dialer(
            local,
            wall=time.time,
            admission=lambda peer: membership.book.admission_for_me(peer),
            link_timers=timers,
        )
        reception = Reception(local, tls, gate, invites=invites, wall=time.time, link_timers=timers)
        self._listener = Listener(
            reception, gate, serve, bug=loops.stumbled, known=self._is_of_a_peer, refused=refused
        )
        self._redialler = Redialler(
            self.dialer.dial,
            gate,
            serve,
            linked=board.linked,
            rng=random.Random(),  # noqa: S311 - it only spreads retries
            wall=time.time,
            failed=self._failed,
            bug=loops.stumbled,
        )
        self._hosts_of_peers: frozenset[str] = frozenset()
        self._bound = asyncio.Event()
        self.interface: InterfaceState | None = None
        self.interface_since: float | None = None

    def _is_of_a_peer(self, source: str) -> bool:
        """Whether a peer is said to be found at this IP address."""
        return source in self._hosts_of_peers

    @property
    def bindings(self) -> Sequence[Binding]:
        return self._listener.bindings

    @property
    def refusals(self) -> Refusals:
        """Connections that were refused here, by address."""
        return self._listener.refusals

    def dial_states(self) -> Mapping[NodeId, DialState]:
        """How it stands with those who are dialled, and how it ended with those who are not any more."""
        return self.linking.troubles() | self._redialler.states()

    def addresses(self) -> tuple[str, ...]:
        """Where others can reach us: what the owner advertises, else what we listen on."""
        if self._config.mesh.advertise:
            return tuple(str(endpoint) for endpoint in self._config.mesh.advertise)
        found: list[str] = []
        for binding in self._listener.bindings:
            if ipaddress.ip_address(binding.host).is_unspecified:
                found += [f"{host}:{binding.port}" for host in _own_addresses()]
            else:
                found.append(binding.address)
        reachable = [address for address in found if not _is_loopback(address)]
        return tuple(reachable or found)  # loopback alone is fine for two nodes on one machine

    async def bound(self) -> None:
        """Returns when the first decision about addresses was taken, bound or not."""
        await self._bound.wait()

    def retarget(self, addresses: Mapping[NodeId, Sequence[str]]) -> None:
        """Whom we trust, and where they may be found. Links of everybody else end."""
        self.linking.set_peers(addresses)
        self._hosts_of_peers = frozenset(
            where.rpartition(":")[0].strip("[]") for found in addresses.values() for where in found
        )
        self._redialler.set_targets(self.linking.targets())
        for link in self._board.all():
            if link.peer not in addresses:
                link.close("this node no longer trusts the other")

    def refused_by(self, peer: NodeId) -> str | None:
        """Why ``peer`` will have no link with us, when it is not merely out of reach."""
        state = self.linking.trouble(peer)
        return state.last_error if state and state.last_error_code in REFUSALS else None

    def redial(self, peer: NodeId) -> None:
        """A link to ``peer`` came or went: look after it now rather than at the next turn."""
        self.linking.changed(peer)
        self._redialler.wake(peer)
        self._look.set()

    def _failed(self, peer: NodeId, state: DialState) -> None:
        self.linking.failed(peer, state)
        self._look.set()

    async def woke(self) -> None:
        """The host slept, or the network came back: try everything now."""
        self.linking.woke()
        self._look.set()
        self._redialler.wake()
        await self._board.probe()

    async def run(self) -> None:
        """Listens and dials until cancelled."""
        async with self._listener, asyncio.TaskGroup() as tasks:
            name, work = (
                ("interface", self._follow) if self._config.mesh.interface else ("listen", self._listen)
            )
            loops = (("redial", self._redialler.run), ("choose links", self._choose_links), (name, work))
            for what, loop in loops:
                beat = self._loops.pulse(what, STILL_S)
                tasks.create_task(self._loops.keep(what, partial(loop, beat)), name=what)

    async def _choose_links(self, beat: Callable[[], None]) -> None:
        """Not within what told of a change: that may be a task which a new choice ends."""
        while True:
            beat()
            self._look.clear()
            self._redialler.set_targets(self.linking.targets())
            if (spare := self.linking.to_close()) is not None:
                self._board.close(spare, "links enough on this side")
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._look.wait()
            except TimeoutError:
                pass

    async def _listen(self, beat: Callable[[], None]) -> None:
        wanted = [(endpoint.host, endpoint.port) for endpoint in self._config.mesh.listen]
        while True:
            beat()
            await self._bind(wanted)
            await asyncio.sleep(REBIND_S)

    async def _bind(self, wanted: Sequence[tuple[str, int]]) -> None:
        before = {binding.address: binding.error for binding in self._listener.bindings}
        for binding in await self._listener.set_addresses(wanted):
            if before.get(binding.address, "new") != binding.error:
                if binding.listening:
                    log.info("listening on %s", binding.address)
                else:
                    log.warning("cannot listen on %s: %s", binding.address, binding.error)
        self._bound.set()

    async def _follow(self, beat: Callable[[], None]) -> None:
        """Listens on the interface's addresses only, and follows them."""
        name = self._config.mesh.interface
        assert name is not None
        states: asyncio.Queue[InterfaceState] = asyncio.Queue(1)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(name, states), name=f"watch {name}")
            state: InterfaceState | None = None
            while True:
                beat()
                if state is not None:
                    await self._enter(state)
                try:
                    async with asyncio.timeout(REBIND_S):
                        state = await states.get()
                except TimeoutError:  # an address that could not be bound is tried again
                    self._bound.set()  # and what is local does not wait for a kernel that says nothing

    async def _watch(self, name: str, states: asyncio.Queue[InterfaceState]) -> None:
        beat = self._loops.pulse(f"watch {name}", STILL_S)
        async with aclosing(watch(name, beat=beat)) as changes:
            async for state in changes:
                if states.full():
                    states.get_nowait()  # only the newest counts
                states.put_nowait(state)

    async def _enter(self, state: InterfaceState) -> None:
        changed = state != self.interface
        if changed:
            log.info("%s", state.describe())
            self.interface, self.interface_since = state, time.time()
        port = self._config.mesh.port
        await self._bind([(address, port) for address in state.usable])
        if changed:
            self._drop_links_without_address(state)
            await self.woke()

    def _drop_links_without_address(self, state: InterfaceState) -> None:
        """A connection from an address that is gone would only be found dead much later."""
        for link in self._board.all():
            host = link.local_address.rpartition(":")[0].strip("[]")
            if host and host not in state.addresses and not ipaddress.ip_address(host).is_loopback:
                link.close("the address it was made from is gone")


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.rpartition(":")[0].strip("[]")).is_loopback


def _own_addresses() -> list[str]:
    """Addresses of this host by its name; used only when the owner listens on every address."""
    try:
        found = socket.getaddrinfo(socket.gethostname(), None, proto=socket.IPPROTO_TCP)
    except OSError:
        return []
    hosts = [str(info[4][0]) for info in found]
    return [host for host in dict.fromkeys(hosts) if not ipaddress.ip_address(host).is_loopback]
