"""Do not disturb: for an agent or for a whole host, always or at times of day, over midnight too.

Times are the host's local ones, as its people read them on a clock; nothing here looks at one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from maw.errors import BadInput

_SPAN: Final = re.compile(r"([0-9]{1,2}):([0-9]{2})-([0-9]{1,2}):([0-9]{2})")
DAY: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class Quiet:
    """When not to disturb: from one minute of the day to another, which is not in it any more; or at all times."""

    start: int = 0
    end: int = DAY

    @property
    def always(self) -> bool:
        return self.end - self.start == DAY

    def holds(self, minute: float) -> bool:
        """Whether it is quiet at this minute of the day (0 to 1440, with its fraction)."""
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end

    def minutes_left(self, minute: float) -> float | None:
        """Until it ends; None when it does not by itself. Only while it ``holds``."""
        if self.always:
            return None
        return (self.end - minute) % DAY

    def __str__(self) -> str:
        return "on" if self.always else f"{_clock(self.start)}-{_clock(self.end)}"


def parse_quiet(text: str) -> Quiet | None:
    """``on``, ``off`` (None), or ``22:00-07:00``. Raises BadInput."""
    if text == "off":
        return None
    if text == "on":
        return Quiet()
    found = _SPAN.fullmatch(text)
    if found:
        hours = [int(found[1]), int(found[3])]
        minutes = [int(found[2]), int(found[4])]
        start, end = (hour * 60 + minute for hour, minute in zip(hours, minutes, strict=True))
        if max(minutes) < 60 and start < DAY and end <= DAY and start % DAY != end % DAY:
            return Quiet(start, end)
    raise BadInput(
        f"{text!r} is no time of quiet",
        code="bad_dnd",
        hint="on, off, or two times of the day that differ, such as 22:00-07:00 (this host's local time)",
    )


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
