"""Routes for the operators' statements: draft, take in, list. On the socket only, but for lists."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from aiohttp import web

from maw.api.fields import Field
from maw.api.kinds import Choice, Line, Refs, Text, Whole
from maw.api.limits import MAX_SEQ
from maw.api.replies import reply
from maw.api.routes import Access, Call, Route, body
from maw.core.spending import UNITS
from maw.core.statement import MAX_STATEMENT
from maw.errors import BadInput

DRAFTED: Final = ("operator", "dismiss", "revoke", "freeze", "thaw", "redact", "policy", "cap")
_WHY: Final = Field("why", Line(200), "the reason, for everybody to read")
_VOID: Final = Field(
    "void_since_ms", Whole(1, MAX_SEQ),
    "dismiss, revoke: what the key said that this node heard since then does not stand, ms since 1970",
)  # fmt: skip


async def draft(call: Call) -> web.StreamResponse:
    args = call.args
    made = await call.backend.command.draft(args["type"], args["issuer"], args)
    return reply(made, status=201, headers=call.api.headers)


async def submit(call: Call) -> web.StreamResponse:
    try:
        wire = base64.b64decode(call.args["wire"], validate=True)
    except binascii.Error:
        raise BadInput("field wire must be base64", code="bad_field") from None
    return reply(await call.backend.command.submit(wire), status=201, headers=call.api.headers)


async def revoke(call: Call) -> web.StreamResponse:
    made = await call.backend.command.revoke(
        call.args["who"], call.args["why"] or "", call.args["void_since_ms"]
    )
    return reply(made, status=201, headers=call.api.headers)


async def statements(call: Call) -> web.StreamResponse:
    return reply(await call.backend.command.statements(), headers=call.api.headers)


async def operators(call: Call) -> web.StreamResponse:
    return reply(call.backend.command.operators(), headers=call.api.headers)


ROUTES: Final = (
    Route(
        "GET", "/api/statements", statements, Access.KNOWN, "who was frozen, revoked, appointed, and who keeps to it",
        "Statement", many=True,
    ),
    Route("GET", "/api/operators", operators, Access.KNOWN, "who holds an operator key", "Operator", many=True),
    Route(
        "POST", "/api/statements/draft", draft, Access.ADMIN, "what is to be signed with a key that is kept elsewhere",
        "Draft", status=201,
        body=body(
            Field("type", Choice(DRAFTED), "what is to be said", required=True),
            Field("issuer", Line(), "the public key that will sign it", required=True),
            Field("who", Line(), "whom it concerns: all, #channel, @agent, a host"),
            _WHY,
            _VOID,
            Field("ids", Refs(), "redact: ids of messages, of one node's log"),
            Field("key", Line(), "operator: the new operator's public key"),
            Field("name", Line(32), "operator: what he is called"),
            Field("rights", Line(200), "operator: what he may do, with commas"),
            Field("hosts", Line(1000), "operator: on which hosts alone, with commas"),
            Field("text", Text(), "policy: the whole of it"),
            Field("unit", Choice(UNITS), "cap: of what"),
            Field("amount", Line(32), "cap: what all agents of the Colony may spend a day, or off"),
            Field("until_ms", Whole(1, MAX_SEQ), "operator: his last moment, ms since 1970"),
        ),
    ),
    Route(
        "POST", "/api/statements", submit, Access.ADMIN, "take in a signed statement, and spread it", "Statement",
        status=201, body=body(Field("wire", Line(2 * MAX_STATEMENT), "the statement, in base64", required=True)),
    ),
    Route(
        "POST", "/api/peers/revoke", revoke, Access.ADMIN, "revoke a node that this one let in, for everybody",
        "Statement", status=201,
        body=body(Field("who", Line(), "the node: its name or its key", required=True), _WHY, _VOID),
    ),
)  # fmt: skip
