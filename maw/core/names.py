"""What agents, channels and nodes may be called, and which of them a text mentions.

A name is 1–32 of ``a–z 0–9 - _``, beginning with a letter or a digit, folded to lower case. Names are
compared whole, never by substring: ``@art`` is not ``@arthur``. A *mention* is ``@name`` or ``@name@host``
in running text; code, links and e-mail addresses hold no mentions.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from maw.errors import BadInput

MAX_NAME: Final = 32
MAX_MENTIONS: Final = 64
_PIECE: Final = re.compile("[a-z2-7]{6}")
_KEY: Final = re.compile("mk1[a-z2-7]{56}")

GROUPS: Final = frozenset({"agents", "apes", "all"})
"""Words that speak to many: every agent, every human, both."""

RESERVED: Final = frozenset({"operator", "system", "here"}) | GROUPS
"""No agent and no node may be called one of these: they would be mistaken for an authority or a group."""

NameKind = Literal["agent", "channel", "node", "operator"]

_STARTS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_LETTERS: Final = _STARTS | {"-", "_"}


@dataclass(frozen=True, slots=True)
class Address:
    """``arthur`` or ``arthur@mbp``; ``host`` is None when none was written."""

    name: str
    host: str | None = None

    def __str__(self) -> str:
        return self.name if self.host is None else f"{self.name}@{self.host}"


def check_name(word: str, kind: NameKind = "agent") -> str:
    """The name folded to lower case. Raises BadInput saying which character is wrong, and where."""
    name = word.translate(_FOLD)
    if not name:
        raise _bad(kind, "is empty")
    for at, char in enumerate(name):
        if char not in _LETTERS:
            raise _bad(kind, f"has {_described(char)} at position {at + 1}")
    if name[0] not in _STARTS:
        raise _bad(kind, f"begins with {_described(name[0])}")
    if len(name) > MAX_NAME:
        raise _bad(kind, f"has {len(name)} characters, at most {MAX_NAME} are allowed")
    if kind != "channel" and name in RESERVED:
        raise BadInput(
            f"{name!r} is reserved: no {kind} may be called that",
            code="reserved_name",
            hint=f"reserved are {', '.join(sorted(RESERVED))}",
        )
    return name


def folded_name(text: str, limit: int = MAX_NAME) -> str:
    """The nearest allowed node or agent name to ``text`` (a host name, a login), or "" when none is left."""
    kept = "".join(char if char in _LETTERS else "-" for char in text.translate(_FOLD))
    name = kept.lstrip("-_")[:limit].rstrip("-_")
    return "" if name in RESERVED else name


def parse_address(text: str) -> Address:
    """``@arthur@mbp``, ``arthur@mbp``, ``@arthur`` or ``arthur``. Raises BadInput."""
    name, at, host = text.strip().removeprefix("@").partition("@")
    where = _check_host(host) if at else None
    if name.translate(_FOLD) in GROUPS:
        return Address(name.translate(_FOLD), where)
    return Address(check_name(name, "agent"), where)


def _check_host(host: str) -> str:
    """A node's name; with ``~`` and a piece of its key where two nodes share one; or its whole key."""
    folded = host.translate(_FOLD)
    if _KEY.fullmatch(folded):
        return folded
    name, tilde, piece = folded.partition("~")
    if tilde and not _PIECE.fullmatch(piece):
        raise _bad("node", "has something after ~ that is no piece of a key: six of a-z and 2-7")
    return check_name(name, "node") + tilde + piece


def nearest(word: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """Those of ``known`` that a slip of the finger turns into ``word``, the nearest first; may be empty."""
    wanted = word.casefold()
    found: list[tuple[int, str]] = []
    for other in known:
        near = other.casefold()
        allowed = max(1, max(len(wanted), len(near)) // 3)
        if len(wanted) >= 3 and near.startswith(wanted):
            found.append((1, other))
        elif abs(len(near) - len(wanted)) <= allowed and (far := _distance(wanted, near)) <= allowed:
            found.append((far, other))
    return [other for _, other in sorted(set(found))[:limit]]


def mentions(text: str) -> tuple[str, ...]:
    """Whom ``text`` mentions: folded, ``arthur`` or ``arthur@mbp``, in order, without repeats, at most 64.

    Only words: whether such an agent exists is for each host to find out.
    """
    if "@" not in text:
        return ()
    found: dict[str, None] = {}
    for match in _MENTION.finditer(_URL.sub(" ", _without_code(text))):
        found[match[0][1:].lower()] = None
        if len(found) == MAX_MENTIONS:
            break
    return tuple(found)


def parse_group(word: str) -> str | None:
    """``@role:reviewer`` as ``role:reviewer``; None where it is no such group."""
    match = _GROUP_WORD.fullmatch(word.strip().translate(_FOLD))
    return match[1] if match else None


def group_words(text: str) -> tuple[str, ...]:
    """The groups that ``text`` names beside its mentions, as ``role:reviewer`` and ``host:mbp``: folded, in order,
    without repeats, at most 64."""
    if ":" not in text or "@" not in text:
        return ()
    found: dict[str, None] = {}
    for match in _GROUP.finditer(_URL.sub(" ", _without_code(text))):
        found[match[0][1:].lower()] = None
        if len(found) == MAX_MENTIONS:
            break
    return tuple(found)


# Only A–Z are folded: str.lower would turn U+212A KELVIN SIGN into a "k" that nobody typed.
_FOLD: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}

# Thai, Japanese and others write on without a space, so only what looks like more of the *name* ends the
# match: ASCII name characters, accented Latin letters, and a dot or slash that goes on (@types/node).
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}+(?![A-Za-z0-9_\u00c0-\u024f\u0300-\u036f-])"
_BEFORE: Final = r"(?<![A-Za-z0-9_@/\u00c0-\u024f])(?<![A-Za-z0-9][.+%-])"
_AFTER: Final = "(?!@|[./][A-Za-z0-9])"
_KINDS: Final = "(?i:role|host):"
_MENTION: Final = re.compile(rf"{_BEFORE}@(?!{_KINDS}[A-Za-z0-9]){_NAME}(?:@{_NAME})?{_AFTER}")
_GROUP: Final = re.compile(rf"{_BEFORE}@{_KINDS}{_NAME}(?:~[a-z2-7]{{6}}(?![A-Za-z0-9]))?{_AFTER}")
_GROUP_WORD: Final = re.compile("@?((?:role|host):[a-z0-9][a-z0-9_-]{0,31}(?:~[a-z2-7]{6})?)")
_URL: Final = re.compile(
    r"(?:(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{0,30}://|(?<![A-Za-z0-9])www\.)[^\s<>\"'()\[\]]*"
)
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_TICKS: Final = re.compile(r"`+")


def _without_code(text: str) -> str:
    """The text with fenced blocks left out and code spans blanked."""
    if "`" not in text and "~~~" not in text:
        return text
    return "\n".join(_without_spans(paragraph) for paragraph in _paragraphs(text))


def _paragraphs(text: str) -> Iterator[str]:
    """Runs of lines outside fences. A code span ends with its paragraph, so a stray backtick hides little."""
    lines: list[str] = []
    fence = ""
    for line in text.split("\n"):
        match = _FENCE.match(line)
        if fence:
            closes = match is not None and match[1].startswith(fence) and not match[2].strip()
            fence = "" if closes else fence
        elif match is not None and not (match[1][0] == "`" and "`" in match[2]):
            fence = match[1]
            yield "\n".join(lines)
            lines = []
        elif line.strip():
            lines.append(line)
        else:
            yield "\n".join(lines)
            lines = []
    yield "\n".join(lines)


def _without_spans(paragraph: str) -> str:
    """Blank what stands between two runs of equally many backticks; linear in the length of the text."""
    runs = [(match.start(), match.end()) for match in _TICKS.finditer(paragraph)]
    starts: dict[int, list[int]] = {}
    for start, end in runs:
        starts.setdefault(end - start, []).append(start)
    kept: list[str] = []
    done = 0
    for start, end in runs:
        if start < done:
            continue
        same = starts[end - start]
        following = bisect_right(same, start)
        if following < len(same):
            kept.append(paragraph[done:start])
            done = same[following] + (end - start)
    kept.append(paragraph[done:])
    return " ".join(kept)


def _bad(kind: NameKind, what: str) -> BadInput:
    article = "an" if kind in ("agent", "operator") else "a"
    return BadInput(
        f"{article} {kind} name {what}",
        code="bad_name",
        hint=f"1–{MAX_NAME} of a–z 0–9 - _, beginning with a letter or a digit",
    )


def _described(char: str) -> str:
    return repr(char) if char.isascii() and char.isprintable() else f"U+{ord(char):04X}"


def _distance(one: str, two: str) -> int:
    """How many letters to insert, delete, replace or swap with their neighbour to get from one to two."""
    before: list[int] = []
    last = list(range(len(two) + 1))
    for row, a in enumerate(one, 1):
        now = [row]
        for column, b in enumerate(two, 1):
            cost = min(last[column] + 1, now[-1] + 1, last[column - 1] + (a != b))
            swapped = row > 1 and column > 1 and a == two[column - 2] and one[row - 2] == b
            now.append(min(cost, before[column - 2] + 1) if swapped else cost)
        before, last = last, now
    return last[-1]


PIECE: Final = 12
"""Characters of a private channel's id."""
PUBLIC: Final = "public"
"""``plans~public`` is the public channel where a private one is called plans too."""
_ROOM: Final = re.compile(f"[a-z0-9][a-z0-9_-]{{0,31}}~[a-z2-7]{{1,{PIECE}}}")


def is_private(name: str) -> bool:
    """Whether this is the id of a private channel: no public one has such a name."""
    return "~" in name


def check_channel(word: str) -> str:
    """What somebody calls a channel: its name, or of a private one that and a piece of its id. Raises BadInput."""
    if not is_private(word):
        return check_name(word, "channel")
    lower = word.lower()
    if _ROOM.fullmatch(lower) is None:
        raise BadInput(
            f"{word!r} names no channel",
            code="bad_name",
            hint="a private one is NAME, or NAME~ and the first letters of its id, as `maw channel list` shows it",
        )
    return lower
