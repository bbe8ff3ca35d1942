"""What a pulse has to do, and how much of it: the rules, without the disk, the daemon or the clock.

Laws
  1. A run is begun by something: a message that wakes, standing directives that are due, tasks. An answer that was
     kept and not yet carried out is carried out, and no other is asked for.
  2. What is handed over is bounded; what does not fit stays unacknowledged, for the next pulse.
  3. A runner that fails is waited for, twice as long each time; after the third failure in a row a human is told.
  4. Whatever is done after the answer can be done again: it is looked first whether it was done.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

FIRST_PAUSE_S: Final = 300.0
LONGEST_PAUSE_S: Final = 21_600.0
LONGEST_LIMIT_S: Final = 86_400.0
"""For so long a runner is believed that says when its limit ends."""
TELL_AFTER: Final = 3
MESSAGES: Final = 50
MESSAGES_CHARS: Final = 60_000
"""Of the messages of one pulse as they stand in its prompt."""
_COMMENT: Final = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_NOTHING: Final = re.compile(r"(?:#{1,6}(?:\s.*)?|[-*+](?:\s+\[[ xX]?\])?|[-*_]{3,}|)")
"""A heading, an empty item, a rule, a blank line."""


class Do(Enum):
    GO_ON = "go on"
    """With the answer that is kept."""
    RUN = "run"
    WAIT = "wait"
    """The runner failed a short while ago."""
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Failing:
    """``count`` failures in a row; not to be tried before ``until`` (seconds since 1970). ``why``: the last one's."""

    count: int
    until: float
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """``waking``: messages that begin a run. ``directives``: there are some, and they are due. ``answered``: an answer
    is kept that is not carried out. ``begun``: a run was begun, of which no answer is kept."""

    waking: int = 0
    directives: bool = False
    tasks: bool = False
    answered: bool = False
    begun: bool = False


def what_to_do(found: Found, failing: Failing | None, now: float, *, insist: bool = False) -> Do:
    """``insist``: somebody wants it tried now, whatever failed before."""
    if found.answered:
        return Do.GO_ON
    if not (found.waking or found.directives or found.tasks or found.begun):
        return Do.NOTHING
    # a clock that was set back must not silence an agent
    if failing is not None and not insist and now < failing.until <= now + LONGEST_LIMIT_S:
        return Do.WAIT
    return Do.RUN


def failed(
    before: Failing | None, why: str, now: float, until: float | None = None, *, killed: bool = False
) -> Failing:
    """``until``: when whoever serves the model says that it can be asked again. ``killed``: the runner did not fail by
    itself, and is begun again at once until that has happened too often."""
    count = 1 if before is None else before.count + 1
    if killed and count < TELL_AFTER:
        return Failing(count, 0.0, why)
    pause = min(FIRST_PAUSE_S * 2 ** min(count - 1, 20), LONGEST_PAUSE_S)
    if until is not None and until > now:
        pause = max(pause, min(until - now, LONGEST_LIMIT_S))
    return Failing(count, now + pause, why)


def to_tell(failing: Failing) -> str | None:
    """What a human is told; None where it is too early."""
    if failing.count < TELL_AFTER:
        return None
    return f"its runner failed {in_a_row(failing.count)}, the last time: {failing.why}"


def in_a_row(count: int) -> str:
    return "once" if count == 1 else f"{count} times in a row"


def is_empty(text: str) -> bool:
    """Whether nothing is to be done by this text: only headings, comments, empty items."""
    return all(_NOTHING.fullmatch(line.strip()) for line in _COMMENT.sub("", text).splitlines())


def without_comments(text: str) -> str:
    return _COMMENT.sub("", text).strip()


def left_of(now: str, handed: str) -> str:
    """What stays of tasks.md: what stands there ``now`` without the lines that were ``handed`` over. Comments,
    headings, and what was written meanwhile, stay."""
    gone = Counter(line.strip() for line in without_comments(handed).splitlines() if not is_empty(line))
    kept, hidden = [], False
    for line in now.splitlines():
        opens, closes = line.rfind("<!--"), line.rfind("-->")
        inside, hidden = hidden, (opens > closes) if max(opens, closes) >= 0 else hidden
        if not inside and gone[line.strip()] > 0:
            gone[line.strip()] -= 1
            continue
        kept.append(line)
    return "\n".join(kept) + "\n" if kept else ""


def to_append(tail: bytes, entry: bytes) -> tuple[int, bytes]:
    """What is to be done so that ``entry`` stands in a file that ends with ``tail``, once: how many bytes are cut off
    its end (the beginning of the entry, of a write that was cut short), and what is appended then. ``tail``: at least
    as long as the entry, or all of the file."""
    if entry in tail:
        return 0, b""
    for size in range(min(len(entry) - 1, len(tail)), 1, -1):  # a lone newline may be anybody's
        if tail.endswith(entry[:size]):
            return size, entry
    return 0, entry


def weight(message: dict[str, Any]) -> tuple[bool, int, bool, bool, int]:
    """Which messages of many are handed over first: operators', then by priority, those that want something, those
    that are meant for the agent and not for many, the older."""
    rank = {"high": 0, "low": 2}.get(str(message.get("priority")), 1)
    return (
        message.get("operator") is None,
        rank,
        message.get("intent") in ("inform", "ack"),
        message.get("why") in ("group", "watched"),
        int(message["seq"]),
    )


def fitting(sizes: Sequence[int], *, most: int = MESSAGES, chars: int = MESSAGES_CHARS) -> int:
    """How many of the first are handed over: at least one, where there is one."""
    total = 0
    for at, size in enumerate(sizes[:most]):
        total += size
        if total > chars and at:
            return at
    return min(len(sizes), most)


def unsaid(wanted: Iterable[tuple[str, str]], said: Iterable[tuple[str, str]]) -> list[bool]:
    """Of messages (where, text) that a run wanted to send, in order: whether each is still to be sent, where ``said``
    is what the agent is known to have sent since."""
    there = Counter(said)
    found = []
    for one in wanted:
        found.append(there[one] <= 0)
        there[one] -= 1
    return found
