"""The stand-in's terminal: a prompt box at the bottom, bracketed paste, and a line that says that it is busy."""

from __future__ import annotations

import os
import re
import select
import shutil
import sys
import termios
import threading
import tty
from collections.abc import Callable
from typing import Any, Final

PASTE_ON, PASTE_OFF = "\x1b[?2004h", "\x1b[?2004l"
BUSY: Final = "✻ Pondering… (esc to interrupt)"
_KEY: Final = re.compile(
    r"\x1b\[200~(?P<paste>.*?)\x1b\[201~|(?P<sequence>\x1b\[[0-9;?]*[A-Za-z~])|(?P<one>.)", re.DOTALL
)


class Screen:
    """What was said scrolls up; the box stays at the bottom. ``submit`` gets whole inputs, ``interrupt`` Esc."""

    def __init__(self, submit: Callable[[str], None], interrupt: Callable[[], None]) -> None:
        self._submit, self._interrupt = submit, interrupt
        self._typed = ""
        self._busy = False
        self._drawn = 0
        self._lock = threading.Lock()
        self._before: list[Any] = []

    def __enter__(self) -> Screen:
        self._before = termios.tcgetattr(0)
        tty.setraw(0, termios.TCSANOW)
        sys.stdout.write(PASTE_ON)
        self._draw()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._erase()
            sys.stdout.write(PASTE_OFF)
            sys.stdout.flush()
        termios.tcsetattr(0, termios.TCSANOW, self._before)

    def say(self, text: str) -> None:
        """A paragraph above the box."""
        with self._lock:
            self._erase()
            sys.stdout.write(text.replace("\n", "\r\n") + "\r\n\r\n")
            self._draw()

    def busy(self, state: bool) -> None:
        with self._lock:
            self._busy = state
            self._erase()
            self._draw()

    def keys(self, ended: threading.Event) -> None:
        """Reads the keyboard until ``ended``, or until nobody is at it any more."""
        data = b""
        while not ended.is_set():
            if not select.select([0], [], [], 0.1)[0]:
                data = self._take(data, whole=True)
                continue
            try:
                read = os.read(0, 65536)
            except OSError:
                return
            if not read:
                return
            data = self._take(data + read, whole=False)

    def _take(self, data: bytes, whole: bool) -> bytes:
        """Acts on the keys in ``data``; what is not complete yet is given back, unless nothing follows it."""
        text = data.decode(errors="ignore")
        pasting = text.rfind("\x1b[200~")
        begun = pasting >= 0 and "\x1b[201~" not in text[pasting:]
        if begun or (not whole and text.endswith(("\x1b", "\x1b["))):
            return data
        for match in _KEY.finditer(text):
            if match["paste"] is not None:
                self._put(match["paste"].replace("\r", "\n"))
            elif match["one"] is not None:
                self._press(match["one"])
        return b""

    def _press(self, key: str) -> None:
        if key == "\x1b":
            self._interrupt()
        elif key == "\r":
            text, self._typed = self._typed, ""
            self.busy(self._busy)
            if text.strip():
                self._submit(text)
        elif key in "\x03\x04":
            # once clears what is typed, on an empty line it ends the program
            if self._typed:
                self._put(None)
            else:
                self._submit("/exit")
        elif key in "\x7f\x08":
            self._put(None, self._typed[:-1])
        elif key == "\n" or key.isprintable():
            self._put(key)

    def _put(self, more: str | None, instead: str = "") -> None:
        with self._lock:
            self._typed = instead if more is None else self._typed + more
            self._erase()
            self._draw()

    def _erase(self) -> None:
        if self._drawn > 1:
            sys.stdout.write(f"\x1b[{self._drawn - 1}A")
        sys.stdout.write("\r\x1b[J")

    def _draw(self) -> None:
        """The box; the cursor stays behind what is typed."""
        width = shutil.get_terminal_size().columns
        typed = [line[: width - 3] for line in self._typed.split("\n")]
        above = [BUSY, ""] if self._busy else []
        above += ["─" * (width - 1), f"❯ {typed[0]}", *(f"  {line}" for line in typed[1:])]
        below = ["─" * (width - 1), "  ? for shortcuts"]
        sys.stdout.write("\r\n".join([*above, *below]))
        sys.stdout.write(f"\x1b[{len(below)}A\r\x1b[{2 + len(typed[-1])}C")
        sys.stdout.flush()
        self._drawn = len(above)
