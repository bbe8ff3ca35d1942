"""Routes for who runs the node: trust, alerts, repair. On the socket only."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from maw.api.fields import Field
from maw.api.kinds import Flag, Line, Refs, Whole
from maw.api.reading import listed
from maw.api.replies import reply
from maw.api.routes import Access, Call, Route, body

_WHO: Final = Field("who", Line(), "a peer: its name, its key, or the beginning of its key", required=True)
_INVITE: Final = Field("id", Line(), "an open invite's id, or the beginning of it", required=True)
_MAX_TTL_S: Final = 30 * 24 * 3600
_MAX_USES: Final = 1000


async def invite(call: Call) -> web.StreamResponse:
    args = call.args
    line = await call.backend.invite(
        call.speaker,
        ttl_s=args["ttl_s"],
        uses=args["uses"],
        for_key=args["for"],
        confirm=args["confirm"],
        introducer=args["introducer"],
    )
    return reply(line, status=201, headers=call.api.headers)


async def open_invites(call: Call) -> web.StreamResponse:
    return await listed(call, call.backend.open_invites(call.speaker))


async def withdraw_invite(call: Call) -> web.StreamResponse:
    return reply(await call.backend.withdraw_invite(call.speaker, call.args["id"]), headers=call.api.headers)


async def dismiss_alerts(call: Call) -> web.StreamResponse:
    args = call.args
    dismissed = await call.backend.dismiss_alerts(call.speaker, args["kind"], args["subject"])
    return reply(dismissed, headers=call.api.headers)


async def join(call: Call) -> web.StreamResponse:
    async with call.api.waiting.place():  # a stop does not wait for other hosts: what was begun goes on later
        joined = await call.backend.join(call.speaker, call.args["line"])
    return reply(joined, headers=call.api.headers)


async def reload_peers(call: Call) -> web.StreamResponse:
    return reply(await call.backend.reload_peers(call.speaker), headers=call.api.headers)


async def mend(call: Call) -> web.StreamResponse:
    async with call.api.waiting.place():
        mended = await call.backend.mend(call.speaker, call.args["ids"])
    return reply(mended, headers=call.api.headers)


async def forget_peer(call: Call) -> web.StreamResponse:
    return reply(await call.backend.forget_peer(call.speaker, call.args["who"]), headers=call.api.headers)


async def accept_peer(call: Call) -> web.StreamResponse:
    args = call.args
    accepted = await call.backend.accept_peer(call.speaker, args["who"], args["introducer"])
    return reply(accepted, headers=call.api.headers)


ROUTES: Final = (
    Route(
        "POST",
        "/api/invites",
        invite,
        Access.ADMIN,
        "one line that lets another host join",
        "Invite",
        status=201,
        body=body(
            Field("ttl_s", Whole(1, _MAX_TTL_S), "seconds it is good for"),
            Field("uses", Whole(1, _MAX_USES), "how many hosts may use it"),
            Field("for", Line(), "only the node with this key may use it"),
            Field("confirm", Flag(), "ask here before anybody is let in", default=False),
            Field("introducer", Flag(), "the newcomer may invite others on", default=False),
        ),
    ),
    Route(
        "GET",
        "/api/invites",
        open_invites,
        Access.ADMIN,
        "the invites that could still be used, without their secrets",
        "OpenInvite",
        many=True,
    ),
    Route(
        "DELETE",
        "/api/invites/{id}",
        withdraw_invite,
        Access.ADMIN,
        "withdraw an open invite: its line is good for nothing any more",
        "OpenInvite",
        path_fields=(_INVITE,),
    ),
    Route(
        "POST",
        "/api/alerts/dismiss",
        dismiss_alerts,
        Access.ADMIN,
        "alerts that were seen to: gone until it happens again",
        "Dismissed",
        body=body(
            Field("kind", Line(), "alerts of this kind; left out: all"),
            Field("subject", Line(), "about this only, as status gives it"),
        ),
    ),
    Route(
        "POST",
        "/api/mend",
        mend,
        Access.ADMIN,
        "fetch entries that are damaged on this disk from the peers; which could not be had, and why",
        "Report",
        body=body(Field("ids", Refs(), "entries, named as messages are", required=True)),
    ),
    Route(
        "POST",
        "/api/join",
        join,
        Access.ADMIN,
        "join the Colony of whoever made the invite",
        "Joined",
        body=body(Field("line", Line(8192), "the line that `maw invite` printed", required=True)),
    ),
    Route(
        "POST",
        "/api/peers/reload",
        reload_peers,
        Access.ADMIN,
        "read peers.toml again",
        "Report",
        body=body(),
    ),
    Route(
        "POST",
        "/api/peers/forget",
        forget_peer,
        Access.ADMIN,
        "end trust and link with a peer, for good",
        "Report",
        body=body(_WHO),
    ),
    Route(
        "POST",
        "/api/peers/accept",
        accept_peer,
        Access.ADMIN,
        "trust a pending peer, or whom a peer lets in, too",
        "Report",
        body=body(
            _WHO, Field("introducer", Flag(), "a known peer too: trust whom it lets in", default=False)
        ),
    ),
)
