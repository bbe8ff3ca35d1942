"""What `maw up` becomes: the same process with the daemon in it, and errors told as every command tells them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from maw.cli import serving
from tests.conftest import MakeHome

LOADED = """
import sys
from maw.cli import serving
from maw import daemon
daemon.run = lambda home: print(home, *sorted({"typer", "click", "maw.cli.main"} & set(sys.modules))) or 7
sys.exit(serving.serve(serving.Path("/some/where")))
"""


def test_the_daemon_brings_no_command_line_along() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (7, "/some/where\n"), done.stderr


def test_a_daemon_that_cannot_begin_says_why_as_commands_do(make_home: MakeHome, tmp_path: Path) -> None:
    home = make_home("mbp")
    home.peers.write_text("[[peer]]\n")
    command = [sys.executable, "-m", "maw.cli.main", "up"]
    env = {**os.environ, "MAW_HOME": str(home.path), "MAW_LOG": "ERROR"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=30)
    assert done.returncode == 2
    assert done.stderr.startswith("maw: ") and "peers.toml" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_lies_in_the_working_directory_is_not_imported(make_home: MakeHome, tmp_path: Path) -> None:
    home = make_home("mbp")
    home.peers.write_text("[[peer]]\n")
    trap = tmp_path / "trap"
    trap.mkdir()
    for name in ("maw.py", "ssl.py", "asyncio.py"):
        (trap / name).write_text(f"open('{trap}/sprung', 'w')")
    command = [str(Path(sys.executable).with_name("maw")), "up"]
    env = {**os.environ, "MAW_HOME": str(home.path)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=trap, timeout=30)
    assert done.returncode == 2
    assert not (trap / "sprung").exists()


def test_an_interpreter_that_does_not_know_its_name_serves_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", "")
    monkeypatch.setattr(serving, "serve", lambda home: 3 if home == tmp_path else 4)
    assert serving.become(tmp_path) == 3


def test_what_is_for_the_allocator_is_not_handed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    begun: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda _, arguments, env: begun.append((arguments, env)))
    monkeypatch.setattr(serving, "serve", lambda home: 0)
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    serving.become(tmp_path)
    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    serving.become(tmp_path)
    (ours, ours_env), (theirs, theirs_env) = begun
    assert ours[-1] == "MALLOC_ARENA_MAX" and ours_env["MALLOC_ARENA_MAX"] == "1"
    assert theirs[-1] == str(tmp_path) and theirs_env["MALLOC_ARENA_MAX"] == "4"
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    serving.forget(["MALLOC_ARENA_MAX"])
    assert "MALLOC_ARENA_MAX" not in os.environ


def test_up_alone_needs_no_command_line(make_home: MakeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    home = make_home("mbp").path
    monkeypatch.setattr(serving, "become", lambda found: 3 if found == home else 4)
    monkeypatch.setenv("MAW_HOME", str(home))
    assert serving.quickly() == 3
    monkeypatch.setenv("MAW_HOME", str(home / "nowhere"))
    assert serving.quickly() is None, "the full command says what is missing"


def test_what_was_imported_is_not_looked_through_again() -> None:
    script = (
        "import gc; from maw.cli import serving\n"
        "with serving.nothing_looked_through(): import json, asyncio\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 1000)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "True True\n", done.stderr
