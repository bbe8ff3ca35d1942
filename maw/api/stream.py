"""The WebSocket stream: every message the speaker may read, from a position on, as it becomes visible; and who asks
for it is told of messages from before that were edited or taken back.

The subscriber has its own cursor and reads pages from the store, so nothing is queued for it in memory: a
gap or a repeat cannot come from a full queue, and one that reads slowly costs one page. One that does not
read at all is let go with the position to resume from.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Final, NamedTuple

from aiohttp import WSCloseCode, WSMsgType, web

from maw.api.backend import Json, Listener, Page
from maw.api.fields import Field
from maw.api.kinds import Flag, Line
from maw.api.reading import AFTER, bare_channel
from maw.api.replies import encode, reply
from maw.api.routes import Access, Call, Route, query
from maw.api.tickets import PROTOCOL, TICKET_S
from maw.errors import BadInput, MawError, Unavailable

_LOG: Final = logging.getLogger(__name__)

_PING_S: Final = 20.0
_MAX_FROM_CLIENT: Final = 4096
_MAX_REASON_BYTES: Final = 120
_OVER: Final = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)


class _HungUpError(Exception):
    """The subscriber closed, or its connection broke: there is nobody to tell."""


class _TooSlowError(Exception):
    """The subscriber did not take one message in time."""


class _End(NamedTuple):
    """Why we close: a WebSocket close code, and words for the other side."""

    code: int
    reason: str


async def stream(call: Call) -> web.StreamResponse:
    """Answers a WebSocket request; anything else is a 400."""
    socket = web.WebSocketResponse(
        compress=False,
        heartbeat=_PING_S,
        max_msg_size=_MAX_FROM_CLIENT,
        timeout=call.api.pace.close_s,
        protocols=(PROTOCOL,),
    )
    if not socket.can_prepare(call.request):
        raise BadInput(
            "this route is a WebSocket", hint="connect to ws://…/api/stream?after_seq=0", code="not_websocket"
        )
    subscriber = _Subscriber(call, socket)
    try:
        async with call.api.waiting.place(anonymous=call.anonymous):
            await subscriber.open()
            end = await subscriber.run()
    except Unavailable as error:
        if not socket.prepared:
            raise
        end = _End(WSCloseCode.GOING_AWAY, error.message)
    finally:
        subscriber.leave()
    if end is not None:
        await subscriber.close(end)
    return socket


async def ticket(call: Call) -> web.StreamResponse:
    """For a token's holder that cannot send headers with a WebSocket. Raises BadInput on the socket."""
    _, _, token = call.request.headers.get("Authorization", "").partition(" ")
    if call.speaker.known_by != "token":
        raise BadInput(
            "a ticket is for who speaks with a token",
            hint="the socket knows its caller: connect to /api/stream there",
            code="no_token",
        )
    return reply(
        {"ticket": call.api.tickets.give(token.strip()), "expires_in_s": TICKET_S}, headers=call.api.headers
    )


class _Subscriber:
    """One stream: its cursor, and how it is fed."""

    def __init__(self, call: Call, socket: web.WebSocketResponse) -> None:
        self._call = call
        self._socket = socket
        self._pace = call.api.pace
        self._loop = asyncio.get_running_loop()
        self._speaker = call.speaker
        channel = call.args["channel"]
        self._channel = None if channel is None else bare_channel(channel)
        self._cursor = 0
        self._seen = 0
        self._changes: bool = call.args["changes"]
        self._page = Page([], 0)
        self._begun = self._known = 0
        self._moved = True  # the last page brought us further, be it over messages that are not ours to read
        self._idle_at = 0.0
        self._ask_again_at = self._loop.time() + self._pace.idle_s
        self._listener: Listener | None = None

    async def open(self) -> None:
        """Reads the first page, so that what is wrong is still an HTTP error, then upgrades."""
        after: int | None = self._call.args["after_seq"]
        self._seen = await self._call.backend.wait_visible(0, 0)
        self._cursor = self._seen if after is None else after
        self._begun, self._known = self._cursor, self._seen
        self._page = await self._fetch()
        if self._call.args["confirm"] and self._speaker.agent is not None:
            narrowed = self._channel is not None or self._call.args["user"] is not None
            whole = None if narrowed else self._cursor
            self._listener = self._call.backend.listener(self._speaker, whole)
        await self._socket.prepare(self._call.request)

    async def run(self) -> _End | None:
        """Feeds until one side ends it; None when that was the subscriber."""
        end: _End | None = None
        try:
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(self._listen(), name="stream-listen")
                end = await self._feed_until_over()
                listening.cancel()
        except* _HungUpError:
            pass
        return end

    def leave(self) -> None:
        """To be called in the end, however it came."""
        if self._listener is not None:
            self._listener.close()

    async def close(self, end: _End) -> None:
        """Says why, and gives the other side a moment to hear it."""
        reason = end.reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore").encode()
        try:
            async with asyncio.timeout(self._pace.close_s):
                await self._socket.close(code=end.code, message=reason, drain=False)
        except TimeoutError:
            pass  # it does not read: the reason stays in its buffers
        transport = self._call.request.transport
        if transport is not None and end.code == WSCloseCode.TRY_AGAIN_LATER:
            transport.abort()

    async def _listen(self) -> None:
        """Answers pings, takes confirmations and notices the end; whatever else subscribers say is not looked at."""
        while (said := await self._socket.receive()).type not in _OVER:
            if self._listener is not None and said.type is WSMsgType.TEXT:
                await self._confirm(self._listener, said.data)
        raise _HungUpError

    async def _confirm(self, listener: Listener, text: str) -> None:
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):  # nested deeper than anybody means
            return
        seq = said.get("heard") if isinstance(said, dict) else None
        if type(seq) is not int:
            return
        try:
            await listener.heard(seq)
        except MawError as error:  # the disk: it stays unconfirmed, and is confirmed with the next
            _LOG.warning("what a stream for %s showed is not noted: %s", self._speaker.agent, error.message)

    async def _feed_until_over(self) -> _End:
        try:
            while True:
                await self._send_page()
                await self._still_welcome()
                if self._cursor >= self._seen or not self._moved:
                    await self._await_more()
                before = self._cursor
                self._page = await self._fetch()
                self._moved = bool(self._page.items) or self._page.next_seq > before
        except _TooSlowError:
            self._call.backend.let_go(self._speaker, self._pace.send_s)
            return _End(WSCloseCode.TRY_AGAIN_LATER, f"too slow: resume with after_seq={self._cursor}")
        except ConnectionError:
            raise _HungUpError from None
        except Unavailable as error:
            return _End(WSCloseCode.TRY_AGAIN_LATER, f"{error.message}: resume with after_seq={self._cursor}")
        except MawError as error:
            return _End(WSCloseCode.POLICY_VIOLATION, f"{error.code}: {error.message}")
        except (
            Exception
        ):  # the last supervisor: a fault of ours ends this stream, which its subscriber is told
            _LOG.exception("a stream failed after seq %d", self._cursor)
            return _End(WSCloseCode.INTERNAL_ERROR, "a fault inside maw; its log has the details")

    async def _fetch(self) -> Page:
        return await self._call.backend.stream_page(
            self._speaker,
            after_seq=self._cursor,
            channel=self._channel,
            user=self._call.args["user"],
            limit=self._pace.page,
            changes=self._changes,
        )

    async def _send_page(self) -> None:
        if self._listener is not None and self._page.items:
            await self._listener.sent([message["seq"] for message in self._page.items])
        for seq, frame in self._frames():
            await self._send(frame)
            self._cursor = seq
            self._idle_at = self._loop.time() + self._pace.idle_s
        self._cursor = max(self._cursor, self._page.next_seq)

    def _frames(self) -> list[tuple[int, Json]]:
        """What the page brings, each with the cursor behind it, in that order."""
        frames: list[tuple[int, Json]] = [
            (item["seq"], {"type": "message", "message": item}) for item in self._page.items
        ]
        changes = [(n, item) for n, item in self._page.changes if self._is_news(n, item)]
        if changes:
            frames += [(n, {"type": _kind(item), "seq": n, "now": item}) for n, item in changes]
            frames.sort(key=lambda one: one[0])
        return frames

    def _is_news(self, n: int, message: Json) -> bool:
        """What was changed before we began, and is sent by us, is sent as it is now."""
        return n > self._known or message["seq"] <= self._begun

    async def _await_more(self) -> None:
        """Returns when something newer than all we looked at is visible, or it is time for a heartbeat."""
        self._seen = max(self._seen, self._cursor)
        left = self._idle_at - self._loop.time()
        if left <= 0:
            await self._send({"type": "idle", "seq": self._cursor})
            left = self._pace.idle_s
            self._idle_at = self._loop.time() + left
        self._seen = max(self._seen, await self._call.backend.wait_visible(self._seen, left))

    async def _still_welcome(self) -> None:
        """A token may have been withdrawn, an agent removed: raises what `Door.speaker` raises then."""
        if self._loop.time() >= self._ask_again_at:
            self._speaker = await self._call.whoever(self._call.request)
            self._ask_again_at = self._loop.time() + self._pace.idle_s

    async def _send(self, frame: Json) -> None:
        try:
            async with asyncio.timeout(self._pace.send_s):
                await self._socket.send_str(encode(frame))
        except TimeoutError:
            raise _TooSlowError from None


def _kind(message: Json) -> str:
    return "redacted" if "redacted" in message else "edited"


ROUTES: Final = (
    Route(
        "GET",
        "/api/stream",
        stream,
        Access.PUBLIC,
        "a WebSocket: messages as they become visible, resuming after a seq without gap or repeat",
        "StreamFrame",
        status=101,
        query=query(
            Field(AFTER.name, AFTER.kind, f"{AFTER.about}; left out: from now on"),
            Field("channel", Line(), "only this channel"),
            Field("user", Line(), "only what is for this user: direct to them, or mentioning them"),
            Field("changes", Flag(), "of messages from before: edits and redactions too", default=False),
            Field(
                "confirm",
                Flag(),
                'the reader says {"heard": seq} when all up to seq was put in front of the speaking agent',
                default=False,
            ),
        ),
    ),
    Route(
        "POST",
        "/api/stream/ticket",
        ticket,
        Access.KNOWN,
        "one connection to the stream for a browser, which cannot send its token with a WebSocket",
        "Ticket",
    ),
)
