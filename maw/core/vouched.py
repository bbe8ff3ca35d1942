"""An operator's word that a human speaks on a host: without it nobody makes an ape there.

    signed   Ed25519 over "maw-ape-v1\\0" ‖ msgpack [colony, node, name, uid, at_ms]
    wire     msgpack [key, at_ms, signature]

It is for this host's daemon alone and for these minutes, so nothing of it travels or is kept: other hosts take this
one's word for who of its agents is human, as for which of them spoke.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgpack

from maw.core.drafted import MAX_APART_MS
from maw.core.entry import MAX_COUNT
from maw.core.identity import KEY_BYTES, SIGNATURE_BYTES, NodeId, Signer, verify

DOMAIN_APE: Final = b"maw-ape-v1\0"


@dataclass(frozen=True, slots=True)
class Vouched:
    """``key`` says at ``at_ms`` that a human is called so."""

    key: NodeId
    at_ms: int
    signature: bytes

    @property
    def wire(self) -> bytes:
        packed: bytes = msgpack.packb([self.key, self.at_ms, self.signature])
        return packed

    def holds(self, colony: bytes, node: NodeId, name: str, uid: int, now_ms: int) -> bool:
        """Whether it was said of this name of this Unix user, on this host, and just now."""
        if abs(self.at_ms - now_ms) > MAX_APART_MS:
            return False
        return verify(self.key, DOMAIN_APE, _signed(colony, node, name, uid, self.at_ms), self.signature)


def vouch(signer: Signer, colony: bytes, node: NodeId, name: str, uid: int, at_ms: int) -> Vouched:
    return Vouched(signer.node, at_ms, signer.sign(DOMAIN_APE, _signed(colony, node, name, uid, at_ms)))


def read_vouched(wire: bytes) -> Vouched:
    """Raises ValueError."""
    try:
        value: Any = msgpack.unpackb(wire)
    except (ValueError, msgpack.UnpackException) as error:
        raise ValueError("it is no msgpack") from error
    if type(value) is not list or len(value) != 3:
        raise ValueError("it is no list of key, time and signature")
    key, at_ms, signature = value
    if (
        type(key) is not bytes
        or len(key) != KEY_BYTES
        or type(at_ms) is not int
        or not 0 <= at_ms <= MAX_COUNT
    ):
        raise ValueError("its key or time is malformed")
    if type(signature) is not bytes or len(signature) != SIGNATURE_BYTES:
        raise ValueError("its signature is malformed")
    return Vouched(NodeId(key), at_ms, signature)


def _signed(colony: bytes, node: NodeId, name: str, uid: int, at_ms: int) -> bytes:
    packed: bytes = msgpack.packb([colony, node, name, uid, at_ms])
    return packed
