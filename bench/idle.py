"""What a linked pair costs that has nothing to say: processor time and bytes on the link. Nothing is asked.

Each second a daemon looks at its clocks, its disk and its follows; each five a ping crosses the link.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from bench.figure import Figure
from bench.house import Daemon, pair
from bench.sizes import Size


async def run(root: Path, size: Size) -> list[Figure]:
    async with pair(root) as (near, far):
        await asyncio.sleep(min(2.0, size.idle_s))  # pairing and its receipts settle
        busy, sent, began = _cpu_s(near), _link_bytes(near, far), time.monotonic()
        await asyncio.sleep(max(size.idle_s / 2, 0.2))
        seconds = time.monotonic() - began
        figures = [Figure("idle, linked: processor", (_cpu_s(near) - busy) / seconds * 100, "% of a core")]
        after = _link_bytes(near, far)
        if sent is not None and after is not None:
            figures.append(Figure("idle, linked: both ways on the link", (after - sent) / seconds, "bytes/s"))
    return figures


def _cpu_s(daemon: Daemon) -> float:
    fields = Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _link_bytes(*daemons: Daemon) -> int | None:
    """Bytes that came to and left their mesh ports, TLS included; None without ``ss``."""
    if shutil.which("ss") is None:
        return None
    ports = " or ".join(f"sport = :{daemon.mesh.rpartition(':')[2]}" for daemon in daemons)
    shown = subprocess.run(
        ["ss", "-tniH", "state", "established", ports],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return sum(int(number) for number in re.findall(r"bytes_(?:sent|received):(\d+)", shown))
