"""How far messages got with the agents of a host, as it tells their authors: one entry for many.

    progress   {"logs": [[author, epoch, seq, id], ...],
                "marks": [[log, agent, state, at ms, by, [[first, last], ...]], ...]}

``log`` counts the logs from 0; what is said of one is of the branch that runs through its head there, for a seq alone
may be two messages in a log that forked. ``agent`` is the stable id of an agent of the writer's host; ``state`` is
delivered, read, acked or failed; ``by``: by what it was delivered or read (one of VIAS, or nothing), or why it failed.
Only the highest state of each message is told. A host speaks for its own agents: anything else in it is passed over by
who reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from maw.core.colony import AGENT_ID_BYTES, Said
from maw.core.content import Content
from maw.core.entry import MAX_COUNT, Head
from maw.core.identity import ID_BYTES, KEY_BYTES, NodeId
from maw.core.redaction import Range, as_ranges, read_ranges
from maw.core.states import FAILED, MARKS

MAX_LOGS: Final = 100
MAX_GROUPS: Final = 150
MAX_SEQS: Final = 250
"""Messages of which one entry speaks, ranges counted out: what a liar writes makes no more work than that."""
MAX_BY: Final = 80
NOBODY: Final = bytes(AGENT_ID_BYTES)
"""In place of an agent: of a message that its host could not open, so that it does not know for whom it was."""
UNOPENED: Final = "its key there was deleted: send it again"
STATES: Final = (*MARKS, FAILED)


class Mark(NamedTuple):
    """One message and one agent, as the agent's host knows it. ``id``: the entry's."""

    author: NodeId
    epoch: int
    seq: int
    id: bytes
    agent: bytes
    state: str
    at_ms: int
    by: str


class Group(NamedTuple):
    """What is the same of several messages of one log. ``log``: its place in ``Progress.logs``."""

    log: int
    agent: bytes
    state: str
    at_ms: int
    by: str
    ranges: tuple[Range, ...]

    def seqs(self) -> Iterator[int]:
        for first, last in self.ranges:
            yield from range(first, last + 1)


@dataclass(frozen=True, slots=True)
class Progress:
    """``logs``: author, epoch, and a head at or above all that is said of it."""

    logs: tuple[tuple[NodeId, int, Head], ...]
    groups: tuple[Group, ...]

    def content(self) -> dict[str, Any]:
        return {
            "logs": [[author, epoch, *head] for author, epoch, head in self.logs],
            "marks": [[*group[:-1], [list(item) for item in group.ranges]] for group in self.groups],
        }

    @classmethod
    def read(cls, content: Content) -> Progress:
        logs, marks = content.get("logs"), content.get("marks")
        if type(logs) is not list or len(logs) > MAX_LOGS:
            raise ValueError(f"logs is no list of at most {MAX_LOGS}")
        if type(marks) is not list or len(marks) > MAX_GROUPS:
            raise ValueError(f"marks is no list of at most {MAX_GROUPS}")
        heads = tuple(map(_log, logs))
        groups = tuple(_group(item, heads) for item in marks)
        if sum(last - first + 1 for group in groups for first, last in group.ranges) > MAX_SEQS:
            raise ValueError(f"it speaks of more than {MAX_SEQS} messages")
        return cls(heads, groups)


def gather(due: Iterable[Mark]) -> tuple[Progress, list[Mark]]:
    """An entry of as many of these as one holds, and which those are."""
    tops: dict[tuple[NodeId, int], Head] = {}
    groups: dict[tuple[Any, ...], list[int]] = {}
    taken: list[Mark] = []
    for mark in due:
        log = (mark.author, mark.epoch)
        group = (log, mark.agent, mark.state, mark.at_ms, mark.by[:MAX_BY])
        full = len(tops) == MAX_LOGS and log not in tops
        if full or (len(groups) == MAX_GROUPS and group not in groups):
            continue
        groups.setdefault(group, []).append(mark.seq)
        tops[log] = max(tops.get(log, Head(0, b"")), Head(mark.seq, mark.id))
        taken.append(mark)
        if len(taken) == MAX_SEQS:
            break
    numbers = {log: number for number, log in enumerate(tops)}
    told = tuple(
        Group(numbers[log], agent, state, at_ms, by, tuple(as_ranges(seqs)))
        for (log, agent, state, at_ms, by), seqs in groups.items()
    )
    return Progress(tuple((*log, head) for log, head in tops.items()), told), taken


def is_for(
    said: Said, agent: bytes, node: NodeId, former: Iterable[NodeId], name: str, hosts: Iterable[str]
) -> bool:
    """Whether a message is for this agent of this node, by name. ``former``: keys that the node's took the place of,
    and those of hosts where the agent lived before; ``name`` and ``hosts``: what they are called."""
    if said.channel is None:
        mine = {node, *former}
        return any(to.agent == agent and to.node in mine for to in said.to)
    return name in said.mentions or any(f"{name}@{host}" in said.mentions for host in hosts)


def _log(value: Any) -> tuple[NodeId, int, Head]:
    if type(value) is not list or len(value) != 4:
        raise ValueError("logs holds something that is no head")
    author, epoch, seq, entry_id = value
    if type(author) is not bytes or len(author) != KEY_BYTES:
        raise ValueError("logs holds a log of nobody's")
    if type(entry_id) is not bytes or len(entry_id) != ID_BYTES:
        raise ValueError("logs holds a head without its id")
    if not all(type(number) is int and 0 <= number <= MAX_COUNT for number in (epoch, seq)):
        raise ValueError("logs holds a number out of range")
    return NodeId(author), epoch, Head(seq, entry_id)


def _group(value: Any, logs: tuple[tuple[NodeId, int, Head], ...]) -> Group:
    if type(value) is not list or len(value) != 6:
        raise ValueError("marks holds something that is none")
    log, agent, state, at_ms, by, ranges = value
    if type(log) is not int or not 0 <= log < len(logs):
        raise ValueError("a mark is of no log that is named")
    if type(agent) is not bytes or len(agent) != AGENT_ID_BYTES:
        raise ValueError("a mark is of no agent")
    if state not in STATES or type(by) is not str or len(by) > MAX_BY:
        raise ValueError("a mark says nothing that can be understood")
    if type(at_ms) is not int or not 0 <= at_ms <= MAX_COUNT:
        raise ValueError("a mark is of no time")
    found = read_ranges(ranges, MAX_SEQS)
    if found[-1][1] > logs[log][2].seq:
        raise ValueError("a mark is of what lies above its head")
    return Group(log, agent, state, at_ms, by, found)
