"""Who made whom, and who may make a new agent: the owner of a host says so, and a chain of births has an end.

A birth is asked for by an agent (or a human) of the host that answers, or it is *brought* here from another host by who
administers this one. What a human makes by hand has no lineage, and is limited by how many agents a host takes alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from maw.core.content import Content
from maw.core.identity import KEY_BYTES, NodeId, key_text, parse_key
from maw.errors import BadInput

AGENT_BYTES: Final = 16
MAX_GENERATION: Final = 1000
EVERYBODY: Final = "*"
DAY_S: Final = 86_400


class Born(NamedTuple):
    """By whom an agent was made, and how many agents stand above it: 0 for the child of a human."""

    node: NodeId
    agent: bytes
    generation: int

    def content(self) -> list[Any]:
        return [self.node, self.agent, self.generation]

    def text(self) -> str:
        """As requests carry it: ``mk1…:0a1b…:1``."""
        return f"{key_text(self.node)}:{self.agent.hex()}:{self.generation}"


def read_born(content: Content) -> Born | None:
    """Of an agent's card; None where it says nothing. Raises ValueError."""
    value = content.get("born")
    if value is None:
        return None
    if type(value) is not list or len(value) < 3:
        raise ValueError("born is no list of node, agent and generation")
    node, agent, generation = value[:3]
    if (
        type(node) is not bytes
        or len(node) != KEY_BYTES
        or type(agent) is not bytes
        or len(agent) != AGENT_BYTES
    ):
        raise ValueError("born names no agent")
    if type(generation) is not int or not 0 <= generation <= MAX_GENERATION:
        raise ValueError(f"the generation of born is no number from 0 to {MAX_GENERATION}")
    return Born(NodeId(node), agent, generation)


def parse_born(text: str) -> Born:
    """What ``Born.text`` writes. Raises BadInput."""
    key, _, rest = text.partition(":")
    agent, _, generation = rest.partition(":")
    try:
        found = bytes.fromhex(agent)
        number = int(generation) if generation.isascii() and generation.isdigit() else -1
    except ValueError:
        found, number = b"", -1
    if len(found) != AGENT_BYTES or not 0 <= number <= MAX_GENERATION:
        raise BadInput(
            "born is no KEY:AGENT:GENERATION", code="bad_field", hint="POST /api/births answers with one"
        )
    return Born(parse_key(key), found, number)


@dataclass(frozen=True, slots=True)
class BirthRules:
    """``by``: the agents of this host that may give birth (``*``: all). ``per_day``: how many births by agents there
    may be here in a day, all of them together. ``depth``: how many generations of agents. ``most``: how many agents
    there may be on this host, whoever makes them."""

    by: tuple[str, ...] = ()
    per_day: int = 8
    depth: int = 1
    most: int = 500


class Mother(NamedTuple):
    """Who gives birth. ``generation``: None for a human; 0 for an agent made by hand, or born of a human."""

    name: str
    generation: int | None

    def child(self) -> int:
        return 0 if self.generation is None else self.generation + 1


class No(NamedTuple):
    """Why not: the code for machines, the reason, what to do."""

    code: str
    why: str
    hint: str


def may_bear(
    rules: BirthRules, mother: Mother | None, *, brought: bool, today: int, here: int | None
) -> No | None:
    """Whether one more agent may be made; None: it may.

    ``mother`` None: it is made by hand. ``brought``: who administers this host brings the birth from another one, so
    that it is not for ``by`` to say. ``today``: births by agents here in the last day. ``here``: agents of this host;
    None where the child is to live on another one."""
    if mother is not None and mother.generation is not None:
        child = mother.child()
        if not brought and mother.name not in rules.by and EVERYBODY not in rules.by:
            return No(
                "no_births", f"{mother.name} may not give birth: the owner of this host has not allowed it",
                f'[births] in maw.toml: by = ["{mother.name}"]; or a human does it: maw birth, maw agent add',
            )  # fmt: skip
        if child > rules.depth:
            return No(
                "too_deep", f"a child of {mother.name} would be of generation {child}, and {rules.depth} is the last",
                "a human does it; or [births] depth in maw.toml",
            )  # fmt: skip
        if today >= rules.per_day:
            return No(
                "too_many_births", f"agents have given {today} births here in a day, and {rules.per_day} is the most",
                "tomorrow; or [births] per_day in maw.toml",
            )  # fmt: skip
    if here is not None and here >= rules.most:
        return No(
            "too_many_agents", f"{here} agents live on this host, and {rules.most} is the most",
            "maw agent remove NAME, or maw death NAME; or [births] most in maw.toml",
        )  # fmt: skip
    return None


class Line(NamedTuple):
    """One agent in a family tree: how deep it stands, and who it is."""

    depth: int
    address: str


def tree(mothers: dict[str, str | None]) -> list[Line]:
    """Everybody below whoever made him, by name; ``mothers``: address → address of the mother. Of a circle, which only
    a lie can make, each stands once."""
    below: dict[str | None, list[str]] = {}
    for child, mother in sorted(mothers.items()):
        below.setdefault(mother if mother in mothers and mother != child else None, []).append(child)
    lines: list[Line] = []
    seen: set[str] = set()

    def stand(who: str) -> None:
        waiting = [(0, who)]
        while waiting:
            depth, one = waiting.pop()
            if one in seen:
                continue
            seen.add(one)
            lines.append(Line(depth, one))
            waiting += [(depth + 1, child) for child in reversed(below.get(one, []))]

    for who in below.get(None, []):
        stand(who)
    for who in sorted(mothers):
        stand(who)
    return lines
