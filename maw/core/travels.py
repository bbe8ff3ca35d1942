"""All that logs say of agents that move, and where each lives by it: whatever came first, and however much is said.

Each fact is found by what it is about, and what stands is kept in order of its log, so that a fact costs the same after
many as after few. A log has room for so many: what is beyond is not heard. Which those are follows from the order of
that log alone, epoch by epoch, and so is the same on every replica, also when the end of a log is cut off.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from maw.core.identity import NodeId
from maw.core.moving import Fact

MAX_OF_AGENT: Final = 1000
"""Facts of one agent in one epoch of a log: going and coming count one each."""
MAX_OF_LOG: Final = 20_000
"""Facts in one epoch of a log."""
_SPARE: Final = 2

About = tuple[NodeId, bytes, bool]
Log = tuple[NodeId, int]
Key = TypeVar("Key")


def _at(fact: Fact) -> tuple[int, int]:
    return fact.epoch, fact.seq


@dataclass(slots=True)
class _Told:
    """Of one agent. ``facts``: by what they are about, the first of each epoch, in order: the first of all counts;
    ``counts``, ``stands``: by host, those that count, and those of them that the other host said too, in order."""

    facts: dict[About, list[Fact]] = field(default_factory=dict)
    logs: dict[Log, list[Fact]] = field(default_factory=dict)
    counts: dict[NodeId, list[Fact]] = field(default_factory=dict)
    stands: dict[NodeId, list[Fact]] = field(default_factory=dict)

    def of_epoch(self, fact: Fact) -> Fact | None:
        """What the same epoch said of the same."""
        return next((one for one in self.facts.get(fact.about, ()) if one.epoch == fact.epoch), None)

    def put(self, fact: Fact) -> None:
        among = self.facts.setdefault(fact.about, [])
        before = among[0] if among else None
        insort(among, fact, key=_at)
        self._count(before, among[0])

    def take(self, fact: Fact) -> None:
        among = self.facts[fact.about]
        before = among[0]
        among.remove(fact)
        self._count(before, among[0] if among else None)
        if not among:
            del self.facts[fact.about]

    def _count(self, before: Fact | None, now: Fact | None) -> None:
        if before is now:
            return
        if before is not None:
            _remove(self.counts, before.node, before)
            if (answer := self.answer(before)) is not None:
                _remove(self.stands, before.node, before)
                _remove(self.stands, answer.node, answer)
        if now is not None:
            _insert(self.counts, now.node, now)
            if (answer := self.answer(now)) is not None:
                _insert(self.stands, now.node, now)
                _insert(self.stands, answer.node, answer)

    def answer(self, fact: Fact) -> Fact | None:
        """What the other host said of the same move."""
        among = self.facts.get((fact.other, fact.move, not fact.came))
        return among[0] if among and among[0].answers(fact) else None


def _insert(facts: dict[Key, list[Fact]], key: Key, fact: Fact) -> None:
    insort(facts.setdefault(key, []), fact, key=_at)


def _remove(facts: dict[Key, list[Fact]], key: Key, fact: Fact) -> None:
    among = facts[key]
    del among[bisect_left(among, _at(fact), key=_at)]
    if not among:
        del facts[key]


@dataclass(slots=True)
class Travels:
    """``heirs``: by key that another took the place of: that one. Of what a log says of one move twice the first
    counts."""

    heirs: Mapping[NodeId, NodeId] = field(default_factory=dict)
    _told: dict[bytes, _Told] = field(default_factory=dict)
    _logs: dict[Log, list[Fact]] = field(default_factory=dict)

    def add(self, fact: Fact) -> list[Fact] | None:
        """None where it is no news, else those that are not heard any more, as they come after it and there is no room.
        Raises ValueError where there is none for itself."""
        told = self._told.get(fact.agent) or _Told()
        log, gone = (fact.node, fact.epoch), []
        same = told.of_epoch(fact)
        if same is not None and same.seq <= fact.seq:
            return None
        if same is not None:
            self._take(same)
        for facts, most in ((told.logs, MAX_OF_AGENT), (self._logs, MAX_OF_LOG)):
            among = facts.get(log, [])
            if len(among) < most:
                continue
            if among[-1].seq < fact.seq:
                raise ValueError(f"its host tells of {most} moves already: no more are heard")
            gone.append(among[-1])
            self._take(among[-1])
        told = self._told.setdefault(fact.agent, told)
        told.put(fact)
        _insert(told.logs, log, fact)
        _insert(self._logs, log, fact)
        return gone

    def _take(self, fact: Fact) -> None:
        told, log = self._told[fact.agent], (fact.node, fact.epoch)
        told.take(fact)
        _remove(told.logs, log, fact)
        _remove(self._logs, log, fact)
        if not told.facts:
            del self._told[fact.agent]

    def drop(self, node: NodeId, cut: Mapping[int, int]) -> list[Fact]:
        """What ``node`` said above ``cut`` (epoch -> last seq that counts) was not said. Returns it."""
        of_node = [(epoch, facts) for (author, epoch), facts in self._logs.items() if author == node]
        gone = [one for epoch, facts in of_node for one in facts if one.seq > cut.get(epoch, 0)]
        for fact in reversed(gone):
            self._take(fact)
        return gone

    def is_full(self, node: NodeId, agent: bytes) -> bool:
        """Whether the log of ``node`` has hardly any room for this agent's coming and going."""
        told = self._told.get(agent)
        room = MAX_OF_AGENT - _SPARE
        return told is not None and any(log[0] == node and len(told.logs[log]) >= room for log in told.logs)

    def knows(self, agent: bytes) -> bool:
        return agent in self._told

    def places(self, agent: bytes) -> set[NodeId]:
        """The hosts of whom anything is said of this agent's moves."""
        told = self._told.get(agent)
        return set() if told is None else set(told.counts)

    def home(self, node: NodeId, agent: bytes) -> NodeId:
        """Where the agent lives that ``node`` had under this id: there, as far as no move is known that counts. Where
        words lead in a circle nothing is believed of them."""
        at, seen = node, set()
        while at not in seen:
            seen.add(at)
            last = self._last(at, agent)
            if last is not None and not last.came:
                at = last.other
            elif at in self.heirs:
                at = self.heirs[at]
            else:
                return at
        return node

    def former(self, node: NodeId, agent: bytes) -> tuple[NodeId, ...]:
        """The hosts where the agent lived that lives on ``node`` now: what is for it there is for it here."""
        if not self.knows(agent) or self.home(node, agent) != node:
            return ()
        places = self.places(agent) - {node}
        return tuple(sorted(one for one in places if self.home(one, agent) == node))

    def replace(self, other: Travels) -> None:
        """All of it, as ``other`` has it."""
        self._told, self._logs = other._told, other._logs

    def has_left(self, node: NodeId, agent: bytes) -> bool:
        """Whether ``node`` itself says last that the agent went away: it has it no more, whoever took it."""
        told = self._told.get(agent)
        said = [] if told is None else told.counts.get(node, [])
        return bool(said) and not said[-1].came

    def is_awaited(self, node: NodeId, agent: bytes) -> bool:
        """Whether ``node`` says that the agent came, and nothing is known yet from where it came."""
        told = self._told.get(agent)
        if told is None:
            return False
        return any(one.came and told.answer(one) is None for one in told.counts.get(node, ()))

    def _last(self, node: NodeId, agent: bytes) -> Fact | None:
        """The last that ``node`` said, of what both hosts did."""
        told = self._told.get(agent)
        stands = [] if told is None else told.stands.get(node, [])
        return stands[-1] if stands else None
