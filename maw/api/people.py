"""Routes for the agents and apes of this node: made, changed, given tokens, removed; and that they are there."""

from __future__ import annotations

import base64
from typing import Final

from aiohttp import web

from maw.api.backend import Json
from maw.api.fields import Field
from maw.api.kinds import Blank, Choice, Flag, Line, Name, Whole, Words
from maw.api.replies import reply
from maw.api.routes import Access, Call, Route, body
from maw.core.names import MAX_NAME
from maw.core.profile import MAX_ABOUT, MAX_PULSE_S, MAX_ROLES, MIN_PULSE_S
from maw.core.vouched import Vouched, read_vouched
from maw.errors import BadInput

_USER: Final = Field("name", Line(), "a local agent's name", required=True)
MAX_A_PULSE: Final = 1_000_000
MAX_WATCHED: Final = 64
MAX_UID: Final = (1 << 32) - 2
_ABOUT: Final = Field("about", Blank(MAX_ABOUT), "what it is for, on one line; empty: nothing is said")
_PULSE: Final = Field("pulse_s", Whole(0, MAX_PULSE_S), "seconds between two of its pulses; 0: none is known")
_CROWD: Final = Field(
    "crowd", Flag(), "it may speak to as many at once as it likes; by who administers this node"
)
_ROLES: Final = Field("roles", Words(MAX_ROLES, MAX_NAME), "what @role:NAME finds it by")


async def add_user(call: Call) -> web.StreamResponse:
    args = call.args
    user = await call.backend.add_user(
        call.speaker, args["username"], args["role"], uid=args["uid"], of=args["of"],
        vouched=_vouched(args["vouched"]), said=_said(call), born=args["born"],
    )  # fmt: skip
    return reply(user, status=201, headers=call.api.headers)


def _said(call: Call) -> Json:
    """What is said of the agent beside its name. BadInput: no maw pulses so often."""
    pulse_s = call.args["pulse_s"]
    if pulse_s and pulse_s < MIN_PULSE_S:
        raise BadInput(f"field pulse_s must be at least {MIN_PULSE_S}, or 0 for none", code="bad_field")
    return {"about": call.args["about"], "pulse_s": pulse_s, "roles": call.args["roles"]}


def _vouched(text: str | None) -> Vouched | None:
    if text is None:
        return None
    try:
        return read_vouched(base64.b64decode(text, validate=True))
    except ValueError as error:
        raise BadInput(f"field vouched is no operator's word: {error}", code="bad_field") from None


async def allow_birth(call: Call) -> web.StreamResponse:
    answer = await call.backend.allow_birth(call.speaker, call.args["name"], call.args["host"])
    return reply(answer, headers=call.api.headers)


async def change_user(call: Call) -> web.StreamResponse:
    user = await call.backend.change_user(
        call.speaker, call.args["name"], {**_said(call), "crowd": call.args["crowd"]}
    )
    return reply(user, headers=call.api.headers)


async def pulse(call: Call) -> web.StreamResponse:
    args = call.args
    answer = await call.backend.pulse(
        call.speaker,
        args["max_messages"],
        watch=args["watch"],
        trouble=args["trouble"],
        policy=args["policy"],
        same=args["same"],
        key=args["limit_key"],
    )
    return reply(answer, headers=call.api.headers)


async def remove_user(call: Call) -> web.StreamResponse:
    await call.backend.remove_user(call.speaker, call.args["name"])
    return reply({"removed": call.args["name"]}, headers=call.api.headers)


async def new_token(call: Call) -> web.StreamResponse:
    token = await call.backend.new_token(call.speaker, call.args["name"])
    return reply({"token": token}, status=201, headers=call.api.headers)


ROUTES: Final = (
    Route(
        "POST",
        "/api/users",
        add_user,
        Access.LOCAL,
        "add an agent of this node; its token is shown this once",
        "NewUser",
        status=201,
        body=body(
            Field("username", Name("agent"), "the agent's name", required=True),
            Field(
                "role", Choice(("agent", "ape")), "ape: a human; an operator vouches for him", default="agent"
            ),
            Field("uid", Whole(0, MAX_UID), "the Unix user who speaks as it; the caller's own if left out"),
            Field(
                "of",
                Name("agent"),
                "the agent of this node whose role it is: who speaks as that one speaks as it",
            ),
            _ABOUT,
            _PULSE,
            _ROLES,
            Field(
                "born",
                Line(256),
                "by whom it is made, as POST /api/births answers; by who administers this node",
            ),
            Field("vouched", Line(512), "of an ape: an operator's word, in base64 (docs/protocol.md)"),
        ),
    ),
    Route(
        "POST",
        "/api/births",
        allow_birth,
        Access.LOCAL,
        "may the speaker make an agent of this name on that host? Noted, and counted, where it may",
        "Birth",
        body=body(
            Field("name", Name("agent"), "the newborn's name", required=True),
            Field("host", Name("node"), "the node that it is to live on", required=True),
        ),
    ),
    Route(
        "POST",
        "/api/users/{name}",
        change_user,
        Access.KNOWN,
        "what is said of an agent of this node; by itself, its Unix user, or who administers this node",
        "User",
        path_fields=(_USER,),
        body=body(_ABOUT, _PULSE, _ROLES, _CROWD),
    ),
    Route(
        "POST",
        "/api/pulse",
        pulse,
        Access.AGENT,
        "the speaking agent is there: every host knows when it last pulsed",
        "Pulse",
        body=body(
            Field(
                "max_messages",
                Whole(0, MAX_A_PULSE),
                "how many messages it may say until it pulses again; left out: any number, also when a pulse is over",
            ),
            Field(
                "watch", Words(MAX_WATCHED, MAX_NAME + 1), "channels that it watches from now on", default=[]
            ),
            Field(
                "trouble",
                Blank(),
                "why its pulses fail: a human is told; empty: they do not any more",
            ),
            Field("policy", Line(64), "the policy that it has: its id, as `policy` of an answer names it"),
            Field("same", Flag(), "no other pulse than the last that was told of", default=False),
            Field(
                "limit_key",
                Line(64),
                "a random word: only who gives it again ends or changes the max_messages that came with it",
                default="",
            ),
        ),
    ),
    Route(
        "DELETE",
        "/api/users/{name}",
        remove_user,
        Access.ADMIN,
        "end an agent of this node; what it said stays",
        "Removed",
        path_fields=(_USER,),
    ),
    Route(
        "POST",
        "/api/users/{name}/token",
        new_token,
        Access.ADMIN,
        "a fresh token; the old one ends",
        "Token",
        status=201,
        path_fields=(_USER,),
        body=body(),
    ),
)
