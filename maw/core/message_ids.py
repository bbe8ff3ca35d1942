"""How messages are named: piece of the author's key, epoch in base 36, place."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from maw.core.entry import MAX_COUNT, Position
from maw.core.identity import NodeId, short_key
from maw.errors import BadInput

_NODE_PREFIX: Final = re.compile("[a-z2-7]{6}")
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


def _base36(number: int) -> str:
    text = ""
    while True:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
        if not number:
            return text


def message_id(position: Position) -> str:
    """How a message is named by people and scripts: piece of the node's key, epoch, seq."""
    return f"{log_words(position.author, position.epoch)}{position.seq}"


@lru_cache(maxsize=1024)
def log_words(author: NodeId, epoch: int) -> str:
    """What the ids of all messages of a log begin with."""
    return f"{short_key(author)}-{_base36(epoch)}-"


class MessageRef(NamedTuple):
    """A message id taken apart: the author by the first characters of its key."""

    node_prefix: str
    epoch: int
    seq: int


def parse_message_id(text: str) -> MessageRef:
    """Raises BadInput when ``text`` cannot be a message id."""
    parts = text.strip().lower().split("-")
    try:
        prefix, epoch, seq = parts
        ref = MessageRef(prefix, int(epoch, 36), int(seq)) if _NODE_PREFIX.fullmatch(prefix) else None
    except ValueError:
        ref = None
    if (
        ref is None
        or len(ref.node_prefix) != 6
        or not (0 < ref.epoch <= MAX_COUNT and 0 < ref.seq <= MAX_COUNT)
    ):
        raise BadInput(
            f"{text[:60]!r} is no message id",
            hint="ids look like k7q2mx-syvr30-42, or give the number that `maw inbox` shows in front",
        )
    return ref
