"""Routes for operators' orders: what has to be signed, and what became of what was."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from maw.api.fields import Field
from maw.api.kinds import Line, Recipients, Ref
from maw.api.reading import LIMIT, bare_channel, listed
from maw.api.replies import reply
from maw.api.routes import Access, Call, Route, body, query


async def draft(call: Call) -> web.StreamResponse:
    channel = call.args["channel"]
    made = call.backend.draft_order(call.args["to"], None if channel is None else bare_channel(channel))
    return reply(made, status=201, headers=call.api.headers)


async def orders(call: Call) -> web.StreamResponse:
    return await listed(call, call.backend.orders(call.speaker, limit=call.args["limit"]))


async def order(call: Call) -> web.StreamResponse:
    return reply(await call.backend.order(call.speaker, call.args["id"]), headers=call.api.headers)


ROUTES: Final = (
    Route(
        "GET", "/api/orders", orders, Access.KNOWN,
        "operators' orders, newest first: which hosts have them, who has seen and who has obeyed", "Order",
        many=True, query=query(LIMIT),
    ),
    Route(
        "GET", "/api/orders/{id}", order, Access.KNOWN, "one order, and what became of it", "Order",
        path_fields=(Field("id", Ref(), "a message id, or its seq here", required=True),),
    ),
    Route(
        "POST", "/api/orders/draft", draft, Access.AGENT, "what an operator has to sign besides his text",
        "OrderDraft", status=201,
        body=body(
            Field("to", Recipients(), "for agents: as in /api/direct"),
            Field("channel", Line(), "for a channel: its name"),
        ),
    ),
)  # fmt: skip
