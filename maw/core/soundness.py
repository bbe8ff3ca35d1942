"""Is what lies on the disk what was once checked and written? Judged entry by entry, so that one flipped bit
costs one entry and not the rest of its log.

An id covers header and signature, and the next entry (or the log's head) holds it as ``prev``: so a page is
judged from its end to its beginning, each sound entry vouching for the one before it. Where nobody vouches,
because what would have is damaged itself, the entry's own signature does. A signature that does not hold on an
entry that is vouched for is how its author wrote it (see ``log``): told, and no damage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from maw.core.entry import Entry, decode
from maw.core.identity import NodeId
from maw.core.redaction import droppable
from maw.errors import ProtocolViolation


class Part(StrEnum):
    """What of an entry is wrong."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    """The database cannot give the row."""
    HEADER = "header"
    """Header or signature."""
    PAYLOAD = "payload"
    MESSAGE = "message"
    """The entry is whole; what was made of it is not what it says."""


class Row(NamedTuple):
    """An entry as the database gives it; ``header`` is None where it gave none."""

    seq: int
    header: object
    signature: object = b""
    payload: object = None
    unreadable: bool = False
    dropped: bool = False
    """It is known why there is no payload: a rule that is held here let it go, or it came without."""


@dataclass(frozen=True, slots=True)
class Damage:
    """One place of a log at which there is not what was written there.

    ``id`` is what belongs there, where somebody vouches for it; ``text`` says what was found.
    """

    author: NodeId
    epoch: int
    seq: int
    part: Part
    text: str
    id: bytes | None = None


@dataclass(slots=True)
class Judged:
    """``entries``: the sound ones, ascending; ``unsigned``: those of them whose own signature does not hold;
    ``first``: what the first row says of the one before it, None when that cannot be believed."""

    entries: list[Entry] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)
    unsigned: list[int] = field(default_factory=list)
    first: bytes | None = None


class LogName(NamedTuple):
    """Whose log, and of which epoch, in which Colony."""

    colony: bytes
    author: NodeId
    epoch: int


def judge(log: LogName, rows: Sequence[Row], vouched: bytes | None, *, signatures: bool = True) -> Judged:
    """Judge consecutive rows of one log, ascending by seq, a Row for each place.

    ``vouched``: the id of the last one, by the entry after it or by the log's head. Without ``signatures`` only
    those are checked that have to stand for themselves.
    """
    found = Judged()
    expected = vouched
    for row in reversed(rows):
        entry, damage = _look(log, row)
        if entry is None or not _vouched(entry, expected):
            if damage is None or damage.part is Part.PAYLOAD:
                text = "its header or signature is not what was written"
                damage = Damage(log.author, log.epoch, row.seq, Part.HEADER, text)
            found.damages.append(_named(damage, expected))
            expected = None
            continue
        if damage is not None:  # the payload alone
            found.damages.append(_named(damage, entry.id))
        else:
            found.entries.append(entry)
            if signatures and not entry.signature_holds():
                found.unsigned.append(entry.seq)
        expected = entry.prev
    found.first = expected
    for items in (found.entries, found.damages, found.unsigned):
        items.reverse()
    return found


def _vouched(entry: Entry, expected: bytes | None) -> bool:
    return entry.id == expected if expected is not None else entry.signature_holds()


def _named(damage: Damage, entry_id: bytes | None) -> Damage:
    return Damage(damage.author, damage.epoch, damage.seq, damage.part, damage.text, entry_id)


def _look(log: LogName, row: Row) -> tuple[Entry | None, Damage | None]:
    """The entry, if only by its header, and what is wrong apart from who vouches for it."""

    def damaged(part: Part, text: str) -> Damage:
        return Damage(log.author, log.epoch, row.seq, part, text)

    if row.header is None:
        if row.unreadable:
            return None, damaged(Part.UNREADABLE, "the database cannot read it")
        return None, damaged(Part.MISSING, "it is not there")
    try:
        entry = decode(row.header, row.signature)
    except ProtocolViolation as error:
        return None, damaged(Part.HEADER, error.message)
    if (entry.colony, entry.author, entry.epoch, entry.seq) != (log.colony, log.author, log.epoch, row.seq):
        return None, damaged(Part.HEADER, "it is the entry of another place")
    if row.payload is None:
        dropped = row.dropped and droppable(entry.kind)
        return entry, None if dropped else damaged(Part.PAYLOAD, "its payload is not there")
    try:
        return decode(row.header, row.signature, row.payload), None
    except ProtocolViolation as error:
        return entry, damaged(Part.PAYLOAD, error.message)
