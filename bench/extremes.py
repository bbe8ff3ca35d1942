"""The largest logs, and what they cost in memory: ``python -m bench.extremes [--tiny N] [--large N]``.

One daemon says a million messages of one letter, another as many of 64 KiB as make a quarter of a GiB; each time a
new host then joins and takes all of it. What counts is the peak of what each had resident, beside what it had before:
messages are never kept in memory, so it must not depend on how many there are.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.figure import Figure
from bench.house import Daemon, TroubleError, status_mib, until
from bench.load import post_request, send_all
from bench.report import table

MOST_MIB = 32.0
"""What may come on top, whatever the log holds: what is under way to the disk and to one peer (see
docs/architecture.md), and what the allocator keeps of it."""
LARGE_BYTES = 64 * 1024
_PORTION = 2_000
_CLIENTS = 64


@dataclass(frozen=True, slots=True)
class Growth:
    """MiB of one daemon: resident before, and the most that it ever had."""

    who: str
    before: float
    most: float

    @property
    def grown(self) -> float:
        return self.most - self.before


async def log_of(root: Path, count: int, size: int, patience_s: float = 600.0) -> list[Growth]:
    """A log of ``count`` messages of ``size`` bytes: its memory on the host that says them, and on one that joins."""
    async with Daemon(root, "source") as source, Daemon(root, "peer") as peer:
        await source.post("/api/users", {"username": "neo"})
        before = [(daemon.name, daemon.pid, status_mib(daemon.pid, "VmRSS")) for daemon in (source, peer)]
        said = post_request("x" * size)
        for begin in range(0, count, _PORTION):
            await send_all(source.socket, [said] * min(_PORTION, count - begin), _CLIENTS)
        invite = await source.post("/api/invites", {})
        await peer.post("/api/join", {"line": invite["line"]})

        async def has_all() -> bool:
            return bool((await peer.get("/api/status"))["messages"] == count)

        await until(has_all, f"{count:,} messages are on the peer", each=0.2, patience_s=patience_s)
        return [Growth(name, resident, status_mib(pid, "VmHWM")) for name, pid, resident in before]


def figures(what: str, growths: Sequence[Growth]) -> list[Figure]:
    return [
        Figure(
            f"{what}, {growth.who}", growth.grown, "MiB", asked=f"≤ {MOST_MIB:g} MiB",
            met=growth.grown <= MOST_MIB, note=f"{growth.before:.1f} before, {growth.most:.1f} at most",
        )
        for growth in growths
    ]  # fmt: skip


async def _measure(tiny: int, large: int) -> list[Figure]:
    found: list[Figure] = []
    for count, size, words in ((tiny, 1, "messages of 1 byte"), (large, LARGE_BYTES, "messages of 64 KiB")):
        with tempfile.TemporaryDirectory(prefix="maw-extremes-") as root:
            found += figures(f"{count:,} {words}", await log_of(Path(root), count, size))
        print(f"{words}: done", file=sys.stderr, flush=True)
    return found


def main(words: Sequence[str] | None = None) -> int:
    """0 when memory stayed within its bound, 1 when not, 70 when it could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.extremes", description="The largest logs.")
    parser.add_argument("--tiny", type=int, default=1_000_000, metavar="N", help="messages of one byte")
    parser.add_argument("--large", type=int, default=4_096, metavar="N", help="messages of 64 KiB")
    arguments = parser.parse_args(words)
    try:
        found = asyncio.run(_measure(arguments.tiny, arguments.large))
    except TroubleError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 70
    print(table(found))
    return 1 if any(figure.met is False for figure in found) else 0


if __name__ == "__main__":
    sys.exit(main())
