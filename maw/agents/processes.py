"""What the processes of an agent take: its own and all that they started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Tree:
    """A process and all its descendants. ``memory``: bytes, what is shared counted in parts; ``started``: when the
    first of them began, ms since 1970; ``cpu_s``: what those that live have used so far."""

    memory: int
    processes: int
    started: int
    cpu_s: float


def measure(roots: Mapping[str, int]) -> dict[str, Tree]:
    """By name, the tree below each process id. Who is gone is left out; a tree within another counts in both."""
    children: dict[int, list[psutil.Process]] = {}
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter(["ppid", "create_time"]):
        found[process.pid] = process
        children.setdefault(process.info["ppid"] or 0, []).append(process)
    measured: dict[int, tuple[int, float] | None] = {}
    trees = {}
    for name, pid in roots.items():
        if pid in found and (tree := _tree(found[pid], children, measured)) is not None:
            trees[name] = tree
    return trees


def _tree(
    root: psutil.Process,
    children: Mapping[int, list[psutil.Process]],
    measured: dict[int, tuple[int, float] | None],
) -> Tree | None:
    memory, count, cpu = 0, 0, 0.0
    waiting, seen = [root], {root.pid}
    while waiting:
        process = waiting.pop()
        if process.pid not in measured:
            measured[process.pid] = _one(process)
        if (taken := measured[process.pid]) is None:
            continue
        memory, count, cpu = memory + taken[0], count + 1, cpu + taken[1]
        for child in children.get(process.pid, ()):
            if child.pid not in seen:  # pids are used again: a ring would be possible
                seen.add(child.pid)
                waiting.append(child)
    return Tree(memory, count, int(root.info["create_time"] * 1000), cpu) if count else None


def _one(process: psutil.Process) -> tuple[int, float] | None:
    """Bytes and CPU seconds of one; None where it is gone, or another user's."""
    try:
        with process.oneshot():
            times = process.cpu_times()
            return _memory(process), times.user + times.system
    except psutil.Error:
        return None


def _memory(process: psutil.Process) -> int:
    """The proportional share where the kernel tells it, else what is resident: that counts what is shared in each."""
    try:
        return int(process.memory_full_info().pss)
    except (psutil.AccessDenied, AttributeError):
        return int(process.memory_info().rss)
