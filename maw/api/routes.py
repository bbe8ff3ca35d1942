"""What a route is. One table of these registers the handlers, checks requests and makes openapi.json."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from aiohttp import web

from maw.api.backend import Backend, Json, Speaker
from maw.api.fields import Field, FieldSet
from maw.api.limits import LARGE_AT_ONCE, Pace
from maw.api.replies import with_headers
from maw.api.tickets import Tickets
from maw.api.waiting import Waiting
from maw.errors import NotSignedIn


class Access(Enum):
    """Who may come in. Each word says what the least is."""

    OPEN = "everybody"
    PUBLIC = "everybody, unless [rest] anonymous = false"
    KNOWN = "a token, or the socket"
    LOCAL = "the socket"
    AGENT = "a speaking agent: a token, or the socket with X-Maw-Agent"
    ADMIN = "the socket, as the daemon's uid, root or the configured group"


class Api:
    """What handlers share: the node and those who wait, and which routes there are. One for both doors."""

    def __init__(
        self, backend: Backend, waiting: Waiting, routes: Sequence[Route], pace: Pace | None = None
    ) -> None:
        self.backend = backend
        self.waiting = waiting
        self.routes = routes
        self.pace = pace or Pace()
        self.tickets = Tickets()
        self.headers = with_headers(X_Maw_Replica=backend.node_name)
        self.kept_headers = with_headers(X_Maw_Replica=backend.node_name, Cache_Control="private, no-cache")
        self.openapi: Json | None = None
        self.large = asyncio.Semaphore(LARGE_AT_ONCE)


@dataclass(slots=True)
class Call:
    """One request: who speaks, and the checked values of path, query and body by name.

    Not frozen only because that would cost each post a microsecond; nobody assigns to it.
    """

    api: Api
    request: web.BaseRequest
    speaker: Speaker
    args: dict[str, Any]
    idempotency_key: str | None
    whoever: Callable[[web.BaseRequest], Awaitable[Speaker]]
    """Asks again who speaks: a stream outlives the token it came with."""

    @property
    def backend(self) -> Backend:
        return self.api.backend

    @property
    def anonymous(self) -> bool:
        return self.speaker.known_by == "nobody"

    def gone(self) -> bool:
        """True when the caller has hung up."""
        transport = self.request.transport
        return transport is None or transport.is_closing()

    def agent(self) -> str:
        """The speaking agent's address. Raises NotSignedIn."""
        if self.speaker.agent is None:
            raise NotSignedIn("nobody in particular is speaking", code="no_agent")
        return self.speaker.agent


NO_QUERY: Final = FieldSet.of("parameter", ())
Handler = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """``answer`` names a schema of maw/api/schemas.py; ``many`` makes it a bare array of them."""

    method: str
    path: str
    handler: Handler
    access: Access
    about: str
    answer: str
    many: bool = False
    status: int = 200
    paged: bool = False
    idempotent: bool = False
    path_fields: tuple[Field, ...] = ()
    query: FieldSet = NO_QUERY
    body: FieldSet | None = None
    tagged: bool = False
    """It has an ETag, and answers 304."""
    headers: tuple[tuple[str, str], ...] = ()
    """Of its answers: name, and what it says."""
    takes: str = ""
    """The media type of a body that the handler reads itself."""

    @property
    def name(self) -> str:
        """A stable operation id: ``get_api_channels_name_messages``."""
        words = self.path.replace("{", "").replace("}", "").replace(".", "_").strip("/").split("/")
        return "_".join([self.method.lower(), *words])


def query(*fields: Field) -> FieldSet:
    return FieldSet.of("parameter", fields)


def body(*fields: Field) -> FieldSet:
    return FieldSet.of("field", fields)


def by_path(routes: Sequence[Route]) -> dict[str, list[Route]]:
    """The routes of each path, in the order given."""
    grouped: dict[str, list[Route]] = {}
    for route in routes:
        grouped.setdefault(route.path, []).append(route)
    return grouped
