"""How often, in systemd's words and in cron's."""

from collections import Counter

import pytest

from maw.core import period
from maw.core.period import calendar, check_period, crontab, jitter, phase, spoken
from maw.errors import BadInput


@pytest.mark.parametrize(
    ("every", "at", "systemd", "cron"),
    [
        (60, 9, "*-*-* *:00/1:09 UTC", "0-59/1 * * * *"),
        (1800, 461, "*-*-* *:07/30:41 UTC", "7-59/30 * * * *"),
        (1800, 1799, "*-*-* *:29/30:59 UTC", "29-59/30 * * * *"),
        (3600, 3599, "*-*-* *:59:59 UTC", "59 * * * *"),
        (14_400, 4 * 3600 - 1, "*-*-* 03/4:59:59 UTC", "59 3-23/4 * * *"),
        (86_400, 3661, "*-*-* 01:01:01 UTC", "1 1 * * *"),
    ],
)
def test_in_words_of_others(every: int, at: int, systemd: str, cron: str) -> None:
    assert calendar(every, at) == systemd
    assert crontab(every, at) == cron


def test_what_divides_neither_hour_nor_day_is_refused_with_what_is_near() -> None:
    assert check_period(1800.0, "--every") == 1800
    for wrong, near in ((45 * 60, "30m or 1h"), (90, "1m or 2m"), (5 * 3600, "4h or 6h"), (10, "1m")):
        with pytest.raises(BadInput, match="--every: it must divide") as refused:
            check_period(wrong, "--every")
        assert refused.value.hint == f"nearest: {near}"
    with pytest.raises(BadInput) as refused:
        check_period(2 * 86_400, "--every")
    assert refused.value.hint == "nearest: 24h"


def test_each_has_a_moment_of_its_own_and_keeps_it() -> None:
    moments = [phase(1800, "host", "pulse", f"agent-{n}") for n in range(100)]
    assert moments == [phase(1800, "host", "pulse", f"agent-{n}") for n in range(100)]
    assert all(0 <= one < 1800 for one in moments)
    assert max(Counter(one // 60 for one in moments).values()) <= 12, (
        "a hundred are spread over the half hour"
    )
    assert phase(1800, "another", "pulse", "agent-1") != moments[1]
    assert phase(1800, "host", "dream", "agent-1") != moments[1]


def test_the_delay_at_random_is_far_below_the_period() -> None:
    assert [jitter(one) for one in (60, 300, 1800, 14_400)] == [6, 30, 60, 60]


def test_spoken() -> None:
    assert [spoken(one) for one in (90, 1800, 14_400)] == ["90s", "30m", "4h"]
    assert all(86_400 % one == 0 for one in period.PERIODS)
