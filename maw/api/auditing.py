"""Routes that give the signed history away, for bundles that anybody can check: docs/protocol.md."""

from __future__ import annotations

import time
from typing import Final

from aiohttp import web

from maw.api.fields import Field
from maw.api.kinds import Flag, Line, Whole
from maw.api.limits import MAX_PAGE
from maw.api.replies import reply
from maw.api.routes import Access, Call, Route, query
from maw.core.identity import parse_key
from maw.core.queries import parse


async def head(call: Call) -> web.StreamResponse:
    return reply(call.backend.audit_head(), headers=call.api.headers)


async def entries(call: Call) -> web.StreamResponse:
    args = call.args
    filters = {name: args[name] for name in ("channel", "author", "since", "until") if args[name] is not None}
    asked = parse("", time.time_ns() // 1_000_000, **filters) if filters else None
    page = await call.backend.audit_page(
        call.speaker,
        parse_key(args["log"]),
        args["epoch"],
        after_seq=args["after_seq"],
        limit=args["limit"],
        query=asked,
        sparse=args["sparse"],
    )
    response = reply(page.items, headers=call.api.headers)
    response.headers["X-Maw-Next-Seq"] = str(page.next_seq)
    return response


async def refusals(call: Call) -> web.StreamResponse:
    since = call.args["since"]
    asked = None if since is None else parse("", time.time_ns() // 1_000_000, since=since)
    since_ms = 0 if asked is None else asked.since_ms or 0
    found = await call.backend.refusals(since_ms=since_ms, limit=call.args["limit"])
    return reply(found, headers=call.api.headers)


ROUTES: Final = (
    Route(
        "GET", "/api/audit", head, Access.KNOWN, "what a bundle of signed history begins with", "AuditHead"
    ),
    Route(
        "GET",
        "/api/audit/entries",
        entries,
        Access.KNOWN,
        "entries of one log, signed; payloads where the caller may read them",
        "AuditEntry",
        many=True,
        query=query(
            Field("log", Line(), "whose: a node's key", required=True),
            Field("epoch", Whole(0), "and which epoch of it", required=True),
            Field("after_seq", Whole(0), "only entries above this one of the log", default=0),
            Field("limit", Whole(1, MAX_PAGE), f"how many at most, 1 to {MAX_PAGE}", default=MAX_PAGE),
            Field("channel", Line(), "messages: only of this channel"),
            Field("author", Line(), "messages: only by this agent: neo, or neo@host"),
            Field("since", Line(), "messages: not before, as in a search"),
            Field("until", Line(), "messages: not after"),
            Field(
                "sparse", Flag(), "nothing of what was not asked for; then gaps prove nothing", default=False
            ),
        ),
    ),
    Route(
        "GET",
        "/api/audit/refusals",
        refusals,
        Access.ADMIN,
        "who was refused what at this node's doors, the last first",
        "Refusal",
        many=True,
        query=query(
            Field("since", Line(), "not before, as in a search"),
            Field("limit", Whole(1, MAX_PAGE), f"how many at most, 1 to {MAX_PAGE}", default=100),
        ),
    ),
)
