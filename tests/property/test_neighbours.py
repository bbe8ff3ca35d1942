"""Who links with whom: many nodes, each with its own choice and nothing but its own view, as a graph."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest

from maw.core.identity import NodeId
from maw.core.neighbours import FULL_MESH, LINKS, SLACK, SPECIAL, VISIT_S, Neighbours

Reach = Callable[[int, int], bool]
CAP = LINKS + SPECIAL + 2 * SLACK


def everywhere(_source: int, _target: int) -> bool:
    return True


class Graph:
    """``reach(a, b)``: whether a can dial b now. One step is one second, nodes in random order."""

    def __init__(self, count: int, seed: int, reach: Reach = everywhere) -> None:
        self.rng = random.Random(seed)
        self.reach = reach
        self.now = 0.0
        self.keys = [NodeId(index.to_bytes(32, "big")) for index in range(count)]
        self.index = {key: index for index, key in enumerate(self.keys)}
        self.nodes = [Neighbours(random.Random(seed * 10_007 + index)) for index in range(count)]
        self.links: list[set[int]] = [set() for _ in range(count)]
        self.made: Counter[int] = Counter()
        self.asleep: set[int] = set()
        for index in range(count):
            self.know(index, count)

    def know(self, index: int, count: int) -> None:
        self.nodes[index].set_peers({key: True for key in self.keys[:count] if key != self.keys[index]})

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1.0
            self.step()

    def step(self) -> None:
        for a in self.rng.sample(range(len(self.nodes)), len(self.nodes)):
            if a in self.asleep:
                continue
            for key in sorted(self.nodes[a].wanted(self.now)):
                if self.index[key] not in self.links[a]:
                    self.dial(a, self.index[key])
            gone = self.nodes[a].to_close(self.now, lambda key, a=a: self.use(a, self.index[key]))  # type: ignore[misc]
            if gone is not None:
                self.cut(a, self.index[gone])

    def dial(self, a: int, b: int) -> None:
        if b in self.asleep or not self.reach(a, b):
            self.nodes[a].failed(self.keys[b], self.now)
        elif not self.nodes[b].accepts(self.keys[a], self.now, alone=self.nodes[a].alone):
            self.nodes[a].declined(self.keys[b], self.now)
        else:
            lonely = self.nodes[a].alone, self.nodes[b].alone
            self.links[a].add(b)
            self.links[b].add(a)
            self.nodes[a].linked(self.keys[b], self.now, lonely=lonely[1])
            self.nodes[b].linked(self.keys[a], self.now, lonely=lonely[0])
            self.made[a] += 1
            self.made[b] += 1

    def cut(self, a: int, b: int) -> None:
        self.links[a].discard(b)
        self.links[b].discard(a)
        self.nodes[a].unlinked(self.keys[b], self.now)
        self.nodes[b].unlinked(self.keys[a], self.now)

    def use(self, a: int, b: int) -> float:
        """What share of all is nearer to one end of this link than through any other link of that end."""
        return max(len(self._behind(a, b)), len(self._behind(b, a))) / len(self.nodes)

    def _behind(self, a: int, b: int) -> set[int]:
        """Whom ``a`` reaches through ``b`` first, all its links walked at the same pace."""
        first = {a: a, **{near: near for near in sorted(self.links[a])}}
        edge = list(first)[1:]
        while edge:
            edge = [
                first.setdefault(far, first[at]) and far
                for at in edge
                for far in sorted(self.links[at])
                if far not in first
            ]
        return {node for node, by in first.items() if by == b}

    def part(self, apart: Reach) -> None:
        """From now on only within ``apart``; links across end."""
        self.reach = apart
        for a, near in enumerate(self.links):
            for b in [b for b in near if not apart(a, b) and not apart(b, a)]:
                self.cut(a, b)

    def sleep(self, node: int) -> None:
        self.asleep.add(node)
        for near in list(self.links[node]):
            self.cut(node, near)

    @property
    def degrees(self) -> list[int]:
        return [len(near) for index, near in enumerate(self.links) if index not in self.asleep]

    def pieces(self) -> int:
        left = set(range(len(self.nodes))) - self.asleep
        found = 0
        while left:
            found += 1
            edge = {left.pop()}
            while edge:
                edge = {far for at in edge for far in self.links[at]} & left
                left -= edge
        return found

    def diameter_from(self, start: int) -> int:
        seen, edge, hops = {start}, {start}, 0
        while edge := {far for at in edge for far in self.links[at]} - seen:
            seen |= edge
            hops += 1
        return hops


@pytest.mark.parametrize("count", [2, FULL_MESH, FULL_MESH + 1])
def test_few_nodes_link_with_all(count: int) -> None:
    graph = Graph(count, 1)
    graph.run(5)
    assert set(graph.degrees) == {count - 1}


@pytest.mark.parametrize(("count", "seed"), [(40, 1), (100, 2), (100, 3), (300, 4)])
def test_many_nodes_are_one_graph_of_bounded_degree(count: int, seed: int) -> None:
    graph = Graph(count, seed)
    graph.run(10)
    assert graph.pieces() == 1
    for _ in range(10):
        graph.run(30)
        assert graph.pieces() == 1
        assert max(graph.degrees) <= CAP
    assert min(graph.degrees) >= LINKS // 2, "each is at most about to dial again"
    assert sum(graph.degrees) / count <= LINKS + SLACK
    assert graph.diameter_from(0) <= 5


def test_a_thousand_nodes() -> None:
    graph = Graph(1000, 5)
    graph.use = lambda a, _b: 1 / len(graph.links[a])  # type: ignore[method-assign,assignment]
    graph.run(90)
    assert graph.pieces() == 1
    assert max(graph.degrees) <= CAP
    assert min(graph.degrees) >= LINKS // 2
    assert graph.diameter_from(0) <= 6


def test_what_is_settled_stays() -> None:
    """Nothing swings: visits and the random link move, in their own time, and little else does."""
    graph = Graph(60, 6)
    graph.run(1200)
    before = Counter(graph.made)
    hour = 3600
    graph.run(hour)
    made = sum((graph.made - before).values()) / 60
    by_plan = hour / VISIT_S + hour / 900
    assert made <= 3 * by_plan, (
        "links a node and hour, each counted at both ends, and one more where one was let go"
    )
    assert graph.pieces() == 1


def test_the_thirty_second_host_turns_a_full_mesh_into_a_bounded_one() -> None:
    count = FULL_MESH + 2
    graph = Graph(count, 7)
    for index in range(count - 1):
        graph.know(index, count - 1)
    graph.asleep.add(count - 1)
    graph.run(10)
    assert set(graph.degrees) == {count - 2}
    graph.asleep.clear()
    for index in range(count):
        graph.know(index, count)
    for _ in range(30):
        graph.run(30)
        assert graph.pieces() == 1
    assert max(graph.degrees) <= CAP
    assert min(graph.degrees) >= LINKS - 2


@pytest.mark.parametrize("seed", [8, 9])
def test_halves_that_were_apart_find_each_other(seed: int) -> None:
    count = 60
    graph = Graph(count, seed)
    graph.run(60)
    graph.part(lambda a, b: (a < count // 2) == (b < count // 2))
    graph.run(3600)
    assert graph.pieces() == 2
    assert min(graph.degrees) >= LINKS - 2
    graph.reach = everywhere
    graph.run(60)
    assert graph.pieces() == 1
    graph.run(1800)
    across = sum(far >= count // 2 for near in graph.links[: count // 2] for far in near)
    assert across > LINKS, "more than one link holds them together by then"


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(lambda a, b: abs(a - b) == 1, id="line"),
        pytest.param(lambda a, b: abs(a - b) in (1, 39), id="ring"),
        pytest.param(lambda a, b: 0 in (a, b), id="star"),
        pytest.param(lambda a, b: b == 0, id="star whose leaves only dial out"),
        pytest.param(lambda a, b: a == 0, id="star whose leaves are only dialled"),
        pytest.param(lambda a, b: 20 in (a, b) or (a < 20) == (b < 20), id="two cliques and one host"),
        pytest.param(lambda a, b: a == 20 or (a < 20) == (b < 20) != (b == 20), id="that only dials out"),
        pytest.param(lambda a, b: a % 5 != 0 or b % 5 != 0 or abs(a - b) < 2, id="some not to each other"),
        pytest.param(lambda a, b: a < b, id="each dials only the later"),
        pytest.param(lambda a, b: a % 3 != 0, id="a third never dials"),
        pytest.param(lambda a, b: b % 3 != 0, id="a third is never dialled"),
    ],
)
def test_any_topology_becomes_one_graph(shape: Reach) -> None:
    graph = Graph(40, 10, lambda a, b: a != b and shape(a, b))
    graph.run(600)
    assert graph.pieces() == 1
    made = sum(graph.made.values())
    for _ in range(3):
        graph.run(600)
        assert graph.pieces() == 1
    assert sum(graph.made.values()) - made <= 40 * 3 * 6, "no link comes and goes all the time"


def test_hosts_that_sleep_and_come_back() -> None:
    graph = Graph(50, 11)
    graph.run(30)
    for _ in range(20):
        asleep = graph.rng.sample(range(50), 15)
        for node in asleep:
            graph.sleep(node)
        graph.run(120)
        assert graph.pieces() == 1
        graph.asleep.clear()
        graph.run(90)
        assert graph.pieces() == 1
        assert max(graph.degrees) <= CAP


def test_who_lost_everything_tries_everybody_again_soon() -> None:
    graph = Graph(50, 12)
    graph.run(30)
    graph.part(lambda a, b: 0 not in (a, b))
    graph.run(2 * 3600)
    assert not graph.links[0]
    graph.reach = everywhere
    graph.run(45)
    assert len(graph.links[0]) >= LINKS - 2
