"""Agents that answer everything, for hours of virtual time: what the rules of waking make of them.

Each agent is what the daemon keeps of it, its claims and its budget, and a model that takes a turn: it is woken, hears
once more in the middle of its turn as a hook does, answers at the end of it, and hears again before it stops. Nothing
here looks at a clock.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest

from maw.core.budget import AGENT, APE, GAP_S, HOUR_S, OPERATOR, SETTLE_S, Budget, Cause, Limits
from maw.core.claims import Claims, Pending
from tests.simulation.clockwork import Clockwork

TURN_S = 8.0
TRAVEL_S = 0.1
T0 = 1_900_000_000.0


@dataclass(frozen=True)
class Mail:
    """``to`` None: the group of all agents."""

    author: str
    to: str | None
    text: str
    at: float
    kind: str = AGENT


Answers = Callable[["Agent", list[Mail]], Iterable[tuple[str | None, str]]]
"""What an agent says to what it heard: (to, text)."""


@dataclass
class Agent:
    world: World
    name: str
    answers: Answers
    budget: Budget = field(default_factory=lambda: Budget(Limits()))
    claims: Claims = field(default_factory=Claims)
    mail: dict[int, Mail] = field(default_factory=dict)
    busy: bool = False
    wakes: list[float] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    heard: dict[int, float] = field(default_factory=dict)
    turn: list[Mail] = field(default_factory=list)
    alarm: float = 0.0

    def take(self, seq: int, mail: Mail) -> None:
        self.mail[seq] = mail
        self.claims.add(Pending(seq, Cause(mail.author, mail.kind, mail.to is None), True, self.world.now))
        self.look()

    def look(self) -> None:
        """What the waiter of an idle session does when something has moved."""
        if not self.busy and not self.wake():
            items = self.claims.free()
            due = self.budget.due(self.world.now, [(item.since, item.cause) for item in items])
            if due.at is not None and not self.world.now < self.alarm <= due.at + 0.001:
                self.alarm = due.at + 0.001
                self.world.clock.at(self.alarm - T0, self.look)

    def wake(self) -> bool:
        items = self.claims.free()
        due = self.budget.due(self.world.now, [(item.since, item.cause) for item in items])
        self.told += [held.what for held in due.fresh]
        if due.at is None or due.at > self.world.now:
            return False
        self.budget.spend(self.world.now, due.causes)
        self.wakes.append(self.world.now)
        self.hear()
        self.busy = True
        self.world.clock.after(TURN_S / 2, self.hear)
        self.world.clock.after(TURN_S, self.stop)
        return True

    def hear(self) -> None:
        """A digest of all there is, put in front of it."""
        seqs = [item.seq for item in self.claims.free()]
        if seqs:
            self.claims.take(f"{self.world.now}", "hook", seqs, [], self.world.now)
            self.claims.confirmed(f"{self.world.now}")
            self.turn += [self.mail[seq] for seq in seqs]
            self.heard |= dict.fromkeys(seqs, self.world.now)

    def stop(self) -> None:
        mail, self.turn = self.turn, []
        for to, text in self.answers(self, mail):
            self.world.say(Mail(self.name, to, text, self.world.now))
        self.busy = False
        self.look()


class World:
    def __init__(self) -> None:
        self.clock = Clockwork()
        self.agents: dict[str, Agent] = {}
        self.said: dict[int, Mail] = {}
        self._seqs = itertools.count(1)

    @property
    def now(self) -> float:
        return T0 + self.clock.now

    def add(self, name: str, answers: Answers) -> Agent:
        self.agents[name] = Agent(self, name, answers)
        return self.agents[name]

    def say(self, mail: Mail) -> None:
        seq = next(self._seqs)
        self.said[seq] = mail
        for agent in list(self.agents.values()):
            if agent.name != mail.author and mail.to in (None, agent.name):
                self.clock.after(TRAVEL_S, agent.take, seq, mail)

    def after(self, seconds: float, mail: Mail) -> None:
        self.clock.after(
            seconds, lambda: self.say(Mail(mail.author, mail.to, mail.text, self.now, mail.kind))
        )

    def latency(self, author: str, to: str) -> list[float]:
        """Seconds from being said to being heard, for direct messages."""
        heard = self.agents[to].heard
        return [
            heard.get(seq, float("inf")) - mail.at
            for seq, mail in self.said.items()
            if (mail.author, mail.to) == (author, to)
        ]


def nothing(agent: Agent, mail: list[Mail]) -> list[tuple[str | None, str]]:
    return []


def everybody(agent: Agent, mail: list[Mail]) -> list[tuple[str | None, str]]:
    """Answers each who wrote to it, once a turn."""
    return [(author, "re:") for author in dict.fromkeys(one.author for one in mail)]


def to_all(agent: Agent, mail: list[Mail]) -> list[tuple[str | None, str]]:
    """Answers broadcasts with a broadcast, one a turn."""
    return [(None, "indeed")] if any(one.to is None for one in mail) else []


def questions(agent: Agent, mail: list[Mail]) -> list[tuple[str | None, str]]:
    return [(one.author, "so") for one in mail if one.text == "how are you?"]


def an_honest_pair(world: World, hours: int) -> None:
    world.add("asker", nothing)
    world.add("answerer", questions)
    for at in range(0, hours * 3600, 240):
        world.after(at + 13, Mail("asker", "answerer", "how are you?", 0))


def assert_the_honest_are_not_slowed(world: World) -> None:
    longest = TRAVEL_S + SETTLE_S + max(GAP_S, TURN_S) + 0.01
    assert max(world.latency("asker", "answerer")) <= longest
    assert max(world.latency("answerer", "asker")) <= longest


@pytest.mark.parametrize("pairs", [1, 6])
def test_pairs_that_bounce(pairs: int) -> None:
    """Each answers each answer. It is slowed, held, and told; and it does not begin anew by itself."""
    world = World()
    bouncers = [world.add(f"{side}{at}", everybody) for at in range(pairs) for side in "ab"]
    an_honest_pair(world, 6)
    for at in range(pairs):
        world.after(at, Mail(f"a{at}", f"b{at}", "ping", 0))
    world.clock.run_until(6 * HOUR_S)
    for agent in bouncers:
        assert 12 <= len(agent.wakes) <= 24, agent.name
        assert len(agent.told) <= 1
    assert all(world.agents[f"a{at}"].told or world.agents[f"b{at}"].told for at in range(pairs))
    assert_the_honest_are_not_slowed(world)


def test_everybody_bounces_with_everybody() -> None:
    """One agent that answers all of eleven, each of whom answers it, and each other."""
    world = World()
    names = [f"n{at}" for at in range(12)]
    for name in names:
        world.add(name, everybody)
    for author in names:
        for to in names:
            if author < to:
                world.after(1, Mail(author, to, "hello", 0))
    world.clock.run_until(3 * HOUR_S)
    for name in names:
        agent = world.agents[name]
        assert len(agent.wakes) <= 60, name
        assert agent.wakes[-1] < T0 + HOUR_S, name
        assert len(agent.told) == len(set(agent.told)), name


@pytest.mark.parametrize("count", [3, 13])
def test_broadcasts_that_answer_broadcasts(count: int) -> None:
    world = World()
    storm = [world.add(f"s{at}", to_all) for at in range(count)]
    an_honest_pair(world, 6)
    world.after(1, Mail("s0", None, "hello everybody", 0))
    world.clock.run_until(6 * HOUR_S)
    for agent in storm:
        assert 4 <= len(agent.wakes) <= 10, agent.name
        assert agent.told in ([], ["groups"])
    assert any(agent.told for agent in storm)
    assert_the_honest_are_not_slowed(world)


def test_without_the_rules_it_would_not_end() -> None:
    """The same storm, with meters that never fill: what the numbers above are worth."""
    world = World()
    unbounded = Limits(10**9, 10**9, 10**9)
    storm = [world.add(f"s{at}", to_all) for at in range(4)]
    for agent in storm:
        agent.budget = Budget(unbounded)
    world.after(1, Mail("s0", None, "hello everybody", 0))
    world.clock.run_until(HOUR_S)
    assert min(len(agent.wakes) for agent in storm) > 300


def test_a_human_in_the_middle_of_it_is_heard_and_so_is_an_operator() -> None:
    world = World()
    for name in ("a0", "b0"):
        world.add(name, everybody)
    world.add("jo", nothing)
    world.after(0, Mail("a0", "b0", "ping", 0))
    for at in range(300, 3 * 3600, 300):
        world.after(at, Mail("jo", "a0", "is all well?", 0, APE))
    world.after(2 * 3600, Mail("boss", "a0", "stop", 0, OPERATOR))
    world.clock.run_until(3 * HOUR_S)
    assert max(world.latency("jo", "a0")) <= TRAVEL_S + SETTLE_S + TURN_S
    (order,) = world.latency("boss", "a0")
    assert order <= TRAVEL_S + TURN_S / 2 + 0.01
