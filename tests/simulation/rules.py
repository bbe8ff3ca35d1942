"""What a database knows of payloads that are gone: dropped by a rule, or missing; as ``maw.store.redacting``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from maw.core.entry import Entry, Head, Kind, Position, unpack_payload
from maw.core.identity import NodeId
from maw.core.redaction import Range, Redaction, may_redact

Place = tuple[NodeId, int]


@dataclass(slots=True)
class Rules:
    """``missing``: held without payload, and no rule says why."""

    ranges: dict[Place, list[Range]] = field(default_factory=dict)
    missing: dict[Position, Entry] = field(default_factory=dict)
    stated: set[bytes] = field(default_factory=set)
    """Redactions that operators stated and that were carried out here."""
    late: set[bytes] = field(default_factory=set)
    """What came into sight after what its author said later, for its payload came then."""
    dropped: int = 0
    """Payloads that were here and are gone."""

    def covers(self, position: Position) -> bool:
        ranges = self.ranges.get((position.author, position.epoch), ())
        return any(first <= position.seq <= last for first, last in ranges)

    def add(self, place: Place, ranges: Iterable[Range]) -> None:
        self.ranges.setdefault(place, []).extend(ranges)

    def incomplete(self) -> dict[Place, Head | None]:
        """Logs of which payloads are missing, and the last entry before the first such."""
        found: dict[Place, Head | None] = {}
        for author, epoch, seq in sorted(self.missing, reverse=True):
            found[author, epoch] = Head(seq - 1, self.missing[Position(author, epoch, seq)].prev)
        return found

    def copy(self) -> Rules:
        ranges = {place: list(known) for place, known in self.ranges.items()}
        return Rules(ranges, dict(self.missing), set(self.stated), set(self.late), self.dropped)


def read_rule(entry: Entry) -> Redaction | None:
    """What this entry would take away."""
    if entry.kind != Kind.REDACT or entry.payload is None:
        return None
    try:
        return Redaction.read(unpack_payload(entry.payload))
    except ValueError:  # set aside
        return None


def rule_of(entry: Entry) -> Redaction | None:
    """What this entry takes away, if it may."""
    rule = read_rule(entry)
    return rule if rule is not None and may_redact(entry, rule) else None


def rules_of(entries: Sequence[Entry]) -> list[Redaction]:
    return [rule for entry in entries if (rule := rule_of(entry)) is not None]
