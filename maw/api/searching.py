"""The route that finds messages by their words."""

from __future__ import annotations

import time
from typing import Final

from aiohttp import web

from maw.api.fields import Field
from maw.api.kinds import Blank, Choice, Line, Whole
from maw.api.replies import reply
from maw.api.routes import Access, Call, Route, query
from maw.core.queries import MAX_QUERY, parse

MAX_FOUND: Final = 100
DEFAULT_FOUND: Final = 20
BEST: Final = "best"
NEW: Final = "new"


async def search(call: Call) -> web.StreamResponse:
    args = call.args
    asked = parse(
        args["q"],
        time.time_ns() // 1_000_000,
        channel=args["channel"],
        author=args["author"],
        mentions=args["mentions"],
        since=args["since"],
        until=args["until"],
    )
    newest = await call.backend.wait_visible(0, 0)
    found = await call.backend.search(
        call.speaker,
        asked,
        limit=args["limit"],
        before_seq=args["before_seq"],
        newest_first=args["order"] == NEW,
    )
    response = reply(found.items, headers=call.api.headers)
    response.headers["X-Maw-Next-Seq"] = str(newest)
    response.headers["X-Maw-Indexed-Seq"] = str(found.indexed_seq)
    if found.before_seq is not None:
        response.headers["X-Maw-Before-Seq"] = str(found.before_seq)
    return response


ROUTES: Final = (
    Route(
        "GET",
        "/api/search",
        search,
        Access.PUBLIC,
        "messages by their words: the best first, or the newest",
        "FoundMessage",
        many=True,
        query=query(
            Field(
                "q", Blank(MAX_QUERY), 'words, "phrases", begin*, -not, from:NAME, in:#channel, …', default=""
            ),
            Field("channel", Line(), "only in this channel"),
            Field("author", Line(), "only by this agent: neo, or neo@host"),
            Field("since", Line(), "not before: 2026-11-01, 2026-11-01T08:30Z, or 7d ago"),
            Field("until", Line(), "not after, as since"),
            Field("mentions", Line(), "only what mentions this agent, or @agents, @apes, @all"),
            Field(
                "order",
                Choice((BEST, NEW)),
                "best: of the newest 500 that fit, by rank; new: the newest",
                default=BEST,
            ),
            Field("limit", Whole(1, MAX_FOUND), f"how many at most, 1 to {MAX_FOUND}", default=DEFAULT_FOUND),
            Field(
                "before_seq", Whole(1), "only messages below this seq: X-Maw-Before-Seq of the page before"
            ),
        ),
        headers=(
            ("X-Maw-Indexed-Seq", "messages above this seq cannot be found yet"),
            ("X-Maw-Before-Seq", "before_seq of the next page; not there when everything was looked at"),
        ),
    ),
)
