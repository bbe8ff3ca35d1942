"""Both doors of a node, from bound to closed: the Unix socket and REST on loopback."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from maw.api.app import ROUTES, Edge
from maw.api.backend import Backend
from maw.api.connection import Server
from maw.api.limits import MAX_REST_CONNECTIONS, MAX_SOCKET_CONNECTIONS, Pace
from maw.api.principals import Door, RestDoor, SocketDoor
from maw.api.routes import Api
from maw.api.sockets import BACKLOG, address_text, bind_tcp, bind_unix
from maw.api.waiting import Waiting

_LOG: Final = logging.getLogger(__name__)
_LAST_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """Where the doors are.

    ``socket``: the path; ``group``: a gid that may open it beside its owner. ``rest``: host and port (0: any
    free one), None for no REST. ``hosts``: names, beyond loopback's, that REST answers to. ``most``: connections
    at once, over REST and over the socket.
    """

    socket: Path
    group: int | None = None
    rest: tuple[str, int] | None = None
    anonymous: bool = True
    hosts: Collection[str] = ()
    most: tuple[int, int] = (MAX_REST_CONNECTIONS, MAX_SOCKET_CONNECTIONS)


class Doors:
    """Serves the API until stopped.

    ``start`` returns when both doors listen, or raises BadConfig or Conflict with neither open. ``stop``
    takes nothing new, ends long polls and streams, and lets what is under way finish for ``grace_s``.
    """

    def __init__(
        self, backend: Backend, settings: DoorSettings, *, pace: Pace | None = None, grace_s: float = 5.0
    ) -> None:
        self._backend = backend
        self._settings = settings
        self._pace = pace
        self._grace_s = grace_s
        self._api: Api | None = None
        self._served: list[_Served] = []
        self._inode: tuple[int, int] | None = None

    @property
    def socket_path(self) -> Path:
        return self._settings.socket

    @property
    def rest_address(self) -> str | None:
        """``127.0.0.1:6291`` as really bound; None without REST, or before `start`."""
        for served in self._served:
            if served.sock.family != socket.AF_UNIX:
                return address_text(served.sock)
        return None

    async def start(self) -> None:
        settings = self._settings
        sockets = [bind_unix(settings.socket, group=settings.group)]
        self._inode = _inode(settings.socket)
        try:
            if settings.rest is not None:
                sockets.append(bind_tcp(*settings.rest))
            await self._open(sockets)
        except BaseException:
            await self.stop()
            for sock in sockets:
                sock.close()
            raise

    async def _open(self, sockets: list[socket.socket]) -> None:
        self._api = Api(self._backend, Waiting(self._backend), ROUTES, self._pace)
        doors: list[Door] = [SocketDoor(self._backend)]
        if self._settings.rest is not None:
            hosts = {self._settings.rest[0], *self._settings.hosts}
            doors.append(
                RestDoor(
                    self._backend,
                    anonymous=self._settings.anonymous,
                    hosts=hosts,
                    tickets=self._api.tickets,
                )
            )
        for door, sock in zip(doors, sockets, strict=True):
            most = self._settings.most[0 if door.kind == "rest" else 1]
            self._served.append(await _serve(self._api, door, sock, most, self._grace_s))

    async def stop(self) -> None:
        """Safe to call twice, and without `start`."""
        served, self._served = self._served, []
        for door in served:
            await door.site.stop()
        if self._api is not None and served:
            self._api.waiting.stop()
            await self._finish(served)
        for door in served:
            await door.runner.cleanup()
        self._remove_socket_file()

    async def _finish(self, served: list[_Served]) -> None:
        """Before the connections are told to close: after that, aiohttp reads nothing from them any more."""
        try:
            async with asyncio.timeout(self._grace_s):
                for door in served:
                    await door.edge.drained()
        except TimeoutError:
            _LOG.warning("some requests did not finish within %g s of stopping", self._grace_s)

    def _remove_socket_file(self) -> None:
        """Only our own: another daemon may have put its file there since."""
        if self._inode is not None and _inode(self._settings.socket) == self._inode:
            self._settings.socket.unlink(missing_ok=True)
        self._inode = None


@dataclass(frozen=True, slots=True)
class _Served:
    sock: socket.socket
    site: web.SockSite
    runner: web.ServerRunner
    edge: Edge


async def _serve(api: Api, door: Door, sock: socket.socket, most: int, grace_s: float) -> _Served:
    edge = Edge(api, door)
    # `_finish` has waited already: what is still under way then is cut off
    runner = web.ServerRunner(Server(edge, most=most), shutdown_timeout=min(grace_s, _LAST_S))
    await runner.setup()
    site = web.SockSite(runner, sock, backlog=BACKLOG)
    await site.start()
    return _Served(sock, site, runner, edge)


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
