"""Virtual time: one priority queue of what happens when."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, Final

WATCH_EVERY: Final = 4096


class Clockwork:
    """Runs callbacks in the order of their times; of one time, in the order they were asked for."""

    __slots__ = ("_heap", "_number", "events", "now", "pace", "watch")

    def __init__(self) -> None:
        self.now = 0.0
        self.pace = 1.0
        """By how much everything that is done now and then is done less often: a day apart is long."""
        self.events = 0
        self.watch: Callable[[], None] = lambda: None
        """Called after each WATCH_EVERY events, for whoever wants to know how far the run is."""
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = 0

    def at(self, when: float, what: Callable[..., None], *args: Any) -> None:
        self._number += 1
        heapq.heappush(self._heap, (max(when, self.now), self._number, what, args))

    def after(self, delay: float, what: Callable[..., None], *args: Any) -> None:
        self.at(self.now + delay, what, *args)

    def run_until(self, end: float) -> None:
        """Everything up to ``end`` (seconds), which is the time afterwards."""
        heap = self._heap
        while heap and heap[0][0] <= end:
            self.now, _, what, args = heapq.heappop(heap)
            self.events += 1
            what(*args)
            if not self.events % WATCH_EVERY:
                self.watch()
        self.now = end
