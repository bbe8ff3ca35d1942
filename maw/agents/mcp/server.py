"""`maw mcp`: the tools over standard input and output, and word of what is new, as far as the client takes it.

What is new is put in front of the model in one of three ways, each confirmed to the daemon only after it was sent:
behind the answer of a tool; as the resource ``maw://inbox``, for a client that subscribes to it, once that reads it;
and with ``channel`` as a notification of Claude Code's channels, for a session that was started to take them. What
nobody takes is not claimed, and so stays for other ways.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Literal, cast

import anyio
import anyio.abc
import mcp_types as types
from anyio.to_thread import run_sync
from mcp.server import Server, ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated
from mcp.shared.message import SessionMessage

from maw import __version__
from maw.agents.hooks.daemon import Daemon as Line
from maw.agents.hooks.daemon import NoAnswer
from maw.agents.hooks.process import session_process
from maw.agents.mcp import tools
from maw.agents.mcp.tools import Claimed, Tool
from maw.client.daemon import Daemon
from maw.errors import InternalError, MawError, NotFound

INBOX: Final = "maw://inbox"
CHANNEL: Final = "claude/channel"
POLL_S: Final = 50.0
ANSWER_S: Final = 15.0
AWAY_S: Final = 5.0
READ_WITHIN_S: Final = 60.0
"""A client that was told of news, and has not read the resource by then, takes none: the claim is let go."""
RENEW_S: Final = 4.0
BY_NAME: Final = {tool.name: tool for tool in tools.TOOLS}

Context = ServerRequestContext[Any]
Find = Callable[[], Daemon]
"""The daemon, spoken to as whoever speaks. May raise MawError."""


class _News(types.Notification[dict[str, Any], Literal["notifications/claude/channel"]]):
    method: Literal["notifications/claude/channel"] = "notifications/claude/channel"
    params: dict[str, Any]


@dataclass(slots=True)
class _Sending:
    """A stream that tells when the answer to a request is on its way."""

    inner: Any
    sent: Callable[[Any], None]

    async def send(self, item: SessionMessage, /) -> None:
        await self.inner.send(item)
        if isinstance(item.message, types.JSONRPCResponse):
            self.sent(item.message.id)

    async def aclose(self) -> None:
        await self.inner.aclose()

    async def __aenter__(self) -> _Sending:
        await self.inner.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return cast("bool | None", await self.inner.__aexit__(kind, error, trace))


@dataclass(slots=True)
class Bridge:
    """One client's. ``tasks`` is set while it runs."""

    find: Find
    channel: bool = False
    tasks: anyio.abc.TaskGroup | None = None
    """What goes on until the client hangs up."""
    last_words: anyio.abc.TaskGroup | None = None
    """What is still done then."""
    name: str = field(default_factory=lambda: f"mcp-{os.getpid()}")
    _client: ServerSession | None = None
    _updates: Callable[[str], Awaitable[None]] | None = None
    _bus: InMemorySubscriptionBus = field(default_factory=InMemorySubscriptionBus)
    _streams: ListenHandler = field(init=False)
    _told: int = 0
    """How many subscriptions there are."""
    _telling: anyio.CancelScope | None = None
    _pending: dict[Any, str] = field(default_factory=dict)
    """Claims to confirm, by the request whose answer holds them."""
    _open: Claimed | None = None
    """What a subscriber was told of, and has not read yet."""
    _was_read: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self._streams = ListenHandler(self._bus)

    # -- the tools ------------------------------------------------------------------------------------

    async def list_tools(self, _: Context, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        listed = [types.Tool(name=t.name, description=t.about, input_schema=t.schema) for t in tools.TOOLS]
        return types.ListToolsResult(tools=listed)

    async def call_tool(self, ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        """A refusal is a tool's error, which the model can read and act on."""
        tool = BY_NAME.get(params.name)
        try:
            if tool is None:
                raise NotFound(f"there is no tool {params.name}", hint=f"there are {', '.join(BY_NAME)}")
            daemon = await run_sync(self.find)
            text = await run_sync(tools.call, tool, daemon, params.arguments or {}, abandon_on_cancel=True)
        except MawError as error:
            return types.CallToolResult(is_error=True, content=[_text(tools.told(error))])
        except Exception as error:  # one tool's fault must not end the others
            fault = InternalError(
                f"a fault inside maw: {type(error).__name__}: {error}", hint="please report it"
            )
            return types.CallToolResult(is_error=True, content=[_text(tools.told(fault))])
        news = await self._news_behind(tool, daemon, ctx.request_id)
        return types.CallToolResult(content=[_text(text), *([_text(news)] if news else [])])

    async def _news_behind(self, tool: Tool, daemon: Daemon, request: Any) -> str | None:
        """What is new besides, except behind the tools that show it themselves."""
        if tool.name in ("inbox", "wait"):
            return None
        try:
            if not await run_sync(self._is_ours, daemon):
                return None
            found = await run_sync(lambda: tools.new(daemon, self.name))
        except MawError:
            return None  # the tool did what it should: the news come another time
        if found is None:
            return None
        self._pending[request] = found.claim
        return found.text

    def sent(self, request: Any) -> None:
        """The answer to this request went out: what it held was put in front of the model."""
        claim = self._pending.pop(request, None)
        if claim is not None and self.last_words is not None:
            self.last_words.start_soon(self._confirm, claim)

    # -- news for those who take them -----------------------------------------------------------------

    async def initialized(self, ctx: Context, _: types.NotificationParams | None) -> None:
        self._client = ctx.session
        if self.channel and self.tasks is not None:
            self.tasks.start_soon(self._tell_channel)

    async def list_resources(
        self, _: Context, __: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        about = "what is new for you and was not told yet"
        inbox = types.Resource(uri=INBOX, name="inbox", description=about, mime_type="text/plain")
        return types.ListResourcesResult(resources=[inbox])

    async def read_resource(
        self, ctx: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        if str(params.uri) != INBOX:
            raise ValueError(f"there is no resource {params.uri}: {INBOX} is the one")
        found, self._open = self._open, None
        self._was_read.set()
        if found is None:
            daemon = await run_sync(self.find)
            found = await run_sync(lambda: tools.new(daemon, self.name))
        if found is not None:
            self._pending[ctx.request_id] = found.claim
        text = found.text if found is not None else "nothing new"
        return types.ReadResourceResult(
            contents=[types.TextResourceContents(uri=INBOX, text=text, mime_type="text/plain")]
        )

    async def subscribe(self, ctx: Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
        """As protocols before 2026-07-28 have it."""
        if str(params.uri) == INBOX and not self._updates:
            self._updates = ctx.session.send_resource_updated
            self._begin_telling()
        return types.EmptyResult()

    async def unsubscribe(self, _: Context, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
        if str(params.uri) == INBOX and self._updates:
            self._updates = None
            self._end_telling()
        return types.EmptyResult()

    async def listen(
        self, ctx: Context, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        """As later ones have it: a stream, for as long as the client keeps it."""
        if INBOX not in (params.notifications.resource_subscriptions or ()):
            return await self._streams(ctx, params)
        self._begin_telling()
        try:
            return await self._streams(ctx, params)
        finally:
            self._end_telling()

    def _begin_telling(self) -> None:
        self._told += 1
        if self._telling is None and self.tasks is not None:
            self._telling = anyio.CancelScope()
            self.tasks.start_soon(self._tell_subscribers, self._telling)

    def _end_telling(self) -> None:
        self._told -= 1
        if self._told == 0 and self._telling is not None:
            self._telling.cancel()
            self._telling = None

    async def _tell_subscribers(self, scope: anyio.CancelScope) -> None:
        with scope:
            while True:
                found = await self._next()
                self._open, self._was_read = found, anyio.Event()
                if self._updates is not None:
                    await self._updates(INBOX)
                await self._bus.publish(ResourceUpdated(uri=INBOX))
                await self._hold(found)

    async def _hold(self, found: Claimed) -> None:
        """Keep the claim until the client has read it, or shows that it does not."""
        with anyio.move_on_after(READ_WITHIN_S):
            while not self._was_read.is_set():
                with anyio.move_on_after(RENEW_S):
                    await self._was_read.wait()
                if not self._was_read.is_set():
                    await self._heard({"claim": found.claim, "renew": True})
        if self._open is found:
            self._open = None
            await self._heard({"claim": found.claim, "failed": "the client did not read what it was told of"})

    async def _tell_channel(self) -> None:
        while True:
            found = await self._next()
            assert self._client is not None
            note = _News(params={"content": plain(found.text), "meta": {}})
            await self._client.send_notification(cast("types.ServerNotification", note))
            await self._confirm(found.claim)

    async def _next(self) -> Claimed:
        """What is worth telling unasked; waits as long as that takes, past restarts of the daemon."""
        while True:
            began = anyio.current_time()
            with suppress(MawError, NoAnswer):  # away, frozen, or nobody's: each ends some day
                found = await self._poll()
                if found is not None:
                    return found
            if anyio.current_time() - began < AWAY_S:
                await anyio.sleep(AWAY_S)

    # -- the daemon -----------------------------------------------------------------------------------

    async def _poll(self) -> Claimed | None:
        """One long poll. Who is cancelled in it hangs up: nothing is claimed for a client that listens no more."""
        daemon = await run_sync(self.find)
        if not await run_sync(self._is_ours, daemon):
            return None
        line = Line(str(daemon.socket), _speaker(daemon), time.monotonic() + POLL_S + ANSWER_S)
        try:
            await anyio.wait_readable(line.send("/api/hear", tools.asked(self.name, wake=True, wait=POLL_S)))
            status, answer = await run_sync(line.receive)
        finally:
            line.close()
        return tools.claimed(answer) if status == HTTPStatus.OK else None

    def _is_ours(self, daemon: Daemon) -> bool:
        """Whether this client is the agent's own program, and not one that a tool of it started."""
        body = {"session": self.name, "pid": session_process(), "ask": True}
        return bool(daemon.post("/api/session", body).body["bound"])

    async def _confirm(self, claim: str) -> None:
        await self._heard({"claim": claim})

    async def _heard(self, body: dict[str, Any]) -> None:
        with suppress(MawError):  # it is announced again then
            await run_sync(lambda: self.find().post("/api/heard", body))


def _speaker(daemon: Daemon) -> dict[str, str]:
    if daemon.speaker is not None:
        return {"X-Maw-Agent": daemon.speaker}
    return {"X-Maw-Pane": daemon.pane} if daemon.pane is not None else {}


def plain(text: str) -> str:
    """For a place where tags are read: nothing in it opens or closes one."""
    return text.replace("<", "‹").replace(">", "›")


def _text(text: str) -> types.TextContent:
    return types.TextContent(type="text", text=text)


async def serve(
    find: Find,
    *,
    channel: bool = False,
    streams: Callable[[], AbstractAsyncContextManager[tuple[Any, Any]]] = stdio_server,
) -> None:
    """Until the client hangs up."""
    bridge = Bridge(find, channel)
    server: Server[Any] = Server(
        "maw",
        version=__version__,
        instructions=tools.INSTRUCTIONS,
        on_list_tools=bridge.list_tools,
        on_call_tool=bridge.call_tool,
        on_list_resources=bridge.list_resources,
        on_read_resource=bridge.read_resource,
        on_subscribe_resource=bridge.subscribe,
        on_unsubscribe_resource=bridge.unsubscribe,
        on_subscriptions_listen=bridge.listen,
    )
    server.add_notification_handler("notifications/initialized", types.NotificationParams, bridge.initialized)
    capabilities: dict[str, dict[str, Any]] = {CHANNEL: {}} if channel else {}
    options = server.create_initialization_options(experimental_capabilities=capabilities)
    async with streams() as (read, write), anyio.create_task_group() as lasting:
        async with anyio.create_task_group() as last_words:
            bridge.tasks, bridge.last_words = lasting, last_words
            await server.run(read, _Sending(write, bridge.sent), options)
        lasting.cancel_scope.cancel()
