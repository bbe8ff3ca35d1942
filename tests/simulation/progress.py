"""What a long run is doing, on standard error: nothing of it comes into the run, which stays the same."""

from __future__ import annotations

import resource
import sys
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.simulation.world import World

EVERY_S: Final = 10.0
"""True seconds between two lines; a shorter run says nothing."""


class Progress:
    """Called now and then by the clockwork."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._began = self._last = time.monotonic()

    def __call__(self) -> None:
        now = time.monotonic()
        if now < self._last + EVERY_S:
            return
        self._last = now
        clockwork, nodes = self._world.clockwork, self._world.nodes
        held = [len(node.disk.rows.visible) for node in nodes]
        most = max(held)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        print(
            f"{now - self._began:6.0f} s: virtual {clockwork.now:.2f} s, {clockwork.events} events,"
            f" {held.count(most)} of {len(nodes)} nodes hold {most} entries, on average {sum(held) // len(held)};"
            f" {memory} MiB",
            file=sys.stderr,
            flush=True,
        )
