"""How far a message got: states in their order, and that nothing that was told is taken back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from maw.core.progress import STATES
from maw.core.states import (
    ACKED,
    DELIVERED,
    FAILED,
    MARKS,
    NOTHING,
    READ,
    REPLICATED,
    STORED,
    Reach,
    at_least,
    least,
)  # fmt: skip

ORDER = (STORED, REPLICATED, DELIVERED, READ, ACKED)


def test_each_state_has_all_before_it() -> None:
    for number, state in enumerate(ORDER):
        assert [at_least(state, wanted) for wanted in ORDER] == [n <= number for n in range(len(ORDER))]
    assert at_least(FAILED, REPLICATED)
    assert not at_least(FAILED, DELIVERED)


def test_of_several_the_least_counts() -> None:
    assert least([ACKED, READ, ACKED]) == READ
    assert least([ACKED, FAILED, REPLICATED]) == FAILED
    assert least([FAILED, STORED]) == STORED


def test_what_failed_is_forgotten_once_it_is_delivered() -> None:
    failed = NOTHING.raised(FAILED, 5, "no pane")
    assert (failed.state, failed.since, failed.failed) == (FAILED, 5, "no pane")
    done = failed.raised(DELIVERED, 9, "hook")
    assert (done.state, done.since, done.via) == (DELIVERED, 9, "hook")


@given(
    st.lists(st.tuples(st.sampled_from(STATES), st.integers(0, 99), st.sampled_from(["", "hook", "pane"])))
)
def test_nothing_is_taken_back_and_the_first_time_stays(told: list[tuple[str, int, str]]) -> None:
    reach = NOTHING
    for state, at, by in told:
        higher = reach.raised(state, at, by)
        assert higher.rank >= reach.rank
        for mark in ("delivered", "read", "acked", "via"):
            before = getattr(reach, mark)
            assert before is None or getattr(higher, mark) == before
        reach = higher
    said = [state for state, *_ in told if state in MARKS]
    assert reach.state == (max(said, key=MARKS.index) if said else FAILED if told else None)
    if said:
        assert reach.since == next(at for state, at, _ in told if state == reach.state)
    assert Reach(*reach) == reach
