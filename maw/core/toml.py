"""TOML whose every mistake is told with file, line, key and reason.

Python's parser gives lines for broken syntax only; for a value of the wrong type or an unknown key the line
is found again in the text.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from maw.core.names import nearest
from maw.errors import BadConfig, BadInput

T = TypeVar("T")


class Document:
    """A parsed file. ``label`` is how errors call it, usually its path."""

    def __init__(self, label: str, raw: bytes) -> None:
        """Raises BadConfig on bytes that are not UTF-8, and on broken TOML."""
        self.label = label
        try:
            text = raw.decode("utf-8-sig")
            self.table: Mapping[str, object] = tomllib.loads(text)
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            raise BadConfig(f"{label}, line {line}: not UTF-8", hint="save the file as UTF-8") from None
        except tomllib.TOMLDecodeError as error:
            raise _syntax_error(label, str(error)) from None
        except RecursionError:
            raise BadConfig(f"{label}: it is nested too deeply") from None
        self._lines = text.splitlines()

    def section(self, name: str) -> Section:
        """The table ``[name]``, empty when it is not written."""
        table = self.table.get(name, {})
        if not isinstance(table, dict):
            raise self.wrong(name, f"must be a section, written [{name}]")
        return Section(self, name, table)

    def blocks(self, name: str) -> list[Section]:
        """The tables ``[[name]]``, in order."""
        blocks = self.table.get(name, [])
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            raise self.wrong(name, f"is written as [[{name}]] blocks, in double brackets")
        return [Section(self, name, block, at) for at, block in enumerate(blocks)]

    def only(self, *known: str) -> None:
        """Refuse other keys at the top."""
        _only(self.table, known, self.wrong)

    def wrong(self, key: str, reason: str, hint: str = "") -> BadConfig:
        return self._wrong_at(_line_of(self._lines, "", 0, key), key, reason, hint)

    def wrong_in(self, section: Section, key: str, reason: str, hint: str) -> BadConfig:
        line = _line_of(self._lines, section.name, section.at, key)
        return self._wrong_at(line, f"{section.name}.{key}", reason, hint)

    def _wrong_at(self, line: int | None, key: str, reason: str, hint: str) -> BadConfig:
        where = f"{self.label}, line {line}" if line else self.label
        return BadConfig(f"{where}: {key} {reason}", hint=hint)


class Section:
    """One table of a document, read key by key with its type checked; every error is a BadConfig."""

    def __init__(self, document: Document, name: str, table: Mapping[str, object], at: int = 0) -> None:
        self._document = document
        self.name = name
        self.at = at
        self.table = table

    def __contains__(self, key: str) -> bool:
        return key in self.table

    def only(self, *known: str) -> None:
        """Refuse other keys: a misspelled one would otherwise be silently without effect."""
        _only(self.table, known, self.wrong)

    def wrong(self, key: str, reason: str, hint: str = "") -> BadConfig:
        return self._document.wrong_in(self, key, reason, hint)

    def text(self, key: str) -> str | None:
        value = self.table.get(key)
        if value is None or isinstance(value, str):
            return value
        raise self.wrong(key, f"must be text in quotes, not {_kind(value)}")

    def texts(self, key: str) -> tuple[str, ...]:
        """One text, or a list of them."""
        value = self.table.get(key, [])
        many = [value] if isinstance(value, str) else value
        if isinstance(many, list) and all(isinstance(one, str) for one in many):
            return tuple(many)
        raise self.wrong(key, f"must be text in quotes or a list of such, not {_kind(value)}")

    def flag(self, key: str, default: bool) -> bool:
        value = self.table.get(key, default)
        if isinstance(value, bool):
            return value
        raise self.wrong(key, f"must be true or false, not {_kind(value)}")

    def number(self, key: str, default: int, low: int, high: int) -> int:
        value = self.table.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(key, f"must be a whole number, not {_kind(value)}")
        if not low <= value <= high:
            raise self.wrong(key, f"must be from {low} to {high}, not {value}")
        return value

    def parsed(self, key: str, parse: Callable[[str], T], text: str) -> T:
        """``parse(text)``, with its BadInput turned into one that names file, line and key."""
        try:
            return parse(text)
        except BadInput as error:
            raise self.wrong(key, f"is wrong: {error.message}", error.hint) from None


def _only(
    table: Mapping[str, object], known: tuple[str, ...], wrong: Callable[[str, str, str], BadConfig]
) -> None:
    for key in table:
        if key not in known:
            near = nearest(key, known)
            hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
            raise wrong(key, "is not known", hint)


def _kind(value: object) -> str:
    match value:
        case bool():
            return f"{value}".lower()
        case int() | float():
            return f"the number {value}"
        case str():
            return "text"
        case dict():
            return "a section"
        case list():
            return "a list"
        case _:
            return "a date or time"


def _syntax_error(label: str, message: str) -> BadConfig:
    match = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|(end of document))\)", message, re.DOTALL)
    if match is None:
        return BadConfig(f"{label}: not TOML: {message}")
    where = f"line {match[2]}, column {match[3]}" if match[2] else "at the end of the file"
    hint = next((told for word, told in _SYNTAX_HINTS if word in match[1].lower()), _SHAPE)
    return BadConfig(f"{label}, {where}: not TOML: {match[1]}", hint=hint)


_SHAPE: Final = "a section is written [name], a key within it: key = value"
_SYNTAX_HINTS: Final = (
    ("duplicate", "a key stands once: one of the two goes"),
    ("overwrite", "a key stands once in its section: that line, or the one before it, goes"),
    ("declare", "a section [name] stands once in the file: put what is in both into one"),
    ("invalid value", 'text stands in quotes: name = "mbp"'),
)
"""By what Python's parser says."""


_HEADER = re.compile(r"\s*\[{1,2}([^\[\]#=]+)\]{1,2}")
_KEY = re.compile(r"\s*([A-Za-z0-9_\"'. -]+?)\s*=")


def _line_of(lines: list[str], section: str, at: int, key: str) -> int | None:
    """The line, from 1, where ``key`` of the ``at``-th ``section`` stands; else its header's, or None."""
    within = tuple(section.split(".")) if section else ()
    wanted = (*within, key)
    here: tuple[str, ...] = ()
    blocks = -1
    header = None
    for number, line in enumerate(lines, 1):
        if match := _HEADER.match(line):
            path = here = _parts(match[1])
            blocks += here == within
        elif match := _KEY.match(line):
            path = here + _parts(match[1])
        else:
            continue
        if max(blocks, 0) != at:
            continue
        if path[: len(wanted)] == wanted:
            return number
        if path == within:
            header = number
    return header


def _parts(key: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in key.split("."))
