"""Routes that look: who is here, what was said. None of them changes anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

from maw.api.answer import Answer
from maw.api.backend import Json, Page
from maw.api.fields import Field
from maw.api.kinds import Flag, Line, Ref, Seconds, Whole
from maw.api.limits import DEFAULT_PAGE, MAX_PAGE, MAX_WAIT_S
from maw.api.replies import reply
from maw.api.routes import Access, Call, Route, query
from maw.api.tags import content_tag, is_known, not_modified, stored_tag, tagged
from maw.errors import BadInput

AFTER: Final = Field("after_seq", Whole(0), "messages with a higher seq than this")
BEFORE: Final = Field("before_seq", Whole(1), "the latest messages below this seq")
LIMIT: Final = Field("limit", Whole(1, MAX_PAGE), f"how many at most, 1 to {MAX_PAGE}", default=DEFAULT_PAGE)
WAIT: Final = Field("wait", Seconds(MAX_WAIT_S), "seconds to wait when there is nothing yet", default=0.0)
CHANNEL: Final = Field("name", Line(), "the channel's name, with or without #", required=True)
MESSAGE: Final = Field("id", Ref(), "a message id, or its seq here", required=True)


def page_reply(call: Call, page: Page) -> Answer:
    response = reply(page.items, headers=call.api.headers)
    response.headers["X-Maw-Next-Seq"] = str(page.next_seq)
    if page.expired:
        response.headers["X-Maw-Expired"] = str(page.expired)
    if page.overdue:
        response.headers["X-Maw-Overdue"] = str(page.overdue)
    return response


async def listed(call: Call, fetch: Awaitable[list[Json]]) -> Answer:
    """A whole list. Its X-Maw-Next-Seq is how far this replica was before it was read: who wants to know what
    comes after goes on from there."""
    newest = await call.backend.wait_visible(0, 0)
    return page_reply(call, Page(await fetch, newest))


def one_cursor(args: Mapping[str, Any]) -> None:
    """Raises BadInput where two are given."""
    if args["before_seq"] is not None and (args["after_seq"] is not None or args.get("wait")):
        raise BadInput("before_seq stands alone: not with after_seq or wait", code="bad_parameter")


async def _waited(call: Call, fetch: Callable[[int | None], Awaitable[Page]]) -> Answer:
    """The page as soon as there is something on it, or as it is when the caller's ``wait`` is over."""
    one_cursor(call.args)
    after, seconds = call.args["after_seq"], call.args["wait"]
    page = await call.api.waiting.page(fetch, after, seconds, call.gone, anonymous=call.anonymous)
    return page_reply(call, page)


async def whoami(call: Call) -> web.StreamResponse:
    return reply(await call.backend.whoami(call.speaker), headers=call.api.headers)


async def status(call: Call) -> web.StreamResponse:
    return reply(await call.backend.status(call.speaker), headers=call.api.headers)


async def peers(call: Call) -> web.StreamResponse:
    return _if_new(call, await listed(call, call.backend.peers(call.speaker)))


async def users(call: Call) -> web.StreamResponse:
    return _if_new(call, await listed(call, call.backend.users(call.speaker)))


def _if_new(call: Call, answer: Answer) -> Answer:
    """304 in its place where the caller has it."""
    tag = content_tag(call, answer)
    return not_modified(call, tag) if is_known(call, tag) else tagged(call, answer, tag)


async def channels(call: Call) -> web.StreamResponse:
    tag = stored_tag(call)
    if is_known(call, tag):
        return not_modified(call, tag)
    return tagged(call, await listed(call, call.backend.channels(call.speaker)), tag)


async def channel_messages(call: Call) -> web.StreamResponse:
    args = call.args
    channel, limit, before = bare_channel(args["name"]), args["limit"], args["before_seq"]
    tag = stored_tag(call)
    if is_known(call, tag) and not args["wait"]:
        return not_modified(call, tag)
    timed = False

    async def fetch(after: int | None) -> Page:
        nonlocal timed
        page = await call.backend.channel_page(
            call.speaker, channel, after_seq=after, before_seq=before, limit=limit
        )
        timed = any(not _TIMED.isdisjoint(item) for item in page.items)
        return page

    answer = await _waited(call, fetch)
    return answer if timed or args["wait"] else tagged(call, answer, tag)


_TIMED: Final = frozenset({"expires_at", "due_at"})
"""What has one of these says another thing tomorrow, though nothing was changed: its page has no tag."""


async def mentions(call: Call) -> web.StreamResponse:
    args = call.args
    user = args["user"] or call.speaker.agent
    if user is None:
        raise BadInput(
            "mentions of whom?", hint="?user=NAME, @agents, @apes or @all", code="missing_parameter"
        )

    async def fetch(after: int | None) -> Page:
        return await call.backend.mentions_page(
            call.speaker, user, after_seq=after, before_seq=args["before_seq"], limit=args["limit"]
        )

    return await _waited(call, fetch)


async def inbox(call: Call) -> web.StreamResponse:
    args = call.args

    async def fetch(after: int | None) -> Page:
        return await call.backend.inbox_page(
            call.speaker,
            after_seq=after or 0,
            before_seq=args["before_seq"],
            limit=args["limit"],
            expired=args["expired"],
        )

    response = await _waited(call, fetch)
    if waiting := await call.backend.roles_waiting(call.speaker):  # in mailboxes of their own
        response.headers["X-Maw-Roles"] = ", ".join(f"{name}={count}" for name, count in waiting.items())
    return response


async def sent(call: Call) -> web.StreamResponse:
    args = call.args
    one_cursor(args)
    after, limit = args["after_seq"], args["limit"]
    newest = await call.backend.wait_visible(0, 0)
    items = await call.backend.sent(call.speaker, limit=limit, after_seq=after, before_seq=args["before_seq"])
    last = items[-1]["seq"] if items else 0
    next_seq = last if after is not None and len(items) == limit else max(after or 0, newest, last)
    return page_reply(call, Page(items, next_seq))


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
        tagged=True,
    ),
    Route(
        "GET",
        "/api/users",
        users,
        Access.PUBLIC,
        "agents and humans, of every node",
        "User",
        many=True,
        tagged=True,
    ),
    Route("GET", "/api/channels", channels, Access.PUBLIC, "the channels", "Channel", many=True, tagged=True),
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
        tagged=True,
        query=query(AFTER, BEFORE, LIMIT, WAIT),
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
            Field("user", Line(), "whose mentions; left out: the speaking agent's"),
            AFTER,
            BEFORE,
            LIMIT,
            WAIT,
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
            BEFORE,
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
        paged=True,
        query=query(AFTER, BEFORE, LIMIT),
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
