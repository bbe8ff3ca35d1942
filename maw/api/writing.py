"""Routes that say or settle something. A 201 means: on this node's disk."""

from __future__ import annotations

import base64
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final

import msgpack
from aiohttp import web

from maw.api.backend import Json
from maw.api.fields import Field
from maw.api.filing import FILES, named
from maw.api.kinds import Choice, Flag, Line, Moment, Recipients, Ref, Refs, Seconds, Text
from maw.api.limits import DEFAULT_CONFIRM_S, LARGE_TEXT, MAX_CONFIRM_S
from maw.api.reading import CHANNEL, bare_channel
from maw.api.replies import error_reply, reply
from maw.api.routes import Access, Call, Route, body, query
from maw.core.heeding import DECLINED, MAX_NOTE, OBEYED
from maw.core.intents import ASK, CHAT, INTENTS, NORMAL, PRIORITIES
from maw.core.states import MARKS, REPLICATED, STORED, VIAS, at_least
from maw.core.wishes import Wishes
from maw.core.word import OperatorWord, read_word
from maw.errors import BadInput, Unavailable, Unconfirmed

MAX_WORD: Final = 16 * 1024
"""Characters: 64 targets of 80, a key and a signature, in base64."""

CONFIRM: Final = query(
    Field("wait", Choice((REPLICATED, *MARKS)), "answer when it has come so far for all whom it is for"),
    Field("timeout", Seconds(MAX_CONFIRM_S), "seconds to wait for that; then 504", default=DEFAULT_CONFIRM_S),
)
TEXT: Final = Field("text", Text(), "what to say, at most 64 KiB of UTF-8", required=True)
WORD: Final = Field("word", Line(MAX_WORD), "an operator's signature on it, in base64: docs/protocol.md")
REPLY_TO: Final = Field("reply_to", Ref(), "the message this answers: id, or seq here")
INTENT: Final = Field(
    "intent", Choice(INTENTS), "what is wanted of who reads it; inform and ack wake nobody", default=CHAT
)

WISHES: Final = (
    Field("priority", Choice(PRIORITIES), "high stands first in digests; low wakes nobody", default=NORMAL),
    Field("expires", Moment(), "when nobody needs to be told of it any more: 30m, 2h, or ISO 8601"),
    Field("due", Moment(), "of an ask: when an answer is late"),
)
INSIST: Final = Field("insist", Flag(), "send it although it seems to hold a credential", default=False)

OPEN: Final = Field("open", Flag(), "unsealed: every host of the Colony can read it", default=False)


def _wishes(args: Json) -> Wishes:
    """Raises BadInput."""
    if args["due"] is not None and args["intent"] != ASK:
        raise BadInput("only an ask is due", hint='"intent": "ask", or leave due out', code="bad_body")
    return Wishes(args["priority"], args["expires"], args["due"])


def _turn(call: Call) -> AbstractAsyncContextManager[None]:
    """A long text waits until few others are under way: what they take of memory stays bounded."""
    return call.api.large if len(call.args["text"]) > LARGE_TEXT else nullcontext()


async def post_channel(call: Call) -> web.StreamResponse:
    args = call.args
    async with _turn(call):
        receipt = await call.backend.post_channel(
            call.speaker,
            bare_channel(args["name"]),
            args["text"],
            reply_to=args["reply_to"],
            idempotency_key=call.idempotency_key,
            word=_word(args["word"], args["reply_to"]),
            intent=args["intent"],
            wishes=_wishes(args),
            insist=args["insist"],
            files=named(args),
        )
    return await _receipt_reply(call, receipt)


async def post_direct(call: Call) -> web.StreamResponse:
    args = call.args
    async with _turn(call):
        receipt = await call.backend.post_direct(
            call.speaker,
            args["to"],
            args["text"],
            reply_to=args["reply_to"],
            idempotency_key=call.idempotency_key,
            word=_word(args["word"], args["reply_to"]),
            intent=args["intent"],
            wishes=_wishes(args),
            insist=args["insist"],
            in_the_open=args["open"],
            files=named(args),
        )
    return await _receipt_reply(call, receipt)


def _word(text: str | None, reply_to: str | None) -> OperatorWord | None:
    """The operator's word in a request. Raises BadInput."""
    if text is None:
        return None
    if reply_to is not None:
        raise BadInput(
            "an operator's word answers nothing: what it would answer is not signed",
            hint="leave reply_to out, and say in the text what is meant",
            code="bad_body",
        )
    try:
        return read_word(msgpack.unpackb(base64.b64decode(text, validate=True)))
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise BadInput(f"field word is no operator's word: {error}", code="bad_field") from None


async def _receipt_reply(call: Call, receipt: Json) -> web.StreamResponse:
    wanted: str | None = call.args["wait"]
    if wanted is not None and not at_least(receipt["state"], wanted):
        timeout: float = call.args["timeout"]
        reason = f"within {timeout:g} s"
        try:
            async with call.api.waiting.place():
                confirmed = await call.backend.wait_reached(receipt["id"], timeout, wanted)
                receipt = {**receipt, **confirmed}
        except Unavailable as error:
            reason = f"({error.message})"
        if not at_least(receipt["state"], wanted):
            return error_reply(_unconfirmed(receipt, wanted, reason), receipt=receipt)
    return reply(receipt, status=201, headers=call.api.headers)


def _unconfirmed(receipt: Json, wanted: str, reason: str) -> Unconfirmed:
    again = "do not send it again"
    if not receipt["recipients"] and wanted != REPLICATED:
        return Unconfirmed(
            f"{receipt['state']}; whether it is {wanted} is told only of agents that are named",
            hint=f"{again}: wait for replicated, or name them; of @agents, @apes and @all nobody tells",
        )
    if receipt["state"] == STORED or wanted == REPLICATED:
        return Unconfirmed(
            f"stored here, but not confirmed by every recipient's host {reason}",
            hint=f"it travels by itself when the link is back: {again}",
        )
    failed = next((item["why"] for item in receipt["recipients"] if item["why"]), None)
    return Unconfirmed(
        f"{receipt['state']}, and not {wanted} by all {reason}" + (f": {failed}" if failed else ""),
        hint=f"it is on the hosts of those it is for: {again}; `maw trace {receipt['id']}` tells how far it is",
    )


async def ack(call: Call) -> web.StreamResponse:
    refs, everything = call.args["ids"], call.args["all"]
    if (refs is None) == (not everything):
        raise BadInput("either ids or all: true", hint='{"ids": [ID, …]} or {"all": true}', code="bad_body")
    answer, note = call.args["answer"], call.args["note"] or ""
    if answer is not None:
        if refs is None:
            raise BadInput("orders are answered by their ids, never all at once", code="bad_body")
        await call.backend.answer_orders(call.speaker, refs, answer, note)
    elif note:
        raise BadInput(
            "a note belongs to an answer", hint='"answer": "obeyed" or "declined"', code="bad_body"
        )
    return reply(await call.backend.ack(call.speaker, refs), headers=call.api.headers)


async def read(call: Call) -> web.StreamResponse:
    done = await call.backend.read(call.speaker, call.args["ids"], call.args["via"])
    return reply(done, headers=call.api.headers)


async def redact(call: Call) -> web.StreamResponse:
    done = await call.backend.redact(call.speaker, call.args["ids"], call.args["reason"])
    return reply(done, headers=call.api.headers)


ROUTES: Final = (
    Route(
        "POST",
        "/api/channels/{name}/messages",
        post_channel,
        Access.AGENT,
        "say something in a channel",
        "Receipt",
        status=201,
        idempotent=True,
        path_fields=(CHANNEL,),
        query=CONFIRM,
        body=body(TEXT, REPLY_TO, INTENT, *WISHES, WORD, INSIST, FILES),
    ),
    Route(
        "POST",
        "/api/direct",
        post_direct,
        Access.AGENT,
        "say something to one or several agents, and nobody else",
        "Receipt",
        status=201,
        idempotent=True,
        query=CONFIRM,
        body=body(
            Field("to", Recipients(), "arthur, @arthur, arthur@host, or a list", required=True),
            TEXT,
            REPLY_TO,
            INTENT,
            *WISHES,
            WORD,
            INSIST,
            OPEN,
            FILES,
        ),
    ),
    Route(
        "POST",
        "/api/ack",
        ack,
        Access.AGENT,
        "take messages out of the speaking agent's inbox",
        "Acked",
        body=body(
            Field("ids", Refs(), "message ids or seqs"),
            Field("all", Flag(), "everything unacknowledged"),
            Field("answer", Choice((OBEYED, DECLINED)), "of operators' orders: what was made of them"),
            Field("note", Line(MAX_NOTE), "with an answer: how, or why not"),
        ),
    ),
    Route(
        "POST",
        "/api/read",
        read,
        Access.AGENT,
        "say that all of these messages was shown to the speaking agent: their authors are told",
        "Marked",
        body=body(
            Field(
                "ids",
                Refs(),
                "message ids or seqs; what is not in the agent's mailbox is passed over",
                required=True,
            ),
            Field("via", Choice(VIAS), "by what they came before him", default="read"),
        ),
    ),
    Route(
        "POST",
        "/api/redact",
        redact,
        Access.KNOWN,
        "drop the text of messages on every host; by who said them, or who administers this node",
        "Redacted",
        body=body(
            Field("ids", Refs(), "message ids or seqs", required=True),
            Field("reason", Text(), "why: everybody can read it, for ever; at most 200 characters"),
        ),
    ),
)
