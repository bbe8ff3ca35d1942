"""Routes about the machine under the agents: what it has, what its giver allows, what keepers measure."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from maw.api.fields import Field
from maw.api.kinds import Line, Name, Records, Whole
from maw.api.replies import reply
from maw.api.routes import Access, Call, Route, body

_MOST: Final = 1000
"""Agents, logs or folders in one report."""
_BYTES: Final = Whole(0)
_AGENT: Final = Field("agent", Name("agent"), "this one; left out: all")


async def host(call: Call) -> web.StreamResponse:
    return reply(await call.backend.host(call.speaker), headers=call.api.headers)


async def pause(call: Call) -> web.StreamResponse:
    args = call.args
    told = await call.backend.pause_host(call.speaker, args["agent"], args["why"])
    return reply(told, headers=call.api.headers)


async def resume(call: Call) -> web.StreamResponse:
    told = await call.backend.pause_host(call.speaker, call.args["agent"], None)
    return reply(told, headers=call.api.headers)


async def report(call: Call) -> web.StreamResponse:
    args = call.args
    taken = await call.backend.measured(call.speaker, args["agents"], args["logs"], args["folders"])
    return reply(taken, headers=call.api.headers)


ROUTES: Final = (
    Route(
        "GET",
        "/api/host",
        host,
        Access.KNOWN,
        "this machine: load, memory, disk, what each agent takes, what its giver allows",
        "Host",
    ),
    Route(
        "POST",
        "/api/host/pause",
        pause,
        Access.ADMIN,
        "no agent (or not this one) runs on this machine until it is resumed; conversations stay",
        "Host",
        body=body(
            _AGENT,
            Field("why", Line(200), "the reason, as agents and their owners are told it", required=True),
        ),
    ),
    Route(
        "POST",
        "/api/host/resume",
        resume,
        Access.ADMIN,
        "what a pause stopped comes back",
        "Host",
        body=body(_AGENT),
    ),
    Route(
        "POST",
        "/api/host/report",
        report,
        Access.KNOWN,
        "what a keeper measured of its own Unix user's agents; which of them are not to run, and why",
        "Refusals",
        body=body(
            Field(
                "agents",
                Records(
                    body(
                        Field("name", Name("agent"), "an agent of this host", required=True),
                        Field("memory_bytes", _BYTES, "what its processes take", required=True),
                        Field("processes", Whole(1, 100_000), "how many they are", default=1),
                        Field("started_ms", _BYTES, "when the first began, ms since 1970", required=True),
                    ),
                    _MOST,
                ),
                "the agents that run",
                required=True,
            ),
            Field(
                "logs",
                Records(
                    body(
                        Field("agent", Name("agent"), "whose they are, where that is known"),
                        Field("path", Line(4096), "the folder they lie in", required=True),
                        Field("files", _BYTES, "how many", required=True),
                        Field("bytes", _BYTES, "all together", required=True),
                        Field("largest_bytes", _BYTES, "the largest of them", required=True),
                    ),
                    _MOST,
                ),
                "session logs by project; left out: not looked at this time",
            ),
            Field(
                "folders",
                Records(
                    body(
                        Field("path", Line(4096), "where", required=True),
                        Field("bytes", _BYTES, "what lies in it", required=True),
                    ),
                    _MOST,
                ),
                "the largest folders; left out: not looked at this time",
            ),
        ),
    ),
)
