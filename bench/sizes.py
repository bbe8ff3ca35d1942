"""How much of everything a run does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Size:
    """``tiny`` only shows that a benchmark runs; its figures mean nothing."""

    rounds: int
    """Turns that maw and its floor take."""
    hops: int
    alone: int
    """Posts a turn with one client."""
    together: int
    """Posts a turn with ``clients`` at once."""
    clients: int
    messages: int
    """In the big Colony."""
    peers: int
    catch_ups: int
    idle_s: float
    calls: int
    """Processes of each command line."""
    large: int
    """Messages in the Colony that is searched."""
    subscribers: int


SIZES: Final = {
    "tiny": Size(1, 5, 5, 40, 8, 200, 1, 1, 0.2, 1, 300, 5),
    "quick": Size(3, 400, 300, 4_000, 64, 20_000, 5, 2, 5.0, 7, 100_000, 50),
    "full": Size(5, 1_500, 500, 8_000, 64, 100_000, 5, 3, 60.0, 15, 1_000_000, 200),
}
