"""For which agent this process works, as its ancestors tell: an agent's program may have dropped its MAW_AGENT."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

MAX_DEPTH: Final = 64
_NAME: Final = b"MAW_AGENT="


def agent_above(pid: int | None = None) -> str | None:
    """The first MAW_AGENT with which this process or one above it was begun; None where there is none, and where
    that cannot be seen (another user's processes, no /proc)."""
    at = os.getpid() if pid is None else pid
    for _ in range(MAX_DEPTH):
        if at <= 1:
            return None
        process = Path("/proc") / str(at)
        try:
            told = (process / "environ").read_bytes()
        except OSError:  # another user's: who is above it may be ours again
            told = b""
        for one in told.split(b"\0"):
            if one.startswith(_NAME) and len(one) > len(_NAME):
                return one.removeprefix(_NAME).decode("utf-8", "replace")
        try:
            at = int((process / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return None
    return None
