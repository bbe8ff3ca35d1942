"""Values of a payload, each checked as it is read. What is malformed raises ValueError: its key, and what is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from maw.core.endpoint import parse_endpoint
from maw.core.names import RESERVED, NameKind, check_name
from maw.errors import BadInput

Content = Mapping[str, Any]

NAMED: Final = "[a-z0-9][a-z0-9_-]{0,31}"
"""A name as this maw writes them, as a regular expression."""
_NONE: Final[list[str]] = []
_PLAIN: Final = re.compile(NAMED)


def read_text(content: Content, key: str, limit: int = 64) -> str:
    value = content.get(key)
    if type(value) is not str or not 0 < len(value) <= limit:
        raise ValueError(f"{key} is missing, or no text of 1 to {limit} characters")
    return value


def read_bytes(content: Content, key: str, size: int) -> bytes:
    value = content.get(key)
    if type(value) is not bytes or len(value) != size:
        raise ValueError(f"{key} is not {size} bytes")
    return value


def read_strings(content: Content, key: str, count: int, limit: int) -> tuple[str, ...]:
    value = content.get(key, _NONE)
    if value == _NONE:
        return ()
    if type(value) is not list or len(value) > count:
        raise ValueError(f"{key} is no list of at most {count}")
    if not all(type(item) is str and 0 < len(item) <= limit for item in value):
        raise ValueError(f"{key} holds something else than short texts")
    return tuple(value)


def read_name(content: Content, key: str, kind: NameKind) -> str:
    value = content.get(key)
    if type(value) is str and _PLAIN.fullmatch(value) and (kind == "channel" or value not in RESERVED):
        return value
    try:
        check_name(read_text(content, key), kind)
    except BadInput as error:
        raise ValueError(error.message) from None
    raise ValueError(f"{key} is not in lower case")


def read_word(content: Content, key: str, pattern: re.Pattern[str]) -> str:
    value = content.get(key)
    if type(value) is not str or not pattern.fullmatch(value):
        raise ValueError(f"{key} is of no form that a maw would write")
    return value


def read_words(
    content: Content, key: str, count: int, limit: int, pattern: re.Pattern[str]
) -> tuple[str, ...]:
    found = read_strings(content, key, count, limit)
    if not all(pattern.fullmatch(word) for word in found):
        raise ValueError(f"{key} holds something that no maw would write")
    return found


def read_addresses(content: Content) -> tuple[str, ...]:
    found = read_strings(content, "addresses", 16, 260)
    try:
        for address in found:
            parse_endpoint(address)
    except BadInput:
        raise ValueError("addresses holds something that is none") from None
    return found


def read_choice(content: Content, key: str, choices: tuple[str, ...]) -> str:
    value = content.get(key)
    if value not in choices:
        raise ValueError(f"{key} is none of {', '.join(choices)}")
    return str(value)
