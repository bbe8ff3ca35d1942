"""Who is at the door. The socket asks the kernel for the caller's uid; REST asks for a token."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final, Literal, Protocol

from aiohttp import web

from maw.api.backend import ANONYMOUS, Backend, Speaker
from maw.api.connection import Connection
from maw.api.fields import shown
from maw.api.routes import Access
from maw.api.tickets import Tickets, ticket_in
from maw.core.names import check_name
from maw.errors import BadInput, NotSignedIn, Refused

AGENT_HEADER: Final = "X-Maw-Agent"
PANE_HEADER: Final = "X-Maw-Pane"
"""On the socket: the tmux pane that the caller runs in, as `maw.node.roster.read_place` reads it. It says who speaks
where nothing else does, and comes before the caller's own ape."""
OWN_APE: Final = "~"
"""In that header, on the socket: the caller's own ape, if he has one. Whoever sends it says: I am the human."""
LOCAL_NAMES: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
_MAX_TOKEN: Final = 256
_PLAIN_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)


class Door(Protocol):
    """One way in. ``admit`` comes before anything else, an unknown path included."""

    @property
    def kind(self) -> Literal["socket", "rest"]: ...
    def admit(self, request: web.BaseRequest) -> None:
        """Raises Refused when this request must not be looked at."""

    async def speaker(self, request: web.BaseRequest) -> Speaker:
        """Raises BadInput, NotSignedIn, NotFound or Refused."""

    def allow(self, access: Access, speaker: Speaker) -> None:
        """Raises NotSignedIn, BadInput or Refused when ``speaker`` may not use routes of this kind here."""

    def caller(self, request: web.BaseRequest) -> str:
        """Who it was, as far as it can be told of somebody who has not become a speaker."""


class WrongAgent(Refused):
    """Whose token it is, ``by``, speaks as somebody else."""

    def __init__(self, by: str, named: str) -> None:
        super().__init__(f"this token is {by}'s, not {named}'s", code="wrong_agent")
        self.by = by


def named(agent: str | None, uid: int | None) -> str:
    """Of a caller, for the record."""
    return agent or ("nobody" if uid is None else f"uid {uid}")


class SocketDoor:
    """The Unix socket: whoever may open it is known by uid; ``X-Maw-Agent`` says as which agent."""

    kind: Final = "socket"

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def admit(self, request: web.BaseRequest) -> None:
        """The file's mode has let them in; no browser comes this way."""

    async def speaker(self, request: web.BaseRequest) -> Speaker:
        connection = request.protocol
        assert isinstance(connection, Connection), "made by Server"
        named = request.headers.get(AGENT_HEADER)
        if named is not None and named != OWN_APE:
            named = agent_named(named, self._backend.node_name)
        elif (pane := request.headers.get(PANE_HEADER)) is not None:
            sits = await self._backend.speaker_in_pane(connection.peer_uid, pane)
            if sits is not None:
                return sits
        return await self._backend.speaker_for_uid(connection.peer_uid, named)

    def caller(self, request: web.BaseRequest) -> str:
        connection = request.protocol
        assert isinstance(connection, Connection), "made by Server"
        return named(None, connection.peer_uid)

    def allow(self, access: Access, speaker: Speaker) -> None:
        if access is Access.AGENT and speaker.agent is None:
            raise BadInput(
                "say who is speaking",
                hint=f"the header {AGENT_HEADER}: NAME ({OWN_APE} for yourself); with the command: --as or MAW_AGENT",
                code="no_agent",
            )
        if access is Access.ADMIN and not speaker.is_admin:
            raise Refused(
                "this is for the daemon's own user, root and the configured group",
                hint="run it as one of those on the host",
                code="not_admin",
            )


class RestDoor:
    """TCP on loopback. Any program of any user, and any web page, can connect: a token says who it is.

    ``Host`` is checked against DNS rebinding, ``Origin`` and ``Sec-Fetch-Site`` against pages of other sites.
    ``hosts``: names, beside loopback's, under which a proxy passes people on.
    """

    kind: Final = "rest"

    def __init__(
        self,
        backend: Backend,
        *,
        anonymous: bool = True,
        hosts: Collection[str] = (),
        tickets: Tickets | None = None,
    ) -> None:
        self._backend = backend
        self._anonymous = anonymous
        self._tickets = Tickets() if tickets is None else tickets
        self._passed_on = frozenset(host.lower() for host in hosts)
        self._hosts = LOCAL_NAMES | self._passed_on

    def admit(self, request: web.BaseRequest) -> None:
        host = request.headers.get("Host", "").lower()
        if host not in self._hosts and _without_port(host) not in self._hosts:
            raise Refused(
                f"this door does not answer to the name {shown(host)}",
                hint="use 127.0.0.1 or localhost; the name of a proxy goes into [rest] hosts",
                code="bad_host",
            )
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_own(origin.lower(), host):
            raise Refused(f"pages of {shown(origin)} may not call this API", code="bad_origin")
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and not _visits(
            request
        ):
            raise Refused("pages of other sites may not call this API", code="bad_origin")

    def _is_own(self, origin: str, host: str) -> bool:
        """Whether that is this page itself, over TLS only where a proxy may stand before it."""
        proxied = host in self._passed_on or _without_port(host) in self._passed_on
        return origin == f"http://{host}" or (proxied and origin == f"https://{host}")

    async def speaker(self, request: web.BaseRequest) -> Speaker:
        authorization = request.headers.get("Authorization")
        if authorization is None and (ticket := ticket_in(request)) is not None:
            return await self._backend.speaker_for_token(self._tickets.token(ticket, request))
        if authorization is None:
            if AGENT_HEADER in request.headers:
                raise _sign_in(f"{AGENT_HEADER} is for the socket: here the token says who speaks")
            return ANONYMOUS
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token.isascii() or not 0 < len(token) <= _MAX_TOKEN:
            raise _sign_in("the Authorization header is not a bearer token")
        named = request.headers.get(AGENT_HEADER)
        if named is not None:
            named = agent_named(named, self._backend.node_name)
        speaker = await self._backend.speaker_for_token(token, named)
        if named is not None and speaker.agent is not None and named != speaker.agent.partition("@")[0]:
            raise WrongAgent(speaker.agent, named)
        return speaker

    def caller(self, request: web.BaseRequest) -> str:
        return named(None, None)

    def allow(self, access: Access, speaker: Speaker) -> None:
        if access is Access.ADMIN:
            raise Refused(
                "administration is not done over REST",
                hint="use the maw command on the host itself: it goes through the socket",
                code="socket_only",
            )
        if access is Access.LOCAL:
            raise Refused(
                "how agents are run is not told or changed over REST",
                hint="use the maw command on the host itself: it goes through the socket",
                code="socket_only",
            )
        if access is Access.OPEN or speaker.known_by != "nobody":
            return
        if access is not Access.PUBLIC:
            raise _sign_in("this needs a token")
        if not self._anonymous:
            raise _sign_in("this node answers nobody without a token")


def agent_named(named: str, node_name: str) -> str:
    """The agent in ``X-Maw-Agent``, lower case; ``arthur@thisnode`` is ``arthur``. Raises BadInput."""
    if _PLAIN_NAME.fullmatch(named):
        return named
    name, at, host = named.partition("@")
    if at and host.lower() != node_name:
        raise BadInput(
            f"{shown(named)} is not an agent of this node",
            hint=f"{AGENT_HEADER} names one of {node_name}'s agents",
            code="bad_agent",
        )
    return check_name(name)


def _visits(request: web.BaseRequest) -> bool:
    """Whether somebody follows a link to here: what comes is shown to him, and told to no page."""
    headers = request.headers
    return (
        request.method == "GET"
        and headers.get("Sec-Fetch-Mode") == "navigate"
        and headers.get("Sec-Fetch-Dest") == "document"
    )


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _sign_in(message: str) -> NotSignedIn:
    return NotSignedIn(message, hint="Authorization: Bearer TOKEN; `maw agent token NAME` makes one")
