"""What nodes say over a link: one small dataclass a frame, msgpack arrays on the wire.

Every frame is an array whose first item is its number. Decoding checks each type and every limit;
whatever is wrong is a ProtocolViolation, never another exception. Unknown numbers are skipped (a newer
minor version may speak them).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgpack

from maw.core.blobs import MAX_CHUNKS, SEALED_CHUNK, TAG
from maw.core.entry import MAX_COUNT, Entry, Head, Position, decode
from maw.core.identity import ID_BYTES, KEY_BYTES, NodeId
from maw.core.statement import MAX_STATEMENT
from maw.errors import ProtocolViolation

MAX_FRAME: Final = 1 << 20
MAX_ITEMS: Final = 20_000
TARGET_BATCH: Final = 256 * 1024
"""Bytes of entries we put in one frame: far below the limit, so that nothing live waits long behind it."""
MAX_BATCH: Final = 768 * 1024
MAX_LADDER: Final = 80
"""Heads in a Locate: they double downwards, so a log of any length needs fewer."""
MAX_ASKED: Final = 256
"""Places that one Ask may name."""


@dataclass(frozen=True, slots=True)
class StatementDigest:
    """The digest of all statements held; first on every link."""

    digest: bytes


@dataclass(frozen=True, slots=True)
class StatementIds:
    """Every statement id held; the other side answers with what is lacking."""

    ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Statements:
    """Signed statements, as their wire bytes."""

    items: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class LogName:
    """Gives a log a number for the rest of this connection."""

    number: int
    author: NodeId
    epoch: int


@dataclass(frozen=True, slots=True)
class Held:
    """The durable head of a numbered log; only ``complete`` (payloads too) counts as a receipt."""

    number: int
    head: Head
    complete: bool


@dataclass(frozen=True, slots=True)
class Closed:
    """One digest for all epochs of ``author`` below ``below``."""

    author: NodeId
    below: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Have:
    names: tuple[LogName, ...]
    heads: tuple[Held, ...]
    closed: tuple[Closed, ...]


@dataclass(frozen=True, slots=True)
class Follow:
    """Send me ``author``'s log from after these heads, later epochs too."""

    author: NodeId
    serial: int
    heads: tuple[tuple[int, Head], ...]


@dataclass(frozen=True, slots=True)
class Following:
    """What comes of ``author`` from here on answers the Follow of this serial."""

    author: NodeId
    serial: int


@dataclass(frozen=True, slots=True)
class CannotFollow:
    author: NodeId
    serial: int
    reason: str


@dataclass(frozen=True, slots=True)
class UpToDate:
    """All that was held here of ``author`` has been sent: what follows is live."""

    author: NodeId
    serial: int


@dataclass(frozen=True, slots=True)
class Unfollow:
    author: NodeId


@dataclass(frozen=True, slots=True)
class Entries:
    """Runs of entries; each run ends in a signature that the sender checked itself."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Credit:
    """So many bytes of entries were committed or discarded: send as many more."""

    amount: int


@dataclass(frozen=True, slots=True)
class Fork:
    """A run of ours that contradicts a head you showed: together with yours, a proof."""

    author: NodeId
    epoch: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """Show me the entries at these places, with their payloads."""

    places: tuple[Position, ...]


@dataclass(frozen=True, slots=True)
class Mend:
    """The answer to an Ask: entries as they are held (those without payload have none here either), and the places
    of which nothing is held. What is in neither did not fit, and may be asked again."""

    entries: tuple[Entry, ...]
    lacking: tuple[Position, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """Passed on: this log has forked. Two runs that begin at one seq and differ there, without payloads."""

    author: NodeId
    epoch: int
    one: tuple[Entry, ...]
    other: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Locate:
    """Show me (with a Fork) what you hold of this log after the highest of these heads that you hold too."""

    author: NodeId
    epoch: int
    heads: tuple[Head, ...]


@dataclass(frozen=True, slots=True)
class WantBlob:
    """Send me chunks of this blob, ``count`` of them from number ``first`` on; of none of them: its list."""

    hash: bytes
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class BlobList:
    """The hashes of all chunks of a blob, one behind the other: its name is their hash."""

    hash: bytes
    hashes: bytes


@dataclass(frozen=True, slots=True)
class BlobChunk:
    hash: bytes
    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class NoBlob:
    """I do not have it, or no longer."""

    hash: bytes


@dataclass(frozen=True, slots=True)
class Unknown:
    number: int


Frame = (
    StatementDigest | StatementIds | Statements | Have | Follow | Following | CannotFollow | UpToDate
    | Unfollow | Entries | Credit | Fork | Ask | Mend | Proof | Locate | WantBlob | BlobList | BlobChunk
    | NoBlob | Unknown
)  # fmt: skip

_NUMBERS: Final[dict[type, int]] = {
    StatementDigest: 1, StatementIds: 2, Statements: 3, Have: 4, Follow: 5, Following: 6, CannotFollow: 7,
    UpToDate: 8, Unfollow: 9, Entries: 10, Credit: 11, Fork: 12, Ask: 13, Mend: 14,
    Proof: 15, Locate: 16, WantBlob: 17, BlobList: 18, BlobChunk: 19, NoBlob: 20,
}  # fmt: skip


def _fields(frame: Frame) -> tuple[Any, ...]:
    match frame:
        case Entries(entries):
            return ([entry.wire() for entry in entries],)
        case Fork(author, epoch, entries):
            return (author, epoch, [entry.wire() for entry in entries])
        case Have(names, heads, closed):
            return (
                [(name.number, name.author, name.epoch) for name in names],
                [(held.number, held.head.seq, held.head.id, held.complete) for held in heads],
                [(item.author, item.below, item.digest) for item in closed],
            )
        case Follow(author, serial, known):
            return (author, serial, [(epoch, head.seq, head.id) for epoch, head in known])
        case StatementDigest(value) | StatementIds(value) | Statements(value) | Credit(value):
            return (value,)
        case Following(author, serial) | UpToDate(author, serial):
            return (author, serial)
        case CannotFollow(author, serial, reason):
            return (author, serial, reason)
        case Unfollow(author):
            return (author,)
        case Ask(places):
            return ([tuple(place) for place in places],)
        case Mend(entries, lacking):
            return ([entry.wire() for entry in entries], [tuple(place) for place in lacking])
        case Proof(author, epoch, one, other):
            return (author, epoch, [entry.wire() for entry in one], [entry.wire() for entry in other])
        case Locate(author, epoch, heads):
            return (author, epoch, [tuple(head) for head in heads])
        case WantBlob(name, first, count):
            return (name, first, count)
        case BlobList(name, hashes):
            return (name, hashes)
        case BlobChunk(name, number, data):
            return (name, number, data)
        case NoBlob(name):
            return (name,)
        case Unknown():
            raise AssertionError("an unknown frame is never sent")


def encode(frame: Frame) -> bytes:
    packed: bytes = msgpack.packb((_NUMBERS[type(frame)], *_fields(frame)))
    return packed


def _bad(what: str) -> ProtocolViolation:
    return ProtocolViolation(f"a frame is malformed: {what}", code="bad_frame")


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise _bad("a number is out of range")
    return value


def _raw(value: Any, size: int = ID_BYTES) -> bytes:
    if type(value) is not bytes or len(value) != size:
        raise _bad(f"{size} bytes were due")
    return value


def _key(value: Any) -> NodeId:
    return NodeId(_raw(value, KEY_BYTES))


def _list(value: Any, width: int = 0) -> tuple[Any, ...]:
    """A list; of arrays of ``width`` items each when given."""
    if type(value) is not tuple or len(value) > MAX_ITEMS:
        raise _bad("a list is missing or too long")
    if width and not all(type(item) is tuple and len(item) == width for item in value):
        raise _bad("a list holds something of another shape")
    return value


def _head(seq: Any, entry_id: Any) -> Head:
    return Head(_count(seq), _raw(entry_id))


def _entries(value: Any) -> tuple[Entry, ...]:
    return tuple([decode(*item) for item in _list(value, 3)])


def _places(value: Any) -> tuple[Position, ...]:
    if len(_list(value, 3)) > MAX_ASKED:
        raise _bad(f"more than {MAX_ASKED} places")
    return tuple([Position(_key(author), _count(epoch), _count(seq)) for author, epoch, seq in value])


def _ladder(author: Any, epoch: Any, heads: Any) -> Locate:
    if len(_list(heads, 2)) > MAX_LADDER:
        raise _bad(f"more than {MAX_LADDER} heads of one log")
    return Locate(_key(author), _count(epoch), tuple(_head(seq, entry_id) for seq, entry_id in heads))


def _blob(value: Any) -> bytes:
    if type(value) is not bytes or not 0 < len(value) <= MAX_STATEMENT:
        raise _bad("a statement is missing or too long")
    return value


def _hashes(value: Any) -> bytes:
    if type(value) is not bytes or not 0 < len(value) <= MAX_CHUNKS * ID_BYTES or len(value) % ID_BYTES:
        raise _bad("a list of chunks is missing or too long")
    return value


def _chunk(value: Any) -> bytes:
    if type(value) is not bytes or not TAG <= len(value) <= SEALED_CHUNK:
        raise _bad("a chunk is missing, too short or too long")
    return value


def _number_of_chunk(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_CHUNKS:
        raise _bad("no blob has so many chunks")
    return value


def _reason(value: Any) -> str:
    if type(value) is not str or len(value) > 200:
        raise _bad("a reason is missing or too long")
    return value


def _have(names: Any, heads: Any, closed: Any) -> Have:
    return Have(
        tuple(LogName(_count(n), _key(author), _count(epoch)) for n, author, epoch in _list(names, 3)),
        tuple(Held(_count(n), _head(seq, i), complete is True) for n, seq, i, complete in _list(heads, 4)),
        tuple(Closed(_key(author), _count(below), _raw(value)) for author, below, value in _list(closed, 3)),
    )


def _follow(author: Any, serial: Any, heads: Any) -> Follow:
    known = tuple((_count(epoch), _head(seq, entry_id)) for epoch, seq, entry_id in _list(heads, 3))
    return Follow(_key(author), _count(serial), known)


_DECODERS: Final[dict[int, tuple[int, Callable[..., Frame]]]] = {
    1: (1, lambda value: StatementDigest(_raw(value))),
    2: (1, lambda ids: StatementIds(tuple(_raw(item) for item in _list(ids)))),
    3: (1, lambda items: Statements(tuple(_blob(item) for item in _list(items)))),
    4: (3, _have),
    5: (3, _follow),
    6: (2, lambda author, serial: Following(_key(author), _count(serial))),
    7: (3, lambda author, serial, why: CannotFollow(_key(author), _count(serial), _reason(why))),
    8: (2, lambda author, serial: UpToDate(_key(author), _count(serial))),
    9: (1, lambda author: Unfollow(_key(author))),
    10: (1, lambda entries: Entries(_entries(entries))),
    11: (1, lambda amount: Credit(_count(amount))),
    12: (3, lambda author, epoch, entries: Fork(_key(author), _count(epoch), _entries(entries))),
    13: (1, lambda places: Ask(_places(places))),
    15: (
        4,
        lambda author, epoch, one, other: Proof(_key(author), _count(epoch), _entries(one), _entries(other)),
    ),
    16: (3, _ladder),
    14: (2, lambda entries, lacking: Mend(_entries(entries), _places(lacking))),
    17: (
        3,
        lambda name, first, count: WantBlob(_raw(name), _number_of_chunk(first), _number_of_chunk(count)),
    ),
    18: (2, lambda name, hashes: BlobList(_raw(name), _hashes(hashes))),
    19: (3, lambda name, number, data: BlobChunk(_raw(name), _number_of_chunk(number), _chunk(data))),
    20: (1, lambda name: NoBlob(_raw(name))),
}


def decode_frame(data: bytes) -> Frame:
    """Raises ProtocolViolation on anything that no honest node sends."""
    if len(data) > MAX_FRAME:
        raise ProtocolViolation(f"a frame of {len(data)} bytes; at most {MAX_FRAME}", code="frame_too_big")
    try:
        items = msgpack.unpackb(data, use_list=False)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise _bad(f"it does not decode ({type(error).__name__})") from None
    if type(items) is not tuple or not items or type(items[0]) is not int:
        raise _bad("it is no array with a number in front")
    known = _DECODERS.get(items[0])
    if known is None:
        return Unknown(items[0])
    width, decoder = known
    if len(items) < width + 1:
        raise _bad("fields are missing")
    return decoder(*items[1 : width + 1])
