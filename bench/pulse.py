"""A pulse with nothing to do as a whole process, from fork to exit: hundreds of them run on a host, day and night.

The daemon is asked one question, and a line goes into the home's log. After a change of one of the home's files the
first pulse goes the whole way: it reads everything anew, and notes that there was nothing to do.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bench.figure import Figure, median
from bench.hooks import measured
from bench.house import Daemon, environment
from bench.sizes import Size
from maw.agents.life.home import write_home

ASKED_MS = 150.0
ASKED_MIB = 40.0
RUN = [sys.executable, "-m", "maw.cli.entry", "pulse", "scout", "--dir"]


async def run(root: Path, size: Size) -> list[Figure]:
    home = root / "scout"
    write_home(home, "scout", watch_channels=["general"])
    async with Daemon(root, "pulse") as daemon:
        await daemon.post("/api/users", {"username": "scout"})
        env = environment(MAW_HOME=str(daemon.home), HOME=str(root))
        command = [*RUN, str(home)]
        floor = [measured([sys.executable, "-c", "pass"], env) for _ in range(size.calls + 1)][1:]
        whole = []
        for _ in range(size.calls + 1):
            os.utime(home / "heartbeat.md")
            whole.append(measured(command, env)[0])
        quick = [measured(command, env) for _ in range(size.calls + 1)][1:]
    pass_ms = median([ms for ms, _ in floor])
    ms, mib, changed = median([ms for ms, _ in quick]), max(mib for _, mib in quick), median(whole[1:])
    return [
        Figure(
            "pulse, nothing to do: whole process", ms, "ms", pass_ms, "python -c pass", ms / pass_ms,
            f"≤ {ASKED_MS:g} ms", ms <= ASKED_MS,
        ),
        Figure(
            "pulse, nothing to do: memory at most", mib, "MiB", None, "", None, f"≤ {ASKED_MIB:g} MiB",
            mib <= ASKED_MIB,
        ),
        Figure(
            "pulse, nothing to do, after a change: whole process", changed, "ms", pass_ms, "python -c pass",
            changed / pass_ms, f"≤ {ASKED_MS:g} ms", changed <= ASKED_MS,
        ),
    ]  # fmt: skip
