"""Agents that move: what two hosts say of it in their logs, and where an agent lives by that.

    moved    {"move": 16 bytes, "agent": id, "node": the other host, "step", ...}                       kind 17
    agent    the card of the new host, with "moved": [the old host, move]

An agent keeps its id. Its old host offers it, the new one accepts (or refuses), the old one hands over what there is of
it, the new one says that it is ready, and the old one says that it has moved: that is the one word on which it turns.
Before it the agent lives on the old host, after it on the new one.

For everybody else a move counts when both have said so: the old host that it has moved there, the new host in its card
that it came from there. So no host can take an agent that was not given, nor give one to who did not take it. Logs have
no common order, so what follows from these words must not depend on which came first (``Travels``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from maw.core.colony import AGENT_ID_BYTES, MOVE_BYTES, ROLES, AgentCard
from maw.core.content import Content, read_bytes, read_choice, read_name
from maw.core.entry import Entry, Kind
from maw.core.identity import KEY_BYTES, NodeId

MAX_WHY: Final = 200
MAX_STEP: Final = 16

OFFERED: Final = "offered"
ACCEPTED: Final = "accepted"
REFUSED: Final = "refused"
HANDED: Final = "handed"
READY: Final = "ready"
MOVED: Final = "moved"
CANCELLED: Final = "cancelled"
ARRIVED: Final = "arrived"
"""Only where it came to: its card is said, its mailbox is not filled yet."""
HOME: Final = "home"
"""Only where it came to: all that came along is in place."""

OPEN: Final = (OFFERED, ACCEPTED, HANDED, READY)
"""The move may still end without an agent having moved."""
_OF_OLD_HOST: Final = (OFFERED, HANDED, MOVED, CANCELLED)

_BEFORE: Final[Mapping[str, tuple[str, ...]]] = {
    ACCEPTED: (OFFERED,),
    REFUSED: (OFFERED, ACCEPTED, HANDED),
    HANDED: (ACCEPTED,),
    READY: (HANDED,),
    MOVED: (READY,),
    CANCELLED: OPEN,
}
"""After which steps each counts: a word that comes at another time changes nothing."""
_OWN_BEFORE: Final[Mapping[str, tuple[str, ...]]] = {
    **_BEFORE,
    HANDED: (OFFERED, ACCEPTED),
    READY: (OFFERED, ACCEPTED, HANDED),
    MOVED: OPEN,
}
"""What this host said itself it said with cause, though its own log may come back before the other's."""


class Moved(NamedTuple):
    """One word of a move. ``node``: the host to whom it is said; ``name``, ``role``: of the agent, in the offer (no
    other role than agent is read); ``box``: sealed words for that host, as they came."""

    move: bytes
    agent: bytes
    node: NodeId
    step: str
    name: str = ""
    role: str = "agent"
    why: str = ""
    box: Any = None

    def content(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "move": self.move, "agent": self.agent, "node": self.node, "step": self.step
        }  # fmt: skip
        if self.name:
            said |= {"name": self.name, "role": self.role}
        if self.why:
            said["why"] = self.why
        if self.box is not None:
            said["box"] = self.box
        return said

    @classmethod
    def read(cls, content: Content) -> Moved:
        """Raises ValueError on anything malformed. A step that is not known here is none that does anything."""
        step, why, box = content.get("step"), content.get("why", ""), content.get("box")
        if type(step) is not str or not 0 < len(step) <= MAX_STEP:
            raise ValueError("step is no short word")
        if type(why) is not str or len(why) > MAX_WHY:
            raise ValueError(f"why is no text of at most {MAX_WHY} characters")
        if box is not None and type(box) is not dict:
            raise ValueError("box is nothing sealed")
        named = step == OFFERED or "name" in content
        if named and read_choice(content, "role", ROLES) != "agent":
            raise ValueError("role is not agent: humans do not move")
        return cls(
            read_bytes(content, "move", MOVE_BYTES),
            read_bytes(content, "agent", AGENT_ID_BYTES),
            NodeId(read_bytes(content, "node", KEY_BYTES)),
            step,
            read_name(content, "name", "agent") if named else "",
            "agent",
            why,
            box,
        )


def step_after(now: str | None, step: str, *, leaving: bool, own: bool) -> str | None:
    """Where a move stands after a word; None where it changes nothing. ``leaving``: here is the old host; ``own``: the
    word is this host's."""
    if step not in _BEFORE and step != OFFERED:
        return None
    if (step in _OF_OLD_HOST) != (leaving == own):
        return None  # not for who said it to say
    if step == OFFERED:
        return OFFERED if now is None else None
    return step if now in (_OWN_BEFORE if own else _BEFORE)[step] else None


# -- where agents live -------------------------------------------------------------------------------


class Fact(NamedTuple):
    """What the log of ``node`` says at (epoch, seq): the agent went from there to ``other``, or (``came``) came there
    from ``other``."""

    node: NodeId
    agent: bytes
    move: bytes
    came: bool
    epoch: int
    seq: int
    other: NodeId

    @property
    def about(self) -> tuple[NodeId, bytes, bool]:
        return self.node, self.move, self.came

    def answers(self, other: Fact) -> bool:
        """Whether the two say the same of one move, each of its own side."""
        return (
            self.move == other.move
            and self.came != other.came
            and self.node == other.other
            and self.other == other.node
        )


def fact_of(entry: Entry, content: Content) -> Fact | None:
    """What an entry of kind 3 or 17 says that counts for where an agent lives. Raises ValueError."""
    if entry.kind == Kind.AGENT:
        card = AgentCard.read(content)
        if card.moved is None:
            return None
        return Fact(entry.author, card.id, card.moved[1], True, entry.epoch, entry.seq, card.moved[0])
    said = Moved.read(content)
    if said.step != MOVED:
        return None
    return Fact(entry.author, said.agent, said.move, False, entry.epoch, entry.seq, said.node)


@dataclass(slots=True)
class Travels:
    """All that was said of moves, and what follows. ``heirs``: by key that another took the place of: that one. Of what
    a log says of one move twice the first counts."""

    heirs: Mapping[NodeId, NodeId] = field(default_factory=dict)
    _said: dict[bytes, dict[tuple[NodeId, bytes, bool], Fact]] = field(default_factory=dict)

    def add(self, fact: Fact) -> bool:
        """Whether it is news."""
        said = self._said.setdefault(fact.agent, {})
        before = said.get(fact.about)
        if before is not None and (before.epoch, before.seq) <= (fact.epoch, fact.seq):
            return False
        said[fact.about] = fact
        return True

    def drop(self, node: NodeId, cut: Mapping[int, int]) -> list[Fact]:
        """What ``node`` said above ``cut`` (epoch -> last seq that counts) was not said. Returns it."""
        gone = [one for one in self.facts() if one.node == node and one.seq > cut.get(one.epoch, 0)]
        for fact in gone:
            del self._said[fact.agent][fact.about]
        return gone

    def facts(self) -> Iterator[Fact]:
        for said in self._said.values():
            yield from said.values()

    def knows(self, agent: bytes) -> bool:
        return bool(self._said.get(agent))

    def places(self, agent: bytes) -> set[NodeId]:
        """The hosts of whom anything is said of this agent's moves."""
        return {fact.node for fact in self._said.get(agent, {}).values()}

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
        self._said = other._said

    def has_left(self, node: NodeId, agent: bytes) -> bool:
        """Whether ``node`` itself says last that the agent went away: it has it no more, whoever took it."""
        last = self._last(node, agent, alone=True)
        return last is not None and not last.came

    def is_awaited(self, node: NodeId, agent: bytes) -> bool:
        """Whether ``node`` says that the agent came, and nothing is known yet from where it came."""
        said = self._said.get(agent, {}).values()
        return any(one.came and one.node == node and not _stands(one, said) for one in said)

    def _last(self, node: NodeId, agent: bytes, *, alone: bool = False) -> Fact | None:
        """The last that ``node`` said, of what both hosts did (``alone``: of all)."""
        said = self._said.get(agent)
        if not said:
            return None
        stand = [one for one in said.values() if one.node == node and (alone or _stands(one, said.values()))]
        return max(stand, key=lambda one: (one.epoch, one.seq), default=None)


def _stands(fact: Fact, said: Iterable[Fact]) -> bool:
    return any(one.answers(fact) for one in said)
