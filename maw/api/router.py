"""From the path of a request to what answers there, and the words that the path carries.

Few routes, and a post should not pay for regular expressions: a whole path is looked up in a table, one
with words in it is compared piece by piece with the templates of as many pieces.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Generic, NamedTuple, TypeVar
from urllib.parse import unquote

from maw.errors import BadInput

Target = TypeVar("Target")

_REMEMBERED: Final = 256
"""Paths whose answer is kept: the few channels that everybody posts to. Full, it begins anew."""


class Found(NamedTuple, Generic[Target]):
    """What is at a path: targets by method, and the words in the path by name."""

    methods: Mapping[str, Target]
    words: Mapping[str, str]


class _Template(NamedTuple, Generic[Target]):
    pieces: tuple[str | None, ...]
    """None stands for a word."""
    names: tuple[str, ...]
    methods: dict[str, Target]


class Router(Generic[Target]):
    """Targets by path template (``/api/channels/{name}``) and method. Filled once, then only read."""

    def __init__(self) -> None:
        self._whole: dict[str, dict[str, Target]] = {}
        self._templates: dict[int, list[_Template[Target]]] = {}
        self._recent: dict[str, Found[Target]] = {}

    def add(self, method: str, path: str, target: Target) -> None:
        self._methods(path)[method] = target
        self._recent.clear()

    def find(self, path: str) -> Found[Target] | None:
        """None when there is nothing at ``path``, which is as it came: percent signs and all, no query.

        Raises BadInput when a word in it is not UTF-8.
        """
        found = self._recent.get(path) or self._look(path)
        if found is not None:
            if len(self._recent) >= _REMEMBERED:
                self._recent.clear()
            self._recent[path] = found
        return found

    def _look(self, path: str) -> Found[Target] | None:
        whole = self._whole.get(path)
        if whole is not None:
            return Found(whole, {})
        pieces = path[1:].split("/")
        for template in self._templates.get(len(pieces), ()):
            words = _words(template.pieces, pieces)
            if words is not None:
                return Found(template.methods, dict(zip(template.names, words, strict=True)))
        return None

    def _methods(self, path: str) -> dict[str, Target]:
        if "{" not in path:
            return self._whole.setdefault(path, {})
        parts = path[1:].split("/")
        names = tuple(part[1:-1] for part in parts if part.startswith("{"))
        pieces = tuple(None if part.startswith("{") else part for part in parts)
        group = self._templates.setdefault(len(parts), [])
        for template in group:
            if template.pieces == pieces:
                return template.methods
        group.append(_Template(pieces, names, {}))
        return group[-1].methods


def _words(template: tuple[str | None, ...], pieces: list[str]) -> list[str] | None:
    """The words of ``pieces`` where the template has them; None when it does not fit."""
    words = []
    for wanted, piece in zip(template, pieces, strict=True):
        if wanted is None:
            if not piece:  # a slash too many is no empty word
                return None
            words.append(_decoded(piece) if "%" in piece else piece)
        elif wanted != piece:
            return None
    return words


def _decoded(piece: str) -> str:
    try:
        return unquote(piece, errors="strict")
    except UnicodeDecodeError:
        raise BadInput("the path is not UTF-8", hint="percent-encode UTF-8", code="not_utf8") from None
