"""This host as the installer sees it: files, commands, who we are. Replaced as a whole in tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

COMMAND_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended: its exit code (127: there is no such command, 124: it took too long) and words."""

    code: int
    out: str
    err: str = ""

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def words(self) -> str:
        """What it said, on one line, errors first."""
        return " ".join((self.err.strip() or self.out.strip()).split())


Runner = Callable[[Sequence[str]], Ran]


def run_command(command: Sequence[str]) -> Ran:
    """Run to the end without a terminal; never raises for what the command does."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        return Ran(127, "", f"{command[0]}: not found")
    except OSError as error:
        return Ran(126, "", f"{command[0]}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Ran(124, "", f"{command[0]} did not end within {COMMAND_SECONDS:g} s")
    return Ran(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True, slots=True)
class Machine:
    """``root`` is where absolute paths of the system begin: ``/``, or a directory in tests."""

    euid: int
    environment: Mapping[str, str]
    run: Runner = run_command
    root: Path = Path("/")
    which: Callable[[str], str | None] = shutil.which

    @classmethod
    def here(cls) -> Machine:
        return cls(os.geteuid(), os.environ)

    def path(self, absolute: str | Path) -> Path:
        return self.root / str(absolute).lstrip("/")

    @property
    def home(self) -> Path:
        return Path(self.environment.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111
