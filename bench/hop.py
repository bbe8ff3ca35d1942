"""From a POST on one host to a stream subscriber on another, durable on both: one message at a time.

Two synced commits one after the other are the most of it (each about what a post on the prototype takes),
then two turns through each event loop: the link's frame, the subscriber's page read back from the database.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from random import Random

import aiohttp

from bench.figure import Figure, percentile
from bench.house import Daemon, Trouble, pair, prototype
from bench.load import post_request, send_all, texts
from bench.sizes import Size

ASKED_P50_MS = 3.0
ASKED_P99_MS = 15.0
_PAUSE_S = 0.012


async def run(root: Path, size: Size) -> list[Figure]:
    random = Random(3)
    hops: list[float] = []
    floor: list[float] = []
    async with pair(root) as (near, far):
        with prototype(root) as bare:
            await bare.ready()
            async with far.session.ws_connect("/api/stream") as stream:
                requests = [post_request(text) for text in texts(size.hops + 20, seed=4)]
                for number, request in enumerate(requests):
                    hop = await _hop(near, stream, request)
                    beside = await send_all(bare.socket, [request], 1)
                    if number >= 20:  # the first ones warm
                        hops.append(hop * 1e3)
                        floor.append(beside.latencies[0] * 1e3)
                    await asyncio.sleep(_PAUSE_S * random.random())
    return [
        _figure("p50", hops, floor, 0.5, ASKED_P50_MS),
        _figure("p99", hops, floor, 0.99, ASKED_P99_MS),
    ]


async def _hop(near: Daemon, stream: aiohttp.ClientWebSocketResponse, request: bytes) -> float:
    """Seconds from sending the request on one side to seeing the message on the other."""
    began = time.perf_counter()
    posting = asyncio.ensure_future(send_all(near.socket, [request], 1))
    try:
        while True:
            frame = await stream.receive_json(timeout=20)
            if frame["type"] == "message":
                seen = time.perf_counter() - began
                text = frame["message"]["text"]
                break
    finally:
        await posting
    if text.encode() not in request:
        raise Trouble(f"another message came than was sent: {text[:60]}")
    return seen


def _figure(name: str, hops: list[float], floor: list[float], share: float, asked: float) -> Figure:
    ours, beside = percentile(hops, share), percentile(floor, share)
    return Figure(
        f"hop, POST on A to stream on B, {name}", ours, "ms", beside, "one post on the prototype",
        ours / beside, f"≤ {asked:g} ms", ours <= asked,
    )  # fmt: skip
