"""What the kernel knows of a process and of its connections. Asks the process nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_KIB = re.compile(r"^(Rss|Pss|Private_Clean|Private_Dirty):\s+(\d+) kB", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB. ``proportional``: pages that several processes share count in part; ``private``: nobody else's."""

    resident: float
    proportional: float
    private: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """Of the connections whose local end is one of the ports asked for: so of each link, once."""

    links: int
    byte_count: int
    """Both ways, TLS included, TCP's own headers not."""


def memory(pid: int) -> Memory:
    shown = {
        name: int(kib) / 1024 for name, kib in _KIB.findall(Path(f"/proc/{pid}/smaps_rollup").read_text())
    }
    return Memory(shown["Rss"], shown["Pss"], shown["Private_Clean"] + shown["Private_Dirty"])


def cpu_s(pid: int) -> float:
    """Seconds of processor time that its living threads have had, to the nanosecond."""
    return sum(int(text.split()[0]) for text in _of_threads(pid, "schedstat")) / 1e9


def wakeups(pid: int) -> int:
    """How often its threads went to sleep of their own accord: each is a wake-up later."""
    shown = "".join(_of_threads(pid, "status"))
    return sum(
        int(number) for number in re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", shown, re.MULTILINE)
    )


def threads(pid: int) -> int:
    return len(_of_threads(pid, "comm"))


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def traffic(ports: Collection[int]) -> Traffic | None:
    """None without ``ss`` (iproute2)."""
    if shutil.which("ss") is None:
        return None
    shown = subprocess.run(
        ["ss", "-tniHO", "state", "established"], capture_output=True, text=True, check=True
    ).stdout
    links = total = 0
    for line in shown.splitlines():
        words = line.split()
        if len(words) > 3 and int(words[2].rpartition(":")[2]) in ports:
            links += 1
            total += sum(int(number) for number in re.findall(r"\bbytes_(?:sent|received):(\d+)", line))
    return Traffic(links, total)


def _of_threads(pid: int, name: str) -> list[str]:
    """The same file of each thread, without those that end while we look."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            found.append((task / name).read_text())
    return found
