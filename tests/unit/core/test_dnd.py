"""Do not disturb, at times of day."""

from __future__ import annotations

import pytest

from maw.core.dnd import ALWAYS, parse_quiet, quiet_text, seconds_left
from maw.errors import BadInput


@pytest.mark.parametrize(
    ("text", "at", "left"),
    [
        ("22:00-07:00", 22 * 60, 540),
        ("22:00-07:00", 0, 420),
        ("22:00-07:00", 7 * 60 - 0.5, 0.5),
        ("9:30-17:00", 9 * 60 + 30, 450),
        ("00:00-00:01", 0, 1),
    ],
)
def test_how_long_it_is_quiet_yet(text: str, at: float, left: float) -> None:
    quiet = parse_quiet(text)
    assert quiet is not None
    assert int(at) in quiet
    assert seconds_left(quiet, at) == left * 60


@pytest.mark.parametrize(("text", "at"), [("22:00-07:00", 7 * 60), ("22:00-07:00", 22 * 60 - 1)])
def test_when_it_is_not(text: str, at: int) -> None:
    quiet = parse_quiet(text)
    assert quiet is not None
    assert at not in quiet


def test_always_ends_by_nothing() -> None:
    assert parse_quiet("on") == ALWAYS
    assert all(minute in ALWAYS for minute in range(1440))
    assert seconds_left(ALWAYS, 700) is None


def test_it_reads_what_it_writes() -> None:
    for text in ("on", "off", "22:00-07:00", "09:30-17:00"):
        assert quiet_text(parse_quiet(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "ON", "yes", "22-07", "22:00", "22:00-22:00", "00:00-00:00", "25:00-07:00", "22:60-07:00", "-1:00-07:00",
     "٢٢:00-07:00"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="no time of quiet") as caught:
        parse_quiet(text)
    assert caught.value.code == "bad_dnd"
