"""The node's listening sockets: opened and closed as addresses come and go, guarded against strangers.

Policy when full: a connection beyond the bounds (all of those not yet authenticated, and those from one
source) is closed at once. A dialler tries again later. Addresses of peers have places of their own, so that no
number of strangers keeps a peer out.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from maw.core.endpoint import endpoint_text
from maw.errors import LinkError
from maw.net.gatekeeper import Gatekeeper, Serve
from maw.net.quietlog import QuietLog
from maw.net.reception import HUNG_UP, Reception
from maw.net.redialler import LINKS_ENOUGH
from maw.net.refusals import TOO_MANY, Refusals

_log = logging.getLogger(__name__)

_BACKLOG: Final = 128
_NO_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_NO_REFUSALS: Final = frozenset({"duplicate", LINKS_ENOUGH})
_HARMLESS: Final = _NO_REFUSALS | {HUNG_UP}
_WORDS: Final = {
    errno.EADDRINUSE: "another program listens there already",
    errno.EADDRNOTAVAIL: "no interface of this host has this address",
    errno.EACCES: "this user may not listen there (a port below 1024?)",
}


@dataclass(frozen=True, slots=True)
class Binding:
    """One wanted address. ``port`` is the real one, also where 0 was asked for; ``error`` when not bound."""

    host: str
    port: int
    listening: bool
    error: str | None = None

    @property
    def address(self) -> str:
        return endpoint_text(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Connections that have not proved a key yet: in all, and from one source address.

    ``known``: in all of those that come from an address of a peer, for whom strangers leave no place otherwise.
    ``pause``: seconds without accepting when the process is out of file descriptors.
    """

    strangers: int = 64
    per_source: int = 8
    known: int = 64
    pause: float = 1.0


class Listener:
    """An async context manager: while it is entered, the connections it accepts are served by its own tasks.

    On leaving, sockets and connections are closed. ``bug`` is told of a fault that is no peer's, and that connection
    ends; without it, such a fault ends the listener. ``refused`` hears of the IP address whose connection was refused;
    ``refusals`` counts them.
    """

    def __init__(
        self,
        reception: Reception,
        gatekeeper: Gatekeeper,
        serve: Serve,
        *,
        quiet: QuietLog | None = None,
        bounds: Bounds | None = None,
        bug: Callable[[str, Exception], None] | None = None,
        known: Callable[[str], bool] = lambda _source: False,
        refused: Callable[[str, LinkError], None] = lambda _source, _why: None,
    ) -> None:
        self._reception = reception
        self._gatekeeper = gatekeeper
        self._serve = serve
        self._quiet = quiet or QuietLog(_log, time.monotonic)
        self._bounds = bounds or Bounds()
        self._bug = bug
        self._known = known
        self._of_peers: Counter[str] = Counter()
        self._told_refused = refused
        self.refusals = Refusals(time.monotonic)
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sockets: dict[tuple[str, int], socket.socket] = {}
        self._resuming: dict[tuple[str, int], asyncio.TimerHandle] = {}
        self._bindings: tuple[Binding, ...] = ()
        self._strangers: Counter[str] = Counter()

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """The addresses last asked for, and whether each is listened on."""
        return self._bindings

    @property
    def strangers(self) -> int:
        """How many connections have not proved a key yet."""
        return self._strangers.total() + self._of_peers.total()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for key in list(self._sockets):
            self._close(key)
        for task in self._tasks:
            task.cancel()
        await self._group.__aexit__(kind, problem, trace)

    async def set_addresses(self, addresses: Sequence[tuple[str, int]]) -> tuple[Binding, ...]:
        """Listens on exactly these (IP address, port); those already listened on are not disturbed.

        Never raises for an address that cannot be bound: its binding says why, and asking again tries again.
        """
        wanted = dict.fromkeys(addresses)
        for key in [key for key in self._sockets if key not in wanted]:
            self._close(key)
        self._bindings = tuple(self._bind(host, port) for host, port in wanted)
        return self._bindings

    def _bind(self, host: str, port: int) -> Binding:
        key = (host, port)
        if key not in self._sockets:
            try:
                self._sockets[key] = _listening_socket(host, port)
            except OSError as problem:
                words = _WORDS.get(problem.errno or 0, problem.strerror or str(problem))
                return Binding(host, port, listening=False, error=words)
            self._watch(key)
        return Binding(host, self._sockets[key].getsockname()[1], listening=True)

    def _watch(self, key: tuple[str, int]) -> None:
        self._resuming.pop(key, None)
        listening = self._sockets[key]
        asyncio.get_running_loop().add_reader(listening.fileno(), self._accept, key)

    def _close(self, key: tuple[str, int]) -> None:
        resuming = self._resuming.pop(key, None)
        if resuming is not None:
            resuming.cancel()
        listening = self._sockets.pop(key)
        asyncio.get_running_loop().remove_reader(listening.fileno())
        listening.close()

    def _accept(self, key: tuple[str, int]) -> None:
        """Called by the loop when somebody is there; takes all that are."""
        for _ in range(_BACKLOG):
            try:
                accepted, address = self._sockets[key].accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as problem:
                self._accept_failed(key, problem)
                return
            self._received(accepted, str(address[0]))

    def _accept_failed(self, key: tuple[str, int], problem: OSError) -> None:
        """Out of descriptors, the socket would be ready for ever: look away for a moment."""
        if problem.errno not in _NO_DESCRIPTORS:
            return  # that one connection was gone before it was taken
        self._quiet.say(logging.ERROR, "accept", f"cannot accept connections: {problem.strerror}")
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._sockets[key].fileno())
        self._resuming[key] = loop.call_later(self._bounds.pause, self._watch, key)

    def _received(self, accepted: socket.socket, source: str) -> None:
        known = self._known(source)
        places = self._of_peers if known else self._strangers
        full = places.total() >= (self._bounds.known if known else self._bounds.strangers)
        if full or places[source] >= self._bounds.per_source:
            accepted.close()
            self.refusals.note(source, TOO_MANY)
            whose = "all sources" if full else source
            self._quiet.say(
                logging.WARNING, f"{source} full", f"too many unauthenticated connections from {whose}"
            )
            return
        accepted.setblocking(False)
        stranger = _Stranger(places, source)
        task = self._group.create_task(self._serve_one(accepted, source, stranger), name=f"inbound {source}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: None if stranger.received else accepted.close())

    async def _serve_one(self, accepted: socket.socket, source: str, stranger: _Stranger) -> None:
        stranger.received = True
        try:
            async with self._reception.receive(accepted) as link:
                stranger.known()
                if link is None:
                    return
                try:
                    await self._serve(link)
                finally:
                    self._gatekeeper.drop_link(link)
        except LinkError as problem:
            if problem.code not in _NO_REFUSALS:
                self.refusals.note(source, problem.code)
            if problem.code not in _HARMLESS:
                about = f"{source} {problem.code}"  # one kind of refusal must not hide another
                message = f"refused a connection from {source}: {problem.message}"
                self._quiet.say(logging.WARNING, about, message)
                self._told_refused(source, problem)
        except Exception as error:  # whoever knows how to make us stumble shall not end the daemon with it
            if self._bug is None:
                raise
            self._bug("an inbound connection", error)
        finally:
            stranger.known()


class _Stranger:
    """One place among the strangers, taken when made and given back once.

    ``received``: its task began, and the reception closes its connection; else it was cancelled before that.
    """

    __slots__ = ("_counter", "_source", "received")

    def __init__(self, counter: Counter[str], source: str) -> None:
        self._counter: Counter[str] | None = counter
        self._source = source
        self.received = False
        counter[source] += 1

    def known(self) -> None:
        counter, self._counter = self._counter, None
        if counter is not None:
            counter[self._source] -= 1
            if not counter[self._source]:
                del counter[self._source]


def _listening_socket(host: str, port: int) -> socket.socket:
    """Bound, listening and non-blocking. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_PASSIVE
    )[0]
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.setblocking(False)
        opened.bind(address)
        opened.listen(_BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened
