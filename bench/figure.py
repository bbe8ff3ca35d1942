"""One line of the table, and the little statistics it needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["Figure", "median", "percentile"]


@dataclass(frozen=True, slots=True)
class Figure:
    """``floor`` stands beside it, ``ratio`` is maw to floor; ``met`` is None where nothing is asked."""

    what: str
    value: float
    unit: str
    floor: float | None = None
    floor_is: str = ""
    ratio: float | None = None
    asked: str = ""
    met: bool | None = None
    note: str = ""


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` (0 to 1) of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
