"""What the core asks of whoever runs it. Effects are data; carrying them out is the runtime's work.

The one law: an ``Append`` is committed before anything that carries or acknowledges its entries is sent.
The core keeps it by answering ``committed`` with those sends, and never before.
"""

from __future__ import annotations

from dataclasses import dataclass

from maw.core.entry import Entry, Head, Position
from maw.core.frames import Frame
from maw.core.identity import NodeId
from maw.core.log import Adoption, Heads

Link = int
"""A live connection, numbered by the runtime; never used again after it went down."""


@dataclass(frozen=True, slots=True)
class Send:
    link: Link
    frame: Frame


@dataclass(frozen=True, slots=True)
class Append:
    """Make these durable, all or none, then call ``committed(batch)`` or ``discarded(batch)``."""

    batch: int
    link: Link
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class AppendStatements:
    """Make these signed statements durable, then call ``statements_committed``."""

    link: Link
    items: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ReadLog:
    """Read about ``size`` bytes of what stands after ``heads`` of ``author``, epochs in order; then ``log_read``."""

    link: Link
    author: NodeId
    serial: int
    heads: Heads
    size: int


@dataclass(frozen=True, slots=True)
class CheckFork:
    """Compare this run (chain and last signature are good) with what is stored; differing → ``disputed``."""

    link: Link
    author: NodeId
    epoch: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class CheckProof:
    """Note that a log has forked, as these two runs prove; what we hold of it may be either, or neither."""

    link: Link
    author: NodeId
    epoch: int
    one: tuple[Entry, ...]
    other: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class CheckAdoption:
    """The author says which branch of this epoch counts: see whether it is ours, then call ``settled`` or ``seek``."""

    author: NodeId
    epoch: int
    adoption: Adoption


@dataclass(frozen=True, slots=True)
class ReadBranch:
    """Read what we hold of this log after the highest of ``heads`` that we hold too, then call ``branch_read``."""

    link: Link
    author: NodeId
    epoch: int
    heads: tuple[Head, ...]


@dataclass(frozen=True, slots=True)
class Seek:
    """Ask this link for its branch of a log: send it a Locate with a ladder of what we hold, and ``common`` on it,
    up to where it is known to hold the same."""

    link: Link
    author: NodeId
    epoch: int
    common: Head | None = None


@dataclass(frozen=True, slots=True)
class KeepOwn:
    """Our own log has forked and nobody shows the other branch: adopt ours, in a new epoch. At ``since`` the two are
    known to differ."""

    epoch: int
    since: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """``peer`` has our log on its disk up to here."""

    peer: NodeId
    epoch: int
    seq: int


@dataclass(frozen=True, slots=True)
class OwnLogReturned:
    """Others gave back entries of our own log that we had lost: the next write must open a new epoch."""

    epoch: int


@dataclass(frozen=True, slots=True)
class OwnLogBehind:
    """Whether what we said before a loss is still coming back: until it is here, no request can be told from one that
    was answered already."""

    behind: bool


@dataclass(frozen=True, slots=True)
class Hangup:
    """Close this link: its peer broke a rule."""

    link: Link
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Alert:
    """A human should know. Alerts alike in ``kind`` and ``subject`` are counted, not repeated."""

    kind: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Settled:
    """What the alert of this kind and subject spoke of is over."""

    kind: str
    subject: str


@dataclass(frozen=True, slots=True)
class ReadPlaces:
    """Read what is held at these places, about TARGET_BATCH bytes, then call ``places_read``."""

    link: Link
    places: tuple[Position, ...]


@dataclass(frozen=True, slots=True)
class Mended:
    """Write these back where they are lacking, then call ``mended`` or ``not_mended``. Their ids are those demanded."""

    link: Link
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class InVain:
    """Every link was asked for these, and none gave them. They are asked for again later."""

    places: tuple[Position, ...]


@dataclass(frozen=True, slots=True)
class ReadChunk:
    """Read a chunk of this blob (None: its list), when the link has taken what it was given, then call ``read``."""

    link: Link
    hash: bytes
    number: int | None


@dataclass(frozen=True, slots=True)
class KeepList:
    """The list of a blob that is being fetched: keep it beside the chunks."""

    hash: bytes
    hashes: bytes


@dataclass(frozen=True, slots=True)
class KeepChunk:
    """The next chunk of a blob that is being fetched, as its list has it: write it, then call ``kept``."""

    hash: bytes
    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Whole:
    """All chunks of this blob are written: put it among the others, then call ``done``."""

    hash: bytes


Effect = (
    Send | Append | AppendStatements | ReadLog | CheckFork | Receipt | OwnLogReturned | Hangup | Alert
    | Settled | ReadPlaces | Mended | InVain | CheckProof | CheckAdoption | ReadBranch | Seek | KeepOwn
    | OwnLogBehind | ReadChunk | KeepList | KeepChunk | Whole
)  # fmt: skip
