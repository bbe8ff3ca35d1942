"""Who was refused what, counted: the same refusal within an hour is one row, however often it comes.

So that who hammers at a door fills neither memory nor disk, and is on record all the same.
"""

from __future__ import annotations

from typing import Final, NamedTuple

HOUR_MS: Final = 3_600_000
MOST_PENDING: Final = 1_000
"""Different ones that wait to be written; of what is beyond only the count and the door are kept."""
MAX_TEXT: Final = 120
OTHERS: Final = "others"


class Attempt(NamedTuple):
    """``who``: an agent's address, ``uid 1000``, ``nobody`` or an IP address; ``door``: ``socket``, ``rest`` or
    ``link``; ``what`` was asked for; ``code`` of the error that was the answer."""

    who: str
    door: str
    what: str
    code: str


class Count(NamedTuple):
    """Of one attempt within one hour since 1970. ``first`` and ``last``: ms since 1970."""

    hour: int
    attempt: Attempt
    first: int
    last: int
    times: int

    def after(self, was: Count) -> Count:
        """Both as one."""
        return self._replace(first=min(was.first, self.first), times=was.times + self.times)


class Pending:
    """What was noted and is not written yet."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, Attempt], Count] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def note(self, attempt: Attempt, at_ms: int, times: int = 1) -> None:
        short = Attempt(*(text[:MAX_TEXT] for text in attempt))
        key = at_ms // HOUR_MS, short
        if key not in self._counts and len(self._counts) >= MOST_PENDING:
            key = key[0], Attempt(OTHERS, attempt.door, "", "")
        was = self._counts.get(key)
        first = at_ms if was is None else was.first
        self._counts[key] = Count(*key, first, at_ms, times + (0 if was is None else was.times))

    def all(self) -> list[Count]:
        return list(self._counts.values())

    def written(self, counts: list[Count]) -> None:
        """These are on the disk; what was noted of the same since then is not."""
        for one in counts:
            key = one.hour, one.attempt
            if (left := self._counts[key].times - one.times) > 0:
                self._counts[key] = self._counts[key]._replace(times=left)
            else:
                del self._counts[key]
