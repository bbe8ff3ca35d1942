"""The largest folders below some places: where a disk went."""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEPTH: Final = 3
"""How far below a place folders are named; what lies deeper counts for the one above."""
SECONDS: Final = 20.0
"""For how long one look goes on: a disk of millions of files is looked at in part."""
MANY: Final = 20
BLOCK: Final = 512


@dataclass(frozen=True, slots=True)
class Folder:
    """``size``: bytes on the disk of all that lies in it and in no folder named by itself."""

    path: str
    size: int


def largest(
    places: Iterable[Path], clock: Callable[[], float] = time.monotonic, seconds: float = SECONDS
) -> list[Folder]:
    """The largest first, at most MANY. Stays on the disk where a place lies, follows no links, counts a file with
    several names once. What cannot be read is passed over."""
    ends = clock() + seconds
    sizes: dict[str, int] = {}
    seen: set[tuple[int, int]] = set()
    for place in places:
        try:
            device = place.stat().st_dev
        except OSError:
            continue
        waiting = [(str(place), 0, str(place))]
        while waiting and clock() < ends:
            directory, depth, named = waiting.pop()
            for entry, size, inner in _inside(directory, device, seen):
                if inner:
                    deeper = depth + 1
                    waiting.append((entry, deeper, entry if deeper <= DEPTH else named))
                sizes[named] = sizes.get(named, 0) + size
    return [
        Folder(path, size) for path, size in heapq.nlargest(MANY, sizes.items(), key=lambda item: item[1])
    ]


def _inside(directory: str, device: int, seen: set[tuple[int, int]]) -> list[tuple[str, int, bool]]:
    """(path, bytes on the disk, whether it is a folder) of each thing in a folder that counts."""
    found = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    info = entry.stat(follow_symlinks=False)
                    inner = entry.is_dir(follow_symlinks=False)
                except OSError:
                    continue
                if info.st_dev != device:
                    continue
                if info.st_nlink > 1 and not inner:
                    if (info.st_dev, info.st_ino) in seen:
                        continue
                    seen.add((info.st_dev, info.st_ino))
                found.append((entry.path, info.st_blocks * BLOCK, inner))
    except OSError:
        return []
    return found
