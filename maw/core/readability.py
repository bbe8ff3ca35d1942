"""Whether a text can still be read: agents that talk much among themselves may end up writing what no human can follow.

A measure of form, not of sense: it knows no language. It is made to find what hardly anybody would call readable,
and to leave alone code, logs, tables, lists of hashes and every script.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

SHORT: Final = 80
"""Characters: of less nothing is said but of piled marks."""
LONG_WORD: Final = 120
LOOKED_AT: Final = 2048
"""Characters of a text that are looked at: the first."""
_WORD: Final = re.compile(r"\w+")
_SPACED: Final = re.compile(r"\S+")
_VOWELS: Final = frozenset("aeiouyAEIOUYàáâãäåæèéêëìíîïòóôõöøùúûüýÿœ")


def unreadable(text: str) -> str | None:
    """Why it can hardly be read, in a few words; None where it can."""
    part = text[:LOOKED_AT]
    if not part.isascii() and (why := _marks(part)):
        return why
    if len(part) < SHORT:
        return None
    spaced = _SPACED.findall(part)
    solid = sum(map(len, spaced))
    if not solid:
        return None
    walls = {one for one in spaced if len(one) > LONG_WORD and _is_wall(one)}
    wall = sum(len(one) for one in spaced if one in walls)
    if wall > 0.6 * solid:
        return "mostly one piece without a space: encoded or compressed"
    words = [word for one in spaced if one not in walls for word in _WORD.findall(one)]
    if sum(map(len, words)) < 0.3 * (solid - wall):
        return "hardly any letters"
    if len(words) >= 40 and len({word.lower() for word in words}) <= len(words) // 10:
        return "the same few words over and over"
    return _gibberish(words)


def _marks(text: str) -> str | None:
    """Marks piled on letters (as on Z̷a̷l̷g̷o̷), and characters that show nothing: no script needs so many."""
    marks = hidden = 0
    for char in text:
        if char >= "\u0300":
            kind = unicodedata.category(char)
            marks += (
                kind == "Mn" and unicodedata.combining(char) >= 200
            )  # above and below: what scripts pile least
            hidden += kind in ("Cf", "Co", "Cn") or char == "\ufffd"
    visible = len(text) - marks - hidden
    if marks > 8 and marks > visible // 2:
        return "marks piled on its letters"
    if hidden > 8 and hidden > visible // 4:
        return "characters that show nothing"
    return None


def _is_wall(piece: str) -> bool:
    """Of a script that puts spaces between words (Chinese, Japanese, Thai and their like do not), and no path or
    link."""
    separators = sum(map(piece.count, "-_./:,;|"))
    return separators < len(piece) // 16 and sum(char < "\u0530" for char in piece) > len(piece) // 2


def _gibberish(words: list[str]) -> str | None:
    """Latin words without any vowel, where they are most: no language, and no code. Digits and capitals are names and
    hashes."""
    plain = [
        word for word in words if len(word) >= 4 and word.isalpha() and word.isascii() and not word.isupper()
    ]
    if len(plain) < 12 or len(plain) < len(words) // 3:
        return None
    bare = sum(_VOWELS.isdisjoint(word) for word in plain)
    return "words that are none of any language" if bare > len(plain) // 2 else None
