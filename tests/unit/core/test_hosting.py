"""What whoever gives the box allows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from maw.core.hosting import Allowance, Running, refusals
from maw.core.hours import parse_hours

MIB = 1 << 20
NOON = 12 * 60


def agent(name: str, since: int | None = 1, memory: int = 200) -> Running:
    return Running(name, since, memory * MIB)


def test_nothing_is_refused_where_nothing_is_said() -> None:
    assert refusals(Allowance(), [agent("a"), agent("b", None)], NOON) == {}


def test_who_was_there_first_keeps_his_place() -> None:
    wanted = [agent("young", 30), agent("old", 10), agent("not-yet", None), agent("middle", 20)]
    refused = refusals(Allowance(agents=2), wanted, NOON)
    assert refused.keys() == {"young", "not-yet"}
    assert refused["young"] == "this host gives room to 2 agents"


def test_beyond_the_memory_the_largest_go_until_the_rest_fit() -> None:
    wanted = [agent("large", 1, 900), agent("small", 2, 100), agent("middle", 3, 400)]
    assert refusals(Allowance(memory=600 * MIB), wanted, NOON).keys() == {"large"}
    assert "took 900" in refusals(Allowance(memory=600 * MIB), wanted, NOON)["large"]


def test_what_was_let_go_for_its_memory_comes_back_with_room_to_spare() -> None:
    left = [agent("small", 2, 100), agent("middle", 3, 400)]
    again = agent("back", None, 95)
    assert refusals(Allowance(memory=600 * MIB), [*left, again], NOON).keys() == {"back"}
    assert refusals(Allowance(memory=700 * MIB), [*left, again], NOON) == {}


def test_outside_the_hours_and_paused_nothing_runs_and_says_why() -> None:
    night = Allowance(hours=parse_hours("22:00-06:00"))
    assert "22:00 to 06:00" in refusals(night, [agent("a")], NOON)["a"]
    assert refusals(night, [agent("a")], 23 * 60) == {} == refusals(night, [agent("a")], 60)
    paused = Allowance(paused="a new disk")
    assert refusals(paused, [agent("a"), agent("b", None)], NOON)["b"] == "this host is paused: a new disk"


def test_one_that_is_stopped_takes_no_place_from_others() -> None:
    allowance = Allowance(agents=1, stopped={"noisy": "it fills the disk", "elsewhere": "who?"})
    refused = refusals(allowance, [agent("noisy", 1), agent("quiet", 2)], NOON)
    assert refused == {"noisy": "whoever gives this host stopped it: it fills the disk"}


@given(
    st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 99)), st.integers(0, 900)), max_size=9),
    st.one_of(st.none(), st.integers(0, 5)),
    st.one_of(st.none(), st.integers(0, 2000)),
)
def test_who_runs_on_stays_within_what_is_allowed(
    drawn: list[tuple[int | None, int]], count: int | None, memory: int | None
) -> None:
    wanted = [agent(f"a{n}", since, size) for n, (since, size) in enumerate(drawn)]
    refused = refusals(Allowance(count, None if memory is None else memory * MIB), wanted, NOON)
    left = [one for one in wanted if one.name not in refused]
    assert count is None or len(left) <= count
    assert memory is None or sum(one.memory for one in left) <= memory * MIB
    assert all(refused.values())
