"""A new host joins and receives everything: from the invite being followed to readable through its REST.

Bounded by the interpreter on the receiving side: one thread takes every entry apart, hashes it, follows the
chain and folds it into rows, and another has SQLite insert them. Signatures are checked once a run. The
sender, on the other core, reads pages and verifies where it cuts; it is rarely what is waited for. The time
includes dialling, TLS, the handshake and the pairing itself.

Behind what is asked on most runs: on this shared machine the same code gave 28,000 to 47,000 messages/s within one day.
An entry costs that thread some 20 µs: 3 to take it apart and hash it, 6 to fold it (7 before speakers were checked once
and not for each message), the rest the TLS stream, the chain, credit, and waiting for the interpreter while the other
thread binds rows (4). Reads grow with the credit that is left, up to 256 KiB: 64 KiB at a time cost a third. What is
left to gain is to fold in a process of its own, or rows bound without the interpreter.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.figure import Figure, median
from bench.house import environment
from bench.sizes import Size
from bench.stage import Stage

ASKED_RATIO = 0.4
ASKED_RATE = 40_000
"""Whichever is less: a faster machine need not be faster here, and a slower one is excused."""


async def run(root: Path, size: Size, stage: Stage) -> list[Figure]:
    await stage.source()
    ours: list[float] = []
    floor: list[float] = []
    for number in range(size.catch_ups):
        peer, seconds = await stage.add_peer()
        ours.append(size.messages / seconds)
        floor.append(size.messages / _floor(peer.home / "colony.db", root / f"floor{number}.db"))
    ratio = median(maw / bare for maw, bare in zip(ours, floor, strict=True))
    return [
        Figure(
            f"catch-up of {size.messages:,} messages to readable through REST", median(ours), "messages/s",
            median(floor), "bare inserts of the same rows", ratio, f"≥ {ASKED_RATE:,}/s or {ASKED_RATIO:.0%} of it",
            median(ours) >= ASKED_RATE or ratio >= ASKED_RATIO,
        )
    ]  # fmt: skip


def _floor(replica: Path, new: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "bench.floor_rows", str(replica), str(new)],
        env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    for leftover in new.parent.glob(f"{new.name}*"):
        leftover.unlink()
    return float(done.stdout)
