"""One node under everybody at once who asks for more than his share; the others notice next to nothing."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench import extremes
from maw.core.frames import Follow, encode
from maw.core.identity import NodeId, key_text, parse_key
from maw.core.statement import parse_colony
from maw.net.link import LinkTimers
from tests.conftest import MakeHome
from tests.e2e.daemons import Daemon
from tests.e2e.lab import wait_until
from tests.integration.linknode import LinkNode
from tests.integration.linknode import until as soon

CHANNEL: Final = "/api/channels/general/messages"
BIG: Final = "x" * 16_000
NOWHERE: Final = "127.0.0.1:1"
CLIENT_HELLO: Final = bytes.fromhex("1603010200010001fc0303") + bytes(40)
UPGRADE: Final = (
    b"GET /api/stream?after_seq=0 HTTP/1.1\r\nHost: localhost\r\nX-Maw-Agent: neo\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
STRANGERS: Final = 1_000
OFFENDER: Final = "127.0.4.7"
MOST_MIB: Final = 48
"""What all of them together may add to a daemon's memory."""


class Dripping:
    """A wire that carries as much as it is given, and from ``drip`` on one byte a second each way."""

    def __init__(self, address: str) -> None:
        self._host, self._port = address.rsplit(":", 1)
        self._slow = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.address = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Dripping]:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0, limit=4096)
        self.address = "{}:{}".format(*server.sockets[0].getsockname())
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.wait_closed()

    def drip(self) -> None:
        self._slow.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, int(self._port), limit=4096)
        ways = [asyncio.ensure_future(self._one_way(*way)) for way in ((reader, back), (there, writer))]
        self._tasks.update(ways)
        await asyncio.wait(ways)
        for end in (writer, back):
            end.transport.abort()

    async def _one_way(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(1 if self._slow.is_set() else 4096):
                sink.write(data)
                await sink.drain()
                if self._slow.is_set():
                    await asyncio.sleep(1.0)
        except OSError:
            return


class Hub:
    """The daemon that all of this happens to, asked from an event loop."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        status = daemon.ask("GET", "/api/status")[1]
        self.address: str = status["mesh"][0]["address"]
        self.key: NodeId = parse_key(status["key"])
        self.colony = parse_colony(status["colony"])

    async def ask(self, *words: Any, **more: Any) -> Any:
        status, said = await asyncio.to_thread(self.daemon.ask, *words, **more)
        assert status < 300, said
        return said

    async def rss_mib(self) -> float:
        return float((await self.ask("GET", "/api/status"))["rss_bytes"]) / (1 << 20)

    async def troubles(self) -> dict[str, str]:
        found = (await self.ask("GET", "/api/status"))["trouble_with"]
        return {one["peer"]: "; ".join(one["trouble"]) for one in found}

    async def posts(self, count: int) -> list[float]:
        """Seconds from saying something until it is on the hub's disk."""
        took = []
        for n in range(count):
            begun = time.monotonic()
            await self.ask("POST", CHANNEL, {"text": f"{n} {BIG}"}, agent="neo")
            took.append(time.monotonic() - begun)
        return took

    async def round_trips(self, count: int) -> list[float]:
        """Seconds from saying something until the host of whom it is for holds it."""
        took = []
        for n in range(count):
            begun = time.monotonic()
            body = {"to": "arthur", "text": f"are you there? {n}"}
            said = await self.ask("POST", "/api/direct?wait=replicated&timeout=20", body, agent="neo")
            assert said["state"] == "replicated", said
            took.append(time.monotonic() - begun)
        return took


@asynccontextmanager
async def trusted(hub: Hub, *names: str) -> AsyncIterator[dict[str, LinkNode]]:
    """Nodes that are nothing but a link, and that the hub trusts."""
    patient = LinkTimers(dead_after=300.0, goodbye=0.2)
    nodes = {name: LinkNode(name, colony=hub.colony, link_timers=patient) for name in names}
    (hub.daemon.home / "peers.toml").write_text(
        "".join(
            f'[[peer]]\nname = "{name}"\nkey = "{key_text(node.node)}"\naddresses = ["{NOWHERE}"]\n'
            for name, node in nodes.items()
        )
    )
    await hub.ask("POST", "/api/peers/reload")
    yield nodes


async def flood(node: LinkNode, hub: Hub) -> None:
    """As fast as its link takes it, and again when the link is gone."""
    link = await node.dialer.dial(hub.address, hub.key)
    task = asyncio.ensure_future(node.live(link))
    try:
        while link.ended is None:
            if link.queued_bytes < 1 << 20:
                for _ in range(500):
                    link.send(b"\x92\xcd\x03\xe7\xc4\x01a")
            await asyncio.sleep(0.005)
    finally:
        await link.shut("over")
        await task


@contextmanager
def strangers(address: str) -> Iterator[None]:
    """A thousand connections from two hundred addresses, a fifth of them from one: half of them silent, half stopped
    amid TLS."""
    host, port = address.rsplit(":", 1)
    with ExitStack() as stack:
        for n in range(STRANGERS):
            made = stack.enter_context(socket.socket())
            made.bind((OFFENDER if n % 5 == 0 else f"127.0.2.{1 + n % 200}", 0))
            made.setblocking(False)
            made.connect_ex((host, int(port)))
            if n % 2:
                try:
                    made.send(CLIENT_HELLO)
                except OSError:
                    continue  # it was closed already
        yield


@contextmanager
def never_reading(path: Path) -> Iterator[socket.socket]:
    """A subscriber that asks for everything and takes nothing of it."""
    with socket.socket(socket.AF_UNIX) as subscriber:
        subscriber.settimeout(10)
        subscriber.connect(str(path))
        subscriber.sendall(UPGRADE)
        assert subscriber.recv(12).startswith(b"HTTP/1.1 101")
        yield subscriber


def took_its_end(subscriber: socket.socket) -> bool:
    """It was hung up on: behind what had reached it there is no more."""
    try:
        while subscriber.recv(1 << 16):
            continue
    except ConnectionResetError:
        pass
    return True


async def until(true: Callable[[], Awaitable[bool]], what: str, seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not await true():
            await asyncio.sleep(0.2)


@asynccontextmanager
async def dripping(node: LinkNode, hub: Hub) -> AsyncIterator[None]:
    """It asks for all that the hub says, and then takes and gives one byte a second."""
    async with Dripping(hub.address).open() as wire:
        link = await node.dialer.dial(wire.address, hub.key)
        task = asyncio.ensure_future(node.live(link))
        link.send(encode(Follow(hub.key, 1, ())))
        await soon(lambda: node.frames)
        wire.drip()
        try:
            yield
        finally:
            await link.shut("over")
            await task


async def test_everybody_at_once(make_home: MakeHome) -> None:
    with ExitStack() as stack:
        mbp, oracle, trinity = (
            stack.enter_context(Daemon(make_home(name).path)) for name in ("mbp", "oracle", "trinity")
        )
        mbp.ask("POST", "/api/users", {"username": "neo"})
        oracle.ask("POST", "/api/users", {"username": "arthur"})
        for other in (oracle, trinity):
            other.maw("join", json.loads(mbp.maw("invite", "--json"))["line"])
        hub = Hub(mbp)
        await hub.round_trips(5)
        alone, post_alone = await hub.round_trips(20), await hub.posts(50)
        before = await hub.rss_mib()
        async with trusted(hub, "flooder", "dripper") as nodes, dripping(nodes["dripper"], hub):
            stack.enter_context(strangers(hub.address))
            refused = await asyncio.to_thread(mbp.maw, "status")
            subscriber = stack.enter_context(never_reading(mbp.home / "maw.sock"))
            flooding = asyncio.ensure_future(flood(nodes["flooder"], hub))
            assert trinity.process is not None
            trinity.process.send_signal(signal.SIGSTOP)
            try:
                posts = await hub.posts(200)
                under = await hub.round_trips(20)

                async def named() -> bool:
                    return len(await hub.troubles()) == 3

                await until(named, "all of them are named")
                under += await hub.round_trips(20)
                grown = await hub.rss_mib() - before
                shown = await asyncio.to_thread(mbp.maw, "status")
            finally:
                flooding.cancel()
                trinity.process.send_signal(signal.SIGCONT)
        print(
            f"a round trip: {median(alone) * 1e3:.1f} ms alone, {median(under) * 1e3:.1f} ms under all of them, at most"
            f" {max(under) * 1e3:.0f}; a post: {median(post_alone) * 1e3:.1f} and {median(posts) * 1e3:.1f} ms;"
            f" {grown:+.1f} MiB\n{shown}"
        )
        assert median(under) < 3 * median(alone) + 0.05
        assert median(posts) < 5 * median(post_alone) + 0.05
        assert max(under) < 5, "nobody waits for one who does not answer"
        assert grown < MOST_MIB
        assert "flooder: flooding: slowed by" in shown
        assert re.search(
            rf"{OFFENDER}: \d+ connections refused in the last minute \(too many half-open", refused
        )
        assert re.search(r"other addresses: \d+ connections refused in the last minute", refused)
        for name in ("trinity", "dripper"):
            assert re.search(rf"{name}: .*(slow|silent)", shown)
        assert "slow_reader" in shown
        assert "a stream for neo@mbp took no message for 10 s" in shown
        assert took_its_end(subscriber)
        wait_until(lambda: len(trinity.channel()) == len(mbp.channel()), "who was stopped has everything", 20)
        wait_until(lambda: "trinity:" not in mbp.maw("status"), "and is named no more", 20)


async def test_memory_does_not_grow_with_what_a_log_holds(tmp_path: Path) -> None:
    """In small; `make extremes` does it with a million entries, and a quarter of a GiB of large ones."""
    for count, size in ((3_000, 1), (300, extremes.LARGE_BYTES)):
        root = tmp_path / f"{size}"
        root.mkdir()
        for growth in await extremes.log_of(root, count, size):
            assert growth.grown < extremes.MOST_MIB, (count, size, growth)
