"""`maw hook run EVENT`: the beginning of every hook, and the one place where whatever went wrong in it ends."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

WAIT: Final = "wait"


def main(words: Sequence[str]) -> int:
    """``words``: an event's name, or ``wait``. The exit code: 0, or of a waiter that wakes 75. Raises nothing."""
    word = words[0] if words else ""
    try:
        return _run(word)
    except Exception as error:  # the last supervisor: a session is never broken by its hook
        if getattr(error, "refused", False):
            return 0  # no daemon: an ordinary state, which `maw status` shows
        try:
            _note(word, error)
        except Exception:  # nothing is left to tell it to
            return 0
        return 0


def _run(word: str) -> int:
    if sys.stdin is None or sys.stdin.isatty():
        return 0
    from maw.agents.hooks import told

    heard = told.read(sys.stdin.buffer.read(told.LARGEST + 1))
    if word == WAIT:
        from maw.agents.hooks import waiter

        return waiter.run(heard, os.environ)
    from maw.agents.hooks import events

    if word in events.EVENTS and heard.event == word:
        events.run(heard, os.environ)
        return 0
    raise ValueError(f"called for {word!r} at {heard.event!r}")


def _note(word: str, error: Exception) -> None:
    from maw.agents.hooks import asking, daemon, notes

    if getattr(error, "code", None) in asking.QUIET:
        return
    what = str(error) if isinstance(error, (daemon.NoAnswer, asking.Refusal, ValueError)) else repr(error)
    notes.log(os.environ, f"{word[:20]}: {what}")
