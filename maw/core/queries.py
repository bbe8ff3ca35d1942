"""What people type to find messages, and what it means.

    words            each must be there, in any order; error.log and get_user are phrases of their parts
    "two words"      side by side
    word*            words that begin so
    -word            must not be there; so with phrases and from:, in:, mentions:
    from:neo         by this agent (neo@host); several: any of them
    in:#channel      in this channel; several: any of them
    mentions:@neo    mentions him; @neo alone is the same. has:mention: mentions anybody
    since:2026-11-01 not before that day (UTC), moment (2026-11-01T08:30) or span (30m, 12h, 7d, 2w)
    until:2026-11-01 not after it

Nothing that is typed is a syntax error of the index: words go to it quoted, and what means nothing (``***``, AND) is
a word or nothing. Only what asks for something it cannot mean is refused: no word at all, a date that is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from maw.core.folding import MAX_WORD, is_unspaced, pairs, pieces
from maw.errors import BadInput

MAX_QUERY: Final = 1_000
MAX_TERMS: Final = 32
MAX_FILTERS: Final = 16
DAY_MS: Final = 86_400_000
_LAST_MS: Final = 253402300799999

T = TypeVar("T")
_QUOTES: Final = '"\u201c\u201d\u201e\u00ab\u00bb'
_PART: Final = re.compile(
    rf"(?P<minus>-?)(?:(?P<field>[a-z]+):(?=[^\s{_QUOTES}]))?(?:[{_QUOTES}](?P<phrase>[^{_QUOTES}]*)[{_QUOTES}]?"
    rf"|(?P<word>[^\s{_QUOTES}]+))"
)
_SPAN: Final = re.compile(r"([0-9]{1,6})([mhdw])", re.ASCII)
_SPANS: Final = {"m": 60_000, "h": 3_600_000, "d": DAY_MS, "w": 7 * DAY_MS}
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_HINT: Final = "a day (2026-11-01), a moment (2026-11-01T08:30Z) or how long ago (30m, 12h, 7d, 2w)"


@dataclass(frozen=True, slots=True)
class Term:
    """Words side by side, folded; ``opens``: the last of them may go on."""

    pieces: tuple[str, ...]
    opens: bool = False

    def phrase(self) -> str:
        """As FTS5 takes it: everything quoted."""
        words: list[str] = []
        opens = self.opens
        for at, piece in enumerate(self.pieces):
            if not is_unspaced(piece):
                words.append(piece[:MAX_WORD])
                continue
            run = pairs(piece)
            if at < len(self.pieces) - 1:
                words += run
            elif len(run) == 1:
                words += run
                opens = True  # it may stand first in any pair
            else:  # what follows is not said: the last one alone would say that nothing does
                words += run[:-1]
                opens = False
        return f'"{" ".join(words)}"{" *" if opens else ""}'


@dataclass(frozen=True, slots=True)
class Query:
    """``since_ms`` is the first moment that counts, ``until_ms`` the first that does not."""

    terms: tuple[Term, ...] = ()
    without: tuple[Term, ...] = ()
    authors: tuple[str, ...] = ()
    not_authors: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    not_channels: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    not_mentions: tuple[str, ...] = ()
    has_mention: bool | None = None
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(slots=True)
class _Asked:
    """What was gathered so far."""

    terms: list[Term] = field(default_factory=list)
    without: list[Term] = field(default_factory=list)
    authors: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    channels: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    mentions: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    has_mention: bool | None = None
    since_ms: int | None = None
    until_ms: int | None = None


def parse(
    text: str,
    now_ms: int,
    *,
    channel: str | None = None,
    author: str | None = None,
    mentions: str | None = None,
    since: str | None = None,
    until: str | None = None,
) -> Query:
    """What ``text`` and the filters beside it mean. Raises BadInput, which says what and why."""
    if len(text) > MAX_QUERY:
        raise BadInput(
            f"the search has {len(text)} characters, at most {MAX_QUERY} are looked at", code="bad_query"
        )
    asked = _Asked()
    beside = (("in", channel), ("from", author), ("mentions", mentions), ("since", since), ("until", until))
    for name, value in beside:
        if value is not None:
            _filter(asked, name, value, minus=False, now_ms=now_ms)
    for part in _PART.finditer(text):
        _take(asked, part, now_ms)
    filters = (*asked.authors, *asked.channels, *asked.mentions)
    if len(asked.terms) + len(asked.without) > MAX_TERMS or sum(map(len, filters)) > MAX_FILTERS:
        raise BadInput(
            f"the search has too many parts: at most {MAX_TERMS} words or phrases and {MAX_FILTERS} filters",
            code="bad_query",
        )
    narrowed = any(filters[::2]) or asked.has_mention or (asked.since_ms, asked.until_ms) != (None, None)
    if not asked.terms and not narrowed:
        raise BadInput(
            "the search has no word that could be looked for",
            hint="letters or digits that are to be there, or from:, in:, mentions:, since:",
            code="bad_query",
        )
    return Query(
        _once(asked.terms),
        _once(asked.without),
        *(_once(asked.authors[0]), _once(asked.authors[1])),
        *(_once(asked.channels[0]), _once(asked.channels[1])),
        *(_once(asked.mentions[0]), _once(asked.mentions[1])),
        asked.has_mention,
        asked.since_ms,
        asked.until_ms,
    )


def _once(found: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(found))


def _take(asked: _Asked, part: re.Match[str], now_ms: int) -> None:
    minus, phrase = part["minus"] == "-", part["phrase"]
    word = part["word"] or ""
    name = part["field"]
    if name is not None and phrase is None and name in _FIELDS:
        _filter(asked, name, word, minus=minus, now_ms=now_ms)
        return
    if name is not None:
        word = f"{name}:{word}"  # TypeError:expected is no filter
    if phrase is None and word.startswith("@") and _NAME.fullmatch(word):
        _filter(asked, "mentions", word, minus=minus, now_ms=now_ms)
        return
    said = pieces(word if phrase is None else phrase)
    if said:
        (asked.without if minus else asked.terms).append(Term(said, word.endswith("*")))


_FIELDS: Final = frozenset({"from", "in", "has", "mentions", "since", "until"})
_NAME: Final = re.compile(r"@[A-Za-z0-9][A-Za-z0-9_-]*(@[A-Za-z0-9][A-Za-z0-9_~-]*)?")


def _filter(asked: _Asked, name: str, value: str, *, minus: bool, now_ms: int) -> None:
    match name:
        case "from":
            asked.authors[minus].append(value)
        case "in":
            asked.channels[minus].append(value.removeprefix("#") or value)
        case "mentions":
            asked.mentions[minus].append(value)
        case "has":
            if value not in ("mention", "mentions"):
                raise BadInput(f"has:{value[:40]} is not known", hint="has:mention", code="bad_query")
            asked.has_mention = not minus
        case _:
            if minus:
                raise BadInput(
                    f"-{name}: means nothing",
                    hint="since: and until: say from when to when",
                    code="bad_query",
                )
            first, end = _moment(name, value, now_ms)
            if name == "since":
                asked.since_ms = max(first, asked.since_ms or 0)
            else:
                asked.until_ms = min(end, _LAST_MS if asked.until_ms is None else asked.until_ms)


def _moment(name: str, value: str, now_ms: int) -> tuple[int, int]:
    """Its first millisecond, and the first one after it: of a day its end."""
    if span := _SPAN.fullmatch(value):
        at = max(0, now_ms - int(span[1]) * _SPANS[span[2]])
        return at, at + 1
    try:
        moment = datetime.fromisoformat(value)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInput(f"{name}:{value[:40]} is no time", hint=_HINT, code="bad_query") from None
    first = max(0, (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))
    return first, first + (DAY_MS if _DAY.fullmatch(value) else 1)


# -- for the index -------------------------------------------------------------------------------------

ABOUT: Final = "about"
TEXT: Final = "text"


def expression(query: Query, needed: Sequence[str], barred: Sequence[str], anything: str) -> str:
    """The question as FTS5 reads it. ``needed`` and ``barred``: expressions of ``marked``; ``anything``: what is asked
    for where nothing else is."""
    wanted = [f"{TEXT} : {term.phrase()}" for term in query.terms] + list(needed)
    found = " AND ".join(f"({one})" for one in wanted or (anything,))
    for one in (*(f"{TEXT} : {term.phrase()}" for term in query.without), *barred):
        found = f"({found}) NOT ({one})"
    return found


def marked(marks: Iterable[str], without: str | None = None) -> str:
    """Messages that have one of these marks in the column ``about``, and not the mark ``without``."""
    either = " OR ".join([f'"{mark}"' for mark in marks])
    either = f"{ABOUT} : ({either})"
    return either if without is None else f'({either}) NOT ({ABOUT} : "{without}")'


BLOCK_DAYS: Final = 32


def day_marks(said_ms: int) -> tuple[str, str]:
    """The day of a message, and the block of days, as the index has them."""
    day = max(0, said_ms) // DAY_MS
    return f"d{day}", f"e{day // BLOCK_DAYS}"


def days_between(first_ms: int, last_ms: int) -> list[str]:
    """Marks of which each message of these days has one, both ends included; few, however long it is."""
    return list(_days(max(0, first_ms) // DAY_MS, max(0, last_ms) // DAY_MS))


def _days(day: int, last: int) -> Iterator[str]:
    while day <= last:
        if day % BLOCK_DAYS == 0 and day + BLOCK_DAYS - 1 <= last:
            yield f"e{day // BLOCK_DAYS}"
            day += BLOCK_DAYS
        else:
            yield f"d{day}"
            day += 1
