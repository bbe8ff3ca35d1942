"""Rows that no maw wrote: a flipped bit in one must not keep a node from starting, so they are left out and told of."""

from __future__ import annotations

import json
from typing import Any, Final

SPOILED: Final = (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError)
"""What reading a value raises that is not as it was written. Text is asked for as bytes: what is no UTF-8 any more
is a ValueError of its own row then, and no error of the whole query."""


def text_of(value: bytes) -> str:
    """A column of text, read as bytes."""
    return value.decode()


def json_of(value: bytes | str) -> Any:
    return json.loads(value if isinstance(value, str) else value.decode())


def whole(*values: object) -> None:
    """Raises ValueError unless each of these is a whole number."""
    for value in values:
        if type(value) is not int:
            raise ValueError(f"{value!r} is no whole number")
