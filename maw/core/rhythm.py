"""How often each speaks, hour by hour, and what in it a human should know: who fell silent, who floods, what grows.

Laws
  1. Who spoke in REGULAR different hours of the window has a rhythm. It is *silent* once it has said nothing for longer
     than twice its longest pause, and for SILENT_AT_LEAST hours: nights and weekends are pauses it has made before.
  2. It *floods* when this hour brought FLOOD_AT messages of it or more, and TIMES what it usually says in an hour in
     which it speaks. Who has no rhythm floods at STRANGE_FLOOD_AT.
  3. All together *grow suddenly* by the same measure, at GROWTH_AT.
Counts are of an hour since 1970. What is said of this hour is said before it is over.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Final

KEPT_HOURS: Final = 24 * 8
"""The window: eight days, so that a week's pauses are in it."""
REGULAR: Final = 12
SILENT_AT_LEAST: Final = 3
FLOOD_AT: Final = 300
STRANGE_FLOOD_AT: Final = 1_500
GROWTH_AT: Final = 2_000
TIMES: Final = 10

Counts = Mapping[int, int]
"""hour -> messages, of hours in which there were any."""


def silent_for(counts: Counts, hour: int) -> int | None:
    """Hours of silence in ``hour``, where that is unlike it; else None."""
    spoke = sorted(at for at in counts if at <= hour)
    if len(spoke) < REGULAR:
        return None
    longest = max(after - before for before, after in itertools.pairwise(spoke))
    silent = hour - spoke[-1]
    return silent if silent > max(SILENT_AT_LEAST, 2 * longest) else None


def flood(counts: Counts, hour: int) -> int | None:
    """How many messages it said in ``hour``, where that is a flood; else None."""
    return _sudden(counts, hour, FLOOD_AT, STRANGE_FLOOD_AT)


def growth(counts: Counts, hour: int) -> int | None:
    """The same of all messages together."""
    return _sudden(counts, hour, GROWTH_AT, None)


def usual(counts: Counts, hour: int) -> int:
    """Messages in an hour in which there are any, before ``hour``; 0 where there were none."""
    before = sorted(count for at, count in counts.items() if at < hour)
    return before[len(before) // 2] if before else 0  # the median; ``statistics`` would bring 1 MiB with it


def _sudden(counts: Counts, hour: int, at_least: int, without_rhythm: int | None) -> int | None:
    now = counts.get(hour, 0)
    if sum(at < hour for at in counts) < REGULAR:
        return now if without_rhythm is not None and now >= without_rhythm else None
    return now if now >= max(at_least, TIMES * usual(counts, hour)) else None
