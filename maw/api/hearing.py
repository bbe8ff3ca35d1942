"""Routes for what puts messages in front of agents: hooks, waiters, the keeper."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from aiohttp import web

from maw.api.fields import Field
from maw.api.kinds import Choice, Flag, Line, Seconds, Whole
from maw.api.limits import MAX_WAIT_S, POLL_SLICE_S
from maw.api.principals import PANE_HEADER
from maw.api.reading import listed
from maw.api.replies import reply
from maw.api.routes import Access, Call, Route, body, query
from maw.core.claims import MAX_WHY, RANKS, Replaced
from maw.core.digest import LINES
from maw.errors import BadInput

REPLACED_HEADER: Final = "X-Maw-Replaced"
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


async def hear(call: Call) -> web.StreamResponse:
    if call.speaker.agent is None and PANE_HEADER in call.request.headers:
        return _nothing(call)  # a session that is no agent's hears nothing, and is not told off
    call.agent()
    wait: float = call.args["wait"]
    try:
        if not wait:
            heard = await _hear(call, 0.0)
        else:
            async with call.api.waiting.place():
                heard = await _hear(call, wait)
    except Replaced:
        return _nothing(call, {REPLACED_HEADER: "yes"})
    return _nothing(call) if heard is None else reply(heard, headers=call.api.headers)


async def _hear(call: Call, wait: float) -> dict[str, object] | None:
    args = call.args
    return await call.backend.hear(
        call.speaker, args["via"], wake=args["wake"], wait=wait, session=args["session"], limit=args["limit"],
        gone=call.gone, slice_s=POLL_SLICE_S,
    )  # fmt: skip


def _nothing(call: Call, extra: Mapping[str, str] = NO_HEADERS) -> web.Response:
    return web.Response(
        status=204, headers={"X-Maw-Replica": call.backend.node_name, "Cache-Control": "no-store", **extra}
    )


async def heard(call: Call) -> web.StreamResponse:
    failed, renew = call.args["failed"], call.args["renew"]
    if failed is not None and renew:
        raise BadInput("a claim is renewed or has failed: one of the two", code="bad_body")
    done = await call.backend.heard(call.speaker, call.args["claim"], failed=failed, renew=renew)
    return reply(done, headers=call.api.headers)


async def wakes(call: Call) -> web.StreamResponse:
    return await listed(call, call.backend.wakes(call.speaker, call.args["agent"]))


async def release(call: Call) -> web.StreamResponse:
    return reply(await call.backend.release_wakes(call.speaker, call.args["agent"]), headers=call.api.headers)


async def set_dnd(call: Call) -> web.StreamResponse:
    done = await call.backend.set_dnd(call.speaker, call.args["agent"], call.args["quiet"])
    return reply(done, headers=call.api.headers)


ROUTES: Final = (
    Route(
        "POST",
        "/api/hear",
        hear,
        Access.KNOWN,
        "what is new for the speaking agent and was not announced to it yet; 204 when there is nothing",
        "Heard",
        body=body(
            Field("via", Choice(tuple(RANKS)), "by which way it is put in front of the agent", required=True),
            Field(
                "wake",
                Flag(),
                "only what may wake the agent, when its budget and dnd allow it",
                default=False,
            ),
            Field("wait", Seconds(MAX_WAIT_S), "seconds to wait when there is nothing yet", default=0.0),
            Field("session", Line(128), "whose waiter this is: a newer one of the same session replaces it"),
            Field("limit", Whole(1, LINES), f"how many messages at most, 1 to {LINES}", default=LINES),
        ),
    ),
    Route(
        "POST",
        "/api/heard",
        heard,
        Access.AGENT,
        "what a claim holds was put in front of the agent: it is delivered, and not announced again",
        "HeardDone",
        body=body(
            Field("claim", Line(32), "the claim of an answer to /api/hear", required=True),
            Field("failed", Line(MAX_WHY), "it could not be: why; it is announced again"),
            Field("renew", Flag(), "it takes longer: keep it for another lease", default=False),
        ),
    ),
    Route(
        "GET",
        "/api/wakes",
        wakes,
        Access.KNOWN,
        "how often the caller's agents were woken this hour, what is held, when they are not to be disturbed",
        "Wakes",
        many=True,
        query=query(Field("agent", Line(), "only this one, with the wakes of its last hour")),
    ),
    Route(
        "POST",
        "/api/wakes/release",
        release,
        Access.KNOWN,
        "what is held wakes the agent again; by its owner or who administers this node, never by an agent",
        "Wakes",
        body=body(Field("agent", Line(), "whom", required=True)),
    ),
    Route(
        "POST",
        "/api/dnd",
        set_dnd,
        Access.KNOWN,
        "when an agent is not to be disturbed",
        "Wakes",
        body=body(
            Field("agent", Line(), "whom; the speaking agent if left out"),
            Field("quiet", Line(16), "on, off, 22:00-07:00 in this host's time, or host", required=True),
        ),
    ),
)
