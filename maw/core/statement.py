"""A signed word on trust, valid wherever it is met.

    body   msgpack array [version, type, colony, issuer, at_ms, fields]      fields: a map
    wire   msgpack array [body, signature over "maw-statement-v1\\0" ‖ body]
    id     BLAKE2b-256(wire)

The Colony's id is a hash over its founding statement, which therefore names no colony itself.
Types that this version does not know are kept and passed on.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgpack

from maw.core.entry import MAX_COUNT
from maw.core.identity import DOMAIN_STATEMENT, ID_BYTES, KEY_BYTES, NodeId, Signer, digest, verify
from maw.errors import BadInput, ProtocolViolation

VERSION: Final = 1
MAX_STATEMENT: Final = 16 * 1024
MAX_ADDRESSES: Final = 16
_ROOM_FOR_ADDRESSES: Final = 3072
FOUND: Final = "found"
ADMIT: Final = "admit"
COLONY_DOMAIN: Final = b"maw-colony-v1\0"
NO_COLONY: Final = b""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement whose signature has been checked."""

    wire: bytes
    id: bytes
    type: str
    colony: bytes
    issuer: NodeId
    at_ms: int
    fields: dict[str, Any]


def sign_statement(
    signer: Signer, type_: str, colony: bytes, at_ms: int, fields: dict[str, Any]
) -> Statement:
    body: bytes = msgpack.packb([VERSION, type_, colony, signer.node, at_ms, fields])
    wire: bytes = msgpack.packb([body, signer.sign(DOMAIN_STATEMENT, body)])
    assert len(wire) <= MAX_STATEMENT, "nobody would take it"
    return Statement(wire, digest(wire), type_, colony, signer.node, at_ms, fields)


def read_statement(wire: bytes) -> Statement:
    """Takes a statement apart and checks its signature. Raises ProtocolViolation.

    Only the shortest form of the outer array is taken: else anybody could write one statement in many ways,
    each with an id of its own.
    """
    if len(wire) > MAX_STATEMENT:
        raise ProtocolViolation(
            f"a statement of {len(wire)} bytes; at most {MAX_STATEMENT}", code="bad_statement"
        )
    try:
        body, signature = msgpack.unpackb(wire)
        version, type_, colony, issuer, at_ms, fields = msgpack.unpackb(body)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise ProtocolViolation(f"a statement does not decode ({error})", code="bad_statement") from None
    shaped = (
        type(version) is int
        and type(type_) is str
        and type(colony) is bytes
        and len(colony) in (0, ID_BYTES)
        and type(issuer) is bytes
        and len(issuer) == KEY_BYTES
        and type(at_ms) is int
        and 0 <= at_ms <= MAX_COUNT
        and type(fields) is dict
        and all(type(key) is str for key in fields)
    )
    if msgpack.packb([body, signature]) != wire:
        raise ProtocolViolation("a statement is encoded in another way than the one", code="bad_statement")
    if not shaped or version != VERSION:
        raise ProtocolViolation("a statement is malformed, or of another version", code="bad_statement")
    if type(signature) is not bytes or not verify(issuer, DOMAIN_STATEMENT, body, signature):
        raise ProtocolViolation("a statement's signature is not its issuer's", code="forged")
    return Statement(wire, digest(wire), type_, colony, NodeId(issuer), at_ms, fields)


def found(
    operator: Signer,
    name: str,
    nonce: bytes,
    at_ms: int,
    node: NodeId | None = None,
    recovery: bytes | None = None,
) -> Statement:
    """The founding statement of a new Colony, by its first operator key. ``node``: the first to belong to it;
    ``recovery``: the hash of that one's recovery key."""
    fields: dict[str, Any] = {"name": name, "nonce": nonce}
    if node is not None:
        fields["node"] = node
    if recovery is not None:
        fields["recovery"] = recovery
    return sign_statement(operator, FOUND, NO_COLONY, at_ms, fields)


def founding_node(founding: Statement) -> NodeId | None:
    """The node with which the Colony began; None where the founding does not say."""
    node = founding.fields.get("node")
    return NodeId(node) if type(node) is bytes and len(node) == KEY_BYTES else None


def founding_recovery(founding: Statement) -> bytes | None:
    """The hash of the first node's recovery key; None where the founding does not say."""
    return _hash(founding.fields, "recovery")


def colony_id(founding: Statement) -> bytes:
    return digest(COLONY_DOMAIN, founding.wire)


def colony_text(colony: bytes) -> str:
    """A Colony's id as people copy it: ``mc1`` and 52 base32 characters."""
    return "mc1" + base64.b32encode(colony).decode("ascii").lower().rstrip("=")


def parse_colony(text: str) -> bytes:
    """Raises BadInput when ``text`` is no Colony id."""
    word = text.strip().lower()
    try:
        raw = base64.b32decode(word[3:].upper() + "====") if word.startswith("mc1") else b""
    except ValueError:
        raw = b""
    if len(raw) != ID_BYTES or colony_text(raw) != word:
        hint = "`maw status` on a host of that Colony shows it"
        raise BadInput("not a Colony id: it is mc1 and 52 characters", code="bad_colony", hint=hint)
    return raw


def admit(
    issuer: Signer,
    colony: bytes,
    subject: NodeId,
    name: str,
    addresses: Sequence[str],
    introducer: bool,
    at_ms: int,
    *,
    back: bool = False,
    recovery: bytes | None = None,
    own: bytes | None = None,
) -> Statement:
    """``issuer``'s word that ``subject`` belongs here. Addresses beyond what a statement holds are left out.

    ``back``: a newcomer's word on who let it in, which puts it above nobody. ``recovery``: the hash of the subject's
    recovery key, ``own`` of the issuer's, for who lets it in.
    """
    kept = list(addresses[:MAX_ADDRESSES])
    while sum(len(address.encode()) + 3 for address in kept) > _ROOM_FOR_ADDRESSES:
        kept.pop()
    fields: dict[str, Any] = {"key": subject, "name": name, "addresses": kept, "introducer": introducer}
    if back:
        fields["back"] = True
    if recovery is not None:
        fields["recovery"] = recovery
    if own is not None:
        fields["own"] = own
    return sign_statement(issuer, ADMIT, colony, at_ms, fields)


@dataclass(frozen=True, slots=True)
class Admission:
    """What an ``admit`` says."""

    issuer: NodeId
    subject: NodeId
    name: str
    addresses: tuple[str, ...]
    introducer: bool
    at_ms: int
    back: bool = False
    recovery: bytes | None = None
    """The hash of the subject's recovery key, where the issuer knows it."""
    own: bytes | None = None
    """The hash of the issuer's."""


def read_admission(statement: Statement) -> Admission:
    """Raises ProtocolViolation when a field is missing or of another type."""
    fields = statement.fields
    subject, name, addresses = fields.get("key"), fields.get("name"), fields.get("addresses")
    if type(subject) is not bytes or len(subject) != KEY_BYTES or type(name) is not str or len(name) > 64:
        raise ProtocolViolation("an admit names no key, or no name", code="bad_statement")
    if type(addresses) is not list or len(addresses) > MAX_ADDRESSES:
        raise ProtocolViolation("an admit's addresses are malformed", code="bad_statement")
    if not all(type(address) is str and len(address) <= 260 for address in addresses):
        raise ProtocolViolation("an admit's addresses are malformed", code="bad_statement")
    return Admission(
        statement.issuer,
        NodeId(subject),
        name,
        tuple(addresses),
        fields.get("introducer") is True,
        statement.at_ms,
        fields.get("back") is True,
        _hash(fields, "recovery"),
        _hash(fields, "own"),
    )


def _hash(fields: dict[str, Any], name: str) -> bytes | None:
    """None where there is none. What is malformed says nothing: an older version, which does not look at it, takes the
    statement all the same, and both are to hold one set."""
    value = fields.get(name)
    return value if type(value) is bytes and len(value) == ID_BYTES else None
