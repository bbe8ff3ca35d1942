"""Announced once: claims, leases, and which way has a message when several wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maw.core.budget import AGENT, APE, OPERATOR, Cause
from maw.core.claims import LEASE_S, MAX_COUNTED, MAX_PENDING, RANKS, Claims, Pending, Waiter

NEO = Cause("neo@mbp", AGENT)


def pending(seq: int, *, wakes: bool = True, held: bool = False) -> Pending:
    return Pending(seq, NEO, wakes, 0.0, held)


def with_messages(*seqs: int) -> Claims:
    claims = Claims()
    for seq in seqs:
        claims.add(pending(seq))
    return claims


def seqs(items: list[Pending]) -> list[int]:
    return [item.seq for item in items]


def test_a_message_is_in_one_claim_and_announced_once() -> None:
    claims = with_messages(1, 2, 3)
    claims.take("a", "hook", [1, 2], [], 0.0)
    assert seqs(claims.free()) == [3]
    with pytest.raises(ValueError, match="2 is not free"):
        claims.take("b", "hook", [2], [], 0.0)
    claims.confirmed("a")
    assert seqs(claims.free()) == [3]
    assert claims.find("a") is None


def test_a_claim_that_lapses_is_offered_again_and_may_still_be_confirmed() -> None:
    claims = with_messages(1)
    claims.take("a", "rewake", [1], [], 0.0)
    assert claims.next_lapse() == LEASE_S
    assert claims.lapse(LEASE_S - 0.1) == []
    assert claims.lapse(LEASE_S) == ["a"]
    assert seqs(claims.free()) == [1]
    claims.take("b", "rewake", [1], [], 11.0)
    assert claims.find("a") is not None
    claims.confirmed("a")
    assert claims.free() == []
    claims.lapse(100.0)
    assert claims.free() == []
    claims.confirmed("b")
    assert claims.pending == {}


def test_who_renews_keeps_it_and_who_fails_lets_go_with_his_reason() -> None:
    claims = with_messages(1)
    claims.take("a", "pane", [1], [], 0.0)
    assert claims.renew("a", 9.0)
    assert claims.lapse(LEASE_S) == []
    assert claims.failed("a", "the pane is a shell")
    (item,) = claims.free()
    assert item.failed == "the pane is a shell"
    assert not claims.failed("a", "again")
    assert not claims.renew("a", 10.0)


def test_what_is_only_counted_is_not_counted_again_and_not_announced() -> None:
    claims = with_messages(1, 2, 3)
    claims.take("a", "hook", [1], [2, 3], 0.0)
    claims.confirmed("a")
    assert claims.pending == {}
    assert set(claims.counted) == {2, 3}
    claims.add(pending(2))
    assert claims.pending == {}
    claims.drop([2])
    claims.add(pending(2))
    assert seqs(claims.free()) == [2]


def test_what_the_agent_read_by_itself_is_not_offered() -> None:
    claims = with_messages(1, 2)
    claims.take("a", "hook", [1], [], 0.0)
    claims.drop([1, 2])
    claims.lapse(100.0)
    assert claims.free() == []


def test_who_floods_an_agent_keeps_nobody_else_from_it() -> None:
    claims = Claims()
    claims.add(Pending(1, Cause("jo@mbp", APE), True, 0.0))
    claims.add(Pending(2, Cause("boss@mbp", OPERATOR), True, 0.0))
    for seq in range(3, 3 * MAX_PENDING):
        claims.add(pending(seq))
    claims.add(Pending(3 * MAX_PENDING, Cause("trin@mbp", AGENT), True, 0.0))
    assert len(claims.pending) == MAX_PENDING
    assert {1, 2, 3 * MAX_PENDING} <= set(claims.pending)
    assert 3 in claims.counted
    assert 3 * MAX_PENDING - 1 in claims.pending, "the newest of those are kept"


def test_what_is_claimed_makes_no_room() -> None:
    claims = with_messages(*range(MAX_PENDING))
    claims.take("a", "hook", [0], list(range(1, MAX_PENDING)), 0.0)
    claims.add(pending(MAX_PENDING))
    assert seqs(claims.free()) == [MAX_PENDING]
    claims.confirmed("a")
    assert list(claims.pending) == [MAX_PENDING]


@pytest.mark.parametrize("better", RANKS)
@pytest.mark.parametrize("worse", RANKS)
def test_the_best_way_has_it(better: str, worse: str) -> None:
    if RANKS[better] <= RANKS[worse]:
        return
    claims = with_messages(1)
    best, other = Waiter(better, True), Waiter(worse, True)
    assert seqs(claims.open_to(best, [other])) == [1]
    assert seqs(claims.open_to(other, [best])) == []
    assert seqs(claims.open_to(other, [])) == [1]
    claims.take("a", better, [1], [], 0.0)
    claims.lapse(LEASE_S)
    assert seqs(claims.open_to(other, [best])) == [1]
    assert seqs(claims.open_to(best, [other])) == []
    claims.take("b", worse, [1], [], 20.0)
    claims.failed("b", "no")
    assert seqs(claims.open_to(best, [other])) == [1]


def test_who_would_not_take_it_stands_in_nobodys_way() -> None:
    claims = Claims()
    claims.add(pending(1, wakes=False))
    claims.add(pending(2, held=True))
    claims.add(pending(3))
    rewake, wait = Waiter("rewake", True), Waiter("wait", False)
    assert seqs(claims.open_to(wait, [rewake])) == [1, 2]
    assert seqs(claims.open_to(rewake, [wait])) == [1, 2, 3]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "take", "confirm", "fail", "lapse", "drop"]),
        st.integers(0, 8),
        st.sampled_from(sorted(RANKS)),
    ),
    max_size=60,
)


@given(STEPS)
def test_never_in_two_claims_and_never_again_once_confirmed(steps: list[tuple[str, int, str]]) -> None:
    claims, now, live, done = Claims(), 0.0, dict[str, tuple[int, ...]](), set[int]()
    for at, (step, number, via) in enumerate(steps):
        now += number
        name = f"c{number}"
        if step == "add" and number not in done:
            claims.add(pending(number))
        elif step == "take" and (free := seqs(claims.free())) and claims.find(name := f"t{at}") is None:
            taken = tuple(free[: number + 1])
            claims.take(name, via, taken, [], now)
            live[name] = taken
        elif step == "confirm" and live:
            name = sorted(live)[number % len(live)]
            if claims.find(name) is not None:
                claims.confirmed(name)
                done.update(live.pop(name))
        elif step == "fail" and live:
            claims.failed(sorted(live)[number % len(live)], "no")
        elif step == "lapse":
            claims.lapse(now)
        elif step == "drop":
            claims.drop([number])
            done.discard(number)
        offered = seqs(claims.free())
        assert len(offered) == len(set(offered))
        assert not done & set(offered)
    claims.lapse(now + 2 * LEASE_S)
    assert set(seqs(claims.free())) == set(claims.pending)


def test_what_is_only_counted_is_bounded() -> None:
    claims = Claims()
    for seq in range(MAX_PENDING + MAX_COUNTED + 100):
        claims.add(pending(seq))
    assert (len(claims.pending), len(claims.counted)) == (MAX_PENDING, MAX_COUNTED)
    assert 0 not in claims.counted, "the oldest go"
