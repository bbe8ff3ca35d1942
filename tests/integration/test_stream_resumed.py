"""The stream of a real node: who comes back with the last seq he has seen, after a break or a restart, has everything
once and in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from maw.api.doors import Doors, DoorSettings
from maw.node.home import NodeHome
from tests.conftest import MakeHome
from tests.integration.nodes import Host, running

DEADLINE_S = 30.0


@asynccontextmanager
async def served(home: NodeHome, socket: Path) -> AsyncIterator[tuple[Host, str]]:
    async with running(home) as host:
        doors = Doors(host.service, DoorSettings(socket, rest=("127.0.0.1", 0)), grace_s=1)
        await doors.start()
        try:
            yield host, f"http://{doors.rest_address}"
        finally:
            await doors.stop()


async def read(
    base: str, after: int, seen: list[tuple[int, str]], until: str, *, most: int = 1 << 30
) -> None:
    """Reads on from ``after`` until ``until`` was said or ``most`` messages came, then hangs up."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{base}/api/stream?after_seq={after}") as stream,
    ):
        async with asyncio.timeout(DEADLINE_S):
            while most and (not seen or seen[-1][1] != until):
                frame = await stream.receive_json()
                if frame["type"] == "message":
                    seen.append((frame["message"]["seq"], frame["message"]["text"]))
                    most -= 1


async def test_everything_once_and_in_order_over_breaks_and_a_restart(
    make_home: MakeHome, tmp_path: Path
) -> None:
    home, socket = make_home("oracle"), tmp_path / "maw.sock"
    seen: list[tuple[int, str]] = []
    said = 0

    async def say(host: Host, count: int) -> None:
        nonlocal said
        for _ in range(count):
            said += 1
            await host.post("neo", f"line {said}")

    async with served(home, socket) as (host, base):
        await host.add("neo")
        await say(host, 5)
        talking = asyncio.create_task(say(host, 60))
        await read(base, 0, seen, "line 65", most=7)  # and hangs up while more is said
        await read(base, seen[-1][0], seen, "line 65", most=11)
        await talking
    async with served(home, socket) as (host, base):
        await say(host, 10)
        await read(base, seen[-1][0], seen, "line 75", most=3)
        talking = asyncio.create_task(say(host, 30))
        await read(base, seen[-1][0], seen, "line 105")
        await talking
    assert [text for _, text in seen] == [f"line {number}" for number in range(1, 106)]
    seqs = [seq for seq, _ in seen]
    assert seqs == sorted(set(seqs))
