"""Did everything arrive, once, in order? Counted by id, not believed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Count:
    """``accepted`` messages compared with what the far side shows."""

    accepted: int
    arrived: int
    missing: tuple[str, ...]
    repeated: tuple[str, ...]
    in_order: bool

    @property
    def good(self) -> bool:
        return self.accepted > 0 and not self.missing and not self.repeated and self.in_order

    def __str__(self) -> str:
        if self.good:
            return f"{self.accepted} accepted, {self.arrived} arrived: none missing, none twice, all in order"
        faults = [
            f"{len(self.missing)} missing" if self.missing else "",
            f"{len(self.repeated)} more than once" if self.repeated else "",
            "" if self.in_order else "not in the order they were said",
        ]
        told = ", ".join(fault for fault in faults if fault) or "nothing to count"
        return f"{self.accepted} accepted, {self.arrived} arrived: {told}"


def compare(accepted: Sequence[str], shown: Sequence[str]) -> Count:
    """``accepted``: ids in the order they were sent; ``shown``: all ids the far side shows, in its order."""
    ours = set(accepted)
    arrived = [one for one in shown if one in ours]
    times = Counter(arrived)
    first_seen = list(dict.fromkeys(arrived))
    return Count(
        len(accepted),
        len(first_seen),
        missing=tuple(one for one in accepted if one not in times),
        repeated=tuple(one for one in first_seen if times[one] > 1),
        in_order=first_seen == [one for one in accepted if one in times],
    )
