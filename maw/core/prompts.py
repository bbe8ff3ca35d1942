"""What an agent's screen shows: an empty prompt, a line half typed, work, a question. Read off a terminal's text.

Nothing may be typed but into an empty prompt. What is not known for sure counts as something else: a text that is
pasted over a half-typed line spoils it, and one that lands in a question answers it.

A screen is lines as tmux captures them with ``-e``: text and SGR sequences. What a program only suggests it writes dim.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_SGR: Final = re.compile(r"\x1b\[([0-9;:]*)m")
_ESCAPE: Final = re.compile(r"\x1b(?:\[[0-9;:?]*[ -/]*[@-~]|[()][A-Z0-9]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)")
_RULE: Final = re.compile(r"\s*─{8,}.*")
_WORKS: Final = re.compile(
    r"esc(?:ape)? to interrupt|ctrl\+c to interrupt|esc interrupt|press up to edit queued|\([0-9]+[hms][^)]*[·•]",
    re.IGNORECASE,
)
_ASKS: Final = re.compile(
    r"❯ ?[0-9]+\.|› ?[0-9]+\.|\bdo you want\b|\bwould you like\b|esc to cancel|enter to confirm|tab to amend"
    r"|allow command\?|do you trust",
    re.IGNORECASE,
)
_BELOW: Final = 12
"""Lines above the prompt in which signs of work or a question are looked for: those further up are history."""


class Shows(StrEnum):
    EMPTY = "an empty prompt"
    TYPED = "a half-typed line"
    WORKS = "it is at work"
    ASKS = "it asks something"
    UNKNOWN = "no prompt that is known"


@dataclass(frozen=True, slots=True)
class Prompt:
    """``text``: what stands behind the prompt, what is dim left out, line by line."""

    shows: Shows
    text: tuple[str, ...] = ()


def plain(line: str) -> str:
    return _ESCAPE.sub("", line)


def bright(line: str) -> str:
    """The line without what is written dim, and without sequences."""
    kept, at, dim = "", 0, False
    for match in _SGR.finditer(line):
        if not dim:
            kept += line[at : match.start()]
        at = match.end()
        codes = [code.split(":")[0] for code in (match[1] or "0").split(";")]
        skip = 0
        for number, code in enumerate(codes):
            if skip:
                skip -= 1
            elif code in ("38", "48", "58"):
                skip = 2 if codes[number + 1 : number + 2] == ["5"] else 4
            elif code == "2":
                dim = True
            elif code in ("", "0", "22"):
                dim = False
    return _ESCAPE.sub("", kept if dim else kept + line[at:])


def read_prompt(kind: str, screen: Sequence[str]) -> Prompt:
    """What this kind of agent shows. A kind whose prompt is not known shows nothing that is."""
    lines = list(screen)
    while lines and not plain(lines[-1]).strip():
        lines.pop()
    if kind == "claude":
        return _claude(lines)
    if kind == "codex":
        return _codex(lines)
    return Prompt(Shows.UNKNOWN)


def _claude(lines: Sequence[str]) -> Prompt:
    """A box of two rules at the bottom, ``❯`` in its first line, a few lines below it."""
    rules = [at for at, line in enumerate(lines) if _RULE.fullmatch(plain(line))]
    if len(rules) < 2 or len(lines) - rules[-1] > 6:
        return Prompt(Shows.ASKS if _says(_ASKS, lines[-_BELOW:]) else Shows.UNKNOWN)
    top, bottom = rules[-2], rules[-1]
    inside = lines[top + 1 : bottom]
    if not inside or plain(inside[0]).lstrip()[:1] not in ("❯", ">"):
        return Prompt(Shows.ASKS if _says(_ASKS, lines[-_BELOW:]) else Shows.UNKNOWN)
    text = _behind(inside, ("❯", ">"))
    around = [*lines[max(top - _BELOW, 0) : top], *lines[bottom + 1 :]]
    return _judged(text, around)


def _codex(lines: Sequence[str]) -> Prompt:
    """The last line that begins with ``›``, and what is below it down to an empty line."""
    at = next((n for n in range(len(lines) - 1, -1, -1) if plain(lines[n]).startswith("›")), None)
    if at is None or len(lines) - at > _BELOW:
        return Prompt(Shows.UNKNOWN)
    end = next((n for n in range(at + 1, len(lines)) if not plain(lines[n]).strip()), len(lines))
    return _judged(_behind(lines[at:end], ("›",)), [*lines[max(at - _BELOW, 0) : at], *lines[end:]])


def _behind(inside: Sequence[str], signs: Sequence[str]) -> tuple[str, ...]:
    first = bright(inside[0]).strip().strip("\u00a0")
    for sign in signs:
        first = first.removeprefix(sign)
    rest = [bright(line).strip() for line in inside[1:]]
    return tuple(line for line in (first.strip(" \u00a0"), *rest) if line)


def _judged(text: tuple[str, ...], around: Sequence[str]) -> Prompt:
    if _says(_ASKS, around) or (text and _ASKS.match(f"❯ {text[0]}")):
        return Prompt(Shows.ASKS, text)
    if _says(_WORKS, around):
        return Prompt(Shows.WORKS, text)
    return Prompt(Shows.TYPED if text else Shows.EMPTY, text)


def _says(pattern: re.Pattern[str], lines: Sequence[str]) -> bool:
    return any(pattern.search(plain(line)) for line in lines)


def holds(prompt: Prompt, text: str) -> bool:
    """Whether what stands behind the prompt is ``text`` and nothing else: as it is, wrapped, cut, or as the note that a
    program shows in place of a long paste."""
    wanted = "".join(text.split())
    shown = ["".join(line.split()) for line in prompt.text]
    if len(shown) == 1 and re.fullmatch(r"\[Pastedtext#[0-9]+(\+[0-9]+lines)?\]", shown[0]):
        return True
    at = 0
    for number, line in enumerate(shown):
        found = wanted.find(line.removesuffix("…"), at)
        if found < 0 or (number == 0 and found):
            return False
        at = found + len(line.removesuffix("…"))
    return bool(shown)


def paste_of(text: str) -> str:
    """What may go into a pane of ``text``: no control character could press a key, end the paste or ring."""
    kept = "".join(
        char if char == "\n" or (char.isprintable() and not "\u007f" <= char <= "\u009f") else " "
        for char in text
    )
    return kept.strip("\n")
