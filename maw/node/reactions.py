"""What passes between the machine and the rest of the node: what is asked of it, and who wants to hear what it says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from maw.core.effects import Alert, Effect
from maw.core.replication import Replicator
from maw.store.fold import Fold, Withhold

Ask = Callable[[Replicator, float], Sequence[Effect]]
"""Asks the machine something, at a time of the event loop's clock; what comes back is to be carried out."""
Feed = Callable[[Ask], None]


@dataclass(frozen=True, slots=True)
class Reactions:
    """What the rest of the node wants to hear of."""

    alert: Callable[[Alert], None]
    trust_changed: Callable[[], None]
    own_log_returned: Callable[[int], None]
    received: Callable[[Fold], None]
    """Entries that came over a link are durable."""
    settle: Callable[[str, str], None]
    """An alert is over: its kind and subject."""
    bug: Callable[[str, Exception], None]
    """Something that should not have happened did, in what this names; the node goes on."""
    withhold: Withhold
    own_log_behind: Callable[[bool], None]
