"""The operator's word: a message signed with an operator key, which no node can make, move or alter.

    signed     Ed25519 over "maw-word-v1\\0" ‖ msgpack [colony, author, at_ms, nonce, is_order, targets, text, intent]
    author     the node in whose log it stands
    targets    where it may stand: ["#general"], or every recipient as "name@host", in order
    intent     left out where it is chat: older versions sign and check nothing after the text

It travels in a message of an agent of that node. Whether the key may speak as operator is for the reader's own
book to say; a copy in another's log, elsewhere, under another text, as an answer to something, with a priority, an
expiry, a time when it is due, groups or files (which are not signed either), or a second time is nobody's word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgpack

from maw.core.colony import Said
from maw.core.entry import MAX_COUNT
from maw.core.heeding import NONCE_BYTES
from maw.core.identity import KEY_BYTES, SIGNATURE_BYTES, NodeId, Signer, verify
from maw.core.intents import CHAT
from maw.core.wishes import NOTHING

DOMAIN_WORD: Final = b"maw-word-v1\0"
MAX_TARGETS: Final = 64


@dataclass(frozen=True, slots=True)
class OperatorWord:
    """``is_order``: it asks for obedience, and the answers are gathered."""

    key: NodeId
    at_ms: int
    nonce: bytes
    is_order: bool
    targets: tuple[str, ...]
    signature: bytes

    @property
    def mark(self) -> bytes:
        """What tells it from every other word: of its key too, or anybody could use up a nonce before its owner."""
        return self.key + self.nonce

    def content(self) -> list[Any]:
        return [self.key, self.at_ms, self.nonce, self.is_order, list(self.targets), self.signature]

    def holds(
        self, colony: bytes, author: NodeId, text: str, targets: tuple[str, ...], intent: str = CHAT
    ) -> bool:
        """True when the key signed this very text, with this intent, for these very targets, in this node's log."""
        if targets != self.targets:
            return False
        signed = _signed(colony, author, self.at_ms, self.nonce, self.is_order, self.targets, text, intent)
        return verify(self.key, DOMAIN_WORD, signed, self.signature)


def word_of(said: Said, colony: bytes, author: NodeId) -> OperatorWord | None:
    """The word that stands over this message and holds for it; None when there is none."""
    if said.word is None or said.reply_to is not None or said.wishes() != NOTHING or said.files:
        return None  # what it would answer is not signed: "yes, do it" must not come to stand below anything
    try:
        word = read_word(said.word)
    except ValueError:
        return None
    return word if word.holds(colony, author, said.text, said.targets(), said.intent) else None


def sign_word(
    signer: Signer,
    colony: bytes,
    author: NodeId,
    at_ms: int,
    nonce: bytes,
    is_order: bool,
    targets: tuple[str, ...],
    text: str,
    intent: str = CHAT,
) -> OperatorWord:
    signed = _signed(colony, author, at_ms, nonce, is_order, targets, text, intent)
    signature = signer.sign(DOMAIN_WORD, signed)
    return OperatorWord(signer.node, at_ms, nonce, is_order, targets, signature)


def read_word(value: Any) -> OperatorWord:
    """From a payload or a request. Raises ValueError."""
    if type(value) is not list or len(value) != 6:
        raise ValueError("an operator's word is malformed")
    key, at_ms, nonce, is_order, targets, signature = value
    shaped = (
        type(key) is bytes
        and len(key) == KEY_BYTES
        and type(at_ms) is int
        and 0 <= at_ms <= MAX_COUNT
        and type(nonce) is bytes
        and len(nonce) == NONCE_BYTES
        and type(is_order) is bool
        and type(targets) is list
        and 0 < len(targets) <= MAX_TARGETS
        and all(type(item) is str and 0 < len(item) <= 80 for item in targets)
        and type(signature) is bytes
        and len(signature) == SIGNATURE_BYTES
    )
    if not shaped:
        raise ValueError("an operator's word is malformed")
    return OperatorWord(NodeId(key), at_ms, nonce, is_order, tuple(targets), signature)


def _signed(
    colony: bytes,
    author: NodeId,
    at_ms: int,
    nonce: bytes,
    is_order: bool,
    targets: tuple[str, ...],
    text: str,
    intent: str,
) -> bytes:
    more = [] if intent == CHAT else [intent]
    packed: bytes = msgpack.packb([colony, author, at_ms, nonce, is_order, list(targets), text, *more])
    return packed
