"""Whose clock is wrong: told to people, never acted upon.

Links come up whatever the clocks say, so that a host without a battery is not alone with its problem; but the
times that people read are its clock's, and somebody should know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from maw.core.clock import AHEAD_LIMIT_MS
from maw.core.effects import Alert
from maw.core.identity import NodeId, short_key

NOT_BEFORE_MS: Final = 1_735_689_600_000
"""2025 began: no maw is older."""
NOT_AFTER_MS: Final = 4_102_444_800_000
"""2100 begins."""
KIND: Final = "clock"


class ClockWatch:
    """``raise_alert`` and ``settle`` as of ``Alerts``; ``own``: what this host is called."""

    def __init__(
        self, own: str, raise_alert: Callable[[Alert], None], settle: Callable[[str, str], None]
    ) -> None:
        self._own = own
        self._raise = raise_alert
        self._settle = settle
        self._wrong = False

    def look(self, now_ms: int, shown: str | None) -> None:
        """At our own clock: says 1970, or a time beyond this century. ``shown``: it as people read it."""
        wrong = not NOT_BEFORE_MS <= now_ms < NOT_AFTER_MS
        if wrong and not self._wrong:
            text = f"this host's clock says {shown}: links and messages go on, their times are wrong"
            self._raise(Alert(KIND, self._own, f"{text} (timedatectl set-ntp true)"))
        elif self._wrong and not wrong:
            self._settle(KIND, self._own)
        self._wrong = wrong

    def met(self, peer: NodeId, name: str, theirs_ms: int, ours_ms: int) -> None:
        """A link came up, and the peer said its clock (0: it did not)."""
        ahead = theirs_ms - ours_ms
        if not theirs_ms or abs(ahead) <= AHEAD_LIMIT_MS:
            self._settle(KIND, short_key(peer))
            return
        way = "ahead of" if ahead > 0 else "behind"
        text = (
            f"the clock of {name} is {_span(abs(ahead))} {way} this host's: one of the two is wrong"
            " (timedatectl set-ntp true, on the host that is off)"
        )
        self._raise(Alert(KIND, short_key(peer), text))


def _span(ms: int) -> str:
    minutes = ms // 60_000
    if minutes < 180:
        return f"{minutes} minutes"
    return f"{minutes // 60} hours" if minutes < 72 * 60 else f"{minutes // 1440} days"
