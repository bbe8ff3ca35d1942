"""When something that is done again and again is due, as systemd's calendar writes it.

Law: a period divides the hour in whole minutes, or the day in whole hours, so that its times are the same every day;
each that is done has its own moment within the period, always the same one: a hundred of them do not begin at once.
"""

from __future__ import annotations

import hashlib
from typing import Final

from maw.errors import BadInput

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86_400
LONGEST_JITTER_S: Final = 60
PERIODS: Final = tuple(
    [MINUTE * n for n in range(1, 60) if 60 % n == 0] + [HOUR * n for n in range(1, 25) if 24 % n == 0]
)
"""Seconds."""


def check_period(seconds: float, option: str) -> int:
    """The same, in whole seconds. Raises BadInput naming ``option``, with the nearest that are possible."""
    if seconds in PERIODS:
        return int(seconds)
    shorter = [one for one in PERIODS if one < seconds]
    longer = [one for one in PERIODS if one > seconds]
    near = [spoken(one) for one in (*shorter[-1:], *longer[:1])]
    raise BadInput(
        f"{option}: it must divide an hour in whole minutes or a day in whole hours",
        hint=f"nearest: {' or '.join(near)}",
    )


def phase(period: int, *words: str) -> int:
    """The moment within ``period`` that is ``words``' own, in whole seconds from its beginning."""
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return int.from_bytes(digest[:8]) % period


def jitter(period: int) -> int:
    """Seconds by which each time is put off at random: far less than the period."""
    return min(period // 10, LONGEST_JITTER_S)


def calendar(period: int, at: int) -> str:
    """``at`` seconds into each ``period`` as systemd writes it. In UTC: a clock that is set to summer time leaves out
    nothing and doubles nothing."""
    hours, rest = divmod(at % period, HOUR)
    minutes, seconds = divmod(rest, MINUTE)
    if period < HOUR:
        return f"*-*-* *:{minutes:02}/{period // MINUTE}:{seconds:02} UTC"
    if period == HOUR:
        return f"*-*-* *:{minutes:02}:{seconds:02} UTC"
    if period == DAY:
        return f"*-*-* {hours:02}:{minutes:02}:{seconds:02} UTC"
    return f"*-*-* {hours:02}/{period // HOUR}:{minutes:02}:{seconds:02} UTC"


def crontab(period: int, at: int) -> str:
    """The same in cron's words, to the minute."""
    hours, rest = divmod(at % period, HOUR)
    minute = rest // MINUTE
    if period < HOUR:
        return f"{minute}-59/{period // MINUTE} * * * *"
    if period == HOUR:
        return f"{minute} * * * *"
    if period == DAY:
        return f"{minute} {hours} * * *"
    return f"{minute} {hours}-23/{period // HOUR} * * *"


def spoken(seconds: int) -> str:
    """``90 s``, ``30m``, ``4h``, as such options are written."""
    if seconds % HOUR == 0:
        return f"{seconds // HOUR}h"
    return f"{seconds // MINUTE}m" if seconds % MINUTE == 0 else f"{seconds}s"
