"""Durable acknowledged posts through the local socket: one client, then 64 at once.

Bounded by the interpreter: one thread parses HTTP, signs, folds and answers. At 64 at once a commit carries
dozens of posts and the disk hardly counts; alone, one synced commit is nearly all there is. Beyond the
prototype maw checks who speaks, reads mentions, delivers to mailboxes, keeps indexes for channel, mention
and sender, counts, tells streams and links, and answers with the whole message.

Where a post's time goes, by samples of who holds the interpreter: 30% taking the request in (aiohttp, a task for
each, wake-ups; the prototype pays this too), 20% the writer (a quarter of it signing), 14% the receipt and its JSON,
7% the answer's head and the write, 7% gathering it into a commit, 4% who speaks, 2% the body's JSON, the rest checks.
A message that is alone is one visit to the database's thread; many at once are three, for what gathers meanwhile goes
along. What is left to gain lies in aiohttp's task for each request, which Python 3.12 starts eagerly.
"""

from __future__ import annotations

from pathlib import Path

from bench.figure import Figure, median, percentile
from bench.house import Daemon, prototype
from bench.load import Load, post_request, send_all, texts
from bench.sizes import Size

ASKED_RATIO = 0.7


async def run(root: Path, size: Size) -> list[Figure]:
    alone: list[tuple[Load, Load]] = []
    together: list[tuple[Load, Load]] = []
    async with Daemon(root, "posting") as daemon:
        await daemon.post("/api/users", {"username": "neo"})
        with prototype(root) as bare:
            await bare.ready()
            few = [post_request(text) for text in texts(size.alone)]
            many = [post_request(text) for text in texts(size.together, seed=2)]
            for socket in (daemon.socket, bare.socket):
                await send_all(socket, many[: len(many) // 8], size.clients)  # warm
            for _ in range(size.rounds):
                alone.append((await send_all(daemon.socket, few, 1), await send_all(bare.socket, few, 1)))
                together.append(
                    (
                        await send_all(daemon.socket, many, size.clients),
                        await send_all(bare.socket, many, size.clients),
                    )
                )
    return [_alone(alone), _together(together, size.clients)]


def _alone(turns: list[tuple[Load, Load]]) -> Figure:
    ours, floor = (median(percentile(turn[side].latencies, 0.5) for turn in turns) * 1e3 for side in (0, 1))
    return Figure("a durable post, one client, p50", ours, "ms", floor, "prototype", ours / floor)


def _together(turns: list[tuple[Load, Load]], clients: int) -> Figure:
    ratio = median(maw.rate / bare.rate for maw, bare in turns)
    ours, floor = (median(turn[side].rate for turn in turns) for side in (0, 1))
    return Figure(
        f"durable posts, {clients} at once", ours, "posts/s", floor, "prototype", ratio,
        f"≥ {ASKED_RATIO:.0%} of it", ratio >= ASKED_RATIO,
    )  # fmt: skip
