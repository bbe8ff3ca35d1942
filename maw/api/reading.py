"""Routes that look: who is here, what was said. None of them changes anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from maw.api.backend import Json, Page
from maw.api.fields import Field
from maw.api.kinds import Flag, Line, Ref, Seconds, Whole
from maw.api.limits import DEFAULT_PAGE, MAX_PAGE, MAX_WAIT_S
from maw.api.replies import reply
from maw.api.routes import Access, Call, Route, query
from maw.errors import BadInput

AFTER: Final = Field("after_seq", Whole(0), "messages with a higher seq than this")
LIMIT: Final = Field("limit", Whole(1, MAX_PAGE), f"how many at most, 1 to {MAX_PAGE}", default=DEFAULT_PAGE)
WAIT: Final = Field("wait", Seconds(MAX_WAIT_S), "seconds to wait when there is nothing yet", default=0.0)
CHANNEL: Final = Field("name", Line(), "the channel's name, with or without #", required=True)
MESSAGE: Final = Field("id", Ref(), "a message id, or its seq here", required=True)


def page_reply(call: Call, page: Page) -> web.Response:
    response = reply(page.items, headers=call.api.headers)
    response.headers["X-Maw-Next-Seq"] = str(page.next_seq)
    if page.expired:
        response.headers["X-Maw-Expired"] = str(page.expired)
    return response


async def listed(call: Call, fetch: Awaitable[list[Json]]) -> web.Response:
    """A whole list. Its X-Maw-Next-Seq is how far this replica was before it was read: who wants to know what
    comes after goes on from there."""
    newest = await call.backend.wait_visible(0, 0)
    return page_reply(call, Page(await fetch, newest))


async def _waited(call: Call, fetch: Callable[[int | None], Awaitable[Page]]) -> web.Response:
    """The page as soon as there is something on it, or as it is when the caller's ``wait`` is over."""
    after, seconds = call.args["after_seq"], call.args["wait"]
    page = await call.api.waiting.page(fetch, after, seconds, call.gone, anonymous=call.anonymous)
    return page_reply(call, page)


async def whoami(call: Call) -> web.StreamResponse:
    return reply(await call.backend.whoami(call.speaker), headers=call.api.headers)


async def status(call: Call) -> web.StreamResponse:
    return reply(await call.backend.status(call.speaker), headers=call.api.headers)


async def peers(call: Call) -> web.StreamResponse:
    return await listed(call, call.backend.peers(call.speaker))


async def users(call: Call) -> web.StreamResponse:
    return await listed(call, call.backend.users(call.speaker))


async def channels(call: Call) -> web.StreamResponse:
    return await listed(call, call.backend.channels(call.speaker))


async def channel_messages(call: Call) -> web.StreamResponse:
    args = call.args
    channel, limit, before = bare_channel(args["name"]), args["limit"], args["before_seq"]
    if before is not None and (args["after_seq"] is not None or args["wait"]):
        raise BadInput("before_seq stands alone: not with after_seq or wait", code="bad_parameter")

    async def fetch(after: int | None) -> Page:
        return await call.backend.channel_page(
            call.speaker, channel, after_seq=after, before_seq=before, limit=limit
        )

    return await _waited(call, fetch)


async def mentions(call: Call) -> web.StreamResponse:
    args = call.args
    user = args["user"] or call.speaker.agent
    if user is None:
        raise BadInput(
            "mentions of whom?", hint="?user=NAME, @agents, @apes or @all", code="missing_parameter"
        )

    async def fetch(after: int | None) -> Page:
        return await call.backend.mentions_page(call.speaker, user, after_seq=after, limit=args["limit"])

    return await _waited(call, fetch)


async def inbox(call: Call) -> web.StreamResponse:
    args = call.args

    async def fetch(after: int | None) -> Page:
        return await call.backend.inbox_page(
            call.speaker, after_seq=after or 0, limit=args["limit"], expired=args["expired"]
        )

    response = await _waited(call, fetch)
    if waiting := await call.backend.roles_waiting(call.speaker):  # in mailboxes of their own
        response.headers["X-Maw-Roles"] = ", ".join(f"{name}={count}" for name, count in waiting.items())
    return response


async def sent(call: Call) -> web.StreamResponse:
    return await listed(call, call.backend.sent(call.speaker, limit=call.args["limit"]))


async def message(call: Call) -> web.StreamResponse:
    return reply(await call.backend.message(call.speaker, call.args["id"]), headers=call.api.headers)


async def trace(call: Call) -> web.StreamResponse:
    return reply(await call.backend.trace(call.speaker, call.args["id"]), headers=call.api.headers)


def bare_channel(name: str) -> str:
    """``#general`` and ``general`` are one channel."""
    return name.removeprefix("#") or name


ROUTES: Final = (
    Route(
        "GET", "/api/whoami", whoami, Access.PUBLIC, "who you are to this node, and how it knows", "Whoami"
    ),
    Route("GET", "/api/status", status, Access.KNOWN, "this node: state, links, unread, alerts", "Status"),
    Route(
        "GET",
        "/api/peers",
        peers,
        Access.KNOWN,
        "the nodes this one trusts or has heard of",
        "Peer",
        many=True,
    ),
    Route("GET", "/api/users", users, Access.PUBLIC, "agents and humans, of every node", "User", many=True),
    Route("GET", "/api/channels", channels, Access.PUBLIC, "the channels", "Channel", many=True),
    Route(
        "GET",
        "/api/channels/{name}/messages",
        channel_messages,
        Access.PUBLIC,
        "a channel's messages by ascending seq; without a cursor the latest",
        "Message",
        many=True,
        paged=True,
        path_fields=(CHANNEL,),
        query=query(AFTER, Field("before_seq", Whole(1), "the latest messages below this seq"), LIMIT, WAIT),
    ),
    Route(
        "GET",
        "/api/mentions",
        mentions,
        Access.PUBLIC,
        "messages that mention a user, over all channels; groups: @agents, @apes, @all",
        "Message",
        many=True,
        paged=True,
        query=query(
            Field("user", Line(), "whose mentions; left out: the speaking agent's"), AFTER, LIMIT, WAIT
        ),
    ),
    Route(
        "GET",
        "/api/inbox",
        inbox,
        Access.AGENT,
        "what the speaking agent has not acknowledged, oldest first; reading changes nothing",
        "InboxMessage",
        many=True,
        paged=True,
        query=query(
            AFTER,
            LIMIT,
            WAIT,
            Field("expired", Flag(), "instead: what expired before it was acknowledged", default=False),
        ),
    ),
    Route(
        "GET",
        "/api/sent",
        sent,
        Access.AGENT,
        "what the speaking agent sent, newest last, which hosts hold it, and how far it got with whom",
        "SentMessage",
        many=True,
        query=query(LIMIT),
    ),
    Route(
        "GET",
        "/api/messages/{id}",
        message,
        Access.PUBLIC,
        "one message with its replies, by id or by its seq on this replica",
        "MessageWithThread",
        path_fields=(MESSAGE,),
    ),
    Route(
        "GET",
        "/api/messages/{id}/trace",
        trace,
        Access.KNOWN,
        "the way of one message, as far as this node knows it; what others made of it is for its author",
        "Trace",
        path_fields=(MESSAGE,),
    ),
)
