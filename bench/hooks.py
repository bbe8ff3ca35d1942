"""A hook as a whole process, from fork to exit, that has nothing to say: it runs after every tool of every agent.

Most of it is starting Python. It imports json and socket and asks the daemon twice; where a command of maw takes three
times as long, because typer is a thing for people.
"""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from bench.figure import Figure, median
from bench.house import Daemon, TroubleError, environment, status_mib
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
_SESSION: Final = """
import subprocess, sys
told = b'{"hook_event_name": "SessionStart", "session_id": "bench", "source": "startup"}'
hook = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)
hook.stdin.write(told)
hook.stdin.close()
print(hook.pid, flush=True)
hook.wait()
"""
"""A program at a terminal that has a hook run, and waits."""
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
            name: [measured(RUN, environment(HOME=str(root), **more)) for _ in range(size.calls + 1)][1:]
            for name, more in ways.items()
        }
        await daemon.post("/api/users", {"username": "arthur"})
        waiting = waiter_mib(environment(MAW_HOME=str(daemon.home), MAW_AGENT="arthur"), root)
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
    resident, own = waiting
    return [
        *figures,
        Figure("an idle session's waiter: resident", resident, "MiB", note=f"{own:.1f} proportional"),
    ]


def waiter_mib(env: dict[str, str], root: Path) -> tuple[float, float]:
    """Of the process that waits to wake a session, once it waits: MiB, and its own share of them."""
    near, far = pty.openpty()
    log = root / "waiter.log"
    with log.open("wb") as said, subprocess.Popen(
        [sys.executable, "-c", _SESSION, *RUN[:-1], "wait"], env={**env, "HOME": str(root)}, stdin=far, stderr=said,
        stdout=subprocess.PIPE,
    ) as session:  # fmt: skip
        os.close(far)
        try:
            assert session.stdout is not None
            pid = int(session.stdout.readline())
            deadline = time.monotonic() + 20
            while not (waits := list((root / ".local/state/maw/hooks").glob("*.wait"))):
                if time.monotonic() > deadline or session.poll() is not None:
                    raise TroubleError(f"no hook waits: {log.read_text()}")
                time.sleep(0.05)
            assert waits
            time.sleep(1.0)  # until it sits in its long poll
            shares = Path(f"/proc/{pid}/smaps_rollup").read_text()
            own = sum(int(kib) for kib in re.findall(r"Pss:\s+(\d+) kB", shares)) / 1024
            return status_mib(pid, "VmRSS"), own
        finally:
            os.close(near)
            session.kill()


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
