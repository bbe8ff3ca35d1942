"""Words that only some hosts can read: how they are sealed, and how a host that may opens them.

    payload  {"agent", "id", "eph", "keys": [[node, key id, wrapped key], ...], "box"}        kind 14
    box      XChaCha20-Poly1305 under a random content key, nonce id ‖ 8 zero bytes, over
             u32 length ‖ a msgpack map ‖ zero bytes up to ``padded(length)``

The map within has a key ``kind`` (6 a direct message, 12 an edit, 5 a post in a private
channel, 4 what is said of one; 17 and 18 of an agent that moves, in entries of these
kinds alone) and is else that kind's own. What the box
is bound to (Colony, node that said it, agent, id, whom it is wrapped for) is not written in it, so that a copy in
another log, or for others, opens nowhere. Each host's copy of the content key is encrypted to its sealing key
(X25519): see ``seal_keys``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgpack
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt as _decrypt,
)
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_encrypt as _encrypt,
)
from nacl.bindings import (
    crypto_scalarmult,
    crypto_scalarmult_base,
)
from nacl.exceptions import CryptoError

from maw.core.colony import AGENT_ID_BYTES, MAX_RECIPIENTS
from maw.core.content import Content, read_bytes
from maw.core.entry import Entry, Kind, pack_content, unpack_content, unpack_payload
from maw.core.identity import ID_BYTES, KEY_BYTES, NodeId

SEALED_ID_BYTES: Final = 16
KEY_ID_BYTES: Final = 8
WRAPPED_BYTES: Final = 48
MAX_WRAPS: Final = MAX_RECIPIENTS + 1
LEAST_PADDED: Final = 256
DOMAIN_BOX: Final = b"maw-seal-v1\0"
DOMAIN_WRAP: Final = b"maw-wrap-v1\0"
_LENGTH: Final = struct.Struct(">I")
_TAG_BYTES: Final = 16
_NO_NONCE: Final = bytes(24)
_OVERRIDDEN: Final = ("reply", "edits")
"""What who publishes a message again says beside the box: the new ids of what it speaks of."""
WITHIN: Final = frozenset((Kind.POST, Kind.DIRECT, Kind.EDIT, Kind.CHANNEL, Kind.MOVED, Kind.LENT))


class KeyIsGoneError(ValueError):
    """It is sealed for this host, with a key of which the private half was deleted."""


class Wrap(NamedTuple):
    """The content key as one host can open it. ``key_id``: which of its sealing keys opens it."""

    node: NodeId
    key_id: bytes
    wrapped: bytes


class Sealed(NamedTuple):
    """A sealed payload taken apart."""

    agent: bytes
    id: bytes
    box: bytes
    eph: bytes
    wraps: tuple[Wrap, ...]

    def content(self) -> dict[str, Any]:
        keys = [list(wrap) for wrap in self.wraps]
        return {"agent": self.agent, "id": self.id, "eph": self.eph, "keys": keys, "box": self.box}

    @classmethod
    def read(cls, content: Content) -> Sealed:
        """Raises ValueError on anything malformed."""
        agent = read_bytes(content, "agent", AGENT_ID_BYTES)
        sealed_id, box = read_bytes(content, "id", SEALED_ID_BYTES), content.get("box")
        if type(box) is not bytes or len(box) < LEAST_PADDED + _TAG_BYTES:
            raise ValueError("box is missing or too short")
        return cls(agent, sealed_id, box, read_bytes(content, "eph", KEY_BYTES), _wraps(content.get("keys")))

    def wrap_for(self, nodes: Iterable[NodeId]) -> Wrap | None:
        return next((wrap for node in nodes for wrap in self.wraps if wrap.node == node), None)


def _wraps(value: object) -> tuple[Wrap, ...]:
    if type(value) is not list or not 0 < len(value) <= MAX_WRAPS:
        raise ValueError(f"keys is no list of 1 to {MAX_WRAPS}")
    sizes = [KEY_BYTES, KEY_ID_BYTES, WRAPPED_BYTES]
    for item in value:
        if type(item) is not list or not all(type(part) is bytes for part in item):
            raise ValueError("keys holds something that is none")
        if [len(part) for part in item] != sizes:
            raise ValueError("keys holds something that is none")
    return tuple(Wrap(NodeId(node), key_id, wrapped) for node, key_id, wrapped in value)


def key_id(public: bytes) -> bytes:
    """What a sealing key goes by where a content key is wrapped for it."""
    return blake2b(public, digest_size=KEY_ID_BYTES, person=b"maw-seal-id").digest()


def public_of(secret: bytes) -> bytes:
    return bytes(crypto_scalarmult_base(secret))


def check_public(public: bytes) -> None:
    """Raises ValueError for a public key with which every secret agrees on the same."""
    try:
        crypto_scalarmult(blake2b(b"any", digest_size=KEY_BYTES).digest(), public)
    except (CryptoError, RuntimeError, ValueError):
        raise ValueError("key is none to which anything could be sealed") from None


def padded(length: int) -> int:
    """To how many bytes so many are filled up: at least LEAST_PADDED, then by Padmé: of the length as a binary number
    only as many leading digits differ as it takes to count them, so at most 12 % are added and few sizes are left."""
    if length <= LEAST_PADDED:
        return LEAST_PADDED
    exponent = length.bit_length() - 1
    low = exponent - exponent.bit_length()
    return (length + (1 << low) - 1) >> low << low


# -- sealing ------------------------------------------------------------------------------------------


class Chances(NamedTuple):
    """The randomness of one message: 16 bytes of id, 32 of content key, 32 of a private key for once."""

    id: bytes
    key: bytes
    secret: bytes


def seal(
    kind: int,
    content: Mapping[str, Any],
    colony: bytes,
    author: NodeId,
    agent: bytes,
    hosts: Mapping[NodeId, bytes],
    chances: Chances,
) -> Sealed:
    """``content`` as only ``hosts`` (each with its sealing key) can open it. Raises ValueError for a key to which
    nothing can be sealed."""
    eph = public_of(chances.secret)
    wraps = []
    for node, public in sorted(hosts.items()):
        try:
            shared = crypto_scalarmult(chances.secret, public)
        except (CryptoError, RuntimeError):
            raise ValueError("nothing can be sealed to this key") from None
        bound = _wrap_bound(colony, author, chances.id, node)
        wrapped = _encrypt(chances.key, bound, _NO_NONCE, _wrapping(shared, eph, public))
        wraps.append(Wrap(node, key_id(public), bytes(wrapped)))
    sealed = Sealed(agent, chances.id, b"", eph, tuple(wraps))
    return _boxed(sealed, kind, content, colony, author, chances.key)


def _boxed(
    sealed: Sealed, kind: int, content: Mapping[str, Any], colony: bytes, author: NodeId, key: bytes
) -> Sealed:
    packed = pack_content({"kind": int(kind), **content})
    length = _LENGTH.size + len(packed)
    plain = _LENGTH.pack(len(packed)) + packed + bytes(padded(length) - length)
    return sealed._replace(box=bytes(_encrypt(plain, _bound(sealed, colony, author), _nonce(sealed), key)))


# -- opening ------------------------------------------------------------------------------------------


def unwrap(
    sealed: Sealed,
    colony: bytes,
    author: NodeId,
    me: Iterable[NodeId],
    secrets: Mapping[bytes, tuple[bytes, bytes]],
) -> bytes | None:
    """The content key; None where it is not sealed for this host. ``me``: its keys, former ones too; ``secrets``: by
    key id both halves of its sealing keys. Raises KeyIsGoneError, and ValueError for what was wrapped for
    something else."""
    wrap = sealed.wrap_for(me)
    if wrap is None:
        return None
    pair = secrets.get(wrap.key_id)
    if pair is None:
        raise KeyIsGoneError("it is sealed for a key of this host's that was deleted")
    try:
        shared = crypto_scalarmult(pair[0], sealed.eph)
        bound = _wrap_bound(colony, author, sealed.id, wrap.node)
        return bytes(_decrypt(wrap.wrapped, bound, _NO_NONCE, _wrapping(shared, sealed.eph, pair[1])))
    except (CryptoError, RuntimeError):
        raise ValueError("it was not sealed for this host by the node in whose log it stands") from None


def open_box(sealed: Sealed, colony: bytes, author: NodeId, key: bytes) -> dict[str, Any]:
    """The map within. Raises ValueError when it does not open, or holds something else."""
    try:
        plain = bytes(_decrypt(sealed.box, _bound(sealed, colony, author), _nonce(sealed), key))
    except (CryptoError, RuntimeError):
        raise ValueError("it does not open: it was sealed in another log, or changed") from None
    (length,) = _LENGTH.unpack_from(plain)
    if _LENGTH.size + length > len(plain):
        raise ValueError("its length is not what it says")
    content = unpack_content(plain[_LENGTH.size : _LENGTH.size + length])
    if content.get("kind") not in WITHIN:
        raise ValueError("it holds nothing that is sealed")
    if content.get("agent") != sealed.agent:
        raise ValueError("it names another agent within than without")
    return content


def opened(payload: bytes, colony: bytes, author: NodeId, key: bytes) -> dict[str, Any]:
    """The map within a sealed payload, by its content key. Raises ValueError."""
    outer = unpack_payload(payload)
    content = open_box(Sealed.read(outer), colony, author, key)
    return content | overridden(outer)


def overridden(outer: Mapping[str, Any]) -> dict[str, Any]:
    """What stands beside the box and counts before what is in it."""
    return {name: outer[name] for name in _OVERRIDDEN if name in outer}


def words_of(entry: Entry, key: bytes | None) -> tuple[int, dict[str, Any]]:
    """Kind and content of an entry that is held whole; ``key``: its content key where it is sealed and was opened here.
    Raises ValueError."""
    if key is None or entry.kind != Kind.PRIVATE:
        return entry.kind, unpack_payload(entry.payload or b"")
    content = opened(entry.payload or b"", entry.colony, entry.author, key)
    return content["kind"], content


def stored_words(header: bytes | None, payload: bytes | None, key: bytes | None) -> dict[str, Any]:
    """The content of a row as it is stored: see ``words_of``. Raises ValueError."""
    if key is None:
        return unpack_payload(payload or b"")
    fields = msgpack.unpackb(header or b"", use_list=False)
    return opened(payload or b"", fields[1], NodeId(fields[2]), key)


# -- what is bound ------------------------------------------------------------------------------------


def _nonce(sealed: Sealed) -> bytes:
    return sealed.id + bytes(8)


def _bound(sealed: Sealed, colony: bytes, author: NodeId) -> bytes:
    whom = blake2b(b"".join(wrap.node + wrap.key_id for wrap in sealed.wraps), digest_size=ID_BYTES).digest()
    return DOMAIN_BOX + colony + author + sealed.agent + sealed.id + sealed.eph + whom


def _wrap_bound(colony: bytes, author: NodeId, sealed_id: bytes, node: NodeId) -> bytes:
    return DOMAIN_WRAP + colony + author + sealed_id + node


def _wrapping(shared: bytes, eph: bytes, public: bytes) -> bytes:
    return blake2b(shared + eph + public, digest_size=KEY_BYTES, person=b"maw-seal-wrap").digest()
