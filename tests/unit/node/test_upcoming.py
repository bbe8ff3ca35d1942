"""When the disk is asked for what is due: with news, when the first known is due, and seldom besides."""

from __future__ import annotations

from maw.node.upcoming import LOOK_S, Upcoming


class Clock:
    seq = 7
    now = 100.0


def looked(first: int | None) -> tuple[Clock, Upcoming]:
    clock = Clock()
    upcoming = Upcoming(lambda: clock.seq, lambda: clock.now)
    assert upcoming.may_be(1_000), "nothing is known yet"
    upcoming.first(first)
    return clock, upcoming


def test_nothing_is_asked_before_the_first_is_due() -> None:
    _, upcoming = looked(5_000)
    assert not upcoming.may_be(4_999)
    assert upcoming.may_be(5_000)
    assert upcoming.may_be(5_001), "it was not done with"
    upcoming.first(9_000)
    assert not upcoming.may_be(5_001)


def test_a_message_more_may_be_due_earlier() -> None:
    clock, upcoming = looked(None)
    assert not upcoming.may_be(2**62)
    clock.seq += 1
    assert upcoming.may_be(1_000)
    upcoming.first(None)
    assert not upcoming.may_be(1_000)


def test_it_is_asked_now_and_then_whatever_is_known() -> None:
    clock, upcoming = looked(None)
    clock.now += LOOK_S - 1
    assert not upcoming.may_be(1_000)
    clock.now += 1
    assert upcoming.may_be(1_000)
