"""What an old host lends the new one after an agent moved: content keys of messages that were sealed for the old host.

    lent     a sealed payload (see ``sealing``), for the new host alone                                kind 18
    within   {"kind": 18, "agent", "keys": [[author, epoch, seq, id, key], ...]}

So the new host opens the author's own signed entry: no words are passed on, and no message gets a second id. A key
opens what it opens, or nothing: who lends cannot put words into anybody's mouth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from maw.core.colony import AGENT_ID_BYTES
from maw.core.content import Content, read_bytes
from maw.core.entry import MAX_COUNT, Position
from maw.core.identity import ID_BYTES, KEY_BYTES, NodeId

MAX_LENT: Final = 400
"""Keys in one entry: some 60 KiB."""


class Loan(NamedTuple):
    """The content key of one entry. ``id``: the entry's, for a place in a forked log may be two messages."""

    position: Position
    id: bytes
    key: bytes


class Lent(NamedTuple):
    agent: bytes
    loans: tuple[Loan, ...]

    def content(self) -> dict[str, Any]:
        return {"agent": self.agent, "keys": [[*one.position, one.id, one.key] for one in self.loans]}

    @classmethod
    def read(cls, content: Content) -> Lent:
        """Raises ValueError on anything malformed."""
        keys = content.get("keys")
        if type(keys) is not list or len(keys) > MAX_LENT:
            raise ValueError(f"keys is no list of at most {MAX_LENT}")
        return cls(read_bytes(content, "agent", AGENT_ID_BYTES), tuple(map(_loan, keys)))


def _loan(value: object) -> Loan:
    if type(value) is not list or len(value) != 5:
        raise ValueError("keys holds something that is none")
    return Loan(read_place(value[:3]), read_id(value[3]), read_key(value[4]))


def read_place(value: Sequence[object]) -> Position:
    """[author, epoch, seq]. Raises ValueError."""
    author, epoch, seq = value
    if type(author) is not bytes or len(author) != KEY_BYTES:
        raise ValueError("a place is in nobody's log")
    if (
        type(epoch) is not int
        or type(seq) is not int
        or not (0 <= epoch <= MAX_COUNT and 0 <= seq <= MAX_COUNT)
    ):
        raise ValueError("a place holds a number out of range")
    return Position(NodeId(author), epoch, seq)


def read_id(value: object) -> bytes:
    if type(value) is not bytes or len(value) != ID_BYTES:
        raise ValueError("an entry is named by no id")
    return value


def read_key(value: object) -> bytes:
    if type(value) is not bytes or len(value) != KEY_BYTES:
        raise ValueError("a content key is none")
    return value
