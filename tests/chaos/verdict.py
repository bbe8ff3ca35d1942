"""What a run has shown, out of what was said, accepted, read and held. Pure: the sentences that a table is made of."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from tests.chaos.schedule import CLOCK, CUT, DELETE, FULL, ROLLBACK, WG_DOWN

SHOWN: Final = 5
_ID: Final = re.compile(r"(?P<node>[a-z2-7]{6})-(?P<epoch>[0-9a-z]+)-(?P<seq>\d+)")


@dataclass(frozen=True, slots=True)
class Word:
    """One thing said. ``agent`` is ``name@host``; ``to`` an agent, or None on a channel; ``id`` once accepted."""

    text: str
    agent: str
    n: int
    to: str | None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """What a reader was shown, in the order of seq."""

    text: str
    id: str


@dataclass
class Evidence:
    """``hosts`` by name. Texts of this run are all different."""

    hosts: Sequence[str]
    accepted: list[Word] = field(default_factory=list)
    uncertain: set[str] = field(default_factory=set)
    """Texts whose acknowledgement was lost together with the database: there or not there, once at most."""
    excused: set[str] = field(default_factory=set)
    """Texts that were accepted and whose only copy went away with a disk."""
    shown: dict[str, list[Read]] = field(default_factory=dict)
    """``host channel``: the channel there from the beginning, after all has healed."""
    mailboxes: dict[str, list[Read]] = field(default_factory=dict)
    """Agent: its mailbox from the beginning, after all has healed."""
    cursors: dict[str, list[Read]] = field(default_factory=dict)
    """``host channel`` or agent: what the reader was given while all this went on."""
    replicas: dict[str, Collection[bytes]] = field(default_factory=dict)
    """Host: every entry held."""
    asked: dict[str, float] = field(default_factory=dict)
    """Direct messages, by text, that the recipient's host was asked to mark as read, and when first."""
    confirmed: set[str] = field(default_factory=set)
    """Those for which it said that it did."""
    told: list[tuple[str, str, float]] = field(default_factory=list)
    """Text, state and when: what authors were told while all this went on, beyond that it is on a disk."""
    known: dict[str, str] = field(default_factory=dict)
    """Text: what its author's host says in the end, of direct messages that were looked at."""
    alerts: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Host: kind and text of what its status still shows."""
    disasters: dict[str, set[str]] = field(default_factory=dict)
    """Host: which kinds of loss its database had."""
    faults: set[str] = field(default_factory=set)
    """Kinds of fault that the run had."""
    planned: int = 0
    effects: list[tuple[str, str | None]] = field(default_factory=list)
    """Every fault that was carried out, and what could be seen of it while it lasted."""


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    problems: Sequence[str]
    looked_at: int
    note: str = ""

    @property
    def good(self) -> bool:
        """Nothing wrong, and something looked at: a check of nothing has shown nothing."""
        return not self.problems and self.looked_at > 0


def judge(evidence: Evidence) -> list[Finding]:
    return [
        _once_on_every_node(evidence),
        _once_in_mailboxes(evidence),
        _equal(evidence),
        _in_order(evidence),
        _cursors_skip_nothing(evidence),
        _cursors_repeat_only_after_a_loss(evidence),
        _never_ahead(evidence),
        _told_in_the_end(evidence),
        _alerts(evidence),
        _effects(evidence),
    ]


def table(findings: Iterable[Finding]) -> str:
    lines = []
    for finding in findings:
        verdict = "ok" if finding.good else "FAILED"
        lines.append(f"{verdict:7} {finding.what}: {finding.looked_at:,} looked at{finding.note}")
        lines += [f"        {problem}" for problem in finding.problems[:SHOWN]]
        if len(finding.problems) > SHOWN:
            lines.append(f"        and {len(finding.problems) - SHOWN:,} more")
    return "\n".join(lines)


# -- what is there in the end ---------------------------------------------------------------------------------


def _once_on_every_node(evidence: Evidence) -> Finding:
    said = {word.text: word for word in evidence.accepted if word.to is None}
    problems = []
    for host in evidence.hosts:
        found = Counter(
            read.text
            for place, reads in evidence.shown.items()
            if place.partition(" ")[0] == host
            for read in reads
        )
        problems += _not_once(host, found, said, evidence)
    return Finding("accepted posts, shown once on every node", problems, len(said), _excuses(evidence))


def _once_in_mailboxes(evidence: Evidence) -> Finding:
    said = [word for word in evidence.accepted if word.to is not None]
    problems = []
    for agent, box in evidence.mailboxes.items():
        found = Counter(read.text for read in box)
        mine = {word.text: word for word in said if word.to == agent}
        problems += _not_once(agent, found, mine, evidence)
    homeless = {word.to for word in said} - set(evidence.mailboxes)
    problems += [f"nobody looked into the mailbox of {agent}" for agent in sorted(map(str, homeless))]
    return Finding("accepted direct messages, once in the mailbox", problems, len(said))


def _not_once(where: str, found: Counter[str], said: Mapping[str, Word], evidence: Evidence) -> list[str]:
    problems = [
        f"{where}: lost {text!r} of {word.agent} ({word.id})"
        for text, word in said.items()
        if text not in found and text not in evidence.excused
    ]
    problems += [f"{where}: {text!r} is there {times} times" for text, times in found.items() if times > 1]
    strange = [text for text in found if text not in said and text not in evidence.uncertain]
    return problems + [f"{where}: {text!r} was never accepted" for text in strange]


def _excuses(evidence: Evidence) -> str:
    parts = [
        f"{len(evidence.excused):,} went away with the only disk that held them" if evidence.excused else "",
        f"{len(evidence.uncertain):,} had no answer" if evidence.uncertain else "",
    ]
    told = "; ".join(part for part in parts if part)
    return f" ({told})" if told else ""


def _equal(evidence: Evidence) -> Finding:
    everything: set[bytes] = set().union(*evidence.replicas.values())
    problems = [
        f"{host} holds {len(held):,} of {len(everything):,} entries"
        for host in evidence.hosts
        if (held := evidence.replicas.get(host, ())) is not None and len(set(held)) != len(everything)
    ]
    return Finding("entries, the same on every node", problems, len(everything))


# -- order ----------------------------------------------------------------------------------------------------


def _in_order(evidence: Evidence) -> Finding:
    """Within a log by its seq, everywhere; an agent's own counting too, where its host lost no database."""
    problems: list[str] = []
    looked = 0
    said = {word.text: word for word in evidence.accepted}
    everything = [
        (name, reads, False) for name, reads in [*evidence.shown.items(), *evidence.mailboxes.items()]
    ]
    everything += [(name, reads, True) for name, reads in evidence.cursors.items()]
    for reader, reads, is_cursor in everything:
        first = list({read.text: read for read in reads}.values())
        looked += len(first)
        by_log: dict[tuple[str, str], list[int]] = defaultdict(list)
        by_agent: dict[str, list[int]] = defaultdict(list)
        for read in first:
            if found := _ID.fullmatch(read.id):
                by_log[found["node"], found["epoch"]].append(int(found["seq"]))
            word = said.get(read.text)
            if word is not None and word.agent.rpartition("@")[2] not in evidence.disasters:
                channel = read.text.split()[1]
                by_agent[f"{word.agent} {channel}"].append(word.n)
        if is_cursor and _host(reader) in evidence.disasters:
            continue  # a cursor over a loss meets again, in another order, what it met before
        problems += [f"{reader}: log {log} is out of order" for log, seqs in by_log.items() if _falls(seqs)]
        problems += [f"{reader}: {agent} is out of order" for agent, ns in by_agent.items() if _falls(ns)]
    return Finding("messages in their author's order, for every reader", problems, looked)


def _host(reader: str) -> str:
    """Of ``host channel`` or ``agent@host``."""
    return reader.partition(" ")[0].rpartition("@")[2]


def _falls(numbers: Sequence[int]) -> bool:
    return any(later <= earlier for earlier, later in pairwise(numbers))


# -- cursors that were kept through everything ----------------------------------------------------------------


def _cursors_skip_nothing(evidence: Evidence) -> Finding:
    problems: list[str] = []
    looked = 0
    for reader, reads in evidence.cursors.items():
        seen = {read.text for read in reads}
        looked += len(seen)
        there = _there(evidence, reader)
        problems += [f"{reader}: never given {text!r}" for text in there if text not in seen]
    return Finding("cursors skipped nothing", problems, looked)


def _there(evidence: Evidence, reader: str) -> set[str]:
    """What the reader could have been given in the end."""
    found = evidence.mailboxes if "@" in reader else evidence.shown
    return {read.text for read in found.get(reader, ())}


def _cursors_repeat_only_after_a_loss(evidence: Evidence) -> Finding:
    problems: list[str] = []
    repeats = looked = 0
    for reader, reads in evidence.cursors.items():
        again = [text for text, times in Counter(read.text for read in reads).items() if times > 1]
        looked += len(reads)
        if _host(reader) in evidence.disasters:
            repeats += len(again)
        else:
            problems += [f"{reader}: given {text!r} again" for text in again]
    return Finding(
        "cursors repeated nothing, but where a database was lost", problems, looked,
        f" ({repeats:,} repeated there)" if repeats else "",
    )  # fmt: skip


# -- how far messages got -------------------------------------------------------------------------------------


def _never_ahead(evidence: Evidence) -> Finding:
    """No author was told of more than was asked for before; nobody acknowledges anything here."""
    end = math.inf  # asked for when all readers had come to their end
    told = [*evidence.told, *((text, state, end) for text, state in evidence.known.items())]
    problems = []
    for text, state, when in told:
        if state in ("stored", "replicated"):
            continue
        asked = evidence.asked.get(text)
        if state != "read" or asked is None or asked > when:
            late = (
                "and nobody asked for it" if asked is None else f"{asked - when:.3f} s before anybody asked"
            )
            problems.append(f"{text[:40]!r} was said to be {state}, {late}")
    return Finding("states that authors were told, none ahead of the truth", problems, len(told))


def _told_in_the_end(evidence: Evidence) -> Finding:
    """What a host has confirmed is on its disk, and so it is told; where it lost that disk, it may be or not."""
    problems = []
    looked = 0
    for word in evidence.accepted:
        if word.to is None or word.text not in evidence.confirmed or word.text in evidence.excused:
            continue
        if word.to.rpartition("@")[2] in evidence.disasters:
            continue
        looked += 1
        if evidence.known.get(word.text) != "read":
            problems.append(
                f"{word.agent} knows {evidence.known.get(word.text)} of {word.text!r}, which was read"
            )
    return Finding("marks of what was read, each known to its author in the end", problems, looked)


# -- alerts ---------------------------------------------------------------------------------------------------

BEHIND_IT: Final[Mapping[str, frozenset[str]]] = {
    "recovery": frozenset({ROLLBACK, DELETE, CLOCK}),
    "clock": frozenset({CLOCK}),
    "disk": frozenset({FULL}),
    "disk_low": frozenset({FULL}),
    "silence": frozenset({CUT, WG_DOWN}),
}
"""Kinds of alert, and the faults of which one must have been in the run. Any other alert is wrong."""
OVER: Final = frozenset({"disk", "silence"})
"""Alerts that are to go away when what they speak of is over."""


def _alerts(evidence: Evidence) -> Finding:
    problems = []
    for host, alerts in evidence.alerts.items():
        for kind, text in alerts:
            behind = BEHIND_IT.get(kind, frozenset())
            if not behind & evidence.faults:
                problems.append(f"{host}: nothing is behind this: {kind}: {text}")
            elif kind in OVER:
                problems.append(f"{host}: it is over, and still shown: {kind}: {text}")
    told = sum(map(len, evidence.alerts.values()))
    return Finding("hosts without an alert that is wrong", problems, len(evidence.alerts), f" ({told} shown)")


# -- faults ---------------------------------------------------------------------------------------------------


def _effects(evidence: Evidence) -> Finding:
    """A run whose faults did nothing has shown nothing."""
    problems = [f"nothing was to be seen of {fault}" for fault, seen in evidence.effects if seen is None]
    if missing := evidence.planned - len(evidence.effects):
        problems.append(f"{missing} faults were never carried out")
    return Finding("faults, each seen to have its effect", problems, len(evidence.effects))
