"""What an author wishes beside his words: how urgent they are, until when they are worth telling, when an answer is
overdue, and groups they are for.

They travel in the message, each left out where it is not wished for. An operator's signature covers none of them, so
that words with both are nobody's.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from maw.core.content import NAMED, Content, read_strings
from maw.core.entry import MAX_COUNT
from maw.core.intents import HIGH, LOW, NORMAL

MAX_GROUPS: Final = 64
_GROUP: Final = re.compile(f"role:{NAMED}|host:{NAMED}(~[a-z2-7]{{6}})?")
WISHED: Final = frozenset({"prio", "expires", "due", "groups"})
"""The keys of a message that hold them."""


class Wishes(NamedTuple):
    """``expires``, ``due``: unix ms. ``groups``: ``role:NAME`` and ``host:NAME``, as they were meant."""

    prio: str = NORMAL
    expires: int | None = None
    due: int | None = None
    groups: tuple[str, ...] = ()

    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = {}
        if self.prio != NORMAL:
            content["prio"] = self.prio
        if self.expires is not None:
            content["expires"] = self.expires
        if self.due is not None:
            content["due"] = self.due
        if self.groups:
            content["groups"] = list(self.groups)
        return content


NOTHING: Final = Wishes()


def read_wishes(content: Content) -> Wishes:
    """Raises ValueError. A word of a later version's is passed over: another priority is the normal one, a group of
    another form is none of ours."""
    prio = content.get("prio")
    groups = read_strings(content, "groups", MAX_GROUPS, 80)
    return Wishes(
        prio if prio in (LOW, HIGH) else NORMAL,
        _time(content, "expires"),
        _time(content, "due"),
        tuple(word for word in groups if _GROUP.fullmatch(word)),
    )


def _time(content: Content, key: str) -> int | None:
    value = content.get(key)
    if value is not None and (type(value) is not int or not 0 <= value <= MAX_COUNT):
        raise ValueError(f"{key} is no time")
    return value
