"""From `send` on one host to the digest before an idle agent on the other, by each way an agent hears.

Each agent is woken once, so that no budget slows it. Beside each way stands the hop: the same message in a stream on
the other host. What is above it is ours by design for 200 ms (what comes within them is of the same wake), and the rest
is the daemon's claim and the waiter's end. What a session then takes to begin its turn is its own, and not in here.
"""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import aiohttp

from bench.figure import Figure, median, percentile
from bench.house import Daemon, TroubleError, environment, pair, until
from bench.sizes import Size

ASKED_P50_MS: Final = 1000.0
HOOK: Final = [sys.executable, "-m", "maw.cli.entry", "hook", "run", "wait"]
WAIT: Final = [sys.executable, "-m", "maw.cli.entry", "wait", "--json"]
_SESSION: Final = """
import json, subprocess, sys, time
told = json.dumps({"hook_event_name": "Stop", "session_id": sys.argv[1]}).encode()
done = subprocess.run(sys.argv[2:], input=told, stderr=subprocess.PIPE)
print(json.dumps([time.monotonic(), done.returncode, done.stderr.decode()]))
"""
"""A program at a terminal that has a hook run in the background, as Claude Code does."""

Begin = Callable[[Daemon, str, ExitStack], Awaitable["Waiting"]]


class Waiting:
    """A process that ends when its agent was told: what it printed begins with the time of that (monotonic)."""

    def __init__(self, child: subprocess.Popen[bytes], read: Callable[[bytes], tuple[float, str]]) -> None:
        self._child = child
        self._read = read

    async def heard(self) -> tuple[float, str]:
        """When, and what."""
        out, _ = await asyncio.to_thread(self._child.communicate, None, 30)
        now = time.monotonic()
        seen, text = self._read(out)
        return seen or now, text


async def run(root: Path, size: Size) -> list[Figure]:
    """p50 of each way, and of the hop that is in it."""
    count = max(2, size.calls)
    async with pair(root) as (near, far):
        figures = []
        for way, (letter, begin) in WAYS.items():
            names = [f"{letter}{number}" for number in range(count)]
            await _added(near, far, names)
            figures += _figures(way, await _measure(near, far, names, begin))
        return figures


async def _added(near: Daemon, far: Daemon, names: Iterable[str]) -> None:
    """These are agents of the far host, and the near one knows."""
    for name in names:
        await far.post("/api/users", {"username": name})

    async def known() -> bool:
        return {*names} <= {user["username"] for user in await near.get("/api/users")}

    await until(known, "the other host knows the agents")


async def _measure(near: Daemon, far: Daemon, names: list[str], begin: Begin) -> list[tuple[float, float]]:
    """For each agent: milliseconds to the digest, and to a stream on the same host."""
    found = []
    for name in names:
        with ExitStack() as stack:
            waiting = await begin(far, name, stack)
            async with far.session.ws_connect("/api/stream", headers={"X-Maw-Agent": name}) as stream:
                text = f"{name}, is the build green?"
                began = time.monotonic()
                sent, hop, (seen, heard) = await asyncio.gather(
                    near.session.post(
                        "/api/direct", json={"to": name, "text": text}, headers={"X-Maw-Agent": "neo"}
                    ),
                    _streamed(stream, text),
                    waiting.heard(),
                )
                if sent.status >= 400 or text not in heard:
                    raise TroubleError(f"{name} heard something else: {heard[:300]} ({sent.status})")
                found.append(((seen - began) * 1e3, (hop - began) * 1e3))
    return found


async def _streamed(stream: aiohttp.ClientWebSocketResponse, text: str) -> float:
    while True:
        frame = await stream.receive_json(timeout=20)
        if frame["type"] == "message" and frame["message"]["text"] == text:
            return time.monotonic()


async def _hook(far: Daemon, name: str, stack: ExitStack) -> Waiting:
    ours, theirs = pty.openpty()
    stack.callback(os.close, ours)
    with open(theirs, "rb", buffering=0) as terminal:
        child = subprocess.Popen(
            [sys.executable, "-c", _SESSION, f"session-of-{name}", *HOOK],
            stdin=terminal, stdout=subprocess.PIPE, env=_env(far, name),
        )  # fmt: skip
    stack.callback(child.kill)
    await _waits(far, name, "rewake")
    return Waiting(child, _of_hook)


def _of_hook(out: bytes) -> tuple[float, str]:
    seen, code, text = json.loads(out)
    if code != 75:
        raise TroubleError(f"the hook ended with {code}: {text}")
    return seen, text


async def _wait(far: Daemon, name: str, stack: ExitStack) -> Waiting:
    child = subprocess.Popen(WAIT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=_env(far, name))
    stack.callback(child.kill)
    await _waits(far, name, "wait")
    return Waiting(child, lambda out: (0.0, out.decode()))


async def _waits(far: Daemon, name: str, way: str) -> None:
    """Until the daemon knows that somebody waits for this agent."""

    async def there() -> bool:
        (told,) = await far.get(f"/api/wakes?agent={name}")
        return way in told["hears_by"]

    await until(there, f"{name} waits by {way}")


WAYS: Final[dict[str, tuple[str, Begin]]] = {
    "the hook of an idle session": ("h", _hook),
    "`maw wait`": ("w", _wait),
}


def _env(far: Daemon, name: str) -> dict[str, str]:
    state = str(far.home / "state")
    return environment(MAW_HOME=str(far.home), MAW_AGENT=name, XDG_STATE_HOME=state)


def _figures(way: str, found: list[tuple[float, float]]) -> list[Figure]:
    whole, hops = [one for one, _ in found], [hop for _, hop in found]
    middle, hop = median(whole), median(hops)
    return [
        Figure(
            f"send on A to {way} on B, p50", middle, "ms", hop, "the hop in it", middle / hop,
            f"≤ {ASKED_P50_MS:g} ms", middle <= ASKED_P50_MS,
        ),
        Figure(f"send on A to {way} on B, worst of {len(whole)}", percentile(whole, 1.0), "ms"),
    ]  # fmt: skip
