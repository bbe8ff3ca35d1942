"""Which backups may go: the newest are kept, and of each of some weeks before them the newest one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

KEEP: Final = 7
KEEP_WEEKS: Final = 4


def surplus(made: Mapping[str, datetime], keep: int = KEEP, weeks: int = KEEP_WEEKS) -> list[str]:
    """The names to remove, oldest first. ``made``: when each was made, in UTC.

    The ``keep`` newest stay, whatever their age; beside them the newest of each of the ``weeks`` latest weeks
    (Monday to Sunday) in which one was made. One always stays, whatever is asked for.
    """
    newest_first = sorted(made, key=lambda name: (made[name], name), reverse=True)
    kept = set(newest_first[: max(1, keep)])
    of_week: dict[tuple[int, int], str] = {}
    for name in newest_first:
        year, week, _ = made[name].isocalendar()
        of_week.setdefault((year, week), name)
    kept |= {of_week[week] for week in sorted(of_week, reverse=True)[: max(0, weeks)]}
    return [name for name in reversed(newest_first) if name not in kept]
