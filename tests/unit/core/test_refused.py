"""Refusals are counted by the hour; however many there are, memory is bounded and none is forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from maw.core.refused import HOUR_MS, MAX_TEXT, MOST_PENDING, OTHERS, Attempt, Pending

GUESS = Attempt("nobody", "rest", "GET /api/inbox", "bad_token")


def test_the_same_within_an_hour_is_one_row() -> None:
    pending = Pending()
    for at in (5, 3_000, HOUR_MS + 1):
        pending.note(GUESS, at)
    first, second = pending.all()
    assert (first.hour, first.first, first.last, first.times) == (0, 5, 3_000, 2)
    assert (second.hour, second.times) == (1, 1)


def test_what_came_while_it_was_written_is_not_lost() -> None:
    pending = Pending()
    pending.note(GUESS, 1)
    written = pending.all()
    pending.note(GUESS, 2)
    pending.written(written)
    assert [one.times for one in pending.all()] == [1]
    pending.written(pending.all())
    assert len(pending) == 0


def test_a_path_that_is_made_long_is_cut() -> None:
    pending = Pending()
    pending.note(GUESS._replace(what="x" * 10_000), 1)
    assert len(pending.all()[0].attempt.what) == MAX_TEXT


@given(st.lists(st.tuples(st.integers(0, 3 * MOST_PENDING), st.integers(0, 3 * HOUR_MS)), max_size=200))
def test_every_refusal_is_counted_once(notes: list[tuple[int, int]]) -> None:
    pending = Pending()
    for n, at in notes:
        pending.note(GUESS._replace(what=str(n)), at)
    assert sum(one.times for one in pending.all()) == len(notes)
    assert all(one.first <= one.last or len(notes) > 1 for one in pending.all())


def test_who_asks_for_ever_new_things_fills_no_memory() -> None:
    pending = Pending()
    for n in range(3 * MOST_PENDING):
        pending.note(GUESS._replace(what=str(n)), 1)
    assert len(pending) == MOST_PENDING + 1
    assert pending.all()[-1].attempt == Attempt(OTHERS, "rest", "", "")
    assert sum(one.times for one in pending.all()) == 3 * MOST_PENDING
