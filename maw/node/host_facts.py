"""How the machine is: load and memory, as the kernel tells them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MEMINFO: Final = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class HostFacts:
    """``load``: processes that run or wait to, over the last minute; bytes of memory, None where the kernel does not
    say (macOS)."""

    load: float
    cpus: int
    memory: int | None
    available: int | None
    swap_used: int | None


def read_facts(meminfo: Path = _MEMINFO) -> HostFacts:
    """Never raises: what cannot be had is None."""
    known = _read_meminfo(meminfo)
    total, free = known.get("SwapTotal"), known.get("SwapFree")
    return HostFacts(
        os.getloadavg()[0],
        os.cpu_count() or 1,
        known.get("MemTotal"),
        known.get("MemAvailable"),
        None if total is None or free is None else total - free,
    )


def _read_meminfo(path: Path) -> dict[str, int]:
    try:
        lines = path.read_text("ascii").splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, _, rest = line.partition(":")
        number = rest.split()[:1]
        if number and number[0].isdecimal():
            found[name] = int(number[0]) * 1024
    return found
