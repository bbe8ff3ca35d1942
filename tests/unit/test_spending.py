"""What is counted, and when a cap is spent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maw.core.spending import (
    AGENT,
    HOST,
    NOTHING,
    RUNNER_S,
    TOKENS,
    USD,
    Cap,
    Counts,
    Run,
    Spent,
    Unknown,
    day_of,
    day_text,
    dollars,
    end_of,
    greater,
    micros,
    millis,
    parse_day,
    standing,
    tightest,
    total,
)

COUNTS = st.builds(Counts, **{name: st.integers(0, 1 << 40) for name in Counts._fields})


@given(st.lists(COUNTS, max_size=6), st.randoms(use_true_random=False))
def test_of_accounts_of_the_same_the_greater_holds_in_any_order_and_twice(
    accounts: list[Counts], random: object
) -> None:
    def taken(order: list[Counts]) -> Counts:
        found = NOTHING
        for one in order:
            found = greater(found, one)
        return found

    shuffled = [*accounts, *accounts[:3]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert taken(shuffled) == taken(accounts)
    assert total(shuffled) == total(sorted(shuffled))


def test_money_is_whole_and_rounded_up() -> None:
    assert micros(0.1) + micros(0.2) == micros(0.3) == 300_000
    assert micros("0.0123") == 12_300
    assert micros(0.0000001) == 1, "never is less counted than was told"
    assert (micros(0), millis(1.2345)) == (0, 1235)
    for wrong in (-1, "much", None, True, float("nan"), float("inf"), 100_001, "1e999"):
        with pytest.raises(ValueError, match="must be dollars from 0 to 100000"):
            micros(wrong)


@pytest.mark.parametrize(
    ("micro", "text"),
    [
        (0, "$0.0000"), (1, "<$0.0001"), (12_300, "$0.0123"), (999_949, "$0.9999"), (999_960, "$1.00"),
        (1_999_990, "$2.00"), (1_234_567_890, "$1,234.57"),
    ],
)  # fmt: skip
def test_money_as_it_is_shown(micro: int, text: str) -> None:
    assert dollars(micro) == text


def test_a_day_is_one_of_utc() -> None:
    ms = 1_795_305_599_999
    assert day_text(day_of(ms)) == "2026-11-21"
    assert day_text(day_of(ms + 1)) == "2026-11-22"
    assert end_of(day_of(ms)) == "2026-11-22T00:00:00Z"
    assert day_text(parse_day("2026-11-22")) == "2026-11-22"
    for wrong in ("22.11.2026", "2026-13-01", "20261122", "", "2026-W47-7"):
        with pytest.raises(ValueError, match="YYYY-MM-DD"):
            parse_day(wrong)


def test_a_run_counts_what_its_runner_told() -> None:
    told = Run("r", "pulse", 1500, "opus", 10, 20, 30, 12_300).counts
    assert told == Counts(runs=1, runner_ms=1500, input=10, output=20, cache=30, usd=12_300)
    assert told.tokens == 60
    assert Run("r", "pulse", 1500).counts == Counts(runs=1, runner_ms=1500, unpriced=1, untold=1)
    assert Run("r", "pulse", 0).counts == Counts(runs=1), "where no runner ran nothing is unknown"


def test_a_cap_is_near_at_80_percent_and_spent_at_all_of_it() -> None:
    cap = Cap(AGENT, USD, 1_000_000, "maw.toml")
    for spent, percent, near, is_spent in (
        (799_999, 79, False, False), (800_000, 80, True, False),
        (999_999, 99, True, False), (1_000_000, 100, True, True),
    ):  # fmt: skip
        found = standing(cap, Spent(usd=spent), Unknown())
        assert (found.percent, found.is_near, found.is_spent) == (percent, near, is_spent)
    assert standing(Cap(AGENT, USD, 0, "maw.toml"), Spent(), Unknown()).is_spent, "nothing is allowed"


def test_what_nobody_can_say_is_not_free() -> None:
    spent = Spent(usd=100, tokens=10, runner_ms=5, unpriced=3, untold=2)
    money, tokens, time = (Cap(AGENT, unit, 1000, "maw.toml") for unit in (USD, TOKENS, RUNNER_S))
    assert standing(money, spent, Unknown())[1:] == (100, 0, 3)
    assert standing(money, spent, Unknown(usd=50))[1:] == (250, 150, 0)
    assert standing(tokens, spent, Unknown(usd=50))[1:] == (10, 0, 2)
    assert standing(tokens, spent, Unknown(tokens=7))[1:] == (24, 14, 0)
    assert standing(time, spent, Unknown())[1:] == (5, 0, 0)


def test_who_sets_a_cap_lifts_none_that_another_set() -> None:
    caps = [Cap(HOST, USD, 5, "maw.toml"), Cap(AGENT, USD, 3, "maw.toml"), Cap(AGENT, USD, 9, "maw cost cap")]
    assert tightest(caps) == [caps[1], caps[0]]


def test_resumed_what_was_spent_before_does_not_count() -> None:
    assert Spent(10, 20, 30, 1, 1).since(Spent(4, 20, 40, 1, 0)) == Spent(6, 0, 0, 0, 1)
