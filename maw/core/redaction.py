"""Rules that drop payloads: what they say, who may make them, which entries they cannot touch.

A rule is an entry like any other, so it reaches every replica and stays on record for ever; what it names loses its
payload wherever it is held. Headers and ids stay, so every chain still verifies. A payload that is absent without
a rule is missing, and is asked for.

Over others' words only an operator rules, who has the right to. His rule is a statement: it comes before any entry
on every link, is kept beside the key too, and whether it counts is for the authority to say:

    redact   {"author", "epoch", "seqs": [[first, last], ...], "why"}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from maw.core.authority import key_in
from maw.core.colony import BY, MAX_KEEP_DAYS
from maw.core.entry import MAX_COUNT, Entry, Kind
from maw.core.identity import KEY_BYTES, NodeId, Signer
from maw.core.statement import Statement, sign_statement
from maw.errors import ProtocolViolation

REDACTED: Final = "redacted"
RETENTION: Final = "retention"
MAX_RANGES: Final = 1_000
MAX_REASON: Final = 200
REDACT: Final = "redact"
"""A statement's type."""
MAX_STATED_RANGES: Final = 500
"""A statement is at most 16 KiB."""

Range = tuple[int, int]
"""The first and the last seq."""

_DROPPABLE: Final = frozenset({Kind.POST, Kind.DIRECT, Kind.EDIT, Kind.PRIVATE, Kind.SOUL})
_KNOWN: Final = frozenset(Kind)


def droppable(kind: int) -> bool:
    """Only messages, edits of them and souls are. What opens epochs, names agents and channels, or rules, must stay
    readable for whoever comes later."""
    return kind in _DROPPABLE


def may_lack_payload(kind: int) -> bool:
    """An entry of this kind can be held without its payload. Of kinds that a later version knows we cannot tell."""
    return kind in _DROPPABLE or kind not in _KNOWN


@dataclass(frozen=True, slots=True)
class Redaction:
    """The payloads of these entries are dropped. ``by``: who asked for it; ``days``: the rule, where time did."""

    author: NodeId
    epoch: int
    ranges: tuple[Range, ...]
    why: str
    by: str
    reason: str | None = None
    days: int | None = None

    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = {
            "author": self.author, "epoch": self.epoch, "seqs": [list(item) for item in self.ranges],
            "why": self.why, "by": self.by,
        }  # fmt: skip
        if self.reason:
            content["reason"] = self.reason
        if self.days is not None:
            content["days"] = self.days
        return content

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Redaction:
        """Raises ValueError on anything malformed."""
        author, epoch, why = content.get("author"), content.get("epoch"), content.get("why")
        if type(author) is not bytes or len(author) != KEY_BYTES:
            raise ValueError(f"author is not {KEY_BYTES} bytes")
        if type(epoch) is not int or not 0 <= epoch <= MAX_COUNT:
            raise ValueError("epoch is no number in range")
        if why not in (REDACTED, RETENTION):
            raise ValueError(f"why is neither {REDACTED} nor {RETENTION}")
        by = content.get("by")
        if type(by) is not str or not BY.fullmatch(by):
            raise ValueError("by is of no form that a maw would write")
        reason = content.get("reason")
        if reason is not None and (type(reason) is not str or not 0 < len(reason) <= MAX_REASON):
            raise ValueError(f"reason is no text of 1 to {MAX_REASON} characters")
        days = content.get("days")
        if days is not None and (type(days) is not int or not 0 < days <= MAX_KEEP_DAYS):
            raise ValueError(f"days is no number from 1 to {MAX_KEEP_DAYS}")
        return cls(NodeId(author), epoch, read_ranges(content.get("seqs")), why, by, reason, days)


def read_ranges(value: object, limit: int = MAX_RANGES) -> tuple[Range, ...]:
    """Ranges of seqs, rising and apart. Raises ValueError."""
    if type(value) is not list or not 0 < len(value) <= limit:
        raise ValueError(f"seqs is no list of 1 to {limit}")
    found: list[Range] = []
    above = 0
    for item in value:
        if type(item) is not list or len(item) != 2 or not all(type(seq) is int for seq in item):
            raise ValueError("seqs holds something that is no range")
        if not above < item[0] <= item[1] <= MAX_COUNT:
            raise ValueError("seqs are not in order, or out of range")
        found.append((item[0], item[1]))
        above = item[1]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class StatedRedaction:
    """An operator's word that the payloads of these entries are dropped. Its ranges may reach beyond what is held."""

    id: bytes
    issuer: NodeId
    author: NodeId
    epoch: int
    ranges: tuple[Range, ...]
    reason: str
    at_ms: int


def redaction_fields(author: NodeId, epoch: int, ranges: Iterable[Range], reason: str) -> dict[str, Any]:
    """What is signed."""
    return {"author": author, "epoch": epoch, "seqs": [list(item) for item in ranges], "why": reason}


def redaction_statement(
    issuer: Signer,
    colony: bytes,
    author: NodeId,
    epoch: int,
    ranges: Iterable[Range],
    reason: str,
    at_ms: int,
) -> Statement:
    fields = redaction_fields(author, epoch, ranges, reason)
    return sign_statement(issuer, REDACT, colony, at_ms, fields)


def read_redaction(statement: Statement) -> StatedRedaction:
    """Raises ProtocolViolation."""
    fields = statement.fields
    epoch, reason = fields.get("epoch"), fields.get("why")
    try:
        if type(epoch) is not int or not 0 <= epoch <= MAX_COUNT:
            raise ValueError("epoch is no number in range")
        if type(reason) is not str or len(reason) > MAX_REASON:
            raise ValueError(f"why is no text of at most {MAX_REASON} characters")
        ranges = read_ranges(fields.get("seqs"), MAX_STATED_RANGES)
    except ValueError as error:
        raise ProtocolViolation(f"a statement is malformed: {error}", code="bad_statement") from None
    author = key_in(fields, "author")
    return StatedRedaction(statement.id, statement.issuer, author, epoch, ranges, reason, statement.at_ms)


def may_redact(entry: Entry, rule: Redaction) -> bool:
    """A node's entry rules over its own words, and only over those it has said: it never speaks of what is to come."""
    if entry.author != rule.author or rule.epoch > entry.epoch:
        return False
    return rule.epoch < entry.epoch or rule.ranges[-1][1] < entry.seq


def not_beyond(content: Mapping[str, Any], epoch: int, last: int) -> dict[str, Any] | None:
    """A rule's payload without what it says of ``epoch`` beyond ``last``; None when nothing is left of it."""
    if content.get("epoch") != epoch:
        return dict(content)
    ranges = [[first, min(end, last)] for first, end in content.get("seqs", []) if first <= last]
    return {**content, "seqs": ranges} if ranges else None


def as_ranges(seqs: Iterable[int]) -> list[Range]:
    """The fewest ranges that hold exactly these."""
    found: list[Range] = []
    for seq in sorted(set(seqs)):
        if found and found[-1][1] == seq - 1:
            found[-1] = (found[-1][0], seq)
        else:
            found.append((seq, seq))
    return found
