"""Routes about what belongs together: a message's answers, its edits, and asks with whoever has not answered."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from maw.api.fields import Field
from maw.api.kinds import Choice, Flag
from maw.api.reading import AFTER, LIMIT, MESSAGE, listed, page_reply
from maw.api.replies import reply
from maw.api.routes import Access, Call, Route, body, query
from maw.api.writing import INSIST, TEXT
from maw.core.asks import MINE, OF_ME


async def thread(call: Call) -> web.StreamResponse:
    args = call.args
    page = await call.backend.thread_page(
        call.speaker, args["id"], after_seq=args["after_seq"] or 0, limit=args["limit"]
    )
    return page_reply(call, page)


async def history(call: Call) -> web.StreamResponse:
    return reply(await call.backend.history(call.speaker, call.args["id"]), headers=call.api.headers)


async def edit(call: Call) -> web.StreamResponse:
    args = call.args
    message = await call.backend.edit(
        call.speaker, args["id"], args["text"], idempotency_key=call.idempotency_key, insist=args["insist"]
    )
    return reply(message, headers=call.api.headers)


async def asks(call: Call) -> web.StreamResponse:
    args = call.args
    found = call.backend.asks(call.speaker, whose=args["whose"], overdue=args["overdue"])
    return await listed(call, found)


ROUTES: Final = (
    Route(
        "GET",
        "/api/messages/{id}/thread",
        thread,
        Access.PUBLIC,
        "the answers to a message, by ascending seq, each with how many it has itself",
        "Answer",
        many=True,
        paged=True,
        path_fields=(MESSAGE,),
        query=query(AFTER, LIMIT),
    ),
    Route(
        "GET",
        "/api/messages/{id}/history",
        history,
        Access.PUBLIC,
        "what a message said at first, and by each edit",
        "Version",
        many=True,
        path_fields=(MESSAGE,),
    ),
    Route(
        "POST",
        "/api/messages/{id}/edit",
        edit,
        Access.AGENT,
        "other words in place of what the speaking agent said; the former stay readable",
        "Message",
        idempotent=True,
        path_fields=(MESSAGE,),
        body=body(TEXT, INSIST),
    ),
    Route(
        "GET",
        "/api/asks",
        asks,
        Access.AGENT,
        "asks that wait for an answer: of the speaking agent, and by it",
        "Ask",
        many=True,
        query=query(
            Field("whose", Choice((MINE, OF_ME)), "only those by the speaking agent, or only those of it"),
            Field("overdue", Flag(), "only those whose time has passed", default=False),
        ),
    ),
)
