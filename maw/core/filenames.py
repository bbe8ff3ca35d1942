"""Names, types and sizes of files, as they are safe to write and to show. A name that somebody else gave is only ever
used as ``safe_name`` leaves it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from maw.core.text import shown

MAX_NAME_BYTES: Final = 200
"""Of UTF-8: with a number and an ending behind it a name still fits into every file system."""
UNKNOWN_TYPE: Final = "application/octet-stream"
_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}/[a-z0-9][a-z0-9.+-]{0,60}", re.ASCII)
_REFUSED: Final = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|\ud800-\udfff\u27e8\u27e9]')
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_NAMELESS: Final = "file"


def file_type(said: object) -> str:
    """A media type as it is said of files: in lower case, without parameters."""
    if type(said) is not str:
        return UNKNOWN_TYPE
    plain = said.partition(";")[0].strip().lower()
    return plain if _TYPE.fullmatch(plain) else UNKNOWN_TYPE


def safe_name(said: str) -> str:
    """The last part of a path, as a name under which a file may be written anywhere: it leaves no folder, is not
    hidden, names no device, and holds nothing that is invisible, turns the line around or drives a terminal."""
    last = re.split(r"[/\\]", said)[-1]
    plain = unicodedata.normalize("NFC", _REFUSED.sub("_", last))
    plain = "".join(char if shown(char) == char and char not in "\t\n" else "_" for char in plain)
    plain = " ".join(plain.split()).lstrip(".- ").rstrip(". ")
    plain = _cut(plain)
    if not plain.strip("_"):
        return _NAMELESS
    return f"_{plain}" if _DEVICES.fullmatch(plain) else plain


def _cut(name: str) -> str:
    """At most MAX_NAME_BYTES; an ending of the usual length stays."""
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending.encode()) > 16:
        stem, dot, ending = name, "", ""
    kept = stem.encode()[: MAX_NAME_BYTES - len((dot + ending).encode())]
    return kept.decode("utf-8", "ignore").rstrip(". ") + dot + ending


def size_words(size: int) -> str:
    """``12 KiB``, ``3.4 MiB``."""
    if size < 1024:
        return f"{size} B"
    for unit, scale in (("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)):
        amount = size / scale
        if amount < 1000 or unit == "GiB":
            return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:.0f} {unit}"
    raise AssertionError("the last unit takes all")


def told(files: Sequence[tuple[str, int]]) -> str:
    """Names and sizes as they are told beside a text: ``[file: log.txt, 12 KiB]``; nothing where there are none."""
    return " ".join(f"[file: {name}, {size_words(size)}]" for name, size in files)
