"""Routes for who agents are: their souls, read by everybody in the Colony, and the policy that is for all of them."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from maw.api.fields import Field
from maw.api.kinds import Blank, Choice, Line, Seconds, Text, Whole
from maw.api.replies import reply
from maw.api.routes import Access, Call, Route, body, query
from maw.core.policy import MAX_VERSION

TROUBLES: Final = ("soul", "dream")
MAX_GRACE_S: Final = 999_999.0
_AGENT: Final = Field("agent", Line(), "whose: an agent's name, or name@host", required=True)


async def show(call: Call) -> web.StreamResponse:
    found = await call.backend.soul(call.speaker, call.args["agent"], call.args["version"])
    return reply(found, headers=call.api.headers)


async def history(call: Call) -> web.StreamResponse:
    return reply(await call.backend.soul_history(call.speaker, call.args["agent"]), headers=call.api.headers)


async def say(call: Call) -> web.StreamResponse:
    args = call.args
    said = await call.backend.say_soul(call.speaker, args["agent"], args["text"], args["before"])
    return reply(said, headers=call.api.headers)


async def policy(call: Call) -> web.StreamResponse:
    return reply(await call.backend.policy(call.speaker, call.args["version"]), headers=call.api.headers)


async def policy_status(call: Call) -> web.StreamResponse:
    found = await call.backend.policy_status(call.speaker, call.args["grace_s"])
    return reply(found, headers=call.api.headers)


async def trouble(call: Call) -> web.StreamResponse:
    await call.backend.trouble(call.speaker, call.args["kind"], call.args["text"])
    return reply({"agent": call.agent(), "kind": call.args["kind"]}, headers=call.api.headers)


async def dream(call: Call) -> web.StreamResponse:
    return reply(await call.backend.dream(call.speaker), headers=call.api.headers)


ROUTES: Final = (
    Route(
        "POST", "/api/dream", dream, Access.AGENT,
        "the speaking agent is about to dream: refused where it is frozen, or has spent what it may; and the policy",
        "Dream", body=body(),
    ),
    Route(
        "POST", "/api/trouble", trouble, Access.AGENT,
        "what is wrong in the speaking agent's home: a human of its host is told", "Trouble",
        body=body(
            Field("kind", Choice(TROUBLES), "with what", required=True),
            Field("text", Blank(400), "what is wrong, on one line; empty: nothing any more", required=True),
        ),
    ),
    Route(
        "GET", "/api/souls/{agent}", show, Access.KNOWN, "who an agent is: its soul as its host said it last",
        "Soul", path_fields=(_AGENT,),
        query=query(Field("version", Line(), "an earlier one: its id, or the beginning of its hash")),
    ),
    Route(
        "GET", "/api/souls/{agent}/history", history, Access.KNOWN,
        "the versions of an agent's soul that are kept, the latest first", "SoulVersion", many=True,
        path_fields=(_AGENT,),
    ),
    Route(
        "POST", "/api/souls", say, Access.KNOWN,
        "the soul of an agent of this node from now on; by itself, its Unix user, or who administers this node",
        "SaidSoul",
        body=body(
            Field("agent", Line(), "whose; left out: of who speaks"),
            Field("text", Text(), "the whole of it: at most 48 KiB", required=True),
            Field("before", Line(64), "the hash of the version that it follows: refused where there is another"),
        ),
    ),
    Route(
        "GET", "/api/policy", policy, Access.KNOWN, "the policy for all agents, signed by an operator", "Policy",
        query=query(Field("version", Whole(1, MAX_VERSION), "an earlier one")),
    ),
    Route(
        "GET", "/api/policy/status", policy_status, Access.KNOWN, "which agent runs which version of the policy",
        "PolicyStatus",
        query=query(
            Field("grace_s", Seconds(MAX_GRACE_S), "who runs another so long after it was heard: late", default=7200.0)
        ),
    ),
)  # fmt: skip
