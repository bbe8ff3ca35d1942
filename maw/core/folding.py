"""Texts as search compares them: case, accents and width folded away, and runs of letters that no space divides cut
into pairs.

Everything that is no letter, digit or mark is a space. Thai, Japanese and others write on without one, and where their
words end is a matter of dictionaries: of such a run each pair of neighbours is a word of the index, so that whatever
part of it somebody asks for is found as a phrase of pairs. Both sides, text and question, go through here, and the
index itself (SQLite's tokenizer "ascii") only splits at spaces.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MAX_WORD: Final = 64
"""Characters of a word that are looked at: what is longer is a key or a picture in letters."""
_REMEMBERED: Final = 4096

UNSPACED: Final = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Myanmar, Khmer
    "\u1100-\u11ff\ua960-\ua97f\uac00-\ud7ff"  # Hangul: it has spaces, but glues particles to its words
    "\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u30ff\u3100-\u312f\u31a0-\u31ff"  # kana, Bopomofo
    "\u2e80-\u2fdf\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
"""The inside of a regular expression's character class: letters of scripts that do not divide words by spaces."""

_RUN: Final = re.compile(f"[{UNSPACED}]+")
_PIECE: Final = re.compile(f"[{UNSPACED}]+|[^ {UNSPACED}]+")
_LONG: Final = re.compile(rf"([0-9A-Za-z\x80-\U0010ffff]{{{MAX_WORD}}})[0-9A-Za-z\x80-\U0010ffff]+")


class _Letters(dict[int, str]):
    """By code point what it is folded to; the first few thousand that come are remembered, whoever sends them."""

    def __missing__(self, code: int) -> str:
        folded = _folded(chr(code))
        if len(self) < _REMEMBERED:
            self[code] = folded
        return folded


def _folded(char: str) -> str:
    if _is_accent(char):
        return ""
    apart = "".join(one for one in unicodedata.normalize("NFKD", char) if not _is_accent(one))
    plain = unicodedata.normalize("NFC", apart.casefold())
    return "".join(one if _is_letter(one) else " " for one in plain)


def _is_accent(char: str) -> bool:
    """What is put over or under a letter, and what nobody sees: a word is the same word without them."""
    return (
        "\u0300" <= char <= "\u036f"
        or "\ufe00" <= char <= "\ufe0f"
        or "\U000e0100" <= char <= "\U000e01ef"
        or unicodedata.category(char) == "Cf"
    )


def _is_letter(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] in "LNM" or category == "Co"


_LETTERS: Final = _Letters()


def fold(text: str) -> str:
    """Lower case, without accents, everything that is no letter or digit a space."""
    return text.translate(_LETTERS)


def offsets(text: str) -> list[int] | None:
    """Of each character of ``fold(text)`` where in ``text`` it came from, and the end of it all; None where each
    stayed in its place."""
    if text.isascii():
        return None
    found = [at for at, char in enumerate(text) for _ in _LETTERS[ord(char)]]
    return [*found, len(text)]


def indexed(text: str) -> str:
    """What is given to the index: words with spaces between. Of ASCII its tokenizer does the rest itself."""
    if not text.isascii():
        text = fold(text)
        if _RUN.search(text):
            text = _RUN.sub(lambda run: f" {' '.join(pairs(run[0]))} ", text)
    return _LONG.sub(r"\1", text)


def pairs(run: str) -> list[str]:
    """Each pair of neighbours, and the last one alone."""
    return [run[at : at + 2] for at in range(len(run))]


def pieces(text: str) -> tuple[str, ...]:
    """The words of a question as they follow one another: each a word between spaces, or an unspaced run."""
    return tuple(_PIECE.findall(fold(text)))


def is_unspaced(piece: str) -> bool:
    return _RUN.match(piece) is not None
