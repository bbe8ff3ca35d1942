"""JSON as the text that somebody wrote: a value is put in or taken out, and every other byte stays as it is.

What is put in takes the indentation of what is around it. What is put in last and taken out again leaves the text as it
was, except in a container that was empty.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from maw.errors import BadInput

DEEPEST: Final = 200
_BLANK: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = json.JSONDecoder()
_PLAIN: Final = re.compile(r"[^\s,\]}]+")


@dataclass(frozen=True, slots=True)
class Value:
    """Where a value stands: ``text[start:end]``. ``parts``: of an array its items, of an object its members."""

    start: int
    end: int
    kind: Literal["object", "array", "plain"] = "plain"
    parts: tuple[Part, ...] = ()

    def member(self, key: str) -> Part | None:
        """Raises BadInput where the object says it twice: readers differ in which of them counts."""
        found = [part for part in self.parts if part.key == key]
        if len(found) > 1:
            raise BadInput(f"{key!r} stands there {len(found)} times", code="bad_json")
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Part:
    """An item, or a member with its ``key``; ``start`` is where its key begins."""

    start: int
    value: Value
    key: str | None = None

    @property
    def end(self) -> int:
        return self.value.end


def parse(text: str) -> Value:
    """Where everything stands. Raises BadInput saying where the text is no JSON."""
    try:
        json.loads(text, parse_constant=_refuse_constant)
        found, _ = _value(text, _blank(text, 0), 0)
    except json.JSONDecodeError as error:
        raise BadInput(
            f"line {error.lineno}, column {error.colno}: {error.msg[:1].lower()}{error.msg[1:]}",
            code="bad_json",
        ) from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"this is no JSON: {error}", code="bad_json") from None
    return found


def read(text: str, value: Value) -> Any:
    return json.loads(text[value.start : value.end])


def put_in(text: str, container: Value, new: Any, key: str | None = None) -> str:
    """The text with ``new`` as the last of the container's parts; ``key`` where it is an object."""
    newline = "\r\n" if "\r\n" in text else "\n"
    head = "" if key is None else f"{json.dumps(key)}: "
    if container.parts:
        last, prefix = container.parts[-1], _before_first(text, container)
        if prefix is None:
            return f"{text[: last.end]}, {head}{json.dumps(new)}{text[last.end :]}"
        shown = head + _indented(new, prefix, _unit(text), newline)
        return f"{text[: last.end]},{newline}{prefix}{shown}{text[last.end :]}"
    opening, closing = text[: container.start + 1], text[container.end - 1 :]
    if "\n" not in text.strip() and len(text.strip()) > 2:
        return f"{opening}{head}{json.dumps(new)}{closing}"
    outer = _indentation(text, container.start)
    prefix = outer + _unit(text)
    shown = head + _indented(new, prefix, _unit(text), newline)
    return f"{opening}{newline}{prefix}{shown}{newline}{outer}{closing}"


def take_out(text: str, container: Value, part: Part) -> str:
    """The text without this part, and without the comma that it no longer needs."""
    at = container.parts.index(part)
    if len(container.parts) == 1:
        return text[: container.start + 1] + text[container.end - 1 :]
    if at + 1 < len(container.parts):
        return text[: part.start] + text[container.parts[at + 1].start :]
    return text[: container.parts[at - 1].end] + text[part.end :]


def _value(text: str, at: int, depth: int) -> tuple[Value, int]:
    """The value at ``at``, and what follows it. The text is known to be JSON."""
    if depth > DEEPEST:
        raise ValueError(f"nested more than {DEEPEST} deep")
    if text[at] == '"':
        _, end = _DECODER.raw_decode(text, at)
        return Value(at, end), end
    if text[at] not in "{[":
        match = _PLAIN.match(text, at)
        assert match is not None
        return Value(at, match.end()), match.end()
    is_object = text[at] == "{"
    parts: list[Part] = []
    where = _blank(text, at + 1)
    while text[where] not in "}]":
        if text[where] == ",":
            where = _blank(text, where + 1)
        start: int = where
        key: str | None = None
        if is_object:
            key, where = _DECODER.raw_decode(text, where)
            where = _blank(text, _blank(text, where) + 1)
        value, where = _value(text, where, depth + 1)
        parts.append(Part(start, value, key))
        where = _blank(text, where)
    return Value(at, where + 1, "object" if is_object else "array", tuple(parts)), where + 1


def _blank(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    assert match is not None
    return match.end()


def _before_first(text: str, container: Value) -> str | None:
    """The indentation of its parts; None where they stand on the line on which it begins."""
    between = text[container.start + 1 : container.parts[0].start]
    return between.rpartition("\n")[2] if "\n" in between else None


def _unit(text: str) -> str:
    """What one step is indented by."""
    match = re.search(r"[{\[]\r?\n([ \t]+)\S", text)
    return match[1] if match else "  "


def _indentation(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _indented(new: Any, prefix: str, unit: str, newline: str) -> str:
    return json.dumps(new, indent=unit).replace("\n", newline + prefix)


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON")
