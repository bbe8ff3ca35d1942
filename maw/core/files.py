"""What a message says of the files that go along with it: name, size, type, and how each is found and opened.

A file's bytes are not in the message: they lie, encrypted, as a *blob* that is named by its hash (``maw.core.blobs``),
and whoever reads the message has the key.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from maw.core.blobs import HASH_BYTES, KEY_BYTES, MAX_FILE
from maw.core.content import Content, read_bytes
from maw.core.filenames import UNKNOWN_TYPE, file_type, safe_name

MAX_FILES: Final = 8
FILES: Final = "files"
"""The key of a message that holds them."""


class File(NamedTuple):
    """One file. ``size``: bytes of its content; ``hash`` names its blob, ``key`` opens it."""

    name: str
    size: int
    hash: bytes
    key: bytes
    type: str = UNKNOWN_TYPE

    def content(self) -> dict[str, Any]:
        return {"name": self.name, "size": self.size, "hash": self.hash, "key": self.key, "type": self.type}


def read_files(content: Content) -> tuple[File, ...]:
    """Raises ValueError. Names come out safe, whatever was said; a type of no known form is the unknown one."""
    value = content.get(FILES)
    if value is None:
        return ()
    if type(value) is not list or not 0 < len(value) <= MAX_FILES:
        raise ValueError(f"files is no list of 1 to {MAX_FILES}")
    return tuple(_file(item) for item in value)


def _file(item: object) -> File:
    if type(item) is not dict:
        raise ValueError("files holds something that is no map")
    name, size, kind = item.get("name"), item.get("size"), item.get("type")
    if type(name) is not str or not 0 < len(name) <= 255:
        raise ValueError("a file's name is no text of 1 to 255 characters")
    if type(size) is not int or not 0 <= size <= MAX_FILE:
        raise ValueError(f"a file's size is no number from 0 to {MAX_FILE}")
    hash_, key = read_bytes(item, "hash", HASH_BYTES), read_bytes(item, "key", KEY_BYTES)
    return File(safe_name(name), size, hash_, key, file_type(kind))
