"""A stop that works: an operator freezes an agent, a node, a channel or all, until it is thawed.

    freeze   {"what": "agent"|"node"|"channel"|"all", "node"?, "agent"?, "channel"?, "name", "why"}
    thaw     {"lifts": [statement id, ...]}

A thaw names the freezes it lifts, so that it does not matter in which order the two arrive, and an old copy
of a thaw lifts no later freeze.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from maw.core.authority import key_in, raw_list
from maw.core.identity import ID_BYTES, NodeId, Signer
from maw.core.statement import Statement, sign_statement
from maw.errors import ProtocolViolation

FREEZE: Final = "freeze"
THAW: Final = "thaw"
ALL: Final = "all"
NODE: Final = "node"
AGENT: Final = "agent"
CHANNEL: Final = "channel"
AGENT_ID_BYTES: Final = 16
MAX_LIFTS: Final = 200
MAX_WHY: Final = 200


@dataclass(frozen=True, slots=True)
class Target:
    """What is frozen. ``name`` is for people; the rest is what counts."""

    what: str
    node: NodeId | None = None
    agent: bytes | None = None
    channel: str | None = None
    name: str = ""

    def same(self, other: Target) -> bool:
        return (self.what, self.node, self.agent, self.channel) == (
            other.what, other.node, other.agent, other.channel,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Freeze:
    id: bytes
    issuer: NodeId
    target: Target
    why: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Thaw:
    id: bytes
    issuer: NodeId
    lifts: frozenset[bytes]
    at_ms: int


class Freezes:
    """Those in force. ``heir``: the key that has taken a node's place by now, or the node's own: a new key lifts
    no freeze."""

    def __init__(self, active: Iterable[Freeze] = (), heir: Callable[[NodeId], NodeId] | None = None) -> None:
        self.active = tuple(sorted(active, key=lambda freeze: (freeze.at_ms, freeze.id)))
        self._by: dict[tuple[object, ...], Freeze] = {}
        for freeze in self.active:
            target = freeze.target
            node = target.node if heir is None or target.node is None else heir(target.node)
            self._by.setdefault((target.what, node, target.agent, target.channel), freeze)

    def on(self, node: NodeId, agent: bytes | None, channel: str | None) -> Freeze | None:
        """What keeps this agent of this node (by its key of today) from speaking in this channel (None: directly)."""
        if not self._by:
            return None
        return (
            self._by.get((ALL, None, None, None))
            or self._by.get((NODE, node, None, None))
            or (self._by.get((AGENT, node, agent, None)) if agent is not None else None)
            or (self._by.get((CHANNEL, None, None, channel)) if channel is not None else None)
        )


def freeze_statement(issuer: Signer, colony: bytes, target: Target, why: str, at_ms: int) -> Statement:
    return sign_statement(issuer, FREEZE, colony, at_ms, freeze_fields(target, why))


def thaw_statement(issuer: Signer, colony: bytes, lifts: Iterable[bytes], at_ms: int) -> Statement:
    return sign_statement(issuer, THAW, colony, at_ms, thaw_fields(lifts))


def freeze_fields(target: Target, why: str) -> dict[str, Any]:
    """What is signed."""
    fields: dict[str, Any] = {"what": target.what, "name": target.name, "why": why[:MAX_WHY]}
    for name in ("node", "agent", "channel"):
        if (value := getattr(target, name)) is not None:
            fields[name] = value
    return fields


def thaw_fields(lifts: Iterable[bytes]) -> dict[str, Any]:
    return {"lifts": sorted(lifts)[:MAX_LIFTS]}


def read_freeze(statement: Statement) -> Freeze:
    """Raises ProtocolViolation: a freeze of nobody knows what must not look like one of nothing."""
    fields = statement.fields
    what, name, why = fields.get("what"), fields.get("name"), fields.get("why")
    if type(name) is not str or len(name) > 100 or type(why) is not str or len(why) > MAX_WHY:
        raise _bad("its name or reason is malformed")
    node = agent = channel = None
    if what in (NODE, AGENT):
        node = key_in(fields, "node")
    if what == AGENT:
        agent = fields.get("agent")
        if type(agent) is not bytes or len(agent) != AGENT_ID_BYTES:
            raise _bad("it names no agent")
    if what == CHANNEL:
        channel = fields.get("channel")
        if type(channel) is not str or not 0 < len(channel) <= 32:
            raise _bad("it names no channel")
    if what not in (ALL, NODE, AGENT, CHANNEL):
        raise _bad("it is of nothing that can be frozen")
    target = Target(str(what), node, agent, channel, name)
    return Freeze(statement.id, statement.issuer, target, why, statement.at_ms)


def read_thaw(statement: Statement) -> Thaw:
    """Raises ProtocolViolation."""
    lifts = frozenset(raw_list(statement.fields, "lifts", ID_BYTES, MAX_LIFTS))
    return Thaw(statement.id, statement.issuer, lifts, statement.at_ms)


def _bad(what: str) -> ProtocolViolation:
    return ProtocolViolation(f"a freeze is malformed: {what}", code="bad_statement")
