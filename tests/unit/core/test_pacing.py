"""How much one link may cause: at once, for good, and how long it waits beyond."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from maw.core.pacing import BURST, LONGEST_WAIT_S, RATE, UNIT_BYTES, Pace


def test_a_burst_is_free_and_what_comes_after_goes_at_the_rate() -> None:
    pace, now = Pace(0.0), 0.0
    for _ in range(int(BURST)):
        assert pace.spend(0, now) == 0.0
    frames = 0
    while now < 20.0:
        now += pace.spend(0, now)
        frames += 1
    assert 0.9 * RATE * 20 <= frames <= 1.1 * RATE * 20


def test_bytes_cost_as_frames_do() -> None:
    pace = Pace(0.0)
    assert pace.spend(int(BURST - 2) * UNIT_BYTES, 0.0) == 0.0
    assert pace.spend(0, 0.0) == 0.0
    assert pace.spend(100 * UNIT_BYTES, 0.0) > 0.0


def test_one_that_is_quiet_gets_its_burst_back_and_no_more() -> None:
    pace = Pace(0.0)
    pace.spend(int(BURST) * UNIT_BYTES * 100, 0.0)
    assert pace.spend(0, 1.0) == LONGEST_WAIT_S, "it owes for a while"
    assert pace.spend(0, 2 * BURST / RATE + 10) == 0.0
    assert pace.spend(int(BURST - 10) * UNIT_BYTES, 1e9) == 0.0
    assert pace.spend(20 * UNIT_BYTES, 1e9) > 0.0


@given(st.lists(st.tuples(st.integers(0, 1 << 24), st.floats(0, 100)), max_size=60))
def test_a_wait_is_never_long_nor_negative(steps: list[tuple[int, float]]) -> None:
    pace, now = Pace(0.0), 0.0
    for size, passed in steps:
        now += passed
        assert 0.0 <= pace.spend(size, now) <= LONGEST_WAIT_S
