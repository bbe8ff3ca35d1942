"""From the table of routes to something that answers: the same handlers behind either door.

Every request goes through `Edge.__call__`, which admits it, finds its route, turns errors into their one
JSON shape and logs what should not have happened. There is no other layer: posting is the hot path.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

from maw.api import (
    admin,
    auditing,
    channels,
    commanding,
    conversing,
    costs,
    describing,
    filing,
    hearing,
    hosting,
    moving,
    ordering,
    page,
    people,
    reading,
    roster,
    searching,
    souls,
    stream,
    writing,
)
from maw.api.backend import Speaker
from maw.api.bodies import decode_body, idempotency_key, read_body
from maw.api.fields import shown
from maw.api.principals import Door, WrongAgent, named
from maw.api.replies import error_reply, http_error_reply, internal_reply, one_line
from maw.api.router import Router
from maw.api.routes import Api, Call, Route
from maw.api.waiting import stopping
from maw.core.names import nearest
from maw.core.refused import Attempt
from maw.errors import BadInput, Hidden, MawError, NotSignedIn, Refused, Unavailable

_LOG: Final = logging.getLogger(__name__)

ROUTES: Final[tuple[Route, ...]] = (
    *writing.ROUTES,
    *conversing.ROUTES,
    *filing.ROUTES,
    *hearing.ROUTES,
    *reading.ROUTES,
    *searching.ROUTES,
    *auditing.ROUTES,
    *stream.ROUTES,
    *people.ROUTES,
    *souls.ROUTES,
    *channels.ROUTES,
    *admin.ROUTES,
    *commanding.ROUTES,
    *ordering.ROUTES,
    *hosting.ROUTES,
    *moving.ROUTES,
    *roster.ROUTES,
    *costs.ROUTES,
    *describing.ROUTES,
)

ON_RECORD: Final = (Refused, NotSignedIn, Hidden)
"""Answers that are kept: who asked for what he may not have."""

Endpoint = Callable[[web.BaseRequest, Mapping[str, str], Speaker], Awaitable[web.StreamResponse]]


class _NoRouteError(Exception):
    """Nothing is there; ``response`` says so."""

    def __init__(self, response: web.Response) -> None:
        super().__init__()
        self.response = response


class Edge:
    """What one door does with a request; the handler given to the HTTP server."""

    def __init__(self, api: Api, door: Door) -> None:
        self._api = api
        self._door = door
        self._router: Router[Endpoint] = Router()
        for route in (*ROUTES, *page.ROUTES):
            self._router.add(route.method, route.path, _endpoint(api, door, route))
        self._under_way = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def drained(self) -> None:
        """Returns when no request is being handled."""
        while self._under_way:
            self._quiet.clear()
            await self._quiet.wait()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self._under_way += 1
        speaker: Speaker | None = None
        try:
            if self._api.waiting.stopped:
                raise stopping()
            self._door.admit(request)
            endpoint, words = self._find(request)
            speaker = await self._door.speaker(request)
            return await endpoint(request, words, speaker)
        except _NoRouteError as miss:
            return miss.response
        except MawError as error:
            if isinstance(error, ON_RECORD):
                self._record(request, speaker, error)
            if error.status == 500:
                _LOG.exception("%s %s failed", request.method, shown(request.raw_path))
            return error_reply(error)
        except web.HTTPException as error:  # the WebSocket handshake's
            return http_error_reply(error.status, detail=one_line(error.text or ""))
        except web.RequestPayloadError as error:
            return http_error_reply(400, detail=one_line(str(error)))
        except sqlite3.Error as error:
            _LOG.error(
                "%s %s: the database cannot be read: %s", request.method, shown(request.raw_path), error
            )
            return error_reply(
                Unavailable(
                    f"the database cannot be read: {error}",
                    code="cannot_read",
                    hint="`maw doctor` on this host looks at file and disk; other pages may be whole",
                )
            )
        except ConnectionError:
            return http_error_reply(400, detail="the caller hung up")  # which nobody will read
        except Exception:  # the last supervisor: a fault of ours is this request's, and the log has it
            _LOG.exception("%s %s failed", request.method, shown(request.raw_path))
            return internal_reply()
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._quiet.set()

    def _record(self, request: web.BaseRequest, speaker: Speaker | None, error: MawError) -> None:
        if isinstance(error, WrongAgent):
            who = error.by
        else:
            who = self._door.caller(request) if speaker is None else named(speaker.agent, speaker.uid)
        path = request.raw_path.partition("?")[0]
        what = f"{request.method} {shown(path)[1:-1]}"
        self._api.backend.note_refusal(Attempt(who, self._door.kind, what, error.code))

    def _find(self, request: web.BaseRequest) -> tuple[Endpoint, Mapping[str, str]]:
        path = request.raw_path.partition("?")[0]
        if not path.startswith("/"):
            path = request.rel_url.raw_path  # an absolute target, http://host/path
        found = self._router.find(path)
        if found is None:
            near = nearest(path, [route.path for route in ROUTES])
            raise _NoRouteError(http_error_reply(404, hint=f"did you mean {near[0]}?" if near else ""))
        endpoint = found.methods.get(request.method)
        if endpoint is None:
            allowed = ", ".join(sorted(found.methods))
            raise _NoRouteError(http_error_reply(405, allow=allowed, hint=f"{shown(path)} takes {allowed}"))
        return endpoint, found.words


def _endpoint(api: Api, door: Door, route: Route) -> Endpoint:
    handler, access, query, body = route.handler, route.access, route.query, route.body
    needs_query = bool(query.required)

    async def endpoint(
        request: web.BaseRequest, words: Mapping[str, str], speaker: Speaker
    ) -> web.StreamResponse:
        door.allow(access, speaker)
        asked = needs_query or "?" in request.raw_path
        args = query.from_query(request.query) if asked else dict(query.defaults)
        if words:
            _read_words(route, words, args)
        if body is not None:
            content = request.content
            # Nearly always the body came with the headers, and there is nothing to wait for.
            came = content.is_eof()
            args.update(
                body.from_body(decode_body(content.read_nowait() if came else await read_body(request)))
            )
        key = idempotency_key(request) if route.idempotent else None
        return await handler(Call(api, request, speaker, args, key, door.speaker))

    return endpoint


def _read_words(route: Route, words: Mapping[str, str], args: dict[str, Any]) -> None:
    for field in route.path_fields:
        try:
            args[field.name] = field.kind.from_text(words[field.name])
        except ValueError as error:
            raise BadInput(
                f"{field.name} in the path {error}", hint=field.about, code="bad_parameter"
            ) from None
