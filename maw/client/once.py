"""The key under which a write is asked for again, so that it happens once."""

from __future__ import annotations

import os

_unanswered: list[str] = []


def resume(key: str) -> None:
    """A request under this key may have been taken, and its answer was lost: the next write of this process is it."""
    _unanswered[:] = [key]


def next_key() -> str:
    """For a write that begins now."""
    return _unanswered.pop() if _unanswered else os.urandom(16).hex()
