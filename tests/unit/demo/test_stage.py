import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from maw.demo.screen import Screen
from maw.demo.stage import DemoError, Stage, find_programs, stage, until
from maw.home import SOCKET_PATH_BYTES


@pytest.fixture
def screen() -> Screen:
    return Screen(io.StringIO())


@pytest.fixture
def place(screen: Screen) -> Iterator[Stage]:
    with stage(screen) as made:
        yield made


def text_of(screen: Screen) -> str:
    assert isinstance(screen.stream, io.StringIO)
    return screen.stream.getvalue()


def running(pid: int) -> bool:
    """Whether it runs; one that ended and waits to be seen by its parent (Z) does not."""
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return told.stdout.strip()[:1] not in ("", "Z")


def test_a_command_is_shown_above_what_it_wrote(place: Stage) -> None:
    assert place.run("echo $D; echo oops >&2") == f"{place.root}\noops\n"
    assert text_of(place.screen) == f"$ echo $D; echo oops >&2\n{place.root}\noops\n"


def test_a_command_that_fails_ends_the_demo(place: Stage) -> None:
    with pytest.raises(DemoError, match="exit code 3"):
        place.run("exit 3")


def test_a_command_that_does_not_end_is_given_up(place: Stage) -> None:
    with pytest.raises(DemoError, match=r"no end after 0\.1 s"):
        place.run("sleep 60", patience=0.1)


def test_the_callers_own_node_is_out_of_reach(monkeypatch: pytest.MonkeyPatch, screen: Screen) -> None:
    for name in ("MAW_HOME", "MAW_SOCKET", "MAW_AGENT"):
        monkeypatch.setenv(name, "mine")
    with stage(screen) as place:
        assert place.run("env | grep ^MAW_ || true") == ""


def test_nothing_is_left(screen: Screen) -> None:
    with pytest.raises(KeyboardInterrupt), stage(screen) as place:
        log = place.root / "x.log"
        kept = place.background("sleep 600 & echo $!; sleep 600", log)
        until("it runs", lambda: log.read_text().strip() != "")
        child = int(log.read_text())
        raise KeyboardInterrupt
    assert kept.returncode is not None
    assert not place.root.exists()
    until("its child ended too", lambda: not running(child))


def test_a_process_that_ignores_terminate_is_killed(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maw.demo.stage.KINDLY_S", 0.2)
    with stage(screen) as place:
        log = place.root / "x.log"
        stubborn = place.background("trap '' TERM; echo here; while :; do sleep 0.05; done", log)
        until("it runs", lambda: "here" in log.read_text())
    assert stubborn.returncode == -9


def test_files_made_while_all_is_removed_are_removed_too(screen: Screen) -> None:
    """As by the child of a shell that ended before it: here by one that nobody waits for, for a third of a second."""
    making = (
        "import pathlib, sys, time\n"
        "root, end = pathlib.Path(sys.argv[1]), time.monotonic() + 0.3\n"
        "n = 0\n"
        "while time.monotonic() < end:\n"
        "    n += 1\n"
        "    try:\n"
        "        (root / f'made{n}').touch()\n"
        "    except FileNotFoundError:\n"
        "        break\n"
    )
    with stage(screen) as place:
        root = place.root
        child = subprocess.Popen([sys.executable, "-c", making, str(root)])
        until("it makes files", lambda: (root / "made100").exists())
    assert child.wait(10) == 0
    assert not root.exists()


def test_until_says_what_did_not_happen() -> None:
    began = time.monotonic()
    with pytest.raises(DemoError, match="the moon is made of cheese"):
        until("the moon is made of cheese", lambda: False, 0.2)
    assert 0.2 <= time.monotonic() - began < 5


def test_too_long_a_temporary_directory_is_not_used(
    screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * SOCKET_PATH_BYTES)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with stage(screen) as place:
        assert place.root.parent == Path("/tmp")
    assert list(long.iterdir()) == []


def test_without_an_installed_command_one_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "bin"
    other.mkdir()
    (other / "maw").write_text("#!/bin/sh\necho the other maw\n")
    (other / "maw").chmod(0o755)
    python = sys.executable
    monkeypatch.setattr(sys, "executable", str(other / "python3"))
    root = tmp_path / "root"
    root.mkdir()
    programs = find_programs(root)
    assert programs == root / "bin"
    script = (programs / "maw").read_text().replace(str(other / "python3"), python)
    (programs / "maw").write_text(script)
    answer = subprocess.run([programs / "maw", "--version"], capture_output=True, text=True, check=True)
    assert answer.stdout.startswith("maw ")
