from __future__ import annotations

from maw.core.clock import AHEAD_LIMIT_MS, HybridClock, pack, shown_time, wall_ms

NOW = 1_800_000_000_000


def test_stamps_rise_within_one_millisecond_and_when_the_wall_clock_stands_still() -> None:
    clock = HybridClock()
    stamps = [clock.tick(NOW) for _ in range(1000)]
    assert stamps == sorted(set(stamps))
    assert wall_ms(stamps[-1]) == NOW


def test_a_wall_clock_that_falls_back_does_not_take_stamps_along() -> None:
    clock = HybridClock()
    before = clock.tick(NOW)
    assert clock.tick(NOW - 60_000) > before


def test_what_was_heard_pushes_the_clock() -> None:
    clock = HybridClock()
    clock.merge(pack(NOW + 5_000), NOW)
    assert wall_ms(clock.tick(NOW)) == NOW + 5_000


def test_a_stamp_of_the_year_2100_does_not_get_in() -> None:
    clock = HybridClock()
    clock.merge(pack(4_102_444_800_000), NOW)
    assert wall_ms(clock.tick(NOW)) == NOW


def test_a_clock_that_fell_further_than_others_could_push_it_is_noticed() -> None:
    clock = HybridClock()
    clock.tick(NOW)
    assert not clock.has_fallen(NOW - AHEAD_LIMIT_MS)
    assert clock.has_fallen(NOW - AHEAD_LIMIT_MS - 1)


def test_shown_time_is_cut_at_fifteen_minutes_ahead_and_marked() -> None:
    received = NOW
    assert shown_time(pack(NOW - 10**9), received) == shown_time(pack(NOW - 10**9, 7), received)
    assert not shown_time(pack(NOW + AHEAD_LIMIT_MS), received).suspect
    cut = shown_time(pack(4_102_444_800_000), received)
    assert (cut.ms, cut.suspect) == (NOW + AHEAD_LIMIT_MS, True)
