"""A year of a busy Colony on one node, through REST: mentions, channel pages, search; and many who listen.

Pages are an index lookup and the messages of the page: their number does not depend on how many there are. A search
asks shelf after shelf of the index, the newest first, until 500 messages fit; a common word is found in the newest
shelf alone, a rare one is looked up in each. What it then costs is to read and judge the messages that are shown.

Those who listen read for themselves: each subscriber has a cursor and reads a page when something becomes visible, so
that nothing is queued for anybody. The time is from the POST to the frame of the last of them, all in one process of
the node's and one of theirs, on one machine.

Indexing and sending in turns, with and without an index, in one run: what a post costs is the same, and of many posts
at once the index takes what is left.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from bench.figure import Figure, median, percentile
from bench.house import Daemon, status_mib, until
from bench.load import calling_rest, post_request, send_all, texts
from bench.plenty import fill, vocabulary
from bench.sizes import Size

MENTIONS_MS = 5.0
PAGE_MS = 5.0
SEARCH_MS = 50.0
BUILD_S = 1800.0


async def run(root: Path, size: Size) -> list[Figure]:
    async with Daemon(root, "plenty") as daemon:
        await daemon.post("/api/users", {"username": "neo"})
        token = (await daemon.post("/api/users/neo/token", {}))["token"]

        async def between() -> None:
            await fill(daemon.home, size.large)

        began = time.perf_counter()
        await daemon.restart(between)
        filled = time.perf_counter()
        await until(lambda: _indexed(daemon), "all is indexed", each=0.2, patience_s=BUILD_S)
        index = (await daemon.get("/api/status"))["search"]["bytes"]
        figures = [
            Figure(f"{size.large:,} messages signed and folded", filled - began, "s"),
            Figure("and indexed, in the background", time.perf_counter() - filled, "s"),
            Figure(
                "the index, a message",
                index / size.large,
                "B",
                _database_bytes(daemon, size.large),
                "the database",
            ),
        ]
        figures += await _asked(daemon, token, max(5, size.hops // 10))
        figures += await _listened(daemon, size.subscribers, max(5, size.hops // 15))
    return [*figures, *await _posted(root, size)]


async def _indexed(daemon: Daemon) -> bool:
    return bool((await daemon.get("/api/status"))["search"]["state"] == "on")


def _database_bytes(daemon: Daemon, count: int) -> float:
    """What the database takes for each, all tables and signatures."""
    return (daemon.home / "colony.db").stat().st_size / count


async def _asked(daemon: Daemon, token: str, turns: int) -> list[Figure]:
    words = vocabulary()
    common, second, third, rare = words[0], words[1], words[300], words[-1]
    asked = (
        ("mentions of one agent", "/api/mentions?user=agent7", MENTIONS_MS),
        ("mentions, from the first on", "/api/mentions?user=agent7&after_seq=0", MENTIONS_MS),
        ("a channel page, the latest", "/api/channels/general/messages", PAGE_MS),
        ("a channel page, from far back", "/api/channels/general/messages?before_seq=5000", PAGE_MS),
        ("search, a common word", _search(common), SEARCH_MS),
        ("search, two common words", _search(f"{common} {second}"), SEARCH_MS),
        ("search, a rare word", _search(rare), SEARCH_MS),
        ("search, a rare and a common word", _search(f"{rare} {common}"), SEARCH_MS),
        ("search, a phrase of common words", _search(f'"{common} {second}"'), SEARCH_MS),
        ("search, a phrase with a rarer word", _search(f'"{common} {third}"'), SEARCH_MS),
        ("search, words that begin so", _search("th*"), SEARCH_MS),
        ("search, a common word without another", _search(f"{common} -{second}"), SEARCH_MS),
        (
            "search, a common word by one agent in one channel",
            _search(f"{common} from:agent190 in:c7"),
            SEARCH_MS,
        ),
        (
            "search, a common word of three weeks last winter",
            _search(f"{common} until:300d since:321d"),
            SEARCH_MS,
        ),
        ("search, what mentions an agent, newest first", f"{_search('@agent7')}&order=new", SEARCH_MS),
        ("search, a word that nobody said", _search("zzzzzz"), SEARCH_MS),
    )
    figures = []
    async with calling_rest(daemon.rest) as caller:
        for what, path, most in asked:
            request = f"GET {path} HTTP/1.1\r\nHost: {daemon.rest}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
            took: list[float] = []
            for _ in range(turns + 2):
                began = time.perf_counter()
                took.append((await caller.ask(request) - began) * 1000)
            p50, p99 = percentile(took[2:], 0.5), percentile(took[2:], 0.99)
            figures.append(
                Figure(what, p50, "ms", asked=f"≤ {most:g} ms", met=p50 <= most, note=f"p99 {p99:.1f} ms")
            )
    return figures


def _search(text: str) -> str:
    return f"/api/search?q={quote(text)}"


class _Subscriber(asyncio.Protocol):
    """A WebSocket client that only counts the messages that came, and notes when the last did."""

    def __init__(self, rest: str) -> None:
        self.count = 0
        self.last = 0.0
        self.open = False
        self._rest = rest
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(
            f"GET /api/stream HTTP/1.1\r\nHost: {self._rest}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self.open = self.open or data.startswith(b"HTTP/1.1 101")
        found = data.count(b'{"type":"message"')
        if found:
            self.count += found
            self.last = time.perf_counter()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def _listened(daemon: Daemon, count: int, turns: int) -> list[Figure]:
    loop = asyncio.get_running_loop()
    host, _, port = daemon.rest.rpartition(":")
    before = status_mib(daemon.pid, "VmRSS")
    everybody: list[_Subscriber] = []
    for _ in range(count):
        one = _Subscriber(daemon.rest)
        await loop.create_connection(lambda one=one: one, host, int(port))  # type: ignore[misc]
        everybody.append(one)

    async def listening() -> bool:
        return all(one.open for one in everybody)

    await until(listening, f"{count} streams are open")
    took: list[float] = []
    for number, text in enumerate(texts(turns, seed=5), 1):
        began = time.perf_counter()
        await send_all(daemon.socket, [post_request(text)], 1)

        async def all_have(number: int = number) -> bool:
            return all(one.count >= number for one in everybody)

        await until(all_have, f"{count} subscribers have message {number}", each=0.001)
        took += [(one.last - began) * 1000 for one in everybody]
    each = (status_mib(daemon.pid, "VmRSS") - before) * 1024 / count
    for one in everybody:
        one.close()
    return [
        Figure(f"to each of {count} subscribers, p50", percentile(took, 0.5), "ms"),
        Figure(f"to each of {count} subscribers, p99", percentile(took, 0.99), "ms"),
        Figure("memory of the node for each of them", max(0.0, each), "KiB"),
    ]


async def _posted(root: Path, size: Size) -> list[Figure]:
    """In turns on two nodes, one of which keeps an index."""
    rates: list[tuple[float, float]] = []
    single: list[tuple[float, float]] = []
    async with Daemon(root, "with") as indexing, Daemon(root, "without") as bare:

        async def no_index() -> None:
            config = bare.home / "maw.toml"
            config.write_text(config.read_text().replace("\nindex = true", "\nindex = false"))

        await bare.restart(no_index)
        for daemon in (indexing, bare):
            await daemon.post("/api/users", {"username": "neo"})
        many = [post_request(text) for text in texts(size.together, seed=2)]
        few = [post_request(text) for text in texts(size.alone, seed=3)]
        for turn in range(size.rounds + 1):
            ours = [await send_all(daemon.socket, many, size.clients) for daemon in (indexing, bare)]
            one = [await send_all(daemon.socket, few, 1) for daemon in (indexing, bare)]
            if turn:
                rates.append((ours[0].rate, ours[1].rate))
                single.append(tuple(percentile(load.latencies, 0.5) * 1e3 for load in one))  # type: ignore[arg-type]
    return [_ratio(f"posts, {size.clients} at once, while indexing", "posts/s", rates),
            _ratio("a post, one client, p50, while indexing", "ms", single)]  # fmt: skip


def _ratio(what: str, unit: str, turns: Sequence[tuple[float, float]]) -> Figure:
    ours, bare = (median(turn[side] for turn in turns) for side in (0, 1))
    return Figure(what, ours, unit, bare, "no index", median(a / b for a, b in turns))
