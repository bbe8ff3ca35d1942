"""What happened: a ring of the last events for people, a hash over all of them for comparing two runs."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from typing import Final, TextIO

from maw.core.entry import Entry
from maw.core.frames import Entries, Follow, Frame, Have
from maw.core.log import runs

RING: Final = 600
_TOLD: Final = ("serial", "amount", "reason")
_COUNTED: Final = ("ids", "items")


class Violation(AssertionError):
    """Something that must hold does not. ``checker``: which of ``checkers.CHECKERS`` saw it."""

    def __init__(self, checker: str, what: str) -> None:
        super().__init__(f"{checker}: {what}")
        self.checker = checker


class Trace:
    """Events are short lines; ``counts`` says which faults really did something.

    ``out``: where every line goes too, for a replay.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self.ring: deque[str] = deque(maxlen=RING)
        self.counts: Counter[str] = Counter()
        self._hash = hashlib.blake2b(digest_size=16)
        self._out = out

    def note(self, now: float, line: str) -> None:
        text = f"{now:10.4f} {line}"
        self.ring.append(text)
        self._hash.update(text.encode())
        if self._out is not None:
            self._out.write(text + "\n")

    def count(self, what: str, amount: int = 1) -> None:
        self.counts[what] += amount

    def digest(self) -> str:
        return self._hash.hexdigest()

    def tail(self, lines: int = RING) -> str:
        return "\n".join(list(self.ring)[-lines:])


class Names:
    """Nodes by their number instead of their key."""

    def __init__(self) -> None:
        self.of: dict[bytes, int] = {}

    def span(self, entries: tuple[Entry, ...] | list[Entry]) -> str:
        return " ".join(
            f"{self.of[run[0].author]}/{run[0].epoch}:{run[0].seq}-{run[-1].seq}" for run in runs(entries)
        )

    def frame(self, frame: Frame) -> str:
        match frame:
            case Entries(entries):
                return f"Entries {self.span(entries)}"
            case Have(_, heads, closed):
                known = ",".join(f"{held.number}={held.head.seq}" for held in heads)
                return f"Have {known} closed={len(closed)}"
            case Follow(author, serial, heads):
                known = ",".join(f"{epoch}:{head.seq}" for epoch, head in heads)
                return f"Follow {self.of[author]} #{serial} after {known}"
            case _:
                about = [str(self.of[frame.author])] if hasattr(frame, "author") else []
                told = [f"{name}={getattr(frame, name)}" for name in _TOLD if hasattr(frame, name)]
                counted = [str(len(getattr(frame, name))) for name in _COUNTED if hasattr(frame, name)]
                return " ".join([type(frame).__name__, *about, *told, *counted])
