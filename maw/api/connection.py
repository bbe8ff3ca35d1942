"""One connection: aiohttp's, which also knows its caller's uid and answers in our shape what is no HTTP."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from maw.api.replies import malformed_reply

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_KEEPALIVE_S: Final = 75.0
_LINGER_S: Final = 2.0
_UCRED: Final = struct.Struct("iII")


class Connection(web.RequestHandler):
    __slots__ = ("_peer_uid", "_server")

    def __init__(self, server: Server, **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self._server = server
        self._peer_uid: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if len(self._server.connections) > self._server.most and self.transport is not None:
            self.transport.abort()

    @property
    def peer_uid(self) -> int:
        """The uid at the other end of a Unix socket when it connected, from the kernel."""
        if self._peer_uid is None:
            if self.transport is None:
                raise ConnectionResetError("the caller hung up")
            self._peer_uid = _uid_of(self.transport.get_extra_info("socket"))
        return self._peer_uid

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Called for what could not be read as HTTP (400), and for faults outside `Edge` (500)."""
        if status >= 500:
            self.log_exception("a request failed outside its handler", exc_info=exc)
        return malformed_reply(status, message or "")


class Server(web.Server):
    """Makes a `Connection` for each caller; ``handler`` answers every request. Beyond ``most`` connections a new
    one is closed: idle ones must not use up the process's file descriptors."""

    def __init__(self, handler: Handler, *, most: int) -> None:
        super().__init__(handler)
        self.most = most

    def __call__(self) -> web.RequestHandler:
        return Connection(
            self,
            loop=asyncio.get_running_loop(),
            access_log=None,
            keepalive_timeout=_KEEPALIVE_S,
            lingering_time=_LINGER_S,
            auto_decompress=False,
        )


def _uid_of(sock: socket.socket) -> int:
    if sys.platform == "darwin":
        # struct xucred: version, uid, …; the numbers are SOL_LOCAL and LOCAL_PEERCRED.
        return int(struct.unpack("=II", sock.getsockopt(0, 1, 8))[1])
    return int(_UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))[1])
