"""A way onto the stream for who has a token and cannot send it: a browser's WebSocket takes no headers.

The page buys a ticket with its token and shows it among the WebSocket's subprotocols. A ticket is good once and for a
few seconds, so that it may stand in a proxy's log; a token may stand in none, and in no address.
"""

from __future__ import annotations

import secrets
import time
import weakref
from collections.abc import Callable
from typing import Final

from aiohttp import web

from maw.errors import NotSignedIn

PROTOCOL: Final = "maw"
"""The subprotocol that is spoken then."""
TICKET_S: Final = 30.0
MAX_TICKETS: Final = 1024
_PREFIX: Final = "maw.ticket."


class Tickets:
    """Those that were given out and not shown yet. ``now``: a clock in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._tokens: dict[str, tuple[str, float]] = {}
        self._shown: dict[str, tuple[weakref.ref[web.BaseRequest], str]] = {}

    def __len__(self) -> int:
        return len(self._tokens)

    def give(self, token: str) -> str:
        """A fresh ticket for whoever has ``token``. Of very many the oldest ends."""
        self._forget()
        while len(self._tokens) >= MAX_TICKETS:
            del self._tokens[next(iter(self._tokens))]
        ticket = secrets.token_urlsafe(24)
        self._tokens[ticket] = (token, self._now() + TICKET_S)
        return ticket

    def token(self, ticket: str, request: web.BaseRequest) -> str:
        """The token it was bought with. It ends with ``request``, which may ask again as long as it lasts, since a
        token may be withdrawn meanwhile. Raises NotSignedIn."""
        by, shown = self._shown.get(ticket, (None, ""))
        if by is not None and by() is request:
            return shown
        token, until = self._tokens.pop(ticket, ("", 0.0))
        if not token or until < self._now():
            raise NotSignedIn(
                "this ticket was used, or is too old",
                hint="POST /api/stream/ticket gives another",
                code="no_such_ticket",
            )
        self._shown[ticket] = (weakref.ref(request, lambda _: self._shown.pop(ticket, None)), token)
        return token

    def _forget(self) -> None:
        now = self._now()
        for ticket in [ticket for ticket, (_, until) in self._tokens.items() if until < now]:
            del self._tokens[ticket]


def ticket_in(request: web.BaseRequest) -> str | None:
    """The ticket among the subprotocols that a WebSocket asks for."""
    for word in request.headers.get("Sec-WebSocket-Protocol", "").split(","):
        if (ticket := word.strip()).startswith(_PREFIX):
            return ticket.removeprefix(_PREFIX)
    return None
