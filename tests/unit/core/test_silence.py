"""Many silent at once, one silent for long: when it is told, when it is over."""

from __future__ import annotations

from maw.core.identity import NodeId
from maw.core.silence import GRACE_S, LONG_S, WITHIN_S, ManyBack, ManySilent, Silence, long_gone

NODES = [NodeId(bytes([n]) * 32) for n in range(10)]


class Clock:
    """A Silence with all NODES linked, and what it tells from then on."""

    def __init__(self, agents: dict[NodeId, int] | None = None) -> None:
        self.now = 100.0
        self.silence = Silence()
        self.agents = agents or {}
        self.trusted = set(NODES)
        self.down: set[NodeId] = set()
        self.resting: set[NodeId] = set()
        assert self.after(0) == ManyBack(), "whatever was told in an earlier life is over"

    def after(self, seconds: float) -> ManySilent | ManyBack | None:
        self.now += seconds
        return self.silence.tick(
            self.now,
            trusted=self.trusted,
            linked=self.trusted - self.down - self.resting,
            unreachable=self.down,
            agents=self.agents,
        )

    def lose(self, *nodes: NodeId) -> None:
        self.down |= set(nodes)
        assert self.after(0) is None, "never at once: links break"


def test_half_of_all_are_told_of_once_and_settle() -> None:
    clock = Clock(dict.fromkeys(NODES, 2))
    clock.lose(*NODES[:5])
    assert clock.after(GRACE_S - 1) is None
    assert clock.after(1) == ManySilent(tuple(NODES[:5]), 10, 5)
    assert [clock.after(5) for _ in range(100)] == [None] * 100
    clock.down = {NODES[0], NODES[1], NODES[2]}
    assert clock.after(1) is None, "three of five are many still"
    clock.down = {NODES[0]}
    assert clock.after(1) == ManyBack()
    assert clock.after(500) is None


def test_a_few_of_many_and_links_that_heal_are_no_alarm() -> None:
    clock = Clock()
    clock.lose(*NODES[:4])
    assert clock.after(GRACE_S) is None, "four of ten"
    clock = Clock()
    clock.lose(*NODES)
    clock.down = set()
    assert clock.after(GRACE_S) is None
    clock = Clock()
    clock.trusted = set(NODES[:2])
    clock.lose(*NODES[:2])
    assert clock.after(GRACE_S) is None, "two are not many"


def test_losses_far_apart_are_not_one_event() -> None:
    clock = Clock()
    for node in NODES:
        clock.lose(node)
        assert clock.after(GRACE_S + WITHIN_S + 1) is None
    clock = Clock()
    heard = []
    for node in NODES[:6]:
        clock.down.add(node)
        heard.append(clock.after(10))
    heard += [clock.after(10), clock.after(10)]
    assert [len(told.nodes) for told in heard if isinstance(told, ManySilent)] == [4, 5, 6], (
        "and told again as it grows"
    )


def test_who_is_not_linked_by_choice_or_not_trusted_any_more_is_not_lost() -> None:
    clock = Clock()
    clock.resting = set(NODES[:8])
    assert clock.after(GRACE_S + 1) is None
    clock.resting = set()
    clock.lose(*NODES[:6])
    clock.trusted -= set(NODES[:6])
    assert clock.after(GRACE_S) is None


def test_who_was_never_linked_is_not_lost() -> None:
    silence = Silence()
    for now in (0.0, 100.0):
        told = silence.tick(now, trusted=NODES, linked=set(), unreachable=set(NODES), agents={})
        assert told is None


def test_what_was_told_before_a_restart_is_over_when_most_are_back() -> None:
    silence = Silence()

    def told(away: int) -> ManySilent | ManyBack | None:
        gone = set(NODES[:away])
        return silence.tick(100.0, trusted=NODES, linked=set(NODES) - gone, unreachable=gone, agents={})

    assert told(10) is None, "nobody is linked yet"
    assert told(3) is None, "three are many still"
    assert told(2) == ManyBack()
    assert told(2) is None
    assert told(0) is None, "once"


def test_one_node_with_most_of_the_agents() -> None:
    clock = Clock({NODES[0]: 10, NODES[1]: 10})
    clock.lose(NODES[0])
    assert clock.after(GRACE_S) == ManySilent((NODES[0],), 10, 9)
    clock.down = set()
    assert clock.after(1) == ManyBack()
    few = Clock({NODES[0]: 9})
    few.lose(NODES[0])
    assert few.after(GRACE_S) is None


def test_all_gone_leaves_nobody() -> None:
    clock = Clock()
    clock.lose(*NODES)
    told = clock.after(GRACE_S)
    assert isinstance(told, ManySilent)
    assert told.left == 0


def test_gone_for_long() -> None:
    day = int(LONG_S * 1000)
    seen = {NODES[0]: 1000, NODES[1]: 1001, NODES[2]: None, NODES[3]: 0}
    assert long_gone(1000 + day, seen, set(NODES[:3])) == {NODES[0]: day}
