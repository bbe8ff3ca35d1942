"""How long-running processes do: whether one leaks, how long the memory lasts, how many more fit. Pure.

Laws
  1. A process is compared with itself only: what a life before a restart took says nothing about a leak in this one.
  2. What counts is the least it took in each hour: peaks are work, and what is left after them is what it keeps. The
     first hours after a start are growth as it should be, and left out.
  3. The slope is the median of the slopes between all pairs of hours (Theil, 1950; Sen, 1968): a third of the hours may
     be anything. Of a leak is spoken only where it lasts long and comes to something.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

WARM_UP_H: Final = 2
LEAST_H: Final = 12
"""Hours of one life, after the warm-up, below which nothing is said of a trend."""
MOST_H: Final = 240
"""Hours looked at: the newest ten days."""
LEAK_PER_DAY: Final = 24 << 20
"""Bytes a day below which growth is no leak: a megabyte an hour."""
LEAK_SHARE: Final = 0.2
"""And how much of what it took at first it must have gained."""
TYPICAL: Final = 300 << 20
"""Bytes that one agent takes where none is measured."""


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of one process tree. ``hour``: hours since 1970; ``started``: when this life began, ms since 1970;
    ``low``, ``high``: bytes."""

    hour: int
    started: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Trend:
    """``per_day``: bytes gained in a day (lost, where negative); ``hours``: of how many this is said."""

    per_day: int
    hours: int
    leaking: bool


def trend(hours: Iterable[Hour]) -> Trend | None:
    """Of the newest life in it; None where it is too young to tell."""
    seen = sorted(hours, key=lambda one: one.hour)
    if not seen:
        return None
    life = [one for one in seen if one.started == seen[-1].started]
    kept = [one for one in life if one.hour - life[0].hour >= WARM_UP_H][-MOST_H:]
    if not kept or kept[-1].hour - kept[0].hour < LEAST_H:
        return None
    per_day = round(_slope([(one.hour, one.low) for one in kept]) * 24)
    gained = per_day * (kept[-1].hour - kept[0].hour) / 24
    leaking = per_day >= LEAK_PER_DAY and gained >= LEAK_SHARE * kept[0].low
    return Trend(per_day, kept[-1].hour - kept[0].hour, leaking)


def _slope(points: Sequence[tuple[int, int]]) -> float:
    slopes = sorted(
        (y - before) / (x - earlier)
        for number, (x, y) in enumerate(points)
        for earlier, before in points[:number]
    )
    # statistics.median would bring decimal and fractions along: a megabyte in each daemon
    half = len(slopes) // 2
    return slopes[half] if len(slopes) % 2 else (slopes[half - 1] + slopes[half]) / 2


def days_left(available: int, per_day: Iterable[int]) -> float | None:
    """Days until the memory that is left is taken, if all go on as they do; None where nothing grows."""
    growth = sum(gain for gain in per_day if gain > 0)
    return available / growth if growth else None


def more_fit(available: int, reserve: int, taken: Sequence[int]) -> int:
    """How many more agents like those that run fit into the memory that is left beyond the reserve."""
    each = round(sum(taken) / len(taken)) if taken else TYPICAL
    return max(0, available - reserve) // max(each, 1)


def merge(old: Hour | None, hour: int, started: int, taken: int) -> Hour:
    """One more look. A restart within the hour begins it anew: the younger life is the one that is asked about."""
    if old is None or old.hour != hour or old.started != started:
        return Hour(hour, started, taken, taken)
    return Hour(hour, started, min(old.low, taken), max(old.high, taken))
