"""Dialling one node: from an address to a link, or to one plain sentence about why not."""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Final

import aiohttp
from yarl import URL

from maw.core.endpoint import parse_endpoint
from maw.core.handshake import Dialler, Established, Joining, Local
from maw.core.identity import NodeId
from maw.core.transcript import NONCE_BYTES
from maw.errors import LinkClosed, LinkError, ProtocolViolation
from maw.net.link import Link, LinkTimers
from maw.net.tls import NodeCertificate, client_context
from maw.net.wire import PATH, SOCKET_MAX, Pipe, abort

_WORDS: Final = {
    errno.ECONNREFUSED: "connection refused",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "no route to host",
    errno.EHOSTDOWN: "the host is down",
    errno.ENETDOWN: "the network is down",
    errno.ETIMEDOUT: "timed out",
    errno.ECONNRESET: "the connection was reset",
    errno.EPIPE: "the connection was reset",
    errno.EADDRNOTAVAIL: "no address of this host can reach it",
    errno.EACCES: "a firewall here forbids it",
    errno.EPERM: "a firewall here forbids it",
    errno.EDESTADDRREQ: "WireGuard knows no endpoint for this address yet",
    getattr(errno, "ENOKEY", -1): "no WireGuard peer has this address",
}


@dataclass(frozen=True, slots=True)
class DialTimers:
    """Seconds: for TCP, TLS and HTTP together, and for the handshake after them."""

    connect: float = 5.0
    handshake: float = 5.0


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection to a node whose certificate was checked. ``certificate``: the SHA-256 of it."""

    pipe: Pipe
    node: NodeId
    certificate: bytes


class Dialer:
    """Dials with what this node is at the moment: ``me`` is asked for each handshake.

    ``wall``: unix seconds. ``admission``: what to show of our own admission to a node, if anything.
    """

    def __init__(
        self,
        me: Callable[[], Local],
        *,
        wall: Callable[[], float],
        admission: Callable[[NodeId], bytes | None] = lambda _: None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        timers: DialTimers | None = None,
        link_timers: LinkTimers | None = None,
    ) -> None:
        self.me = me
        self._wall = wall
        self._admission = admission
        self._random_bytes = random_bytes
        self._timers = timers or DialTimers()
        self._link_timers = link_timers
        self._context = client_context()

    async def dial(self, address: str, expected: NodeId) -> Link:
        """One attempt. The link is not yet admitted, nor run: who asked must do both, or ``shut`` it.

        Raises BadInput for what is no address and LinkError for all else.
        """
        connection = await self.connect(address, expected)
        try:
            established = await self.greet(connection, self.me(), admission=self._admission(expected))
        except LinkError as problem:
            await connection.pipe.close(problem.message)
            raise
        except BaseException:
            await connection.pipe.close("", timeout=0)
            raise
        assert established.hello is not None
        return Link(
            connection.pipe,
            established,
            established.hello,
            outbound=True,
            up_since=self._wall(),
            timers=self._link_timers,
        )

    async def greet(
        self,
        connection: Connection,
        me: Local,
        *,
        admission: bytes | None = None,
        joining: Joining | None = None,
    ) -> Established:
        """The dialler's half of the handshake. Raises LinkError; the caller closes the pipe."""
        machine = Dialler(
            me,
            connection.node,
            connection.certificate,
            self._random_bytes(NONCE_BYTES),
            admission=admission,
            joining=joining,
        )
        pipe = connection.pipe
        try:
            async with asyncio.timeout(self._timers.handshake):
                step = await pipe.advance(machine.start())
                while step.established is None:
                    step = await pipe.advance(machine.receive(await pipe.receive()))
                return step.established
        except TimeoutError:
            raise LinkClosed("the handshake timed out", code="timed_out") from None

    async def connect(self, address: str, expected: NodeId) -> Connection:
        """TCP, TLS, the certificate, then the WebSocket. Raises BadInput or LinkError in plain words."""
        host, port = parse_endpoint(address)
        check = NodeCertificate(expected)
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=check, force_close=True, use_dns_cache=False),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            trace_configs=[_no_redirects()],
        )
        try:
            async with asyncio.timeout(self._timers.connect):
                opened = await session.ws_connect(
                    URL.build(scheme="https", host=host, port=port, path=PATH),
                    ssl=self._context,
                    timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                    autoping=False,
                    compress=0,
                    max_msg_size=SOCKET_MAX,
                )
        except (TimeoutError, OSError, aiohttp.ClientError, ValueError) as problem:
            await _give_up(session, check)
            raise check.problem or _in_plain_words(problem) from problem
        except BaseException:
            await _give_up(session, check)
            raise
        assert check.transport is not None
        return Connection(Pipe(opened, check.transport, session.close), expected, check.certificate)


async def _give_up(session: aiohttp.ClientSession, check: NodeCertificate) -> None:
    """At once: a farewell in TLS would wait half a minute for the answer of one that says nothing."""
    if check.transport is not None:
        abort(check.transport)
    await session.close()


def _in_plain_words(problem: BaseException) -> LinkError:
    """What a person can do something about; the original stays its cause."""
    match problem:
        case TimeoutError():
            return LinkClosed("timed out", code="timed_out")
        case aiohttp.ClientConnectorDNSError() | socket.gaierror():
            return LinkClosed("the name does not resolve", code="no_such_name")
        case aiohttp.WSServerHandshakeError():
            return ProtocolViolation(
                f"what listens there is no maw of this version (HTTP {problem.status})", code="not_a_node"
            )
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return ProtocolViolation("what listens there speaks no TLS 1.3", code="not_a_node")
        case aiohttp.ClientOSError() | OSError() if problem.errno in _WORDS:
            return LinkClosed(_WORDS[problem.errno], code="unreachable")
        case aiohttp.ClientConnectorError() if isinstance(problem.os_error, ConnectionError):
            return LinkClosed(
                "the connection was closed during the TLS handshake: no maw listens there, or a busy one",
                code="unreachable",
            )
        case aiohttp.ServerDisconnectedError() | ConnectionError():
            return LinkClosed("the connection was closed before the handshake", code="unreachable")
        case _:
            return LinkClosed(f"cannot connect: {problem}", code="unreachable")


def _no_redirects() -> aiohttp.TraceConfig:
    """A node never redirects; who follows could be led to any server that this host reaches."""

    async def refuse(_session: aiohttp.ClientSession, _context: SimpleNamespace, seen: object) -> None:
        raise aiohttp.ClientError("it redirects")

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(refuse)
    return trace
