"""Sessions of the stand-in for Claude Code in terminals of their own, for tests."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.e2e import claude_stand_in
from tests.e2e.lab import wait_until

_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
PATIENCE_S: Final = 15.0


class Claude:
    """One interactive session. ``home`` is its $HOME; ``environment`` goes over this process's own."""

    def __init__(self, home: Path, cwd: Path, environment: Mapping[str, str], *words: str) -> None:
        self.config = home / ".claude"
        self.ident = str(uuid.uuid4())
        self._command = claude_stand_in.install(home / "bin")
        self._cwd = cwd
        kept = {
            n: v
            for n, v in os.environ.items()
            if not n.startswith(("MAW_", "TMUX", "CLAUDECODE", "CLAUDE_CODE"))
        }
        self.environment = {**kept, "HOME": str(home), "TERM": "xterm", **environment}
        self._words = words
        self.shown = ""
        self.process: subprocess.Popen[bytes] | None = None
        self._terminal = -1

    def __enter__(self) -> Self:
        return self.start("--session-id", self.ident)

    def start(self, *words: str) -> Self:
        """It is ready for input when this returns."""
        ready = len(self.kept("ready"))
        self._terminal, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.process = subprocess.Popen(
            [str(self._command), *words, *self._words],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            cwd=self._cwd,
            env=self.environment,
            start_new_session=True,
        )
        os.close(inner)
        threading.Thread(target=self._read, args=(self._terminal,), daemon=True).start()
        wait_until(lambda: self._is_ready(ready), "the session is ready", PATIENCE_S)
        return self

    def _is_ready(self, before: int) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.shown
        return len(self.kept("ready")) > before

    def _read(self, terminal: int) -> None:
        while True:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                return
            self.shown += data.decode(errors="replace")

    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()

    def stop(self) -> int:
        """Leave it as a person does. Its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.keys("\x03\x03")
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(5)
        os.close(self._terminal)
        return self.process.returncode

    def kill(self) -> None:
        """kill -9: it runs no hook any more."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(5)
        os.close(self._terminal)

    def keys(self, typed: str) -> None:
        os.write(self._terminal, typed.encode())

    def submit(self, text: str) -> None:
        """Paste it and press Enter."""
        self.keys(f"\x1b[200~{text}\x1b[201~\r")

    def prompt(self, text: str) -> None:
        """``submit``, and wait until it is answered."""
        before = self._answered()
        self.submit(text)
        wait_until(lambda: self._answered() > before, f"{text!r} is answered", PATIENCE_S)

    def _answered(self) -> int:
        return len([entry for entry in self.transcript() if entry.get("of") == "prompt"])

    def wait_for_turns(self, count: int) -> None:
        wait_until(lambda: self.turns() >= count, f"{count} turns of {self.transcript()}", PATIENCE_S)

    def turns(self) -> int:
        """How many turns are over."""
        return len(self.kept("turn_duration"))

    def transcript(self) -> list[dict[str, Any]]:
        return claude_stand_in.transcript(self.config, self.ident)

    def kept(self, subtype: str) -> list[str]:
        return [str(e.get("content", "")) for e in self.transcript() if e.get("subtype") == subtype]

    def heard(self, *kinds: str) -> list[str]:
        """What entered its context: kinds prompt, hook, wake, tool, or all."""
        return claude_stand_in.heard(self.config, self.ident, *kinds)

    def screen(self) -> str:
        """All that it ever showed, without colours and movements."""
        return _ESCAPES.sub("", self.shown)
