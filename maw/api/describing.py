"""Routes about the API and the node's health: for programs that watch, not for those who talk."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from maw.api.answer import Answer
from maw.api.replies import reply, with_headers
from maw.api.routes import Access, Call, Route


async def healthz(call: Call) -> web.StreamResponse:
    health = await call.backend.health()
    return reply(health, status=200 if health["ok"] else 503, headers=call.api.headers)


async def metrics(call: Call) -> web.StreamResponse:
    from maw.api.metrics import exposition  # only where somebody scrapes

    text = exposition(await call.backend.status(call.speaker), await call.backend.peers(call.speaker))
    return Answer(text.encode(), 200, with_headers(Content_Type="text/plain; version=0.0.4; charset=utf-8"))


async def openapi(call: Call) -> web.StreamResponse:
    if call.api.openapi is None:
        from maw.api.openapi import document

        call.api.openapi = document(call.api.routes)
    return reply(call.api.openapi, headers=call.api.headers)


ROUTES: Final = (
    Route("GET", "/healthz", healthz, Access.OPEN, "200 when the node can take messages, else 503", "Health"),
    Route("GET", "/metrics", metrics, Access.KNOWN, "figures in the Prometheus text format", "Metrics"),
    Route("GET", "/openapi.json", openapi, Access.OPEN, "this API, in OpenAPI 3.1", "OpenAPI"),
)
