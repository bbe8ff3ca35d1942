"""How often an agent is woken: bursts, senders, groups, humans, operators, a clock that is set back."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maw.core.budget import (
    AGENT,
    ALL,
    APE,
    FEW,
    GAP_S,
    GROUPS,
    HOUR_S,
    OPERATOR,
    RESERVE,
    SETTLE_S,
    Budget,
    Cause,
    Limits,
)

T0 = 1_900_000_000.0
LIMITS = Limits(per_hour=60, per_sender=24, per_groups=10)
NEO, TRIN = Cause("neo@mbp", AGENT), Cause("trin@mbp", AGENT)
HUMAN, BOSS = Cause("jo@mbp", APE), Cause("neo@mbp", OPERATOR)
CROWD = Cause("neo@mbp", AGENT, group=True)


def woken(budget: Budget, cause: Cause, start: float, seconds: float, every: float = 1.0) -> list[float]:
    """When the agent is woken if a message of this cause comes every so often, and each wake takes all of them."""
    times: list[float] = []
    waiting: list[tuple[float, Cause]] = []
    now = start
    while now < start + seconds:
        waiting.append((now, cause))
        until, now = now + every, now
        while True:
            due = budget.due(now, waiting)
            if due.at is not None and due.at <= now:
                budget.spend(now, due.causes)
                times.append(now)
                waiting = []
                break
            if due.at is None or due.at >= until:
                break
            now = due.at
        now = until
    return times


def test_a_message_wakes_as_soon_as_a_burst_may_be_over() -> None:
    budget = Budget(LIMITS)
    due = budget.due(T0, [(T0, NEO)])
    assert due.at == T0 + SETTLE_S
    due = budget.due(T0 + SETTLE_S, [(T0, NEO), (T0 + 0.1, TRIN), (T0 + 0.15, NEO)])
    assert due.at == T0 + SETTLE_S
    assert due.ready == [0, 1, 2]
    budget.spend(T0 + SETTLE_S, due.causes)
    assert budget.used(T0 + 1) == 1.0


def test_a_burst_is_one_wake_and_what_comes_right_after_waits_a_moment() -> None:
    budget = Budget(LIMITS)
    budget.spend(T0, [NEO])
    assert budget.due(T0 + 1, [(T0 + 1, NEO)]).at == T0 + GAP_S


def test_nothing_waiting_is_never_due() -> None:
    assert Budget(LIMITS).due(T0, []).at is None


def test_a_sender_is_free_then_slowed_then_held_and_a_human_told_once() -> None:
    budget = Budget(LIMITS)
    times = woken(budget, NEO, T0, HOUR_S, every=5.0)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert len(times) == 24
    assert max(gaps[:11]) <= GAP_S + 1
    assert gaps[11:15] == pytest.approx([15, 30, 60, 120], abs=2)
    assert all(gap == pytest.approx(225, abs=2) for gap in gaps[15:])
    (held,) = budget.holds(times[-1] + 8)
    assert held.what == "neo@mbp"
    told = budget.due(times[-1] + 9, [(times[-1] + 9, NEO)])
    assert told.at is None
    assert told.held == {0: "held: woken by neo@mbp 24 times within an hour"}
    assert told.fresh == []  # it was told at the look before


def test_what_is_told_is_told_at_the_first_message_that_is_held() -> None:
    budget = Budget(LIMITS)
    for at in range(24):
        budget.spend(T0 + at, [NEO])
    assert [held.what for held in budget.due(T0 + 30, [(T0 + 30, NEO)]).fresh] == ["neo@mbp"]
    assert budget.due(T0 + 31, [(T0 + 30, NEO)]).fresh == []


def test_what_is_told_without_waking_does_not_wait_for_company() -> None:
    budget = Budget(LIMITS.times(5), gathers=False, pace=1.0, verb="interrupted")
    for at in range(5):
        due = budget.due(T0 + at / 100, [(T0 + at / 100, NEO)])
        assert due.at == T0 + at / 100
        budget.spend(T0 + at / 100, due.causes)


def test_and_is_held_all_the_same_when_it_goes_on_and_on() -> None:
    budget = Budget(LIMITS.times(5), gathers=False, pace=1.0, verb="interrupted")
    times = woken(budget, NEO, T0, 3 * HOUR_S, every=16.0)
    assert len(times) == 120
    due = budget.due(T0 + 3 * HOUR_S, [(T0 + 3 * HOUR_S, NEO)])
    assert due.held == {0: "held: interrupted by neo@mbp 120 times within an hour"}


def test_a_held_sender_does_not_slow_another() -> None:
    budget = Budget(LIMITS)
    times = woken(budget, NEO, T0, HOUR_S / 2)
    now = times[-1] + GAP_S
    due = budget.due(now, [(now - 1, NEO), (now - 1, TRIN)])
    assert due.at == now
    assert due.causes[-1] == TRIN


def test_a_hold_lasts_while_it_goes_on_and_ends_with_what_comes_after_an_hour_of_quiet() -> None:
    budget = Budget(LIMITS)
    for at in range(24):
        budget.spend(T0 + at, [NEO])
    last = T0 + 3 * HOUR_S
    now = T0 + 24
    while now < last:
        assert budget.due(now, [(now, NEO)]).at is None
        now += 600
    later = last + HOUR_S
    due = budget.due(later, [(last - 600, NEO), (later - 1, NEO)])
    assert (due.at, due.ready, list(due.held)) == (later, [1], [0])
    budget.spend(later, due.causes)
    assert budget.due(later + 60, [(last - 600, NEO)]).at is None, "what was held begins no loop anew"


def test_a_human_releases_what_was_held() -> None:
    budget = Budget(LIMITS)
    for at in range(24):
        budget.spend(T0 + at, [NEO])
    assert budget.due(T0 + 30, [(T0 + 30, NEO)]).at is None
    budget.release()
    assert budget.due(T0 + 31, [(T0 + 30, NEO)]).at is not None
    assert budget.holds(T0 + 31) == []


def test_broadcasts_are_counted_together_whoever_sends_them() -> None:
    budget = Budget(LIMITS)
    for at in range(10):
        budget.spend(T0 + 10 * at, [Cause(f"a{at}@mbp", AGENT, group=True)])
    now = T0 + 110
    due = budget.due(now, [(now, Cause("a99@mbp", AGENT, group=True))])
    assert due.at is None
    assert due.held[0] == "held: woken by messages to groups 10 times within an hour"
    assert [held.what for held in due.fresh] == [GROUPS]
    assert budget.due(now, [(now - 1, Cause("a99@mbp", AGENT))]).at == now
    assert budget.due(now, [(now - 1, Cause("jo@mbp", APE, group=True))]).at == now


def test_all_wakes_of_an_hour_are_bounded_and_a_little_is_kept_for_who_was_not_heard_yet() -> None:
    budget = Budget(LIMITS)
    for at in range(60):
        budget.spend(T0 + at * 20, [Cause(f"a{at % 6}@mbp", AGENT)])
    now = T0 + 60 * 20
    due = budget.due(now, [(now, Cause("a1@mbp", AGENT))])
    assert due.at is None
    assert due.held[0] == "held: woken 60 times within an hour"
    for at in range(FEW):
        fresh = Cause("new@mbp", AGENT)
        assert budget.due(now + 10 * at, [(now + 10 * at - 1, fresh)]).at == now + 10 * at
        budget.spend(now + 10 * at, [fresh])
    assert budget.due(now + 40, [(now + 39, Cause("new@mbp", AGENT))]).at is None
    for at in range(17):
        budget.spend(now + 50 + at, [Cause(f"b{at}@mbp", AGENT)])
    assert budget.due(now + 80, [(now + 79, Cause("newest@mbp", AGENT))]).at is None
    later = now + HOUR_S
    assert budget.due(later, [(later - 1, Cause("a1@mbp", AGENT))]).at == later


def test_a_human_counts_a_quarter() -> None:
    budget = Budget(LIMITS)
    for at in range(40):
        budget.spend(T0 + at, [HUMAN])
    assert budget.used(T0 + 50) == 10.0
    assert budget.due(T0 + 50, [(T0 + 49, HUMAN)]).at == T0 + 50


def test_an_operators_word_wakes_whatever_is_held_and_costs_nothing() -> None:
    budget = Budget(LIMITS)
    for at in range(100):
        budget.spend(T0 + at, [NEO])
    now = T0 + 99.5
    due = budget.due(now, [(now, NEO), (now, BOSS)])
    assert due.at == now
    assert due.causes == [BOSS]
    used = budget.used(now)
    budget.spend(now, due.causes)
    assert budget.used(now) == used


@pytest.mark.parametrize("causes", [[NEO, BOSS], [BOSS, NEO]])
def test_an_operators_word_does_not_make_free_what_comes_with_it(causes: list[Cause]) -> None:
    budget = Budget(LIMITS)
    budget.spend(T0, causes)
    assert budget.used(T0) == 1.0


def test_what_was_held_before_a_restart_is_held_after_it_and_not_told_again() -> None:
    budget = Budget(LIMITS)
    for what in ("neo@mbp", GROUPS, ALL):
        budget.hold(T0, what)
    due = budget.due(T0 + 5, [(T0 + 5, NEO), (T0 + 5, Cause("x@y", AGENT, group=True))])
    assert due.at is None
    assert due.fresh == []


def test_a_clock_that_is_set_back_holds_nobody_for_long() -> None:
    budget = Budget(LIMITS)
    for at in range(20):
        budget.spend(T0 + 86_400 + at, [NEO])
    due = budget.due(T0, [(T0 + 86_400, NEO)])
    assert due.at is not None
    assert due.at <= T0 + 300


@given(
    st.lists(
        st.tuples(
            st.floats(0, 60),
            st.sampled_from([NEO, TRIN, HUMAN, CROWD, Cause("x@y", AGENT), Cause("x@y", AGENT, group=True)]),
        ),
        max_size=200,
    )
)
def test_no_hour_has_more_wakes_than_it_may(steps: list[tuple[float, Cause]]) -> None:
    budget, now, waiting, times = Budget(LIMITS), T0, list[tuple[float, Cause]](), list[float]()
    costly: list[float] = []
    for pause, cause in steps:
        now += pause
        waiting.append((now, cause))
        due = budget.due(now, waiting)
        assert set(due.ready).isdisjoint(due.held)
        if due.at is not None and due.at <= now:
            budget.spend(now, due.causes)
            times.append(now)
            costly += [now] * any(one.kind == AGENT for one in due.causes)
            waiting = []
    assert all(after - before >= GAP_S for before, after in itertools.pairwise(times))
    for start in costly:
        assert sum(start <= at < start + HOUR_S for at in costly) <= LIMITS.per_hour * RESERVE


@pytest.mark.parametrize("cause", [NEO, HUMAN, BOSS, CROWD])
def test_a_wake_that_did_not_happen_is_given_back_once_and_to_its_own_meters(cause: Cause) -> None:
    budget, other = Budget(LIMITS), Budget(LIMITS)
    for one in (budget, other):
        one.spend(T0, [TRIN, CROWD])
    budget.spend(T0 + 60, [cause, TRIN])
    budget.refund(T0 + 60, [cause, TRIN])
    budget.refund(T0 + 60, [cause, TRIN])
    assert budget.used(T0 + 61) == other.used(T0 + 61) == 1.0
    for asked in (NEO, TRIN, CROWD):
        permits = [one.due(T0 + 120, [(T0 + 100, asked)]).at for one in (budget, other)]
        assert permits[0] == permits[1]
