"""An agent's soul: the text that says who it is, in its home and, through its host's log, on every host of the Colony.

    SOUL  {"agent": 16 bytes, "text": 1 byte to 48 KiB}      kind 15; of an agent the latest by (epoch, seq) counts

A file is not believed to be a soul because it is there: a disk that filled up, a host that lost power and a merge that
nobody ended leave files too. ``fault_of`` knows those, by the bytes and by what the soul was before. Anything else is
what its owner wrote.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from maw.core.content import Content, read_bytes
from maw.errors import BadInput

MAX_SOUL_BYTES: Final = 48 * 1024
KEPT: Final = 10
"""Versions of a soul that stay readable; its host drops the words of older ones."""
_AGENT_ID_BYTES: Final = 16
_HASH_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Soul:
    """What a node says of one of its agents: this is who it is."""

    agent: bytes
    text: str

    def content(self) -> dict[str, Any]:
        return {"agent": self.agent, "text": self.text}

    @classmethod
    def read(cls, content: Content) -> Soul:
        """Raises ValueError on anything malformed."""
        text = content.get("text")
        if type(text) is not str or not 0 < len(text.encode()) <= MAX_SOUL_BYTES:
            raise ValueError(f"text is no text of 1 to {MAX_SOUL_BYTES} bytes")
        return cls(read_bytes(content, "agent", _AGENT_ID_BYTES), text)


def soul_hash(text: str) -> str:
    """By which versions are told apart, in hex."""
    return blake2b(text.encode(), digest_size=_HASH_BYTES).hexdigest()


def fault_of(data: bytes | None, known: bytes | None = None) -> str | None:
    """What is wrong with the bytes of a soul's file, to complete the sentence "the soul …"; None when it is sound.

    ``data``: None where there is no file. ``known``: the bytes of the last sound version, where one is known: a file
    that ends in the midst of it was not written to its end. Whoever shortens a soul ends its last line.
    """
    if data is None:
        return "is missing"
    if not data.strip():
        return "is empty"
    if len(data) > MAX_SOUL_BYTES:
        return f"has {len(data):,} bytes or more, at most {MAX_SOUL_BYTES:,} are taken"
    if b"\0" in data:
        return "has NUL bytes in it"
    if known is not None and _is_torn(data, known):
        return f"ends after {len(data):,} of its {len(known):,} bytes, in the midst of a line"
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return f"is not UTF-8 from byte {error.start + 1:,} on"
    if (line := _conflict(text)) is not None:
        return f"has the conflict markers of a merge in it, from line {line} on"
    return None


def check_soul(text: str) -> None:
    """Raises BadInput for what is no sound soul."""
    try:
        fault = fault_of(text.encode())
    except UnicodeEncodeError:
        fault = "is not valid Unicode"
    if fault is not None:
        raise BadInput(
            f"the soul {fault}", code="bad_soul", hint="`maw soul check` looks at the file and restores it"
        )


def _is_torn(data: bytes, known: bytes) -> bool:
    return (
        len(data) < len(known)
        and known.startswith(data)
        and not data.endswith(b"\n")
        and bool(known[len(data) :].strip())
    )


def _conflict(text: str) -> int | None:
    """The line, from 1, at which a conflict of a merge begins: all three of its markers, in their order."""
    begun: int | None = None
    parted = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("<<<<<<< "):
            begun, parted = number, False
        elif begun is not None and line == "=======":
            parted = True
        elif begun is not None and parted and line.startswith(">>>>>>> "):
            return begun
    return None
