"""Ending a key for good: revocations, and rotations, which name the key that takes its place.

    revoke   {"key", "cut": [[epoch, seq, id], ...], "stands": [...], "why"}
    rotate   the same and {"new", "proof"}: signed by the recovery key; ``proof`` is the new key's signature

``cut`` says up to where the key's logs count: epochs it does not list count for nothing, several cuts combine
by the lowest of each epoch. ``stands`` lists (by their first 16 bytes) the statements of the key that still
count, such as whom it let in; all others are void, whatever date they bear.

A revocation counts when it comes from an operator with that right, from the key's own recovery key, or from
somebody above it: whoever invited it, whoever invited that one, and so on. What a revoked key says against
others counts only where its own revocation lets it stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from maw.core.authority import MAX_STANDS, STAND_BYTES, key_in, raw_list
from maw.core.entry import MAX_COUNT, Head
from maw.core.identity import ID_BYTES, NodeId, Signer, verify
from maw.core.statement import Statement, sign_statement
from maw.errors import ProtocolViolation

REVOKE: Final = "revoke"
ROTATE: Final = "rotate"
DOMAIN_ROTATE: Final = b"maw-rotate-v1\0"
MAX_EPOCHS: Final = 150
"""Epochs a cut lists, the latest; a key with more than these loses what it said in the oldest."""
MAX_WHY: Final = 200

Cut = dict[int, Head]
"""epoch -> the last entry that counts."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """``new`` is the key that takes the place, for a rotation."""

    id: bytes
    issuer: NodeId
    key: NodeId
    cut: Mapping[int, Head]
    stands: frozenset[bytes]
    why: str
    at_ms: int
    new: NodeId | None = None


def revocation_statement(
    issuer: Signer,
    colony: bytes,
    key: NodeId,
    cut: Mapping[int, Head],
    stands: Iterable[bytes],
    why: str,
    at_ms: int,
) -> Statement:
    return sign_statement(issuer, REVOKE, colony, at_ms, revocation_fields(key, cut, stands, why))


def rotation_statement(
    recovery: Signer,
    new: Signer,
    colony: bytes,
    key: NodeId,
    cut: Mapping[int, Head],
    stands: Iterable[bytes],
    why: str,
    at_ms: int,
) -> Statement:
    """``key`` gives way to ``new``, by the word of its recovery key and with the new key's consent."""
    fields = revocation_fields(key, cut, stands, why)
    fields |= {"new": new.node, "proof": new.sign(DOMAIN_ROTATE, colony + key + new.node)}
    return sign_statement(recovery, ROTATE, colony, at_ms, fields)


def revocation_fields(
    key: NodeId, cut: Mapping[int, Head], stands: Iterable[bytes], why: str
) -> dict[str, Any]:
    """What is signed. Of more epochs or statements than fit, the latest epochs and any statements are listed."""
    latest = sorted(cut)[-MAX_EPOCHS:]
    kept = sorted({item[:STAND_BYTES] for item in stands})[:MAX_STANDS]
    listed = [[epoch, cut[epoch].seq, cut[epoch].id] for epoch in latest]
    return {"key": key, "cut": listed, "stands": kept, "why": why[:MAX_WHY]}


def read_revocation(statement: Statement) -> Revocation:
    """A ``revoke`` or ``rotate``. Raises ProtocolViolation."""
    fields = statement.fields
    key, why, listed = key_in(fields, "key"), fields.get("why"), fields.get("cut")
    if type(why) is not str or len(why) > MAX_WHY:
        raise _bad("its reason is missing or too long")
    if type(listed) is not list or len(listed) > MAX_EPOCHS:
        raise _bad(f"its cut is no list of at most {MAX_EPOCHS}")
    cut: Cut = {}
    for item in listed:
        if type(item) is not list or len(item) != 3 or type(item[2]) is not bytes or len(item[2]) != ID_BYTES:
            raise _bad("its cut holds something that is no head")
        if not all(type(number) is int and 0 <= number <= MAX_COUNT for number in item[:2]):
            raise _bad("its cut holds a number out of range")
        cut[item[0]] = Head(item[1], item[2])
    stands = frozenset(raw_list(fields, "stands", STAND_BYTES, MAX_STANDS))
    new: NodeId | None = None
    if statement.type == ROTATE:
        new, proof = key_in(fields, "new"), fields.get("proof")
        signed = statement.colony + key + new
        if type(proof) is not bytes or new == key or not verify(new, DOMAIN_ROTATE, signed, proof):
            raise _bad("the new key did not agree to it")
    return Revocation(statement.id, statement.issuer, key, cut, stands, why, statement.at_ms, new)


def combine(revocations: Iterable[Revocation]) -> Cut:
    """Several cuts of one key: what all of them let stand."""
    cut: Cut | None = None
    for one in revocations:
        if cut is None:
            cut = dict(one.cut)
        else:
            cut = {
                epoch: min(head, one.cut[epoch], key=lambda head: head.seq)
                for epoch, head in cut.items()
                if epoch in one.cut
            }
    return cut or {}


def _bad(what: str) -> ProtocolViolation:
    return ProtocolViolation(f"a revocation is malformed: {what}", code="bad_statement")
