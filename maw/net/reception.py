"""One inbound connection, from an accepted socket to a link, a joiner served, or a refusal.

aiohttp speaks HTTP and WebSocket on it, but nothing else: it logs nothing, and the tasks that matter are
the listener's own, not aiohttp's.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import ssl
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiohttp import hdrs, web

from maw.core.handshake import Listener as Machine
from maw.core.handshake import Local, Step
from maw.core.transcript import NONCE_BYTES
from maw.errors import HandshakeRefused, LinkClosed, LinkError, ProtocolViolation
from maw.net.gatekeeper import Gatekeeper
from maw.net.joining import InviteDesk, receive_joiner
from maw.net.link import Link, LinkTimers
from maw.net.tls import NodeTls
from maw.net.wire import PATH, SOCKET_MAX, Pipe, abort, hang_up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp.web_protocol import RequestHandler

HUNG_UP: Final = "hung_up"
"""It left before there was a TLS connection: a look whether anybody listens, as `maw doctor` takes one."""
_MAX_LINE: Final = 1024
_MAX_HEADERS: Final = 32
_GOODBYE: Final = 1.0
STRANGERS_BYTES: Final = 64 * 1024
"""What a connection may say in all, HTTP and frames, before it has proved that it may be here: so much memory, at
most, is a stranger's."""


@dataclass(frozen=True, slots=True)
class ReceptionTimers:
    """Seconds: for TLS, for everything until the link is up, and for a joiner's exchange on top."""

    tls: float = 5.0
    handshake: float = 5.0
    joining: float = 30.0


class Reception:
    """Receives those who connect. ``me`` is asked for each handshake; ``wall``: unix seconds.

    ``invites`` None: joiners are refused.
    """

    def __init__(
        self,
        me: Callable[[], Local],
        tls: NodeTls,
        gatekeeper: Gatekeeper,
        *,
        invites: InviteDesk | None,
        wall: Callable[[], float],
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        timers: ReceptionTimers | None = None,
        link_timers: LinkTimers | None = None,
    ) -> None:
        self._me = me
        self._tls = tls
        self._gatekeeper = gatekeeper
        self._invites = invites
        self._wall = wall
        self._random_bytes = random_bytes
        self._timers = timers or ReceptionTimers()
        self._link_timers = link_timers

    @asynccontextmanager
    async def receive(self, accepted: socket.socket) -> AsyncIterator[Link | None]:
        """Within it: the admitted link, ready to run, or None when a joiner was served.

        Raises LinkError for whatever the other side did or was refused. The connection is over on leaving, and
        ``accepted`` closed, which nobody else may close from here on.
        """
        try:
            async with self._received(accepted) as link:
                yield link
        finally:
            await _ended(accepted)

    @asynccontextmanager
    async def _received(self, accepted: socket.socket) -> AsyncIterator[Link | None]:
        served = self._tls.at(self._wall())
        door = _Door()
        try:
            async with asyncio.timeout(self._timers.handshake) as deadline:
                pipe = await self._open(accepted, served.context, door)
                try:
                    link = await self._greet(pipe, served.certificate, deadline)
                except LinkError as problem:
                    await pipe.close(problem.message, timeout=_GOODBYE)
                    raise
                except BaseException:
                    await pipe.close("", timeout=0)
                    raise
        except TimeoutError:
            door.over()
            raise LinkClosed("the handshake timed out", code="timed_out") from None
        except BaseException:
            door.over()
            raise
        try:
            yield link
        finally:
            if link is None:
                await pipe.close("joined", timeout=_GOODBYE)
            else:
                await link.shut("the node let go of the link")
            door.over()

    async def _open(self, accepted: socket.socket, context: ssl.SSLContext, door: _Door) -> Pipe:
        """TLS, then HTTP up to the WebSocket."""
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.connect_accepted_socket(
                door.server,
                accepted,
                ssl=context,
                ssl_handshake_timeout=self._timers.tls,
                ssl_shutdown_timeout=_GOODBYE,
            )
        except OSError as problem:  # ssl.SSLError is one
            left = isinstance(problem, ConnectionError) and not isinstance(problem, ConnectionAbortedError)
            code = HUNG_UP if left else "no_tls"
            raise LinkClosed(f"no TLS 1.3: {_tls_words(problem)}", code=code) from None
        try:
            opened = await door.opened
        except BaseException:
            abort(transport)
            raise
        if opened is None:
            abort(transport)
            raise ProtocolViolation(f"no WebSocket for {PATH}", code="no_websocket")
        return Pipe(opened, transport, believed=door.believe)

    async def _greet(self, pipe: Pipe, certificate: bytes, deadline: asyncio.Timeout) -> Link | None:
        """The listener's half of the handshake, with everybody who has a say asked."""
        machine = Machine(self._me(), certificate, self._random_bytes(NONCE_BYTES))
        await pipe.advance(machine.receive(await pipe.receive()))
        step = await pipe.advance(machine.receive(await pipe.receive()))
        if step.join is not None:
            deadline.reschedule(asyncio.get_running_loop().time() + self._timers.joining)
            await receive_joiner(pipe, machine, step.join, self._invites, self._wall)
            return None
        return await self._greet_peer(pipe, machine, step)

    async def _greet_peer(self, pipe: Pipe, machine: Machine, step: Step) -> Link:
        assert step.claim is not None
        try:
            self._gatekeeper.judge(step.claim.peer, step.claim.admission)
        except HandshakeRefused as no:
            await pipe.advance(machine.refuse(no))
        pipe.believe()
        await pipe.advance(machine.accept())
        step = await pipe.advance(machine.receive(await pipe.receive()))
        assert step.established is not None
        assert step.established.hello is not None
        link = Link(
            pipe,
            step.established,
            step.established.hello,
            outbound=False,
            up_since=self._wall(),
            timers=self._link_timers,
        )
        try:
            await self._gatekeeper.admit_link(link)
        except HandshakeRefused as no:
            await pipe.advance(machine.refuse(no))
        try:
            await pipe.advance(machine.welcome())
        except BaseException:
            self._gatekeeper.drop_link(link)
            raise
        return link


class _Door:
    """The HTTP server of one connection: opens a WebSocket at the one path there is, or closes."""

    def __init__(self) -> None:
        self.opened: asyncio.Future[web.WebSocketResponse | None] = asyncio.get_running_loop().create_future()
        self._over = asyncio.Event()
        self.server = _OneConnection(self._upgrade, self._settle)

    def over(self) -> None:
        """Lets aiohttp's own task end."""
        self._over.set()

    def believe(self) -> None:
        """From here on the limits of a link hold."""
        self.server.allowance = None

    async def _upgrade(self, request: web.BaseRequest) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            timeout=_GOODBYE, autoping=False, compress=False, max_msg_size=SOCKET_MAX
        )
        # A subprotocol is nothing we know, and aiohttp would log it, for every stranger that asks.
        bad = self.opened.done() or hdrs.SEC_WEBSOCKET_PROTOCOL in request.headers
        if request.path != PATH or bad or not socket.can_prepare(request):
            no = web.Response(status=404)
            no.force_close()
            return no  # and when it is written and closed, _OneConnection tells
        await socket.prepare(request)
        self._settle(socket)
        await self._over.wait()
        return socket

    def _settle(self, socket: web.WebSocketResponse | None) -> None:
        if not self.opened.done():
            self.opened.set_result(socket)


class _Measured(web.RequestHandler):
    """Ends a connection that says more than its server allows, before any of it is kept."""

    __slots__ = ("_server",)

    def __init__(self, server: _OneConnection, **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self._server = server

    def data_received(self, data: bytes) -> None:
        if self._server.allowance is not None:
            self._server.allowance -= len(data)
            if self._server.allowance < 0:
                if self.transport is not None:
                    abort(self.transport)
                return
        super().data_received(data)


class _OneConnection(web.Server):
    """Tells when the connection is gone, and keeps aiohttp from logging what strangers send."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], object],
        settle: Callable[[None], None],
    ) -> None:
        super().__init__(
            handler,  # type: ignore[arg-type]
            access_log=None,
            logger=logging.Logger("silent", logging.CRITICAL + 1),
            keepalive_timeout=0,
            lingering_time=0,
            max_line_size=_MAX_LINE,
            max_field_size=_MAX_LINE,
            max_headers=_MAX_HEADERS,
        )
        self._settle = settle
        self.allowance: int | None = STRANGERS_BYTES

    def __call__(self) -> web.RequestHandler:
        return _Measured(self, loop=asyncio.get_running_loop(), **self._kwargs)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._settle(None)


async def _ended(accepted: socket.socket) -> None:
    """Returns when the transport has closed the socket that it was given.

    Closed under it, the loop would go on taking the descriptor for this connection's, and the next connection that
    gets it would hear nothing.
    """
    hang_up(accepted)
    wait = 0.0
    try:
        async with asyncio.timeout(2 * _GOODBYE):
            while accepted.fileno() >= 0:
                await asyncio.sleep(wait)
                wait = min(0.01, wait + 0.001)
    except TimeoutError:
        accepted.close()  # a fault came before there was a transport


def _tls_words(problem: OSError) -> str:
    if isinstance(problem, ssl.SSLError):
        return (problem.reason or "garbage").lower().replace("_", " ")
    if isinstance(problem, ConnectionAbortedError):
        return "timed out"
    return "the connection was closed"
