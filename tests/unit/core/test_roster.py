"""What is done with an agent that does not run, or that hangs."""

from __future__ import annotations

import pytest

from maw.core.roster import (
    LONGEST_PAUSE_S,
    MOST_DEATHS,
    MOST_HANG_RESTARTS,
    STEADY_S,
    Do,
    Life,
    Look,
    Plan,
    Stagger,
    State,
    pause_s,
)

UP = Plan(command=("claude",))
GONE = Look(False, ended="exit status 1")


def start(life: Life, now: float) -> None:
    assert life.look(Look(False), UP, now).do is Do.START
    life.began(now)


def test_one_that_does_not_run_is_started_once_and_then_watched() -> None:
    life = Life()
    start(life, 0)
    assert life.look(Look(True, age_s=1, output="a"), UP, 1).state is State.ALIVE
    assert life.look(Look(True, age_s=2, output="b"), UP, 2).state is State.BUSY
    quiet = life.look(Look(True, age_s=20, output="b"), UP, 20)
    assert (quiet.state, quiet.do) == (State.IDLE, Do.NOTHING)


def test_cpu_is_a_sign_too_and_what_a_clock_takes_is_none() -> None:
    life = Life()
    life.look(Look(True, output="a", cpu_s=10.0), UP, 0)
    assert life.look(Look(True, output="a", cpu_s=10.2), UP, 20).state is State.IDLE, "1 % of a core"
    assert life.look(Look(True, output="a", cpu_s=12.2), UP, 40).state is State.BUSY


def test_a_death_is_answered_after_a_pause_that_doubles() -> None:
    life = Life()
    start(life, 0)
    now, pauses = 0.0, []
    while True:
        life.look(Look(True, age_s=1), UP, now)
        died = now + 1
        verdict = life.look(Look(False, age_s=2, ended="exit status 1"), UP, died)
        if verdict.state is State.DOWN:
            break
        assert (verdict.state, verdict.do) == (State.DEAD, Do.NOTHING)
        assert "exit status 1; started again in" in verdict.why
        now = died
        while life.look(GONE, UP, now).do is not Do.START:
            now += 0.5
        pauses.append(now - died)
        life.began(now)
    assert pauses == [1, 2, 4, 8]
    assert life.respawns == MOST_DEATHS


def test_who_dies_again_and_again_is_given_up_until_somebody_says_otherwise() -> None:
    life = Life()
    for _ in range(MOST_DEATHS):
        life.failed("no such folder: /x", 0)
    verdict = life.look(GONE, UP, 10_000)
    assert (verdict.state, verdict.do) == (State.DOWN, Do.NOTHING)
    assert verdict.why == "died 5 times in a row, the last time: could not be started: no such folder: /x"
    life.forgive()
    assert life.look(GONE, UP, 10_000).do is Do.START


def test_what_was_given_up_stays_so_when_another_keeper_comes() -> None:
    later = Life(deaths=5, respawns=7, given_up="died 5 times in a row")
    assert later.look(Look(False), UP, 0).state is State.DOWN


def test_who_lived_long_has_earlier_deaths_forgotten() -> None:
    life = Life(deaths=MOST_DEATHS - 1)
    life.look(Look(True, age_s=1), UP, 0)
    life.look(Look(True, age_s=STEADY_S + 1), UP, STEADY_S)
    assert life.deaths == 0
    assert life.look(Look(False, age_s=STEADY_S + 2), UP, STEADY_S + 1).state is State.DEAD
    assert life.deaths == 1


def test_slow_deaths_in_a_row_are_given_up_as_well() -> None:
    """Once a minute for ever is a loop too: only ten minutes of life break it."""
    life = Life()
    for n in range(MOST_DEATHS):
        life.look(Look(True, age_s=60), UP, n * 100)
        life.look(Look(False, age_s=60), UP, n * 100 + 60)
    assert life.given_up


def test_a_stopped_one_stays_stopped_and_is_no_death() -> None:
    life = Life()
    life.look(Look(True, age_s=5), UP, 0)
    down = Plan(command=("claude",), up=False)
    verdict = life.look(GONE, down, 5)
    assert (verdict.state, verdict.why, verdict.do, life.deaths) == (
        State.DOWN,
        "stopped",
        Do.NOTHING,
        0,
    )


def test_one_that_is_not_to_be_respawned_is_started_after_a_boot_only() -> None:
    plan = Plan(command=("make",), respawn=False)
    life = Life()
    assert life.look(Look(False), plan, 0).do is Do.START
    life.began(0)
    life.look(Look(True, age_s=1), plan, 1)
    verdict = life.look(Look(False, age_s=50, ended="exit status 0"), plan, 50)
    assert (verdict.state, verdict.do) == (State.DOWN, Do.NOTHING)
    assert life.look(Look(False), plan, 10_000).do is Do.NOTHING


@pytest.mark.parametrize(("hang", "state", "do"), [
    ("report", State.HUNG, Do.NOTHING),
    ("respawn", State.HUNG, Do.RESTART),
    ("off", State.IDLE, Do.NOTHING),
])  # fmt: skip
def test_hung_is_no_output_no_cpu_and_unread_growing(hang: str, state: State, do: Do) -> None:
    plan = Plan(command=("claude",), hang=hang, hang_after_s=100)
    life = Life()
    life.look(Look(True, output="x", unread=1, newest=7), plan, 0)
    assert life.look(Look(True, output="x", unread=1, newest=7), plan, 500).state is State.IDLE, "not growing"
    life.look(Look(True, output="x", unread=2, newest=9), plan, 510)
    assert life.look(Look(True, output="x", unread=2, newest=9), plan, 600).state is State.IDLE, "not yet"
    found = life.look(Look(True, output="x", unread=2, newest=9), plan, 611)
    assert (found.state, found.do) == (state, do)
    if state is State.HUNG:
        assert found.why == "no output and no CPU for 611 s, and 2 unread"
    assert life.look(Look(True, output="y", unread=2, newest=9), plan, 612).state is State.BUSY, "it moved"


def test_mail_that_was_taken_is_no_hang() -> None:
    plan = Plan(hang_after_s=100)
    life = Life()
    life.look(Look(True, output="x"), plan, 0)
    life.look(Look(True, output="x", unread=1, newest=3), plan, 10)
    life.look(Look(True, output="x", unread=0, newest=0), plan, 50)
    assert life.look(Look(True, output="x"), plan, 500).state is State.IDLE


def test_a_deaf_one_is_not_restarted_for_ever() -> None:
    plan = Plan(hang="respawn", hang_after_s=10)
    life, now, restarts = Life(), 0.0, 0
    for round_ in range(20):
        newest = 10 + round_
        life.look(Look(True, output="x", unread=newest, newest=newest), plan, now)
        life.look(Look(True, output="x", unread=newest + 1, newest=newest + 1), plan, now + 1)
        verdict = life.look(Look(True, output="x", unread=newest + 1, newest=newest + 1), plan, now + 20)
        if verdict.do is Do.RESTART:
            restarts += 1
            life.restarting()
            life.began(now + 20)
        now += 30
    assert restarts == MOST_HANG_RESTARTS
    assert verdict.state is State.HUNG and "3 restarts did not help" in verdict.why


def test_starts_keep_apart_and_wait_for_a_busy_host_but_not_for_ever() -> None:
    stagger = Stagger(gap_s=2, load=1.0, patience_s=30)
    assert stagger.may_start(0.5, 0)
    stagger.started(0)
    assert not stagger.may_start(0.5, 1.9)
    assert stagger.may_start(0.5, 2)
    assert not stagger.may_start(5.0, 29)
    assert stagger.may_start(5.0, 30)


def test_pauses_end_at_five_minutes() -> None:
    assert [pause_s(n) for n in (1, 2, 5, 9, 10, 100)] == [1, 2, 16, 256, LONGEST_PAUSE_S, LONGEST_PAUSE_S]


def test_a_plan_is_changed_in_what_is_told_and_counts_decisions() -> None:
    plan = Plan().changed({"command": ["claude"], "cwd": "/x", "kind": None})
    assert (plan.command, plan.cwd, plan.kind, plan.wanted) == (("claude",), "/x", "command", 0)
    assert plan.changed({"up": True}).wanted == 1
    assert Plan().changed(plan.as_json()) == plan, "as it is kept"
