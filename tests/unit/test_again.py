"""The second chance: at most two tests, each by itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests import again


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is run, successfully but for ``bad``."""
    monkeypatch.chdir(tmp_path)
    runs: list[str] = []

    def run(words: list[str]) -> subprocess.CompletedProcess[bytes]:
        runs.append(words[-1])
        return subprocess.CompletedProcess(words, int("bad" in words[-1]))

    monkeypatch.setattr(subprocess, "run", run)
    return runs


def failed(*names: str) -> None:
    again.LAST.parent.mkdir(parents=True)
    again.LAST.write_text(json.dumps(dict.fromkeys(names, True)))


def test_each_is_run_by_itself(ran: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    failed("t.py::one", "t.py::two")
    assert again.main() == 0
    assert ran == ["t.py::one", "t.py::two"]
    assert "UNSTEADY" in capsys.readouterr().out


def test_who_fails_alone_too_failed(ran: list[str]) -> None:
    failed("t.py::bad")
    assert again.main() == 1


@pytest.mark.parametrize("names", [(), ("a", "b", "c")])
def test_none_or_many_are_no_accident(names: tuple[str, ...], ran: list[str]) -> None:
    failed(*names)
    assert again.main() == 1
    assert ran == []


def test_without_a_record_nothing_is_run(ran: list[str]) -> None:
    assert again.main() == 1
    assert ran == []
