"""What a daemon with many messages and five linked peers holds in memory.

Libraries are most of it, as the steps below show: the interpreter, asyncio with ssl, aiohttp (without the
authorities it would read), the database's page caches, and what TLS needs for each link (its buffers, asyncio's
taken down from 256 to 32 KiB). The command line is not in it: `maw up` becomes the daemon. Messages are never
kept; what grows is one small row for each node, log, channel and agent. While a host catches up, batches on their
way to the disk come on top, as far as the sender's credit goes; the allocator keeps most of that afterwards, so
the host that received shows more than the host that sent. Pages of libraries are counted in full for each process
and shared by all of them: `proportional` is a host's honest share where several run. With thirty known nodes: see
`fleet`.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from bench.figure import Figure
from bench.house import Daemon, environment, status_mib
from bench.sizes import Size
from bench.stage import Stage

ASKED_MIB = 54.0
IMPORTS = (
    ("python", ""),
    ("asyncio, ssl", "asyncio"),
    ("sqlite3, msgpack, nacl", "sqlite3, aiosqlite, msgpack, nacl.bindings"),
    ("aiohttp", "aiohttp, aiohttp.web"),  # with no authorities, as the daemon imports it
    ("the rest of maw", "maw.daemon"),
)
"""What a daemon imports, in the order in which it is laid at somebody's door."""


async def run(root: Path, size: Size, stage: Stage) -> list[Figure]:
    source = await stage.source()
    while len(stage.peers) < size.peers:
        await stage.add_peer()
    await stage.all_linked()
    replica = stage.peers[0]
    fresh = [(daemon, resident_mib(daemon)) for daemon in (source, replica)]
    await asyncio.sleep(size.idle_s)
    figures = []
    for (daemon, before), what in zip(fresh, ("who said them", "who received them"), strict=True):
        after = resident_mib(daemon)
        figures.append(
            Figure(
                f"resident, {size.messages:,} messages, {size.peers} peers, {what}", after, "MiB",
                asked=f"≤ {ASKED_MIB:g} MiB", met=max(before, after) <= ASKED_MIB,
                note=f"{before:.1f} just after the catch-ups, {after:.1f} after {size.idle_s:g} s idle,"
                f" at most {status_mib(daemon.pid, 'VmHWM'):.1f}, {_proportional_mib(daemon):.1f} proportional",
            )
        )  # fmt: skip
    return [*figures, *_import_by_import(), *await _first_link(root)]


def resident_mib(daemon: Daemon) -> float:
    return status_mib(daemon.pid, "VmRSS")


def _proportional_mib(daemon: Daemon) -> float:
    """As resident, with pages that processes share counted in part."""
    for line in Path(f"/proc/{daemon.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise LookupError("Pss")


async def _first_link(root: Path) -> list[Figure]:
    """A daemon that is new, and what its first link adds."""
    async with Daemon(root, "one") as one, Daemon(root, "two") as two:
        await one.get("/api/status")
        new = resident_mib(one)
        await two.join(one)
        after = resident_mib(one)
    return [
        Figure("a new daemon, nothing said", new, "MiB"),
        Figure("the same with its first link", after, "MiB", note=f"+{after - new:.1f}"),
    ]


_STEPS = """
import sys
steps = {steps!r}
def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))
for modules in steps:
    if modules:
        exec("import " + modules)
    print(resident())
"""


def _import_by_import() -> list[Figure]:
    """Resident memory after each import, and what it added."""
    script = _STEPS.format(steps=[modules for _, modules in IMPORTS])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(SSL_CERT_FILE=os.devnull),
        capture_output=True,
        text=True,
        check=True,
    )
    totals = [float(line) for line in done.stdout.split()]
    added = [totals[0], *(after - before for before, after in pairwise(totals))]
    return [
        Figure(f"import: {name}", total, "MiB", note=f"+{more:.1f}")
        for (name, _), total, more in zip(IMPORTS, totals, added, strict=True)
    ]
