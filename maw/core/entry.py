"""The signed record: its exact bytes, its id, its limits.

    header    msgpack array [version, colony, author, epoch, seq, prev, hlc, kind, payload_hash, payload_size]
    signature Ed25519 by the author over "maw-entry-v1\\0" ‖ header
    id        BLAKE2b-256(header ‖ signature): a chain of ids vouches for signatures too
    payload   16 random bytes and a msgpack map; outside the header, known by its hash, so that it can be
              dropped one day and the chain still verifies. The random bytes keep short secrets from being
              guessed out of the hash.

The header's bytes are kept and relayed as they came, never encoded again (Synapse #2951).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgpack

from maw.core.clock import MAX_HLC
from maw.core.identity import DOMAIN_ENTRY, ID_BYTES, KEY_BYTES, SIGNATURE_BYTES, NodeId, Signer, verify
from maw.errors import ProtocolViolation

VERSION: Final = 1
HEADER_FIELDS: Final = 10
MAX_HEADER: Final = 256
MAX_PAYLOAD: Final = 96 * 1024
MAX_COUNT: Final = (1 << 62) - 1
SALT_BYTES: Final = 16
NO_PREV: Final = bytes(ID_BYTES)

Wire = tuple[bytes, bytes, bytes | None]


class Kind(IntEnum):
    """What an entry says. Unknown kinds are kept and passed on."""

    OPEN = 1
    CARD = 2
    AGENT = 3
    CHANNEL = 4
    POST = 5
    DIRECT = 6
    RECEIPT = 7
    HEED = 8
    REDACT = 9
    PROGRESS = 10
    PRESENCE = 11
    EDIT = 12
    SEAL_KEY = 13
    PRIVATE = 14
    SOUL = 15
    LEDGER = 16
    MOVED = 17
    LENT = 18


class Head(NamedTuple):
    """The last entry held of a log."""

    seq: int
    id: bytes


START: Final = Head(0, NO_PREV)


class Position(NamedTuple):
    """Where an entry stands: names it, as long as its author does not fork."""

    author: NodeId
    epoch: int
    seq: int


@dataclass(slots=True)
class Entry:
    """One record with its header taken apart. Built by ``make`` (ours) or ``decode`` (anybody's)."""

    header: bytes
    signature: bytes
    payload: bytes | None
    id: bytes
    colony: bytes
    author: NodeId
    epoch: int
    seq: int
    prev: bytes
    hlc: int
    kind: int
    payload_hash: bytes
    payload_size: int

    @property
    def position(self) -> Position:
        return Position(self.author, self.epoch, self.seq)

    @property
    def head(self) -> Head:
        return Head(self.seq, self.id)

    @property
    def size(self) -> int:
        """Bytes it takes on the wire, nearly; what credit is counted in."""
        return len(self.header) + SIGNATURE_BYTES + (len(self.payload) if self.payload else 0) + 12

    def wire(self) -> Wire:
        return self.header, self.signature, self.payload

    def signature_holds(self) -> bool:
        return verify(self.author, DOMAIN_ENTRY, self.header, self.signature)


def hash_payload(payload: bytes) -> bytes:
    return blake2b(payload, digest_size=ID_BYTES).digest()


def pack_payload(salt: bytes, content: Mapping[str, Any]) -> bytes:
    """``salt`` is 16 fresh random bytes."""
    assert len(salt) == SALT_BYTES
    return salt + pack_content(content)


def pack_content(content: Mapping[str, Any]) -> bytes:
    """A payload without its salt. Raises ValueError, TypeError or OverflowError for what msgpack cannot hold."""
    packed: bytes = msgpack.packb(content)
    return packed


def unpack_payload(payload: bytes) -> dict[str, Any]:
    """The map within a payload. Raises ValueError on anything else."""
    return unpack_content(payload[SALT_BYTES:])


def unpack_content(packed: bytes) -> dict[str, Any]:
    """The opposite of ``pack_content``. Raises ValueError on anything else."""
    content = msgpack.unpackb(packed, strict_map_key=True, raw=False)
    if not isinstance(content, dict):
        raise ValueError("a payload is a map")
    return content


def make(signer: Signer, colony: bytes, epoch: int, head: Head, hlc: int, kind: int, payload: bytes) -> Entry:
    """The entry that follows ``head``, signed."""
    payload_hash = hash_payload(payload)
    size = len(payload)
    header: bytes = msgpack.packb(
        (VERSION, colony, signer.node, epoch, head.seq + 1, head.id, hlc, int(kind), payload_hash, size)
    )
    signature = signer.sign(DOMAIN_ENTRY, header)
    entry_id = blake2b(header + signature, digest_size=ID_BYTES).digest()
    return Entry(
        header, signature, payload, entry_id, colony, signer.node, epoch, head.seq + 1, head.id, hlc,
        int(kind), payload_hash, size,
    )  # fmt: skip


_FIELD_TYPES: Final = (int, bytes, bytes, int, int, bytes, int, int, bytes, int)


def decode(header: object, signature: object, payload: object = None) -> Entry:
    """Takes an entry from the wire or the disk apart, checking every type and range, and the payload's hash.

    Whether it follows from something, and who signed it, is for ``log``. Raises ProtocolViolation.
    """
    if type(header) is not bytes or len(header) > MAX_HEADER:
        raise ProtocolViolation("an entry's header is missing or too long", code="bad_entry")
    if type(signature) is not bytes or len(signature) != SIGNATURE_BYTES:
        raise ProtocolViolation("an entry's signature is not 64 bytes", code="bad_entry")
    try:
        fields = msgpack.unpackb(header, use_list=False)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise ProtocolViolation(f"an entry's header does not decode: {error}", code="bad_entry") from None
    if type(fields) is not tuple or len(fields) != HEADER_FIELDS:
        raise ProtocolViolation("an entry's header is not an array of ten", code="bad_entry")
    if fields[0] != VERSION:
        raise ProtocolViolation(f"an entry of version {fields[0]!r}; this node knows 1", code="bad_entry")
    if tuple(map(type, fields)) != _FIELD_TYPES:
        raise ProtocolViolation("an entry's header holds a field of another type", code="bad_entry")
    _, colony, author, epoch, seq, prev, hlc, kind, payload_hash, size = fields
    if not (len(colony) == len(prev) == len(payload_hash) == ID_BYTES and len(author) == KEY_BYTES):
        raise ProtocolViolation("an entry's colony, author or hashes are not 32 bytes", code="bad_entry")
    if not (0 <= epoch <= MAX_COUNT and 0 < seq <= MAX_COUNT and 0 <= hlc <= MAX_HLC):
        raise ProtocolViolation("an entry's epoch, seq or hlc is out of range", code="bad_entry")
    if not (0 <= kind <= MAX_COUNT and 0 <= size <= MAX_PAYLOAD):
        raise ProtocolViolation("an entry's kind or payload size is out of range", code="bad_entry")
    if payload is not None and (
        type(payload) is not bytes or len(payload) != size or hash_payload(payload) != payload_hash
    ):
        raise ProtocolViolation("an entry's payload does not match its hash", code="wrong_hash")
    entry_id = blake2b(header + signature, digest_size=ID_BYTES).digest()
    return Entry(
        header, signature, payload, entry_id, colony, NodeId(author), epoch, seq, prev, hlc, kind,
        payload_hash, size,
    )  # fmt: skip
