"""Routes for channels: opened, described, archived, watched, and how long they keep messages."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from maw.api.fields import Field
from maw.api.kinds import Blank, Flag, Name, Recipients, Whole
from maw.api.reading import CHANNEL, bare_channel
from maw.api.replies import reply
from maw.api.routes import Access, Call, Route, body
from maw.core.colony import MAX_KEEP_DAYS
from maw.core.profile import MAX_ABOUT
from maw.errors import BadInput

_ABOUT: Final = Field("about", Blank(MAX_ABOUT), "what it is for, on one line; empty: nothing is said")

_PRIVATE: Final = Field("private", Flag(), "only its members see it", default=False)
_MEMBERS: Final = Field("members", Recipients(), "of a private one: who is in it beside who makes it")


async def add_channel(call: Call) -> web.StreamResponse:
    args = call.args
    if args["members"] and not args["private"]:
        raise BadInput("only a private channel has members", hint='"private": true', code="bad_body")
    members = (args["members"] or []) if args["private"] else None
    channel = await call.backend.add_channel(call.speaker, args["name"], args["about"] or "", members)
    return reply(channel, status=201, headers=call.api.headers)


async def change_members(call: Call) -> web.StreamResponse:
    args = call.args
    add, remove = args["add"] or [], args["remove"] or []
    if not add and not remove:
        raise BadInput("who is let in, or sent away?", hint='"add" or "remove"', code="bad_body")
    channel = await call.backend.change_members(call.speaker, bare_channel(args["name"]), add, remove)
    return reply(channel, headers=call.api.headers)


async def leave_channel(call: Call) -> web.StreamResponse:
    args = call.args
    left = await call.backend.leave_channel(call.speaker, bare_channel(args["name"]), args["back"])
    return reply(left, headers=call.api.headers)


async def change_channel(call: Call) -> web.StreamResponse:
    args = call.args
    channel = await call.backend.change_channel(
        call.speaker, bare_channel(args["name"]), args["about"], args["archived"]
    )
    return reply(channel, headers=call.api.headers)


async def watch(call: Call) -> web.StreamResponse:
    args = call.args
    wakes = args["wakes"] if args["watched"] else None
    channel = await call.backend.watch(call.speaker, bare_channel(args["name"]), wakes)
    return reply(channel, headers=call.api.headers)


async def retain(call: Call) -> web.StreamResponse:
    channel = await call.backend.retain(call.speaker, bare_channel(call.args["name"]), call.args["days"])
    return reply(channel, headers=call.api.headers)


ROUTES: Final = (
    Route(
        "POST",
        "/api/channels",
        add_channel,
        Access.AGENT,
        "open a channel",
        "Channel",
        status=201,
        body=body(
            Field("name", Name("channel"), "the channel's name", required=True), _ABOUT, _PRIVATE, _MEMBERS
        ),
    ),
    Route(
        "POST",
        "/api/channels/{name}/members",
        change_members,
        Access.AGENT,
        "let agents into a private channel, or send them away; by who made it",
        "Channel",
        path_fields=(CHANNEL,),
        body=body(
            Field("add", Recipients(), "who reads there from now on"),
            Field("remove", Recipients(), "who does no more; what they were sent stays theirs"),
        ),
    ),
    Route(
        "POST",
        "/api/channels/{name}/leave",
        leave_channel,
        Access.AGENT,
        "hear nothing of a private channel any more; who made it is not told",
        "Left",
        path_fields=(CHANNEL,),
        body=body(Field("back", Flag(), "hear of it again", default=False)),
    ),
    Route(
        "POST",
        "/api/channels/{name}",
        change_channel,
        Access.KNOWN,
        "describe or archive a channel; by who made it, or who administers this node",
        "Retention",
        path_fields=(CHANNEL,),
        body=body(_ABOUT, Field("archived", Flag(), "nobody posts there any more; reading goes on")),
    ),
    Route(
        "POST",
        "/api/channels/{name}/watch",
        watch,
        Access.AGENT,
        "what is said there is in the speaking agent's inbox from now on, or no more",
        "Channel",
        path_fields=(CHANNEL,),
        body=body(
            Field("watched", Flag(), "false: no more", default=True),
            Field("wakes", Flag(), "it wakes the agent too, within its budget", default=False),
        ),
    ),
    Route(
        "POST",
        "/api/channels/{name}/retention",
        retain,
        Access.KNOWN,
        "for how long a channel's messages are kept; by who made it, or who administers this node",
        "Retention",
        path_fields=(CHANNEL,),
        body=body(Field("days", Whole(0, MAX_KEEP_DAYS), "days; 0 is for ever", required=True)),
    ),
)
