"""One WebSocket, whichever side opened it: frames in, frames out, addresses, and its end."""

from __future__ import annotations

import asyncio
import socket
from asyncio.trsock import TransportSocket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import aiohttp
from aiohttp import web

from maw.core.endpoint import endpoint_text
from maw.core.frames import MAX_FRAME
from maw.core.handshake import Step
from maw.core.transcript import plain_words
from maw.errors import LinkClosed, LinkError, ProtocolViolation

PATH: Final = "/maw/1"
SOCKET_MAX: Final = MAX_FRAME + 1
"""aiohttp refuses what reaches its maximum; a frame of exactly ``MAX_FRAME`` bytes is good."""

BUFFERED: Final = 64 * 1024
"""Bytes that asyncio, and the kernel, each keep of what the network has not taken yet."""

CLOSE_OK: Final = 1000
CLOSE_VIOLATION: Final = 1002
_CLOSE_BYTES: Final = 120

Socket = aiohttp.ClientWebSocketResponse | web.WebSocketResponse

Connection = socket.socket | TransportSocket
"""As this side accepted it, or as a transport shows what is under it."""

GONE: Final = (OSError, aiohttp.ClientError, RuntimeError)
"""What aiohttp raises when the connection under a WebSocket is gone (RuntimeError: received past its end)."""


class Pipe:
    """Binary messages over one WebSocket. Only one task may receive, and only one send, at a time."""

    __slots__ = (
        "_believed",
        "_connection",
        "_release",
        "local_address",
        "remote_address",
        "socket",
        "transport",
    )

    def __init__(
        self,
        opened: Socket,
        transport: asyncio.Transport,
        release: Callable[[], Awaitable[None]] | None = None,
        believed: Callable[[], None] = lambda: None,
    ) -> None:
        """``release`` is awaited once, after the end, to give back what the connection holds; ``believed`` is called
        when the other side is no stranger any more, and may say more than strangers may."""
        self.socket = opened
        self.transport = transport
        self._release = release
        self._believed = believed
        self._connection = transport.get_extra_info("socket")
        _keep_little_waiting(transport, self._connection)
        self.local_address = address_of(transport, "sockname")
        self.remote_address = address_of(transport, "peername")

    def believe(self) -> None:
        """The other side has proved that it may be here."""
        self._believed()

    async def receive(self) -> bytes:
        """The next frame. Raises LinkClosed or ProtocolViolation. Pings are passed over: for handshakes."""
        while True:
            try:
                message = await self.socket.receive()
            except GONE:
                raise LinkClosed("the connection was lost") from None
            if message.type is aiohttp.WSMsgType.BINARY:
                return bytes(message.data)
            if message.type not in (aiohttp.WSMsgType.PING, aiohttp.WSMsgType.PONG):
                raise ending(message)

    async def send(self, frame: bytes) -> None:
        """Writes one frame, waiting while the network does not take more. Raises LinkClosed."""
        try:
            await self.socket.send_bytes(frame)
        except GONE:
            raise LinkClosed("the connection was lost") from None

    @property
    def full(self) -> bool:
        """More is buffered below than the network takes soon. A connection that is gone cannot be asked, and takes
        anything."""
        return not self.transport.is_closing() and self.transport.get_write_buffer_size() > BUFFERED

    async def taken(self) -> None:
        """Returns when the network has taken most of it. aiohttp itself waits only after every 256 KiB, and asyncio
        tells nobody else that there is room: so this looks, and only while a line is slow."""
        wait = 0.0
        while self.full:
            await asyncio.sleep(wait)
            wait = min(0.01, wait + 0.001)

    async def advance(self, step: Step) -> Step:
        """Carries out what a handshake machine wants sent; raises its failure, after saying so."""
        try:
            for frame in step.send:
                await self.send(frame)
        except LinkClosed:
            if step.failure is None:
                raise
        if step.failure is not None:
            raise step.failure
        return step

    async def close(self, reason: str, *, code: int = CLOSE_OK, timeout: float = 1.0) -> None:
        """Says goodbye for at most ``timeout`` seconds and lets go of the connection. May be called again."""
        words = plain_words(reason).encode()[:_CLOSE_BYTES].decode(errors="ignore").encode()
        if timeout <= 0:
            abort(self.transport)  # and then closing the WebSocket only lets go of what aiohttp holds
        try:
            async with asyncio.timeout(max(timeout, 0.1)):
                await self.socket.close(code=code, message=words)
        except (TimeoutError, *GONE):
            pass  # it is closed below in any case
        finally:
            abort(self.transport)
            hang_up(self._connection)
            release, self._release = self._release, None
            if release is not None:
                await release()


def abort(transport: asyncio.Transport) -> None:
    """``transport.abort()``, also where it was closed twice before: a TLS transport of Python 3.11 before 3.11.4 has
    forgotten its own protocol by then (cpython #104485), and would raise. ``hang_up`` ends what is under it."""
    try:
        transport.abort()
    except AttributeError:
        if not transport.is_closing():
            raise


def hang_up(connection: Connection | None) -> None:
    """Ends it under whatever transport there is, which notices that in the loop's next turns and closes the socket.

    For what ``abort`` does not reach: asyncio's TLS transport loses the connection when it is closed after a goodbye
    from the other side, or is not known to anybody when whoever waited for it was cancelled.
    """
    if connection is not None:
        with suppress(OSError):  # it is closed already, or the other side was faster
            connection.shutdown(socket.SHUT_RDWR)


def _keep_little_waiting(transport: asyncio.Transport, connection: Connection | None) -> None:
    """What has been handed over cannot be overtaken any more: so that nothing live waits long behind somebody's
    catch-up on a slow line, the rest stays in the link's own queue. What is under way is not limited."""
    transport.set_write_buffer_limits(high=BUFFERED)
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if connection is None or option is None:
        return
    with suppress(
        OSError
    ):  # no TCP underneath, or a system that does not know it: it only waits longer there
        connection.setsockopt(socket.IPPROTO_TCP, option, BUFFERED)


def ending(message: aiohttp.WSMessage) -> LinkError:
    """Why the WebSocket ended, from what it delivered instead of a frame."""
    kind = message.type
    if kind is aiohttp.WSMsgType.TEXT:
        return ProtocolViolation("a text message on a link")
    if kind is aiohttp.WSMsgType.ERROR and isinstance(message.data, aiohttp.WebSocketError):
        return ProtocolViolation(f"no WebSocket frame, or one too big: {plain_words(str(message.data), 200)}")
    if kind is aiohttp.WSMsgType.CLOSE and message.extra:
        return LinkClosed(f"closed by the other side: {plain_words(str(message.extra), 200)}")
    if kind is aiohttp.WSMsgType.CLOSE:
        return LinkClosed("closed by the other side")
    return LinkClosed("the connection was lost")


def address_of(transport: asyncio.BaseTransport, which: str) -> str:
    """``peername`` or ``sockname`` as an endpoint, or "" when the connection is gone already."""
    address = transport.get_extra_info(which)
    if isinstance(address, tuple) and len(address) >= 2:
        return endpoint_text(str(address[0]), int(address[1]))
    return ""
