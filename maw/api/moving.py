"""Routes for agents that move from this host and to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from maw.api.fields import Field
from maw.api.filing import taken_in
from maw.api.kinds import Choice, Flag, Line, Name, Whole
from maw.api.replies import reply
from maw.api.routes import Access, Call, Route, body, query
from maw.errors import BadInput

MAX_UID: Final = 2**32 - 2
_MOVE: Final = Field(
    "id", Line(64), "the move: its id or the beginning of it, or the agent's name", required=True
)
STEPS: Final = ("accept", "refuse", "cancel", "unpacked")


async def listing(call: Call) -> web.StreamResponse:
    return reply(await call.backend.moves(call.speaker), headers=call.api.headers)


async def offer(call: Call) -> web.StreamResponse:
    made = await call.backend.offer_move(call.speaker, call.args["agent"], call.args["host"])
    return reply(made, status=201, headers=call.api.headers)


async def decide(call: Call) -> web.StreamResponse:
    args = call.args
    done = await call.backend.decide_move(
        call.speaker, args["id"], args["do"], uid=args["uid"], home=args["home"], why=args["why"] or ""
    )
    return reply(done, headers=call.api.headers)


async def hand_over(call: Call) -> web.StreamResponse:
    home: AsyncIterator[bytes] | None = None
    size = call.request.content_length
    if call.args["home"]:
        if not size:
            raise BadInput(
                "home: its bytes are the body of this request", code="bad_body", hint="or leave home out"
            )
        home = taken_in(call.request)
    done = await call.backend.hand_over(call.speaker, call.args["id"], size, home)
    return reply(done, headers=call.api.headers)


async def home(call: Call) -> web.StreamResponse:
    size, stream = await call.backend.moved_home(call.speaker, call.args["id"])
    response = web.StreamResponse(headers={"Content-Type": "application/gzip"})
    response.headers["X-Maw-Replica"] = call.backend.node_name
    response.content_length = size
    await response.prepare(call.request)
    async for data in stream:
        await response.write(data)
    await response.write_eof()
    return response


ROUTES: Final = (
    Route("GET", "/api/moves", listing, Access.LOCAL, "agents that move from this host and to it", "Moves"),
    Route(
        "POST",
        "/api/moves",
        offer,
        Access.LOCAL,
        "offer an agent of this host to another; asked again, the same move",
        "Move",
        status=201,
        body=body(
            Field("agent", Name("agent"), "one of the caller's", required=True),
            Field("host", Line(128), "where it is to live: a name or key of `GET /api/peers`", required=True),
        ),
    ),
    Route(
        "POST",
        "/api/moves/{id}",
        decide,
        Access.LOCAL,
        "accept or refuse an agent that is offered here; cancel a move from here; say that its folder is in place",
        "Move",
        path_fields=(_MOVE,),
        body=body(
            Field("do", Choice(STEPS), "what is decided", required=True),
            Field(
                "uid",
                Whole(0, MAX_UID),
                "accept: the Unix user who speaks as it; the caller's own if left out",
            ),
            Field("home", Line(1024), "accept: where its folder is to be"),
            Field("why", Line(200), "refuse: the reason, as the other host is told it"),
        ),
    ),
    Route(
        "POST",
        "/api/moves/{id}/hand-over",
        hand_over,
        Access.LOCAL,
        "hold the agent, and hand over what there is of it; the body is its folder, packed",
        "Move",
        path_fields=(_MOVE,),
        query=query(Field("home", Flag(), "whether its folder comes along", default=False)),
    ),
    Route(
        "GET",
        "/api/moves/{id}/home",
        home,
        Access.LOCAL,
        "the folder that came along, packed",
        "File",
        path_fields=(_MOVE,),
    ),
)
