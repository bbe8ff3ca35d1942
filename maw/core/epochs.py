"""How many epochs of one author are taken: each costs every node memory for good.

An honest author opens a few a day, and a new host meets years of them at once: so the first EPOCHS_AT_ONCE are taken
as they come, and then one in EPOCH_EVERY_S. Time here only says how fast, never whether an entry is good. At
EPOCHS_EVER it ends: a Follow names all that are held, and must fit a frame.
"""

from __future__ import annotations

from typing import Final

from maw.core.effects import Alert
from maw.core.held import HeldLogs
from maw.core.identity import NodeId, short_key

EPOCHS_AT_ONCE: Final = 1_000
EPOCH_EVERY_S: Final = 300.0
EPOCHS_EVER: Final = 16_000


class EpochBudget:
    """What each author may still begin; what is held at the first question counts against it."""

    __slots__ = ("_held", "_left")

    def __init__(self, held: HeldLogs) -> None:
        self._held = held
        self._left: dict[NodeId, tuple[float, float]] = {}

    def take(self, author: NodeId, now: float) -> bool:
        """One more epoch of ``author`` begins; False when it is one too many."""
        if author in self._left:
            left, since = self._left[author]
            left = min(EPOCHS_AT_ONCE, left + (now - since) / EPOCH_EVERY_S)
        else:
            left = max(0.0, float(EPOCHS_AT_ONCE - len(self._held.of(author))))
        taken = left >= 1 and len(self._held.of(author)) < EPOCHS_EVER
        self._left[author] = (left - 1 if taken else left, now)
        return taken


def too_many(author: NodeId) -> Alert:
    text = (
        f"node {short_key(author)} has begun more than {EPOCHS_AT_ONCE} epochs: it starts over and over, or means"
        f" harm; from now on one is taken in {EPOCH_EVERY_S / 60:.0f} minutes"
    )
    return Alert("epochs", short_key(author), text)
