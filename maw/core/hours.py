"""A span of the day in a host's own time: ``22:00-07:00``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from maw.errors import BadInput

_TIME: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Hours:
    """From one minute of the day to another, in this host's own time; over midnight where ``until`` is the smaller."""

    since: int
    until: int

    def __contains__(self, minute: int) -> bool:
        if self.since == self.until:
            return True
        if self.since < self.until:
            return self.since <= minute < self.until
        return minute >= self.since or minute < self.until

    def __str__(self) -> str:
        return "-".join(f"{at // 60:02}:{at % 60:02}" for at in (self.since, self.until))


def parse_hours(text: str) -> Hours:
    """``08:00-22:00``, ``22:00-7:30``. Raises BadInput."""
    parts = [_TIME.fullmatch(part.strip()) for part in text.split("-")]
    if len(parts) != 2 or parts[0] is None or parts[1] is None:
        raise BadInput(f"{text!r} is no span of a day", hint="write it as 08:00-22:00", code="bad_hours")
    since, until = (int(part[1]) * 60 + int(part[2]) for part in parts if part is not None)
    return Hours(since, until)
