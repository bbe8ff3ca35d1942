"""From a POST on one host to a stream subscriber on another, durable on both: one message at a time.

Two synced commits, one after the other, are the ground of it; above them stand some twenty wake-ups between
tasks, threads and processes (request, writer and its database thread three times on each side, link, stream,
the page read back), each cheap on an idle machine and a scheduler's slice on a busy one. What a message
costs does not depend on how many there are.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from random import Random
from typing import NamedTuple

import aiohttp

from bench.figure import Figure, median, percentile
from bench.house import TroubleError, pair, prototype
from bench.load import Caller, calling, post_request, texts
from bench.sizes import Size

ASKED_P50_MS = 3.0
ASKED_P99_MS = 15.0
_PAUSE_S = 0.012
_WARM = 20


class _Turn(NamedTuple):
    """Milliseconds, one after the other in time."""

    hops: list[float]
    floor: list[float]


async def run(root: Path, size: Size) -> list[Figure]:
    random = Random(3)
    turns = [_Turn([], []) for _ in range(size.rounds)]
    async with pair(root) as (near, far):
        with prototype(root) as bare:
            await bare.ready()
            async with (
                calling(near.socket) as posting,
                calling(bare.socket) as beside,
                far.session.ws_connect("/api/stream") as stream,
            ):
                for number, text in enumerate(texts(size.hops + _WARM, seed=4)):
                    request = post_request(text)
                    took = await hop(posting, stream, request)
                    began = time.perf_counter()
                    bare_post = await beside.ask(request) - began
                    if number >= _WARM:
                        turn = turns[(number - _WARM) * size.rounds // size.hops]
                        turn.hops.append(took * 1e3)
                        turn.floor.append(bare_post * 1e3)
                    await asyncio.sleep(_PAUSE_S * random.random())
    return [_figure("p50", turns, 0.5, ASKED_P50_MS), _figure("p99", turns, 0.99, ASKED_P99_MS)]


async def hop(near: Caller, stream: aiohttp.ClientWebSocketResponse, request: bytes) -> float:
    """Seconds from sending the request on one side to seeing the message on the other."""
    began = time.perf_counter()
    _, (seen, text) = await asyncio.gather(near.ask(request), _next_message(stream))
    if text.encode() not in request:
        raise TroubleError(f"another message came than was sent: {text[:60]}")
    return seen - began


async def _next_message(stream: aiohttp.ClientWebSocketResponse) -> tuple[float, str]:
    """When it came, and its text."""
    while True:
        frame = await stream.receive_json(timeout=20)
        if frame["type"] == "message":
            return time.perf_counter(), frame["message"]["text"]


def _figure(name: str, turns: list[_Turn], share: float, asked: float) -> Figure:
    """The middle turn's, so that one burst of somebody else's work does not decide."""
    ours = median(percentile(turn.hops, share) for turn in turns)
    beside = median(percentile(turn.floor, share) for turn in turns)
    return Figure(
        f"hop, POST on A to stream on B, {name}", ours, "ms", beside, "one post on the prototype",
        ours / beside, f"≤ {asked:g} ms", ours <= asked,
    )  # fmt: skip
