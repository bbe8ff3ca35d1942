"""What months bring, many times over in half a minute: a daemon that stays does not grow by it.

Each round the peer dies or leaves and comes back, readers come and go, strangers knock at the mesh's door and callers
nobody knows are refused. After a few rounds memory, descriptors and threads stand where they are.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from maw.config import load_config
from tests.e2e.daemons import Daemon, MakeDaemon
from tests.e2e.lab import wait_until

WARM: Final = 6
ROUNDS: Final = 8
MIB_A_ROUND: Final = 0.3
"""Twice what a round leaves in what the allocator keeps, which levels off later (after some 30 such rounds)."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """Of a process: resident MiB, open descriptors, threads."""

    mib: float
    descriptors: int
    threads: int


def vitals(pid: int) -> Vitals:
    proc = Path(f"/proc/{pid}")
    resident = re.search(r"VmRSS:\s+(\d+)", (proc / "status").read_text())
    assert resident is not None
    return Vitals(int(resident[1]) / 1024, len(os.listdir(proc / "fd")), len(os.listdir(proc / "task")))


async def readers(session: aiohttp.ClientSession, count: int) -> None:
    for _ in range(count):
        headers = {"X-Maw-Agent": "owner"}
        async with session.ws_connect("http://maw/api/stream?after_seq=0", headers=headers) as stream:
            await stream.receive()


async def strangers(session: aiohttp.ClientSession, port: int, count: int) -> None:
    for at in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write((b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02", b"")[at % 3])
        writer.close()
        async with session.get("http://maw/api/inbox", headers={"X-Maw-Agent": "nobody"}) as answer:
            assert answer.status == 404


async def talk(session: aiohttp.ClientSession, count: int) -> None:
    for at in range(count):
        headers = {"X-Maw-Agent": "owner", "Idempotency-Key": os.urandom(8).hex()}
        url, text = "http://maw/api/channels/general/messages", {"text": f"number {at} of a day"}
        async with session.post(url, json=text, headers=headers) as answer:
            assert answer.status == 201, await answer.text()
        async with session.get(f"{url}?limit=20") as answer:
            await answer.read()


async def a_day(daemon: Daemon, port: int) -> None:
    connector = aiohttp.UnixConnector(str(daemon.home / "maw.sock"))
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(readers(session, 20), strangers(session, port, 20), talk(session, 80))


def linked(daemon: Daemon) -> bool:
    return any(peer["state"] == "linked" for peer in daemon.ask("GET", "/api/peers")[1])


@pytest.mark.timeout(240)
def test_a_daemon_that_stays_does_not_grow(daemon: MakeDaemon) -> None:
    stays, goes = daemon("stays"), daemon("goes")
    goes.maw("join", json.loads(stays.maw("invite", "--json"))["line"])
    wait_until(lambda: linked(stays), "they are linked")
    port = load_config(stays.home / "maw.toml").mesh.listen[0].port
    assert stays.process is not None
    seen: list[Vitals] = []
    for at in range(WARM + ROUNDS):
        asyncio.run(a_day(stays, port))
        if at % 2:
            goes.kill()
        else:
            goes.stop()
        asyncio.run(a_day(stays, port))
        goes.start()
        wait_until(lambda: linked(stays), "it is linked again", 60)
        seen.append(vitals(stays.process.pid))
    before, after = seen[WARM - 1], seen[-1]
    assert after.mib - before.mib <= MIB_A_ROUND * ROUNDS, seen
    assert after.descriptors <= before.descriptors + 3, seen
    assert after.threads <= before.threads + 2, seen
    assert not [alert for alert in stays.ask("GET", "/api/status")[1]["alerts"] if alert["kind"] == "bug"]
