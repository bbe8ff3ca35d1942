"""Do not disturb: for an agent or for a whole host, always or at times of day (this host's own)."""

from __future__ import annotations

from maw.core.hours import Hours, parse_hours
from maw.errors import BadInput

ALWAYS = Hours(0, 0)
_DAY = 24 * 60


def parse_quiet(text: str) -> Hours | None:
    """``on``, ``off`` (None), or ``22:00-07:00``. Raises BadInput."""
    if text in ("on", "off"):
        return ALWAYS if text == "on" else None
    try:
        hours = parse_hours(text)
    except BadInput:
        hours = ALWAYS
    if hours.since == hours.until:
        raise BadInput(
            f"{text!r} is no time of quiet",
            code="bad_dnd",
            hint="on, off, or two times of the day that differ, such as 22:00-07:00 (this host's local time)",
        )
    return hours


def quiet_text(quiet: Hours | None) -> str:
    """As ``parse_quiet`` reads it."""
    if quiet is None:
        return "off"
    return "on" if quiet.since == quiet.until else str(quiet)


def seconds_left(quiet: Hours, minute: float) -> float | None:
    """From this minute of the day (with its fraction) until it ends, while it is quiet; None: it does not by itself."""
    if quiet.since == quiet.until:
        return None
    return ((quiet.until - minute) % _DAY) * 60
