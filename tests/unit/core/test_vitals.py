"""How long-running processes do: leaks, forecasts, room."""

from __future__ import annotations

import random

import pytest

from maw.core.vitals import LEAK_PER_DAY, TYPICAL, Hour, days_left, merge, more_fit, trend

MIB = 1 << 20
DAY = 24


def life(hours: int, first: int, per_hour: float, *, started: int = 0, at: int = 0) -> list[Hour]:
    """A life of which each hour takes so many MiB more."""
    return [
        Hour(at + n, started, int((first + per_hour * n) * MIB), int((first + per_hour * n + 50) * MIB))
        for n in range(hours)
    ]


def test_a_leak_is_seen_under_noise() -> None:
    chance = random.Random(7)
    hours = [
        Hour(one.hour, one.started, one.low + chance.randrange(40) * MIB, one.high)
        for one in life(7 * DAY, 250, 3)
    ]
    found = trend(hours)
    assert found is not None and found.leaking
    assert 60 * MIB < found.per_day < 84 * MIB


def test_a_third_of_the_hours_may_be_anything() -> None:
    hours = life(60, 250, 0)
    wild = [Hour(one.hour, 0, 4000 * MIB, 4000 * MIB) if one.hour % 3 == 0 else one for one in hours]
    found = trend(wild)
    assert found is not None and not found.leaking and found.per_day == 0


def test_the_growth_of_the_first_hours_is_none() -> None:
    hours = [Hour(n, 0, 100 * MIB * (n + 1), 0) for n in range(2)] + life(40, 300, 0, at=2)
    found = trend(hours)
    assert found is not None and not found.leaking and found.per_day == 0


def test_a_life_before_a_restart_says_nothing() -> None:
    assert trend(life(100, 250, 5) + life(5, 250, 0, started=9, at=100)) is None
    found = trend(life(100, 250, 5) + life(40, 250, 0, started=9, at=100))
    assert found is not None and not found.leaking


def test_too_young_to_tell_and_nothing_at_all() -> None:
    assert trend([]) is None
    assert trend(life(14, 250, 9)) is None
    assert trend(life(15, 250, 9)) is not None


@pytest.mark.parametrize(
    ("per_hour", "first", "leaking"), [(0.5, 10, False), (1.5, 5000, False), (1.5, 100, True)]
)
def test_a_leak_must_come_to_something(per_hour: float, first: int, leaking: bool) -> None:
    found = trend(life(3 * DAY, first, per_hour))
    assert found is not None and found.leaking is leaking
    assert LEAK_PER_DAY == DAY * MIB


def test_how_long_it_lasts_and_how_many_fit() -> None:
    assert days_left(1000, [100, -900, 100]) == 5
    assert days_left(1000, [0, -5]) is None
    assert more_fit(10_000 * MIB, 1000 * MIB, [200 * MIB, 400 * MIB]) == 30
    assert more_fit(1000 * MIB, 100 * MIB, []) == 900 * MIB // TYPICAL
    assert more_fit(50 * MIB, 100 * MIB, []) == 0


def test_one_more_look_within_the_hour() -> None:
    first = merge(None, 5, 1, 300)
    second = merge(first, 5, 1, 200)
    assert second == Hour(5, 1, 200, 300)
    assert merge(second, 6, 1, 250) == Hour(6, 1, 250, 250)
    assert merge(second, 5, 2, 250) == Hour(5, 2, 250, 250)
