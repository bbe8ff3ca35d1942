"""Many agents of one host that pulse, and have nothing to do: ``python -m bench pulses [--agents 100] [--minutes 10]``.

Each is a process of its own, `maw pulse NAME --dir HOME`, begun as systemd's timers would: at a moment of the agent's
own in each minute, put off at random by a few seconds, and not while the one before still runs. What it costs the
cores, how late it is done, and whether the daemon grows.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.figure import Figure, percentile
from bench.hooks import measured
from bench.house import MAW, Daemon, TroubleError, environment, status_mib
from bench.report import table
from maw.agents.life.home import write_home
from maw.core import period

EVERY_S: Final = 60
QUIET: Final = "HEARTBEAT_OK"
SETTLES_S: Final = 3.0
WEIGHED: Final = 4


@dataclass(slots=True)
class Tally:
    """``late_s``: from when a pulse was due until it was done; ``took_s``: from its begin."""

    late_s: list[float] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    skipped: int = 0


async def run(root: Path, agents: int, minutes: float, every_s: int = EVERY_S) -> list[Figure]:
    """Raises TroubleError when a pulse fails, or finds something to do."""
    async with Daemon(root, "host") as daemon:
        homes = {}
        for number in range(agents):
            name = f"agent-{number}"
            await daemon.post("/api/users", {"username": name})
            homes[name] = root / "agents" / name
            write_home(homes[name], name, runner=("false",))
        tally = Tally()
        name, home = next(iter(homes.items()))
        mib = max(measured(_command(name, home), _environment(daemon))[1] for _ in range(WEIGHED))
        for name, home in homes.items():  # the first goes the whole way: see bench/pulse.py
            await _pulse(name, home, daemon)
        await asyncio.sleep(min(SETTLES_S, every_s))
        memory, busy, ours = status_mib(daemon.pid, "VmRSS"), _cpu_s(daemon.pid), _children_s()
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for name, home in homes.items():
                timer = _agent(name, home, daemon, every_s, (began, began + minutes * 60), tally)
                group.create_task(timer)
        seconds = time.monotonic() - began
        pulses = _children_s() - ours
        own = _cpu_s(daemon.pid) - busy
        after = status_mib(daemon.pid, "VmRSS")
    return _figures(agents, seconds, tally, pulses, own, mib, (memory, after))


async def _agent(
    name: str, home: Path, daemon: Daemon, every_s: int, span: tuple[float, float], tally: Tally
) -> None:
    """Its timer."""
    due, end = span[0] + period.phase(every_s, "bench", name), span[1]
    while due < end:
        at = due + random.uniform(0, period.jitter(every_s))
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        tally.took_s.append(await _pulse(name, home, daemon))
        tally.late_s.append(time.monotonic() - at)
        due += every_s
        while due + every_s < time.monotonic():  # as systemd: what was due while one ran comes once
            due += every_s
            tally.skipped += 1


def _command(name: str, home: Path) -> list[str]:
    return [str(MAW), "pulse", name, "--dir", str(home)]


def _environment(daemon: Daemon) -> dict[str, str]:
    return environment(MAW_HOME=str(daemon.home))


async def _pulse(name: str, home: Path, daemon: Daemon) -> float:
    begun = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *_command(name, home), env=_environment(daemon),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, complained = await process.communicate()
    if process.returncode or not said.decode().startswith(QUIET):
        raise TroubleError(
            f"maw pulse {name}: exit {process.returncode}: {(said + complained).decode()[:400]}"
        )
    return time.monotonic() - begun


def _figures(
    agents: int,
    seconds: float,
    tally: Tally,
    pulses_s: float,
    daemon_s: float,
    mib: float,
    memory: tuple[float, float],
) -> list[Figure]:
    many = len(tally.took_s)
    before, after = memory
    note = f"in {seconds:.0f} s, {tally.skipped} skipped"
    return [
        Figure(f"{agents} agents, each every minute", many, "pulses", note=note),
        Figure("done after it was due, p50", percentile(tally.late_s, 0.5) * 1e3, "ms"),
        Figure("done after it was due, p99", percentile(tally.late_s, 0.99) * 1e3, "ms"),
        Figure("one pulse as a whole process, p50", percentile(tally.took_s, 0.5) * 1e3, "ms"),
        Figure("processor time of one", pulses_s / many * 1e3, "ms"),
        Figure("all pulses", pulses_s / seconds * 100, "% of a core"),
        Figure("the daemon", daemon_s / seconds * 100, "% of a core"),
        Figure("one pulse, memory at most", mib, "MiB"),
        Figure("the daemon's memory, more than before", after - before, "MiB", note=f"{before:.1f}, then {after:.1f}"),
    ]  # fmt: skip


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _children_s() -> float:
    """Of children that have ended: the daemon, a child too, has not."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(words: Sequence[str] | None = None) -> int:
    """0, or 70 when it could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench pulses", description="Agents that pulse.")
    parser.add_argument("--agents", type=int, default=100, metavar="N")
    parser.add_argument("--minutes", type=float, default=10.0, metavar="N")
    arguments = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="maw-pulses-") as root:
        try:
            found = asyncio.run(run(Path(root), arguments.agents, arguments.minutes))
        except (TroubleError, ExceptionGroup) as trouble:
            first = trouble.exceptions[0] if isinstance(trouble, ExceptionGroup) else trouble
            print(f"bench: {first}", file=sys.stderr)
            return 70
    load = re.split(r"\s", Path("/proc/loadavg").read_text())[1]
    print(table(found))
    print(f"{os.cpu_count()} cores, load {load} in the last five minutes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
