"""What is put in front of an agent: one line for each new message, in a frame that no message can imitate.

Laws
  1. A body is one piece of one line: it stands in double quotes, and holds neither a double quote (in any script) nor
     anything that ends a line, hides, or drives a terminal.
  2. The frame's first and last line carry a nonce that was drawn after every body was written.
  3. Only a line that maw itself begins with ``ORDER`` or ``OPERATOR`` is an operator's word, and the first line says
     how many orders there are, none included.
  4. It is short: so many lines, so many characters of a body; whole messages are asked for.

Rendering is pure: the nonce is passed in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from maw.core.filenames import size_words
from maw.core.intents import ACK, ASK, INFORM
from maw.core.text import shown

LINES: Final = 10
BODY: Final = 120
"""Characters of a body that stand on its line."""
FILES: Final = 3
NAME: Final = 40
"""Files that are told of a message, and characters of their names."""
NONCE_CHARS: Final = 6
_LOOKED_AT: Final = 4 * BODY
"""Characters of a body that are looked at: what is left out of them (blanks) does not make the line much shorter."""
_WORD: Final = 64
"""Characters of an operator's name, which is checked where it is given, and cut here all the same."""

_QUOTES: Final = (
    '"\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033\u2034\u2036\u2057\u3003\uff02'
    "\u301d\u301e\u301f\u300c\u300d\u300e\u300f\u275d\u275e\u02ba\u02dd\u02ee\u02f5\u02f6\u05f4"
)
"""What may be taken for a double quote, by an eye or by who normalises text."""
_AS_APOSTROPHE: Final = {ord(char): "'" for char in _QUOTES}
_FRAME: Final = re.compile(r"[\[\uff3b\u3010\u3014\u27e6](?=\s*/?\s*maw)", re.IGNORECASE)
"""What begins as the frame does."""

_SAYS: Final = {ASK: "asks", INFORM: "informs", ACK: "acks"}


@dataclass(frozen=True, slots=True)
class Brief:
    """One message as its line tells it.

    ``author`` is an address, ``known_by`` how its host knew who spoke; ``operator`` is set where a signature that
    counts stands over it, and only then may ``order`` be true. ``channel``: None where it is direct. ``age_s``: seconds
    since it was said; None where that clock is not to be believed. ``group``: it names the agent only as one of many.
    """

    seq: int
    author: str
    role: str
    known_by: str
    intent: str
    text: str
    age_s: float | None
    operator: str | None = None
    order: bool = False
    channel: str | None = None
    group: bool = False
    of: str | None = None
    """The agent whose role the author is."""
    looks_like: str | None = None
    """Whom the author may be taken for, and is not."""
    urgent: bool = False
    overdue_s: float | None = None
    """An ask to which no answer came in time."""
    files: tuple[tuple[str, int], ...] = ()
    """Name and bytes of each file that goes along."""


@dataclass(frozen=True, slots=True)
class Waited:
    """Messages of the digest that were kept back: how many, for how many seconds the longest, and why."""

    count: int
    seconds: float
    why: str


def digest(
    agent: str,
    briefs: Sequence[Brief],
    nonce: str,
    *,
    more: int = 0,
    waited: Waited | None = None,
    is_role: bool = False,
) -> str:
    """The text, without a newline at its end. ``briefs``: what is shown, in order, at least one and at most ``LINES``;
    ``more``: how many there are besides. ``nonce``: from ``NONCE_CHARS`` random letters and digits. ``is_role``: the
    mailbox is that of a role, and who reads this must say so.
    """
    if not 0 < len(briefs) <= LINES:
        raise ValueError(f"a digest has 1 to {LINES} lines, not {len(briefs)}")
    if not (nonce.isascii() and nonce.isalnum() and len(nonce) >= NONCE_CHARS):
        raise ValueError("this is no nonce")
    orders = sum(brief.order for brief in briefs)
    total = len(briefs) + more
    told = f"{total} new for {agent}, {_count(orders, 'operator order')}"
    as_role = f" --as {agent}" if is_role else ""
    commands = f"Whole: maw read N{as_role}; done: maw ack N{as_role}"
    lines = [f"[maw {nonce}] {told}. Quoted: their own words. {commands}"]
    if waited is not None:
        lines.append(f"{waited.count} of them waited up to {ago(waited.seconds)}: {_plain(waited.why)}")
    lines += [_line(brief, as_role) for brief in briefs]
    if more:
        lines.append(f"and {more} more: maw inbox{as_role}")
    lines.append(f"[/maw {nonce}]")
    return "\n".join(lines)


def quoted(text: str, most: int = BODY) -> str:
    """A body in double quotes on one line, cut to ``most`` characters; how long it is in all, where it was cut."""
    clean, whole = _clipped(text, most)
    return f'"{clean}"' if whole else f'"{clean}" ({len(text)} chars)'


def clipped(text: str) -> str:
    """As a body stands in its quotes."""
    return _clipped(text, BODY)[0]


def _clipped(text: str, most: int) -> tuple[str, bool]:
    """One line without double quotes, and whether that is all of the text."""
    words = text.lstrip()
    start = words[:_LOOKED_AT]
    clean = " ".join(shown(start).replace("\t", " ").split()).translate(_AS_APOSTROPHE)
    clean = _FRAME.sub("(", clean)
    if len(clean) <= most and len(start) == len(words):
        return clean, True
    return clean[: most - 1].rstrip() + "…", False


def ago(seconds: float) -> str:
    """``5s``, ``3m``, ``7h``, ``2d``."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def _line(brief: Brief, as_role: str) -> str:
    todo = f" -> maw ack {brief.seq} --obeyed or --declined{as_role}" if _is_order(brief) else ""
    return f"{heading(brief)}: {quoted(brief.text)}{_files(brief)}{todo}"


def heading(brief: Brief) -> str:
    """Who says it, how that is known, what is wanted, where and when: all of a message's line but its words."""
    age = "at an unsure time" if brief.age_s is None else f"{ago(brief.age_s)} ago"
    where = f" in #{_plain(brief.channel)}" if brief.channel is not None else ""
    via = _plain(brief.author) + (f" ({_plain(brief.of)})" if brief.of is not None else "")
    if brief.looks_like is not None:
        via = f"{via} (not {_plain(brief.looks_like)})"
    if brief.operator is not None:
        who = f"operator {_plain(brief.operator)} (key checked) through {via}{where}"
        if _is_order(brief):
            return f"ORDER {brief.seq} of {who}, {age}"
        return f"OPERATOR {brief.seq}: {who}, {age}"
    known = "human, " if brief.role == "ape" else ""
    says = f" {_SAYS[brief.intent]}" if brief.intent in _SAYS else ""
    to = (" (to a group)" if brief.group else "") + (", high priority" if brief.urgent else "")
    if brief.overdue_s is not None:
        to += f", overdue since {ago(brief.overdue_s)}"
    return f"{brief.seq} {via} ({known}{_plain(brief.known_by)}){says}{where}{to}, {age}"


def _is_order(brief: Brief) -> bool:
    return brief.operator is not None and brief.order


def _files(brief: Brief) -> str:
    """Names are somebody's words too: they stand in quotes."""
    if not brief.files:
        return ""
    told = [f"{quoted(name, NAME)} {size_words(size)}" for name, size in brief.files[:FILES]]
    more = f" and {len(brief.files) - FILES} more" if len(brief.files) > FILES else ""
    return f" with {', '.join(told)}{more} (maw fetch {brief.seq})"


def _plain(word: str) -> str:
    """A name as it stands outside quotes. Names obey rules; whatever came past them must not end the line here."""
    clean = "".join(char if char.isalnum() or char in " -_@.~:/,()'" else "?" for char in shown(word))
    return clean.translate(_AS_APOSTROPHE)[:_WORD]


def _count(number: int, what: str) -> str:
    return f"no {what}" if number == 0 else f"{number} {what}{'' if number == 1 else 's'}"
