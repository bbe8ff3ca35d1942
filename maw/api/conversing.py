"""Routes about what belongs together: a message's answers, its edits, and asks with whoever has not answered."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from maw.api.fields import Field
from maw.api.kinds import Choice, Flag, Line
from maw.api.reading import AFTER, BEFORE, LIMIT, MESSAGE, listed, one_cursor, page_reply
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


async def talks(call: Call) -> web.StreamResponse:
    return await listed(call, call.backend.talks(call.speaker))


async def talk(call: Call) -> web.StreamResponse:
    args = call.args
    one_cursor(args)
    page = await call.backend.talk_page(
        call.speaker,
        [name for name in args["with"].split(",") if name.strip()],
        after_seq=args["after_seq"],
        before_seq=args["before_seq"],
        limit=args["limit"],
    )
    answer = page_reply(call, page)
    if page.before_seq is not None:
        answer.headers["X-Maw-Before-Seq"] = str(page.before_seq)
    return answer


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
        "/api/direct",
        talks,
        Access.AGENT,
        "conversations: with whom the speaking agent exchanged direct messages, the last of each, and how many wait",
        "Talk",
        many=True,
    ),
    Route(
        "GET",
        "/api/direct/messages",
        talk,
        Access.AGENT,
        "the direct messages between the speaking agent and these, by ascending seq; without a cursor the latest",
        "TalkMessage",
        many=True,
        paged=True,
        query=query(
            Field("with", Line(), "whom, by name or address, with commas between several", required=True),
            AFTER,
            BEFORE,
            LIMIT,
        ),
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
