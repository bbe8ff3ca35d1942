"""Who a node is: an Ed25519 key, how it is written, how it signs.

A node id is the 32 raw bytes of its public key. People see it as ``mk1`` + 56 base32 characters that
carry a checksum, so that a mistyped key, or a WireGuard key pasted by mistake, is told apart at once.
Every signature has a *domain*: bytes signed for one purpose can never be shown as signed for another.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final, NewType

from nacl.bindings import crypto_sign, crypto_sign_BYTES, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from maw.errors import BadInput

NodeId = NewType("NodeId", bytes)

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = crypto_sign_BYTES
ID_BYTES: Final = 32

DOMAIN_ENTRY: Final = b"maw-entry-v1\0"
DOMAIN_STATEMENT: Final = b"maw-statement-v1\0"
DOMAIN_LINK: Final = b"maw-link-v1\0"
DOMAIN_RECOVERY: Final = b"maw-recovery-v1\0"

_PREFIX: Final = "mk1"
_CHECK_BYTES: Final = 3


def digest(*parts: bytes) -> bytes:
    """BLAKE2b-256 over the parts in order: 32 bytes."""
    return hashlib.blake2b(b"".join(parts), digest_size=ID_BYTES).digest()


class Signer:
    """Holds one private key. ``seed`` is 32 bytes; keep it off logs: it has no useful repr."""

    __slots__ = ("_secret", "node")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != KEY_BYTES:
            raise BadInput(f"a key is {KEY_BYTES} bytes, this is {len(seed)}", code="bad_key")
        public, self._secret = crypto_sign_seed_keypair(seed)
        self.node = NodeId(public)

    @property
    def seed(self) -> bytes:
        return self._secret[:KEY_BYTES]

    def sign(self, domain: bytes, data: bytes) -> bytes:
        """A 64-byte Ed25519 signature over ``domain ‖ data``."""
        return crypto_sign(domain + data, self._secret)[:SIGNATURE_BYTES]

    def __repr__(self) -> str:
        return f"Signer({short_key(self.node)})"


NODE_KEY: Final = "`maw key` on the other host"
OPERATOR_NEW: Final = "`maw operator new`"


def verify(node: bytes, domain: bytes, data: bytes, signature: bytes) -> bool:
    """True when ``signature`` is ``node``'s over ``domain ‖ data``. Never raises on bad input."""
    if len(signature) != SIGNATURE_BYTES or len(node) != KEY_BYTES:
        return False
    try:
        crypto_sign_open(signature + domain + data, node)
    except (BadSignatureError, ValueError):
        return False
    return True


def key_text(node: bytes) -> str:
    """The key as people copy it: ``mk1`` and 56 base32 characters, checksum included."""
    check = hashlib.blake2b(node, digest_size=_CHECK_BYTES, person=b"maw-key").digest()
    return _PREFIX + base64.b32encode(node + check).decode("ascii").lower()


def short_key(node: bytes) -> str:
    """The first six characters of the key's text after its prefix: enough to tell a few nodes apart."""
    return base64.b32encode(node[:5]).decode("ascii").lower()[:6]


def parse_key(text: str, *, printed_by: str = NODE_KEY) -> NodeId:
    """The key written as ``text``. Raises BadInput naming what is wrong with it; ``printed_by``: the command that
    shows such keys, and where."""
    word = text.strip()
    if not word.startswith(_PREFIX):
        looks_wireguard = len(word) == 44 and word.endswith("=")
        hint = (
            f"this looks like a WireGuard key: {printed_by} prints the one meant here"
            if looks_wireguard
            else f"{printed_by} prints it"
        )
        raise BadInput(f"not a maw key: it does not begin with {_PREFIX}", code="bad_key", hint=hint)
    try:
        raw = base64.b32decode(word[len(_PREFIX) :].upper())
    except ValueError:
        raise BadInput(
            "not a maw key: it holds characters no key has, or some are missing",
            code="bad_key",
            hint=f"copy the whole line that {printed_by} prints",
        ) from None
    node, check = raw[:KEY_BYTES], raw[KEY_BYTES:]
    if len(raw) != KEY_BYTES + _CHECK_BYTES or key_text(node) != word.lower() or not check:
        raise BadInput(
            "the key is mistyped: its checksum does not match",
            code="bad_key",
            hint=f"copy the whole line that {printed_by} prints",
        )
    return NodeId(node)
