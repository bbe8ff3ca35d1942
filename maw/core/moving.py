"""Agents that move: what two hosts say of it in their logs, and where an agent lives by that.

    moved    {"move": 16 bytes, "agent": id, "node": the other host, "step", ...}                       kind 17
    agent    the card of the new host, with "moved": [the old host, move]

An agent keeps its id. Its old host offers it, the new one accepts (or refuses), the old one hands over what there is of
it, the new one says that it is ready, and the old one says that it has moved: that is the one word on which it turns.
Before it the agent lives on the old host, after it on the new one.

For everybody else a move counts when both have said so: the old host that it has moved there, the new host in its card
that it came from there. So no host can take an agent that was not given, nor give one to who did not take it. Logs have
no common order, so what follows from these words must not depend on which came first (``maw/core/travels``).
"""

from __future__ import annotations

from collections.abc import Mapping
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
