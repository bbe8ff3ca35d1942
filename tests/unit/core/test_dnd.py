"""Do not disturb, at times of day."""

from __future__ import annotations

import pytest

from maw.core.dnd import Quiet, parse_quiet
from maw.errors import BadInput


@pytest.mark.parametrize(
    ("text", "at", "holds", "left"),
    [
        ("22:00-07:00", 22 * 60, True, 540),
        ("22:00-07:00", 21 * 60 + 59.9, False, None),
        ("22:00-07:00", 0, True, 420),
        ("22:00-07:00", 7 * 60 - 0.5, True, 0.5),
        ("22:00-07:00", 7 * 60, False, None),
        ("9:30-17:00", 9 * 60 + 30, True, 450),
        ("9:30-17:00", 17 * 60, False, None),
        ("22:00-24:00", 1439, True, 1),
        ("22:00-24:00", 0, False, None),
        ("00:00-00:01", 0, True, 1),
        ("on", 720, True, None),
    ],
)
def test_when_it_is_quiet(text: str, at: float, holds: bool, left: float | None) -> None:
    quiet = parse_quiet(text)
    assert quiet is not None
    assert quiet.holds(at) is holds
    if holds:
        assert quiet.minutes_left(at) == left


def test_it_reads_what_it_writes() -> None:
    for text in ("on", "22:00-07:00", "09:30-17:00", "22:00-24:00"):
        quiet = parse_quiet(text)
        assert str(quiet) == text
        assert parse_quiet(str(quiet)) == quiet
    assert parse_quiet("off") is None
    assert Quiet().always


@pytest.mark.parametrize(
    "text",
    ["", "ON", "yes", "22-07", "22:00", "22:00-22:00", "00:00-24:00", "25:00-07:00", "22:60-07:00", "24:00-07:00",
     "22:00-24:01", "22:00 - 07:00", "-1:00-07:00", "٢٢:00-07:00", "22:00-07:00\n"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="no time of quiet"):
        parse_quiet(text)
