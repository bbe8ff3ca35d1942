"""A file of 64 MiB from one host to another over loopback, and what messages take meanwhile.

What crosses is ciphertext, checked and written chunk by chunk. Of a link's chunks one is on its way at a time, read
when the line has taken what was there before, and at most 16 are not written yet: so memory stays as it is, and a
message waits behind one chunk at the most. What it still waits for is the processor, where there are few: both
daemons are busy with the file.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from bench.figure import Figure, median, percentile
from bench.hop import hop
from bench.house import Daemon, pair, status_mib, until
from bench.load import Caller, calling, post_request, texts
from bench.sizes import Size

FULL: int = 64 << 20
TINY: int = 1 << 20
_TICKS = os.sysconf("SC_CLK_TCK")
_PAUSE_S = 0.006


async def run(root: Path, size: Size) -> list[Figure]:
    random = Random(5)
    amount = TINY if size.hops < 100 else FULL
    async with pair(root) as (near, far):  # noqa: SIM117 - the line would be too long
        async with calling(near.socket) as posting, far.session.ws_connect("/api/stream") as stream:
            said = iter(texts(1_000_000 if amount == FULL else 1_000, seed=6))
            quiet = await _hops(posting, stream, said, random, asyncio.sleep(0.5 if amount == TINY else 5.0))
            before = [status_mib(one.pid, "VmRSS") for one in (near, far)]
            seconds, busy, cpu = [], [], []
            for _ in range(size.rounds):
                ref = await _sent(near, random.randbytes(amount))
                await until(partial(_came, far, ref), "the message came")
                cpu_before, began = _cpu_s(near) + _cpu_s(far), time.perf_counter()
                busy += await _hops(posting, stream, said, random, _fetched(far, ref))
                seconds.append(time.perf_counter() - began)
                cpu.append(_cpu_s(near) + _cpu_s(far) - cpu_before)
            rise = [status_mib(one.pid, "VmHWM") - was for one, was in zip((near, far), before, strict=True)]
    mib = amount >> 20
    return [
        Figure(f"{mib} MiB across, messages beside it", median(seconds), "s"),
        Figure("processor time of both daemons for it", median(cpu), "s"),
        Figure("the most memory meanwhile, sender, above idle", rise[0], "MiB"),
        Figure("the most memory meanwhile, receiver, above idle", rise[1], "MiB"),
        *(
            Figure(
                f"hop while it crosses, {name}", percentile(busy, share), "ms",
                percentile(quiet, share), "without", percentile(busy, share) / percentile(quiet, share),
            )
            for name, share in (("p50", 0.5), ("p99", 0.99))
        ),
    ]  # fmt: skip


async def _hops(
    posting: Caller,
    stream: aiohttp.ClientWebSocketResponse,
    said: Any,
    random: Random,
    during: Awaitable[Any],
) -> list[float]:
    """Milliseconds of one hop after another until ``during`` is over."""
    other = asyncio.ensure_future(during)
    found = []
    while not other.done():
        found.append(await hop(posting, stream, post_request(next(said))) * 1e3)
        await asyncio.sleep(_PAUSE_S * random.random())
    await other
    return found


async def _sent(host: Daemon, content: bytes) -> str:
    speaks = {"X-Maw-Agent": "neo"}
    async with host.session.post("/api/files?name=file", data=content, headers=speaks) as answer:
        taken = await answer.json()
    body = {"to": "@arthur", "text": "a file", "files": [{"hash": taken["hash"]}]}
    async with host.session.post("/api/direct", json=body, headers=speaks) as answer:
        return str((await answer.json())["id"])


async def _came(host: Daemon, ref: str) -> bool:
    async with host.session.get(f"/api/messages/{ref}", headers={"X-Maw-Agent": "arthur"}) as answer:
        return answer.status == 200


async def _fetched(host: Daemon, ref: str) -> None:
    path = f"/api/messages/{ref}/files/1/fetch?wait=60"
    async with host.session.post(path, headers={"X-Maw-Agent": "arthur"}) as answer:
        told = await answer.json()
    assert told["state"] == "here", told


def _cpu_s(host: Daemon) -> float:
    fields = Path(f"/proc/{host.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
