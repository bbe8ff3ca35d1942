"""When something kept in the database is due next, so that the disk is not asked every second for what is days away."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

LOOK_S: Final = 60.0
"""Whatever is believed here: so often it is asked."""


class Upcoming:
    """Rows with a time come with messages: until one more is visible none is due earlier than the first known.

    ``newest``: the newest seq that is visible."""

    def __init__(self, newest: Callable[[], int], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._newest = newest
        self._monotonic = monotonic
        self._seq = -1
        self._next: int | None = None
        self._look_at = 0.0

    def may_be(self, now_ms: int) -> bool:
        """Whether anything may be due. Whoever asks then says with ``first`` what there is."""
        seq = self._newest()
        news, self._seq = (
            seq != self._seq,
            seq,
        )  # what comes while the disk is asked counts as news the next time
        due = self._next is not None and self._next <= now_ms
        return news or due or self._monotonic() >= self._look_at

    def first(self, at_ms: int | None) -> None:
        """The earliest that is not done with, due or not; None where there is none."""
        self._next = at_ms
        self._look_at = self._monotonic() + LOOK_S
