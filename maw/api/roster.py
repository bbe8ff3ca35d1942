"""Routes for how agents of this host are run: the roster, what keepers report, which conversation is whose."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from maw.api.fields import Field
from maw.api.kinds import Blank, Choice, Flag, Line, Whole, Words
from maw.api.reading import listed
from maw.api.replies import reply
from maw.api.routes import Access, Call, Route, body
from maw.core.roster import KINDS, OnHang, State

_AGENT: Final = Field("name", Line(), "an agent of this host", required=True)
_MAX_PID: Final = (1 << 31) - 1
_PLACE: Final = Line(512)
_HANG_S: Final = Whole(10, 7 * 24 * 3600)


async def roster(call: Call) -> web.StreamResponse:
    return await listed(call, call.backend.roster(call.speaker))


async def enlist(call: Call) -> web.StreamResponse:
    plan = dict(call.args)
    name, pane = plan.pop("name"), plan.pop("pane")
    return reply(await call.backend.enlist(call.speaker, name, plan, pane), headers=call.api.headers)


async def strike(call: Call) -> web.StreamResponse:
    await call.backend.strike(call.speaker, call.args["name"])
    return reply({"removed": call.args["name"]}, headers=call.api.headers)


async def report(call: Call) -> web.StreamResponse:
    told = dict(call.args)
    name, pane = told.pop("name"), told.pop("pane")
    await call.backend.report(call.speaker, name, told, pane)
    return reply({"noted": name}, headers=call.api.headers)


async def keep(call: Call) -> web.StreamResponse:
    told = await call.backend.keep(call.speaker, call.args["pid"], call.args["version"])
    return reply(told, headers=call.api.headers)


async def session(call: Call) -> web.StreamResponse:
    args = call.args
    bound = await call.backend.hold_conversation(
        call.speaker, args["session"], args["pid"], args["transcript"], note=not args["ask"]
    )
    return reply(bound, headers=call.api.headers)


ROUTES: Final = (
    Route(
        "GET",
        "/api/roster",
        roster,
        Access.LOCAL,
        "the agents of this host that run in tmux: yours; all for who administers the node",
        "Rostered",
        many=True,
    ),
    Route(
        "POST",
        "/api/roster/{name}",
        enlist,
        Access.LOCAL,
        "how an agent is run; what is left out stays as it is, and who is not in the roster joins it",
        "Rostered",
        path_fields=(_AGENT,),
        body=body(
            Field("kind", Choice(KINDS), "what program it is"),
            Field("command", Words(), "the command, word by word, without the conversation"),
            Field("cwd", Blank(4096), "the folder it runs in"),
            Field("socket", Blank(200), "the socket of its tmux server; empty: the user's own"),
            Field("session", Blank(), "the name of its tmux session"),
            Field("env", Words(), "NAME=VALUE, or NAME for the value that whoever starts it has"),
            Field("resume", Words(), "the whole command that goes on with {conversation}; empty: its kind's"),
            Field("up", Flag(), "whether it is to run"),
            Field("respawn", Flag(), "whether it is started again when it ends"),
            Field("hang", Choice(tuple(OnHang)), "what is done when it hangs"),
            Field("hang_after_s", _HANG_S, "after so many seconds without a sign"),
            Field("nudge", Flag(), "whether a line may be typed into its pane when it has mail"),
            Field("exec", Words(), "a command that is run when it has mail; empty: none"),
            Field("pane", _PLACE, "the tmux pane it sits in: SOCKET,SERVERPID,%PANE"),
        ),
    ),
    Route(
        "DELETE",
        "/api/roster/{name}",
        strike,
        Access.LOCAL,
        "out of the roster: nobody starts it any more. It stays an agent, and runs on",
        "Removed",
        path_fields=(_AGENT,),
    ),
    Route(
        "POST",
        "/api/roster/{name}/report",
        report,
        Access.LOCAL,
        "what its keeper found",
        "Report",
        path_fields=(_AGENT,),
        body=body(
            Field("state", Choice(tuple(State)), "how it is", required=True),
            Field("why", Blank(), "in words", default=""),
            Field("pid", Whole(0, _MAX_PID), "of its program", default=0),
            Field("server", Whole(0, _MAX_PID), "of its tmux server", default=0),
            Field("started", Whole(0), "since when it runs, ms since 1970"),
            Field("active", Whole(0), "when it last showed something, ms since 1970"),
            Field("attached", Whole(0, 10_000), "how many look at it", default=0),
            Field("memory_bytes", Whole(0), "of all its processes"),
            Field("log_bytes", Whole(0), "of its conversation's file"),
            Field("deaths", Whole(0, 10_000), "at once, in a row", default=0),
            Field("respawns", Whole(0), "ever", default=0),
            Field("given_up", Blank(), "why it is not started any more", default=""),
            Field("pane", _PLACE, "where it sits; left out: nowhere"),
        ),
    ),
    Route(
        "POST",
        "/api/keeper",
        keep,
        Access.LOCAL,
        "a keeper of the caller's uid runs: whom it is to keep",
        "Keeping",
        body=body(
            Field("pid", Whole(0, _MAX_PID), "its process", required=True),
            Field("version", Line(), "the maw that it is", required=True),
        ),
    ),
    Route(
        "POST",
        "/api/session",
        session,
        Access.AGENT,
        "the speaking agent's program says which conversation it is in",
        "Bound",
        body=body(
            Field("session", Line(), "what the program calls it", required=True),
            Field("pid", Whole(0, _MAX_PID), "the program's own, 0 where it is not known", default=0),
            Field("transcript", Blank(4096), "the file it is kept in", default=""),
            Field("ask", Flag(), "only ask whether it is the agent's: nothing is noted", default=False),
        ),
    ),
)
