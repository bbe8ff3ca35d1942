"""Who fell silent and who floods, told from the hours in which each spoke."""

from __future__ import annotations

import pytest

from maw.core.rhythm import FLOOD_AT, GROWTH_AT, STRANGE_FLOOD_AT, flood, growth, silent_for, usual

HOURLY = dict.fromkeys(range(1000, 1048), 4)
OFFICE = {day * 24 + hour: 5 for day in range(38, 47) if day % 7 not in (5, 6) for hour in range(9, 18)}


def test_a_sensor_that_spoke_each_hour_is_missed_after_a_few() -> None:
    last = max(HOURLY)
    assert [silent_for(HOURLY, last + n) for n in (0, 1, 3, 4, 30)] == [None, None, None, 4, 30]


def test_nights_and_weekends_are_no_silence() -> None:
    for hour in range(min(OFFICE) + 24 * 4, max(OFFICE) + 1):
        assert silent_for({at: n for at, n in OFFICE.items() if at <= hour}, hour) is None
    longest = 64  # from 17:00 on Friday to 9:00 on Monday
    assert silent_for(OFFICE, max(OFFICE) + 2 * longest) is None
    assert silent_for(OFFICE, max(OFFICE) + 2 * longest + 10) == 2 * longest + 10


@pytest.mark.parametrize("spoke", [{}, {5: 1}, dict.fromkeys(range(11), 9)])
def test_who_has_no_rhythm_is_not_missed(spoke: dict[int, int]) -> None:
    assert silent_for(spoke, 500) is None


def test_ten_times_as_much_as_usual_is_a_flood() -> None:
    now = max(HOURLY) + 1
    assert usual(HOURLY, now) == 4
    assert flood({**HOURLY, now: FLOOD_AT - 1}, now) is None
    assert flood({**HOURLY, now: FLOOD_AT}, now) == FLOOD_AT
    busy = dict.fromkeys(HOURLY, 100)
    assert flood({**busy, now: 999}, now) is None, "ten times its usual is not reached"
    assert flood({**busy, now: 1000}, now) == 1000


def test_a_stranger_has_to_say_more() -> None:
    assert flood({7: STRANGE_FLOOD_AT - 1}, 7) is None
    assert flood({7: STRANGE_FLOOD_AT}, 7) == STRANGE_FLOOD_AT


def test_all_together_grow_only_against_a_past() -> None:
    now = max(HOURLY) + 1
    assert growth({now: 10 * GROWTH_AT}, now) is None, "a young Colony grows from nothing"
    assert growth({**HOURLY, now: GROWTH_AT}, now) == GROWTH_AT
