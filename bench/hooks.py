"""A hook as a whole process, from fork to exit, that has nothing to say: it runs after every tool of every agent.

Most of it is starting Python. It imports json and socket and asks the daemon twice; where a command of maw takes three
times as long, because typer is a thing for people.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from bench.figure import Figure, median
from bench.house import Daemon, environment
from bench.sizes import Size

ASKED_MS: Final = 100.0
ASKED_MIB: Final = 33.0
RUN: Final = [sys.executable, "-m", "maw.cli.entry", "hook", "run", "PostToolUse"]
_WEIGH: Final = """
import os, sys
silent = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=silent)
_, status, used = os.wait4(child, 0)
print(used.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""
TOLD: Final = json.dumps(
    {"hook_event_name": "PostToolUse", "session_id": "bench", "tool_name": "Bash"}
).encode()


async def run(root: Path, size: Size) -> list[Figure]:
    async with Daemon(root, "hooks") as daemon:
        await daemon.post("/api/users", {"username": "neo"})
        ways = {
            "nothing new": {"MAW_HOME": str(daemon.home), "MAW_AGENT": "neo"},
            "no agent": {"MAW_HOME": str(daemon.home)},
            "no daemon": {"MAW_SOCKET": str(root / "nobody.sock"), "MAW_AGENT": "neo"},
        }
        floor = [measured([sys.executable, "-c", "pass"], environment()) for _ in range(size.calls + 1)][1:]
        found = {
            name: [measured(RUN, environment(**more)) for _ in range(size.calls + 1)][1:]
            for name, more in ways.items()
        }
    pass_ms = median([ms for ms, _ in floor])
    figures = []
    for name, runs in found.items():
        ms, mib = median([ms for ms, _ in runs]), max(mib for _, mib in runs)
        figures += [
            Figure(
                f"hook, {name}: whole process", ms, "ms", pass_ms, "python -c pass", ms / pass_ms,
                f"≤ {ASKED_MS:g} ms", ms <= ASKED_MS,
            ),
            Figure(
                f"hook, {name}: memory at most", mib, "MiB", None, "", None, f"≤ {ASKED_MIB:g} MiB",
                mib <= ASKED_MIB,
            ),
        ]  # fmt: skip
    return figures


def measured(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Milliseconds from fork to exit, and the most memory that it had, in MiB. It must end with 0."""
    began = time.perf_counter()
    subprocess.run(command, env=env, input=TOLD, stdout=subprocess.DEVNULL, check=True)
    took = (time.perf_counter() - began) * 1e3
    # Asked of a small process between: a fork counts what its parent had, and this one is large.
    small = [sys.executable, "-S", "-c", _WEIGH, *command]
    weighed = subprocess.run(small, env=env, input=TOLD, stdout=subprocess.PIPE, check=True)
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return took, int(weighed.stdout) / unit
