"""Running ``maw`` in this process, against a fake daemon in a temporary home."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from maw.cli.main import main
from maw.cli.output import Output
from tests.unit.cli.fake_daemon import FakeDaemon, running


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


class Cli(Protocol):
    def __call__(
        self, *args: str, stdin: bytes = b"", tty: bool = False, width: int | None = None
    ) -> Result: ...


class Stdin(io.TextIOWrapper):
    """Standard input with these bytes, a terminal or not."""

    def __init__(self, data: bytes, tty: bool) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8")
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A node's directory, with a path short enough for a socket, and an environment that names it."""
    path = Path(tempfile.mkdtemp(prefix="maw-cli-"))
    for name in ("MAW_SOCKET", "MAW_AGENT", "MAW_DEBUG", "NO_COLOR", "_MAW_COMPLETE", "TMUX", "TMUX_PANE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MAW_HOME", str(path))
    (path / "maw.toml").write_text('[node]\nname = "mbp"\n')
    yield path
    shutil.rmtree(path)


@pytest.fixture
def daemon(home: Path) -> Iterator[FakeDaemon]:
    with running(home / "maw.sock") as fake:
        yield fake


@pytest.fixture
def cli(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    def run(*args: str, stdin: bytes = b"", tty: bool = False, width: int | None = None) -> Result:
        """``width``: standard output is a terminal so many columns wide."""
        monkeypatch.setattr(sys, "stdin", Stdin(stdin, tty))
        with monkeypatch.context() as terminal:
            terminal.setattr(
                Output, "to_stdout", lambda as_json=False: Output(sys.stdout, as_json, False, width)
            )
            code = main(list(args))
        captured: Any = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run
