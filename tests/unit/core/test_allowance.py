"""Within a pulse an agent says so many messages and no more; outside of one it says what it likes."""

from __future__ import annotations

from maw.core.allowance import LONGEST_S, Allowances, Spent


def said(book: Allowances, agent: str, now: float, most: int = 100) -> int:
    """How many it says before it is told that all are said."""
    count = 0
    while count < most and book.spent(agent, now) is None:
        book.take(agent)
        count += 1
    return count


def test_what_was_given_and_no_more() -> None:
    book = Allowances()
    assert said(book, "neo", 0.0) == 100, "in no pulse"
    book.begin("neo", 3, 0.0)
    assert said(book, "neo", 1.0) == 3
    assert book.spent("neo", 1.0) == Spent(3, LONGEST_S - 1.0)
    assert said(book, "trin", 1.0) == 100, "each has his own"
    book.begin("neo", 2, 10.0)
    assert said(book, "neo", 10.0) == 2, "the next pulse begins anew"
    book.begin("neo", None, 11.0)
    assert said(book, "neo", 11.0) == 100, "it is over"


def test_nothing_at_all() -> None:
    book = Allowances()
    book.begin("neo", 0, 0.0)
    assert said(book, "neo", 0.0) == 0


def test_a_pulse_that_died_silences_nobody_for_good_and_takes_no_memory() -> None:
    book = Allowances()
    book.begin("neo", 1, 0.0)
    assert said(book, "neo", 0.0) == 1
    assert book.spent("neo", LONGEST_S) is None
    book.begin("trin", 1, LONGEST_S)
    assert list(book._given) == ["trin"]
