"""The figures of one size: knowing, a message to all, memory, and what doing nothing costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import mean
from typing import Final

import aiohttp

from bench.figure import median, percentile
from bench.fleet import sounding
from bench.fleet.crowd import Crowd, Told
from bench.house import Daemon, TroubleError
from bench.load import calling, post_request, texts

WARM: Final = 5
PAUSE_S: Final = 0.15
LATEST_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one size. Times of messages in milliseconds; of a node the mean, where nothing else is said."""

    nodes: int
    introducers: int
    pairings: int
    trust_all_s: float
    know_all_s: float
    """From the first invite until every node trusts all, and until each holds the agents of all."""
    acked_p50_ms: float
    half_p50_ms: float
    """Until half of the nodes show it."""
    all_p50_ms: float
    all_p99_ms: float
    messages: int
    cpu_a_message_ms: float
    """Processor time of one node for one message, its stream included."""
    bytes_a_message: float | None
    """Sent and received by one node for one message, TLS included."""
    links: float
    links_least: int
    links_most: int
    idle_s: float
    idle_cpu: float
    """Per cent of a core."""
    idle_wakeups: float
    """A second."""
    idle_link_bytes: float | None
    """A second, of one link, both ways."""
    resident: float
    resident_most: float
    proportional: float
    private: float
    threads: float
    descriptors: float


async def measure(
    root: Path, count: int, *, introducers: int, messages: int, idle_s: float, told: Told
) -> Measured:
    """Starts ``count`` daemons, measures, ends them. Raises TroubleError when they do not get there."""
    patience = 60 + 6.0 * count
    async with Crowd(root, count, min(introducers, count), told, patience) as crowd:
        told(f"{count} daemons are up, each alone; they join through {min(introducers, count)}")
        began = time.monotonic()
        pairings = await crowd.join()
        told(f"{pairings} pairings in {time.monotonic() - began:.1f} s")
        await crowd.until_all(crowd.trusts_all, "trust all")
        trust_all = time.monotonic() - began
        await crowd.until_all(crowd.knows_all_agents, "know the agents of all")
        know_all = time.monotonic() - began
        told(f"all trust all after {trust_all:.1f} s, know all agents after {know_all:.1f} s")
        await _quiet(crowd, told)
        said = await _messages(crowd, messages)
        told(f"a message to all: p50 {median(said.last):.1f} ms, p99 {percentile(said.last, 0.99):.1f} ms")
        await _quiet(crowd, told)
        told(f"idle for {idle_s:g} s")
        idle = await _idle(crowd, idle_s)
        memories = [sounding.memory(node.pid) for node in crowd.nodes]
        links = [await _links(node) for node in crowd.nodes]
        return Measured(
            nodes=count, introducers=min(introducers, count), pairings=pairings,
            trust_all_s=trust_all, know_all_s=know_all,
            acked_p50_ms=median(said.acked), half_p50_ms=median(said.half),
            all_p50_ms=median(said.last), all_p99_ms=percentile(said.last, 0.99), messages=messages,
            cpu_a_message_ms=said.cpu_s * 1e3 / count / messages,
            bytes_a_message=None if said.byte_count is None else said.byte_count * 2 / count / messages,
            links=mean(links), links_least=min(links), links_most=max(links),
            idle_s=idle_s, idle_cpu=idle.cpu_s / idle_s / count * 100,
            idle_wakeups=idle.wakeups / idle_s / count,
            idle_link_bytes=idle.link_bytes / idle_s if idle.link_bytes is not None else None,
            resident=mean(one.resident for one in memories),
            resident_most=max(one.resident for one in memories),
            proportional=mean(one.proportional for one in memories),
            private=mean(one.private for one in memories),
            threads=mean(sounding.threads(node.pid) for node in crowd.nodes),
            descriptors=mean(sounding.descriptors(node.pid) for node in crowd.nodes),
        )  # fmt: skip


async def _links(node: Daemon) -> int:
    return sum(peer["state"] == "linked" for peer in await node.get("/api/peers"))


# -- a message to all -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Said:
    acked: Sequence[float]
    half: Sequence[float]
    last: Sequence[float]
    cpu_s: float
    byte_count: int | None


class _Arrivals:
    """One message at a time: when each node showed it."""

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes
        self._text = ""
        self._seen: dict[str, float] = {}
        self._everywhere = asyncio.Event()

    def expect(self, text: str) -> None:
        self._text, self._seen = text, {}
        self._everywhere.clear()

    def arrived(self, node: str, text: str) -> None:
        if text != self._text or node in self._seen:
            raise TroubleError(f"{node} showed what nobody said now, or showed it twice: {text[:60]}")
        self._seen[node] = time.perf_counter()
        if len(self._seen) == self._nodes:
            self._everywhere.set()

    async def all(self) -> list[float]:
        """``perf_counter`` of each node, earliest first."""
        try:
            async with asyncio.timeout(LATEST_S):
                await self._everywhere.wait()
        except TimeoutError:
            raise TroubleError(
                f"{len(self._seen)} of {self._nodes} nodes show a message after {LATEST_S:g} s"
            ) from None
        return sorted(self._seen.values())


async def _messages(crowd: Crowd, count: int) -> _Said:
    """One at a time, from nodes taken at random."""
    random = Random(5)
    acked: list[float] = []
    half: list[float] = []
    last: list[float] = []
    arrivals = _Arrivals(len(crowd.nodes))
    ports = _mesh_ports(crowd)
    async with _streams(crowd, arrivals), AsyncExitStack() as stack:
        speakers = {
            node.name: await stack.enter_async_context(calling(node.socket))
            for node in random.sample(crowd.nodes, min(8, len(crowd.nodes)))
        }
        cpu = sent = None
        for number, text in enumerate(texts(count + WARM, seed=6, mention_each=0)):
            if number == WARM:
                cpu, sent = _cpu_s(crowd), sounding.traffic(ports)
            name = random.choice(list(speakers))
            arrivals.expect(text)
            began = time.perf_counter()
            done = await speakers[name].ask(post_request(text, agent=name))
            seen = await arrivals.all()
            if number >= WARM:
                acked.append((done - began) * 1e3)
                half.append((seen[(len(seen) - 1) // 2] - began) * 1e3)
                last.append((seen[-1] - began) * 1e3)
            await asyncio.sleep(PAUSE_S * random.uniform(0.5, 1.5))
        assert cpu is not None
        after = sounding.traffic(ports)
        moved = after.byte_count - sent.byte_count if sent is not None and after is not None else None
        return _Said(acked, half, last, _cpu_s(crowd) - cpu, moved)


@asynccontextmanager
async def _streams(crowd: Crowd, arrivals: _Arrivals) -> AsyncIterator[None]:
    """A stream of each node, read until the block ends."""

    async def read(node: Daemon, stream: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            frame = await stream.receive_json()
            if frame["type"] == "message":
                arrivals.arrived(node.name, frame["message"]["text"])

    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        tasks = []
        for node in crowd.nodes:
            stream = await stack.enter_async_context(node.session.ws_connect("/api/stream"))
            tasks.append(group.create_task(read(node, stream)))
        yield
        for task in tasks:
            task.cancel()


# -- doing nothing ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Idle:
    """Of all nodes together; ``link_bytes`` of one link."""

    cpu_s: float
    wakeups: int
    link_bytes: float | None


async def _idle(crowd: Crowd, seconds: float) -> _Idle:
    ports = _mesh_ports(crowd)
    cpu, woken, sent = _cpu_s(crowd), _wakeups(crowd), sounding.traffic(ports)
    await asyncio.sleep(seconds)
    after = sounding.traffic(ports)
    link_bytes = None
    if sent is not None and after is not None and after.links:
        if sent.links != after.links:
            raise TroubleError(f"links came or went while all were idle: {sent.links}, then {after.links}")
        link_bytes = (after.byte_count - sent.byte_count) / after.links
    return _Idle(_cpu_s(crowd) - cpu, _wakeups(crowd) - woken, link_bytes)


async def _quiet(crowd: Crowd, told: Told) -> None:
    """Until the nodes have nothing more to tell each other: less than a tenth of a core each for a while."""
    deadline = time.monotonic() + LATEST_S
    while True:
        before = _cpu_s(crowd)
        await asyncio.sleep(2.0)
        share = (_cpu_s(crowd) - before) / 2.0 / len(crowd.nodes)
        if share < 0.02:
            return
        if time.monotonic() > deadline:
            told(f"not quiet after {LATEST_S:g} s: {share:.1%} of a core a node; measured all the same")
            return


def _cpu_s(crowd: Crowd) -> float:
    return sum(sounding.cpu_s(node.pid) for node in crowd.nodes)


def _wakeups(crowd: Crowd) -> int:
    return sum(sounding.wakeups(node.pid) for node in crowd.nodes)


def _mesh_ports(crowd: Crowd) -> set[int]:
    return {int(node.mesh.rpartition(":")[2]) for node in crowd.nodes}
