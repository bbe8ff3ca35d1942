"""Where the demo happens: a directory of its own, the processes it starts, and their end.

A command is run by the shell exactly as it is shown, so what a viewer types does what was seen.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from maw.demo.screen import Screen
from maw.errors import InternalError
from maw.home import SOCKET_PATH_BYTES

COMMAND_S: Final = 60.0
DEADLINE_S: Final = 30.0
KINDLY_S: Final = 10.0
LONGEST_HOME: Final = len("/oracle-world/maw.sock")


class DemoError(InternalError):
    """Something did not do what the demo says it does."""

    default_code = "demo_failed"


class Stage:
    """Runs commands in ``root``; every process it starts ends with it."""

    def __init__(self, root: Path, screen: Screen, programs: Path) -> None:
        self.root = root
        self.screen = screen
        self.programs = programs
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MAW_")}
        path = f"{programs}{os.pathsep}{kept.get('PATH', os.defpath)}"
        self._env = {**kept, "D": str(root), "PATH": path}
        self.python = "python3" if shutil.which("python3", path=path) else shlex.quote(sys.executable)
        self._running: list[subprocess.Popen[bytes]] = []

    def run(self, line: str, patience: float = COMMAND_S) -> str:
        """Show a command, run it, show and return what it wrote. Raises DemoError when it exits not 0."""
        self.screen.command(line)
        return self.finish(line, self._start(line, subprocess.PIPE), patience)

    def finish(self, line: str, process: subprocess.Popen[bytes], patience: float = COMMAND_S) -> str:
        """Wait for a command that was shown already, and show what it wrote."""
        try:
            raw, _ = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            raise DemoError(f"no end after {patience:g} s: {line}") from None
        text = raw.decode(errors="backslashreplace")
        self.screen.answer(text)
        if process.returncode != 0:
            raise DemoError(f"exit code {process.returncode} from: {line}")
        self._running.remove(process)
        return text

    def start(self, line: str) -> subprocess.Popen[bytes]:
        """Show a command and start it; ``finish`` it, or leave it to ``end``."""
        self.screen.command(line)
        return self._start(line, subprocess.PIPE)

    def background(self, line: str, log: Path) -> subprocess.Popen[bytes]:
        """Show and start ``line &``, its output going to ``log``."""
        self.screen.command(f"{line} >>$D/{log.name} 2>&1 &")
        with log.open("ab") as output:
            return self._start(line, output.fileno())

    def reap(self, process: subprocess.Popen[bytes]) -> None:
        """A process of ``background`` that was killed has ended; forget it."""
        process.wait(DEADLINE_S)
        self._running.remove(process)

    def _start(self, line: str, output: int) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            ["sh", "-c", line],
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the demo, which then ends these in its own order
        )
        self._running.append(process)
        return process

    def end(self) -> None:
        """Stop every process, the last started first: kindly, then not."""
        for process in reversed(self._running):
            _signal_group(process, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(KINDLY_S)
            _signal_group(process, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self._running.clear()


@contextmanager
def stage(screen: Screen) -> Iterator[Stage]:
    """A stage in a fresh directory. When it is left, in whatever way, no process and no file remains."""
    root = _fresh_directory()
    place = Stage(root, screen, find_programs(root))
    try:
        yield place
    finally:
        with _undisturbed():
            place.end()
            _remove(root)


def _remove(root: Path) -> None:
    """All of it. A child of a shell that was ended may make one file more before it ends too: then once again."""
    deadline = time.monotonic() + KINDLY_S
    while True:
        try:
            shutil.rmtree(root)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.ENOENT) or time.monotonic() > deadline:
                raise
            if not root.exists():
                return
            time.sleep(0.05)
        else:
            return


def until(what: str, condition: Callable[[], bool], seconds: float = DEADLINE_S) -> None:
    """Returns when ``condition`` holds. At the deadline raises DemoError, saying ``what``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise DemoError(f"it did not happen within {seconds:g} s: {what}")
        time.sleep(0.05)


def find_programs(root: Path) -> Path:
    """The directory of the `maw` that is run: the one installed beside us, else one made in ``root``."""
    installed = Path(sys.executable).parent / "maw"
    if os.access(installed, os.X_OK) and b"maw.cli" in installed.read_bytes():  # another program has our name
        return installed.parent
    made = root / "bin"
    made.mkdir()
    start = "import sys; from maw.cli.main import main; sys.exit(main())"
    (made / "maw").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c "{start}" "$@"\n')
    (made / "maw").chmod(0o755)
    return made


def _fresh_directory() -> Path:
    """In the usual place for temporary files; in /tmp where that is too long for a socket's path."""
    usual = Path(tempfile.mkdtemp(prefix="maw-"))
    if len(os.fsencode(usual)) + LONGEST_HOME <= SOCKET_PATH_BYTES:
        return usual
    usual.rmdir()
    return Path(tempfile.mkdtemp(prefix="maw-", dir="/tmp"))


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To the process and its children; the group is gone, or was never whole, when all of them ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C must not interrupt the tidying up."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
