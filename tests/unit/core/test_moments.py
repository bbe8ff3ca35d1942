"""Moments as people write them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maw.core.moments import MAX_AHEAD_MS, moment

NOW = 1_800_000_000_000  # 2027-01-15T08:00:00Z


@pytest.mark.parametrize(
    ("text", "after_s"),
    [
        ("30m", 1800), (" 2H ", 7200), ("1d", 86400), ("45s", 45), ("5min", 300), ("366d", 366 * 86400),
        ("2027-01-15T09:00Z", 3600), ("2027-01-15T09:00", 3600), ("2027-01-15 10:00:00.5+01:00", 3600.5),
        ("2027-01-16", 57600),
    ],
)  # fmt: skip
def test_these_are(text: str, after_s: float) -> None:
    assert moment(text, NOW) == NOW + after_s * 1000


@pytest.mark.parametrize(
    "text",
    ["", "soon", "0s", "-1h", "30", "1.5h", "2 h", "367d", "2027-01-15T07:59Z", "9999-12-31T23:59+00:00", "1w", "٣h",
     "0001-01-01T00:00+23:59", "h", "2027-13-01"],
)  # fmt: skip
def test_these_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="30m, 2h"):
        moment(text, NOW)


@given(st.text(max_size=30), st.integers(0, 2**43))
def test_nothing_but_a_value_error_comes_of_anything(text: str, now: int) -> None:
    with suppress(ValueError):
        assert now < moment(text, now) <= now + MAX_AHEAD_MS
