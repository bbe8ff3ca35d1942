"""A moment as people write it: so long from now (``30m``, ``2h``, ``1d``), or a date and time (ISO 8601)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

MAX_AHEAD_MS: Final = 366 * 86_400_000
_UNITS: Final = {"s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_SPAN: Final = re.compile(r"([0-9]{1,9})(s|min|m|h|d)", re.ASCII)
RULE: Final = "must be a time to come within a year: 30m, 2h, 1d, or 2026-11-22T18:00Z"


def moment(text: str, now_ms: int) -> int:
    """In ms since 1970. A time without a zone is in UTC. Raises ValueError."""
    word = text.strip()
    span = _SPAN.fullmatch(word.lower())
    at = now_ms + int(span[1]) * _UNITS[span[2]] if span else _written(word)
    if not now_ms < at <= now_ms + MAX_AHEAD_MS:
        raise ValueError(RULE)
    return at


def _written(word: str) -> int:
    try:
        found = datetime.fromisoformat(word)
        zoned = found if found.tzinfo else found.replace(tzinfo=UTC)
        return int(zoned.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise ValueError(RULE) from None
