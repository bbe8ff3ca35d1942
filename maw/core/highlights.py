"""Where in a text the words of a search stand, and the part of it that is shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from maw.core.folding import MAX_WORD, UNSPACED, fold, is_unspaced, offsets
from maw.core.queries import Query, Term

SNIPPET: Final = 240
"""Characters of a text that are shown around what was found."""
_BEFORE: Final = 60
_MOST: Final = 50

Span = tuple[int, int]


class Snippet(NamedTuple):
    """``text`` is plain, on one line; ``highlights``: (start, end) in its characters, ascending, apart."""

    text: str
    highlights: list[Span]


class Finder:
    """Finds a query's words in texts as they are now. ``spans`` is None for a text that is none of its."""

    def __init__(self, query: Query) -> None:
        self._terms = [_pattern(term) for term in query.terms]
        self._without = [_pattern(term) for term in query.without]

    def spans(self, text: str) -> list[Span] | None:
        """Where the words stand, ascending and apart; empty where the query has none."""
        folded = fold(text)
        if any(pattern.search(folded) for pattern in self._without):
            return None
        found: list[Span] = []
        for pattern in self._terms:
            hits = [match.span() for _, match in zip(range(_MOST), pattern.finditer(folded), strict=False)]
            if not hits:
                return None
            found += hits
        where = offsets(text)
        if where is not None:
            found = [(where[start], where[end - 1] + 1) for start, end in found]
        return _apart(found)


def _pattern(term: Term) -> re.Pattern[str]:
    last = len(term.pieces) - 1
    parts: list[str] = []
    for at, piece in enumerate(term.pieces):
        if is_unspaced(piece):
            parts.append(re.escape(piece))
        else:
            opens = (at == last and term.opens) or len(piece) >= MAX_WORD
            end = "" if opens else f"(?![^ {UNSPACED}])"
            parts.append(rf"(?<![^ {UNSPACED}]){re.escape(piece[:MAX_WORD])}{end}")
            if opens and at < last:
                parts[-1] += f"[^ {UNSPACED}]*"
    return re.compile(" *".join(parts))


def _apart(spans: Sequence[Span]) -> list[Span]:
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def snippet(text: str, spans: Sequence[Span]) -> Snippet:
    """The part of ``text`` in which most of ``spans`` are; its beginning where there are none."""
    start = max(0, _densest(spans) - _BEFORE) if len(text) > SNIPPET else 0
    start = min(start, max(0, len(text) - SNIPPET))
    end = min(len(text), start + SNIPPET)
    if start and (space := text.find(" ", start, start + 20)) >= 0:
        start = space + 1
    if end < len(text) and (space := text.rfind(" ", end - 20, end)) > start:
        end = space
    before, after = "…" if start else "", "…" if end < len(text) else ""
    shown = "".join(" " if char in "\n\t\r" else char for char in text[start:end])
    shift = start - len(before)
    inside = [(max(a, start) - shift, min(b, end) - shift) for a, b in spans if a < end and b > start]
    return Snippet(f"{before}{shown}{after}", inside)


def _densest(spans: Sequence[Span]) -> int:
    """Where the stretch begins that holds the most of them."""
    best, at, last = 0, spans[0][0] if spans else 0, 0
    for first, (start, _) in enumerate(spans):
        while last < len(spans) and spans[last][1] <= start + SNIPPET - _BEFORE:
            last += 1
        if last - first > best:
            best, at = last - first, start
    return at
