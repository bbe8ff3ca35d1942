"""What the viewer sees: headings, commands, what they answered. Colour and pauses only on a terminal."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from dataclasses import dataclass
from typing import Final, TextIO

READING_S: Final = 0.9
"""Seconds a viewer gets for each answer, on a terminal."""

WIDTH: Final = 100


@dataclass(frozen=True, slots=True)
class Screen:
    """Where the demo is shown. ``pace`` is the pause after each answer in seconds; 0 in a pipe."""

    stream: TextIO
    colour: bool = False
    pace: float = 0.0

    @classmethod
    def to_stdout(cls) -> Screen:
        terminal = sys.stdout.isatty()
        plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
        return cls(sys.stdout, terminal and not plain, READING_S if terminal else 0.0)

    def heading(self, text: str) -> None:
        self._write("\n" + self._style("1;36", text))

    def say(self, text: str) -> None:
        """What is going on, in the demo's own words."""
        self._write(self._style("2", textwrap.fill(text, WIDTH, break_long_words=False)))

    def command(self, line: str) -> None:
        self._write(self._style("1", f"$ {line}"))

    def answer(self, text: str) -> None:
        """What a command wrote, as it wrote it."""
        if text.strip():
            self._write(text.rstrip("\n"))
        self.pause()

    def good(self, text: str) -> None:
        self._write(self._style("1;32", text))

    def bad(self, text: str) -> None:
        self._write(self._style("1;31", text))

    def pause(self) -> None:
        """Time to read. Nothing depends on it: what has to happen first is waited for by its condition."""
        if self.pace:
            time.sleep(self.pace)

    def _write(self, text: str) -> None:
        self.stream.write(text + "\n")
        self.stream.flush()

    def _style(self, codes: str, text: str) -> str:
        return f"\x1b[{codes}m{text}\x1b[0m" if self.colour else text
