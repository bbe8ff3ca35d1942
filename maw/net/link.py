"""A live link between two nodes: opaque frames both ways over one WebSocket, and whether it is alive.

Policy of its one queue: ``send`` never waits; what is queued is bounded in bytes, and a peer that does not
keep up loses the link and resynchronises from the durable heads. Pings and pongs go before frames.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from maw.core.frames import MAX_FRAME
from maw.core.handshake import Established
from maw.core.identity import NodeId, short_key
from maw.core.transcript import Hello
from maw.errors import InternalError, LinkClosed, LinkError, ProtocolViolation
from maw.net.wire import CLOSE_OK, CLOSE_VIOLATION, GONE, Pipe, ending

_OVERHEAD: Final = 64  # what a queued frame costs beside its bytes, roughly
_TURN: Final = 32  # messages read before others on this loop get a turn
_BURST: Final = 256  # frames written before others on this loop get a turn


@dataclass(frozen=True, slots=True)
class LinkTimers:
    """Seconds; ``queue_bytes`` is the bound of what waits to be written."""

    ping_after: float = 5.0
    dead_after: float = 12.0
    measure_every: float = 30.0
    goodbye: float = 1.0
    queue_bytes: int = 32 * 1024 * 1024


class Link:
    """One link. ``up_since``: unix seconds; ``last_heard``: the loop's clock; ``rtt``: seconds or None.

    Made by the dialler or the listener; ``run`` carries it, and everything else may be called from the same
    loop at any time, also after the end.
    """

    def __init__(
        self,
        pipe: Pipe,
        established: Established,
        hello: Hello,
        *,
        outbound: bool,
        up_since: float,
        timers: LinkTimers | None = None,
    ) -> None:
        self.peer: NodeId = established.peer
        self.instance = established.instance
        self.version = established.version
        self.hello = hello
        self.outbound = outbound
        self.up_since = up_since
        self.remote_address = pipe.remote_address
        self.local_address = pipe.local_address
        self.rtt: float | None = None
        self._pipe = pipe
        self._timers = timers or LinkTimers()
        self._clock = asyncio.get_running_loop().time
        self.last_heard = self._clock()
        self._frames: deque[bytes] = deque()
        self._urgent: deque[bytes] = deque()
        self._queued = 0
        self.written = 0
        self._pong: bytes | None = None
        self._pings: dict[bytes, tuple[float, asyncio.Future[float] | None]] = {}
        self._unsent_pings: deque[bytes] = deque()
        self._numbers = itertools.count(1)
        self._last_ping = 0.0
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()
        self._closing = asyncio.Event()
        self._flush = True
        self.ended: LinkError | None = None

    @property
    def peer_name(self) -> str:
        return self.hello.name

    @property
    def queued_bytes(self) -> int:
        """What waits to be written, with a little overhead for each frame."""
        return self._queued

    def send(self, frame: bytes, *, urgent: bool = False) -> None:
        """Queues one frame, in call order; ``urgent`` ones go before the others. Never waits.

        On a link that has ended or is ending the frame is dropped: whatever mattered is on disk and is
        followed again. Raises InternalError for a frame of more than 1 MiB, which no peer would take.
        """
        if len(frame) > MAX_FRAME:
            raise InternalError(f"a frame of {len(frame)} bytes; a link carries {MAX_FRAME}")
        if self.ended is not None:
            return
        self._queued += len(frame) + _OVERHEAD
        if self._queued > self._timers.queue_bytes:
            self._end(LinkClosed("the peer cannot keep up", code="cannot_keep_up"), flush=False)
            return
        (self._urgent if urgent else self._frames).append(frame)
        self._drained.clear()
        self._wake.set()

    async def drained(self) -> None:
        """Returns when all that was queued is on its way, or the link is over: the moment to queue what is not
        urgent."""
        if self._frames or self._urgent:
            await self._drained.wait()

    def close(self, reason: str) -> None:
        """Ends the link; what was sent before is written first, for a moment. ``run`` returns soon after."""
        self._end(LinkClosed(reason))

    async def ping(self, timeout: float) -> float:
        """The round trip in seconds, measured now. Raises LinkClosed when none comes back in ``timeout``."""
        if self.ended is not None:
            raise self.ended
        answer: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        number = self._send_ping(answer)
        try:
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            raise LinkClosed(f"no answer to a ping in {timeout:g} s", code="no_answer") from None
        finally:
            self._pings.pop(number, None)

    async def run(self, on_frame: Callable[[bytes], float | None]) -> LinkError:
        """Carries the link until it ends, and returns why. ``on_frame`` gets each frame, in order, and may return
        seconds to wait before the next is read.

        A LinkError raised by ``on_frame`` ends the link with it; anything else is a bug and passes through.
        """
        name = f"link {short_key(self.peer)}"
        parts = {"read": self._read(on_frame), "write": self._write(), "beat": self._beat()}
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._part(part), name=f"{name} {of}") for of, part in parts.items()
                ]
                await self._leave()
                for task in tasks:
                    task.cancel()
        finally:
            await self.shut("the node let go of the link")
        assert self.ended is not None
        return self.ended

    async def _part(self, part: Coroutine[Any, Any, None]) -> None:
        """One part's end is the link's. It does not leave the group as an error: with one, the group of
        Python 3.11 would swallow a cancellation that comes in the same moment, and who cancelled would wait
        for ever."""
        try:
            await part
        except LinkError as why:
            self._end(why, flush=self._flush)
            self._drained.set()  # nothing is waited for any more

    async def shut(self, reason: str) -> None:
        """Lets go of the connection at once. For links that are not run; harmless on others."""
        self._end(LinkClosed(reason))
        assert self.ended is not None
        for _, waiting in self._pings.values():
            if waiting is not None and not waiting.done():
                waiting.set_exception(self.ended)
        self._pings.clear()
        self._frames.clear()
        self._urgent.clear()
        self._drained.set()
        code = CLOSE_VIOLATION if isinstance(self.ended, ProtocolViolation) else CLOSE_OK
        goodbye = self._timers.goodbye if self._flush else 0.0
        await self._pipe.close(self.ended.message, code=code, timeout=goodbye)

    def _end(self, why: LinkError, *, flush: bool = True) -> None:
        """Notes the first reason; later ones are its consequences."""
        if self.ended is None:
            self.ended = why
            self._flush = flush
            self._closing.set()
            self._wake.set()

    async def _read(self, on_frame: Callable[[bytes], float | None]) -> None:
        receive = self._pipe.socket.receive
        binary = aiohttp.WSMsgType.BINARY
        at_once = 0
        while True:
            at_once += 1
            if at_once >= _TURN:  # what has arrived already is received without a turn for anybody else
                at_once = 0
                await asyncio.sleep(0)
            try:
                message = await receive()
            except GONE:
                raise LinkClosed("the connection was lost") from None
            self.last_heard = self._clock()
            if message.type is binary:
                if len(message.data) > MAX_FRAME:
                    raise ProtocolViolation(f"a frame of {len(message.data)} bytes")
                pause = on_frame(message.data)
                if pause:
                    await asyncio.sleep(pause)
            elif message.type is aiohttp.WSMsgType.PING:
                self._pong = bytes(message.data)  # only the latest is owed: a flood of pings costs nothing
                self._wake.set()
            elif message.type is aiohttp.WSMsgType.PONG:
                self._heard_pong(bytes(message.data))
            else:
                raise ending(message)

    async def _write(self) -> None:
        try:
            while True:
                self._wake.clear()
                await self._write_queued()
                self._drained.set()
                await self._wake.wait()
        except GONE:
            raise LinkClosed("the connection was lost") from None

    async def _write_queued(self) -> None:
        """Writes all there is. ``send_bytes`` waits only while the network takes no more, so many small
        frames cost no turn of the loop each."""
        send = self._pipe.socket.send_bytes
        while True:
            await self._write_pings()
            for _ in range(_BURST):
                if self._urgent:
                    frame = self._urgent.popleft()
                elif self._frames:
                    frame = self._frames.popleft()
                else:
                    return
                self._queued -= len(frame) + _OVERHEAD
                await send(frame)
                self.written += len(frame)
                if self._pipe.full:
                    await self._pipe.taken()
            await asyncio.sleep(0)

    async def _write_pings(self) -> None:
        pong, self._pong = self._pong, None
        if pong is not None:
            await self._pipe.socket.pong(pong)
        while self._unsent_pings:
            number = self._unsent_pings.popleft()
            if number in self._pings:
                self._pings[number] = (self._clock(), self._pings[number][1])
                await self._pipe.socket.ping(number)

    async def _beat(self) -> None:
        """Pings after silence, and now and then for the round trip; gives up after a long silence."""
        timers = self._timers
        while True:
            now = self._clock()
            if now - self.last_heard >= timers.dead_after:
                self._flush = False  # nobody is there to say goodbye to
                raise LinkClosed(f"nothing heard for {timers.dead_after:g} s", code="silent")
            quiet_since = max(self.last_heard, self._last_ping)
            if (
                not self._last_ping
                or now - quiet_since >= timers.ping_after
                or now - self._last_ping >= timers.measure_every
            ):
                self._forget_own_pings()
                self._send_ping(None)
                quiet_since = self._last_ping = now
            until = min(
                self.last_heard + timers.dead_after,
                quiet_since + timers.ping_after,
                self._last_ping + timers.measure_every,
            )
            await asyncio.sleep(max(until - now, 0.001))

    async def _leave(self) -> None:
        """Waits for ``close``, then for the writer, but not long."""
        await self._closing.wait()
        assert self.ended is not None
        if self._flush:
            try:
                async with asyncio.timeout(self._timers.goodbye):
                    await self._drained.wait()
            except TimeoutError:
                self._flush = False

    def _send_ping(self, waiting: asyncio.Future[float] | None) -> bytes:
        number = next(self._numbers).to_bytes(8, "big")
        self._pings[number] = (self._clock(), waiting)
        self._unsent_pings.append(number)
        self._wake.set()
        return number

    def _forget_own_pings(self) -> None:
        for number in [n for n, (_, waiting) in self._pings.items() if waiting is None]:
            del self._pings[number]

    def _heard_pong(self, number: bytes) -> None:
        """One pong may answer several pings: whoever owes many sends the latest only (numbers only grow)."""
        if number not in self._pings:
            return
        now = self._clock()
        for earlier in [n for n in self._pings if n <= number]:
            sent, waiting = self._pings.pop(earlier)
            self.rtt = now - sent
            if waiting is not None and not waiting.done():
                waiting.set_result(self.rtt)

    def __repr__(self) -> str:
        way = "to" if self.outbound else "from"
        return f"Link({way} {self.peer_name} {short_key(self.peer)} {self.remote_address})"
