"""Routes for channels: opened, described, archived, watched, and how long they keep messages."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from maw.api.fields import Field
from maw.api.kinds import Blank, Flag, Name, Whole
from maw.api.reading import CHANNEL, bare_channel
from maw.api.replies import reply
from maw.api.routes import Access, Call, Route, body
from maw.core.colony import MAX_KEEP_DAYS
from maw.core.profile import MAX_ABOUT

_ABOUT: Final = Field("about", Blank(MAX_ABOUT), "what it is for, on one line; empty: nothing is said")


async def add_channel(call: Call) -> web.StreamResponse:
    args = call.args
    channel = await call.backend.add_channel(call.speaker, args["name"], args["about"] or "")
    return reply(channel, status=201, headers=call.api.headers)


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
        body=body(Field("name", Name("channel"), "the channel's name", required=True), _ABOUT),
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
