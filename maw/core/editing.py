"""Edits: an author's later words in place of his former ones.

An edit is an entry of the log that the message stands in (of any later epoch), by the same agent. Of several the
last by (epoch, seq) counts, in whatever order they come; the first words and all edits stay readable. Whom an edit
mentions anew finds the message in his mailbox; who has read it is not told again. What an operator has signed is not
edited, and a message whose text was taken away stays so. What was sealed is edited sealed, and what was open in the
open; in a private channel an edit says of which one it is and for whom: those who had the message and are in it still.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from maw.core.colony import (
    AGENT_ID_BYTES,
    MAX_MENTIONS,
    MENTION,
    MESSAGE_ID,
    Recipient,
    is_too_long,
    read_recipients,
)
from maw.core.content import NAMED, Content, read_bytes, read_word, read_words
from maw.core.entry import Entry
from maw.core.identity import short_key
from maw.core.message_ids import parse_message_id
from maw.core.names import PIECE
from maw.core.once import REQUEST_BYTES
from maw.errors import BadInput

MAX_EDITS: Final = 100
"""Of one message, at its source. Elsewhere any number counts: the last one."""
_ROOM: Final = re.compile(f"{NAMED}~[a-z2-7]{{{PIECE}}}")


@dataclass(frozen=True, slots=True)
class Edit:
    """``message``: the id of what it edits. ``once``: as a message has it. ``channel``: the private one in which that
    stands; ``to``: for whom the edit is there."""

    agent: bytes
    message: str
    text: str
    mentions: tuple[str, ...]
    once: bytes | None = None
    channel: str | None = None
    to: tuple[Recipient, ...] = ()

    def content(self) -> dict[str, Any]:
        once = {} if self.once is None else {"once": self.once}
        room = {} if self.channel is None else {"channel": self.channel, "to": [list(one) for one in self.to]}
        return {
            "agent": self.agent, "edits": self.message, "text": self.text, "mentions": list(self.mentions), **once,
            **room,
        }  # fmt: skip

    @classmethod
    def read(cls, content: Content) -> Edit:
        """Raises ValueError on anything malformed."""
        text, once = content.get("text"), content.get("once")
        if type(text) is not str or not text or is_too_long(text):
            raise ValueError("text is missing, empty or too long")
        return cls(
            read_bytes(content, "agent", AGENT_ID_BYTES),
            read_word(content, "edits", MESSAGE_ID),
            text,
            read_words(content, "mentions", MAX_MENTIONS, 70, MENTION),
            once if type(once) is bytes else None,
            *(
                (read_word(content, "channel", _ROOM), read_recipients(content))
                if "channel" in content
                else ()
            ),
        )

    def target(self, entry: Entry) -> tuple[int, int]:
        """(epoch, seq) of what it edits, in the author's own logs. ``entry``: that says so. Raises ValueError where
        it is another's, or was not said before."""
        try:
            at = parse_message_id(self.message)
        except BadInput:  # of its form, and beyond all numbers
            raise ValueError("it would edit what nobody has said") from None
        if at.node_prefix != short_key(entry.author):
            raise ValueError("it would edit what another node has said")
        if (at.epoch, at.seq) >= (entry.epoch, entry.seq):
            raise ValueError("it would edit what its node has not said")
        return at.epoch, at.seq


def request_of_edit(edit: Edit) -> bytes:
    """What is asked for, and must be the same under one key."""
    what = repr(("edit", edit.message, edit.text))
    return blake2b(what.encode(), digest_size=REQUEST_BYTES).digest()
