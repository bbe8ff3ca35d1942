"""What rotation keeps and lets go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from maw.core.rotation import surplus

SUNDAY = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


def daily(days: int) -> dict[str, datetime]:
    return {f"{day:03}": SUNDAY - timedelta(days=day) for day in range(days)}


def test_few_are_all_kept() -> None:
    assert surplus({}, 7) == []
    assert surplus(daily(7), 7) == []


def test_a_year_of_days_leaves_a_week_of_days_and_three_weeks_before_it() -> None:
    made = daily(365)
    gone = surplus(made, keep=7, weeks=4)
    kept = sorted(set(made) - set(gone))
    assert kept == ["000", "001", "002", "003", "004", "005", "006", "007", "014", "021"]
    assert gone[0] == "364", "the oldest first"


def test_run_day_by_day_it_keeps_the_same() -> None:
    there: dict[str, datetime] = {}
    for name, at in sorted(daily(100).items(), reverse=True):
        there[name] = at
        for gone in surplus(there, keep=7, weeks=4):
            del there[gone]
    assert sorted(there) == ["000", "001", "002", "003", "004", "005", "006", "007", "014", "021"]


def test_one_always_stays() -> None:
    assert surplus(daily(3), keep=0, weeks=0) == ["002", "001"]


def test_several_of_one_moment() -> None:
    made = {"a": SUNDAY, "b": SUNDAY, "c": SUNDAY}
    assert surplus(made, keep=1, weeks=0) == ["a", "b"]
