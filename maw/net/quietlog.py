"""A log that strangers cannot flood: one line a subject and a while, saying how many it stands for."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_MAX_SUBJECTS: Final = 1024


class QuietLog:
    """``every``: seconds a subject is quiet after a line; ``clock``: any clock in seconds that only grows.

    Remembers 1,024 subjects; beyond that the one heard of longest ago is forgotten.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float], *, every: float = 60.0) -> None:
        self._logger = logger
        self._clock = clock
        self._every = every
        self._spoken: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def say(self, level: int, subject: str, message: str) -> bool:
        """Logs ``message`` unless ``subject`` was spoken of a moment ago. True when a line was written."""
        now = self._clock()
        since, held_back = self._spoken.pop(subject, (-self._every, 0))
        if now - since < self._every:
            self._spoken[subject] = (since, held_back + 1)
            return False
        if len(self._spoken) >= _MAX_SUBJECTS:
            self._spoken.popitem(last=False)
        self._spoken[subject] = (now, 0)
        more = f" ({held_back} more like this since the last line)" if held_back else ""
        self._logger.log(level, "%s%s", message, more)
        return True
