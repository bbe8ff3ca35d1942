"""Spans of the day."""

from __future__ import annotations

import pytest

from maw.core.hours import Hours, parse_hours
from maw.errors import BadInput


@pytest.mark.parametrize(
    "text", ["", "8-22", "08:00", "24:00-01:00", "08:60-09:00", "08:00-09:00-10:00", "a-b"]
)
def test_what_is_no_span_of_a_day_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="no span of a day"):
        parse_hours(text)


def test_hours_read_back_as_they_are_written() -> None:
    assert parse_hours("8:05 - 22:00") == Hours(485, 1320)
    assert str(Hours(485, 1320)) == "08:05-22:00"
    assert 3 in Hours(7, 7)
