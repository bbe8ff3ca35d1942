"""Buckets: bursts pass, steady floods are told when to come back, and nobody pays for what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maw.core.quota import AGENT, CHANNEL, NODE, SWEEP_AT, UNLIMITED, Quotas, Rate, Rates

FREE = Rate(0, 0)


def test_a_burst_passes_and_what_is_beyond_it_is_told_when_there_is_room() -> None:
    quotas = Quotas(Rates(Rate(60, 3), FREE, FREE))
    assert [quotas.take("neo", "general", 0.0) for _ in range(3)] == [None] * 3
    empty = quotas.take("neo", "general", 0.0)
    assert empty is not None and empty.what == AGENT
    assert empty.wait == pytest.approx(1.0)
    assert quotas.take("trin", "general", 0.0) is None, "each agent has its own"
    assert quotas.take("neo", "general", 0.9) is not None
    assert quotas.take("neo", "general", 1.0) is None


def test_what_is_refused_takes_nothing_from_the_others() -> None:
    quotas = Quotas(Rates(Rate(60, 1), Rate(60, 2), Rate(60, 3)))
    assert quotas.take("neo", "general", 0.0) is None
    for _ in range(5):
        assert quotas.take("neo", "general", 0.0) is not None
    assert quotas.take("trin", "general", 0.0) is None
    empty = quotas.take("arthur", "general", 0.0)
    assert empty is not None and empty.what == CHANNEL
    assert quotas.take("arthur", None, 0.0) is None, "a direct message is in no channel"
    empty = quotas.take("dozer", None, 0.0)
    assert empty is not None and empty.what == NODE


def test_the_one_that_is_empty_for_longest_is_told() -> None:
    quotas = Quotas(Rates(Rate(60, 1), Rate(1, 1), FREE))
    assert quotas.take("neo", "general", 0.0) is None
    empty = quotas.take("neo", "general", 0.0)
    assert empty is not None and empty.what == CHANNEL
    assert empty.wait == pytest.approx(60.0)


def test_without_limits_nothing_is_counted() -> None:
    quotas = Quotas(UNLIMITED)
    assert all(quotas.take("neo", "general", 0.0) is None for _ in range(10_000))


def test_many_names_do_not_fill_the_memory() -> None:
    quotas = Quotas(Rates(Rate(60, 10), Rate(60, 10), FREE))
    for n in range(10 * SWEEP_AT):
        assert quotas.take(f"agent-{n}", f"channel-{n}", float(n)) is None
    assert len(quotas._buckets) <= SWEEP_AT + 1


@given(st.lists(st.floats(0.0, 30.0), max_size=200), st.integers(1, 600), st.integers(1, 20))
def test_never_more_than_the_burst_and_the_rate(pauses: list[float], per_minute: int, burst: int) -> None:
    quotas, now, passed = Quotas(Rates(Rate(per_minute, burst), FREE, FREE)), 0.0, 0
    for pause in pauses:
        now += pause
        empty = quotas.take("neo", None, now)
        passed += empty is None
        assert passed <= burst + now * per_minute / 60 + 1e-6
        if empty is not None:
            now += empty.wait + 1e-9
            assert quotas.take("neo", None, now) is None, "as it was told"
            passed += 1
