"""A command that is run for mail: what it is given, what it may not, how its end is judged."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from maw.agents.entries import Entry
from maw.agents.exec_hook import run_command
from maw.agents.running import Host
from maw.core.roster import Plan
from tests.e2e.lab import wait_until

FOUND: dict[str, Any] = {
    "claim": "c1", "text": "[maw abc] 1 new\n1 arthur@mbp: hi\n[/maw abc]", "messages": [{"id": "x-1-1"}], "more": 2,
}  # fmt: skip


def entry(script: str, tmp_path: Path, *env: str) -> Entry:
    plan = Plan(exec=(sys.executable, "-c", script), cwd=str(tmp_path), env=env)
    return Entry("neo", 0, plan, None, "", "", {}, 0, 0)


def host(tmp_path: Path) -> Host:
    return Host({"PATH": "/usr/bin:/bin", "TMUX_PANE": "%1", "MAW_AGENT": "other"}, 0, tmp_path, "/bin/sh")


def run(script: str, tmp_path: Path, *env: str, **limits: Any) -> Any:
    return run_command(entry(script, tmp_path, *env), host(tmp_path), FOUND, lambda: None, **limits)


def test_it_is_given_the_digest_and_told_whose_it_is(tmp_path: Path) -> None:
    script = """
import json, os, sys
print(json.dumps([sys.stdin.read(), os.getcwd(), dict(os.environ)]))
"""
    ended = run(script, tmp_path, "FOO=bar")
    assert ended.problem == ""
    given, folder, env = json.loads(ended.output)
    assert given == FOUND["text"] + "\n"
    assert folder == str(tmp_path)
    assert (env["MAW_AGENT"], env["MAW_COUNT"], env["FOO"]) == ("neo", "3", "bar")
    assert json.loads(env["MAW_MESSAGES"]) == FOUND["messages"]
    assert "TMUX_PANE" not in env, "it is not in the keeper's pane"


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("import sys; sys.exit('no\\x1b[31m luck')", "exit code 1: no [31m luck"),
        ("raise SystemExit(3)", "exit code 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "signal 15"),
    ],
)
def test_how_it_ends_is_judged(script: str, problem: str, tmp_path: Path) -> None:
    assert run(script, tmp_path).problem == problem


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    plan = Plan(exec=("/nonexistent/hook",))
    one = Entry("neo", 0, plan, None, "", "", {}, 0, 0)
    assert (
        run_command(one, host(tmp_path), FOUND, lambda: None).problem
        == "/nonexistent/hook: No such file or directory"
    )


def test_it_is_ended_with_all_that_it_began_when_it_takes_too_long(tmp_path: Path) -> None:
    script = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open({str(tmp_path / "child")!r}, "w").write(str(child.pid)); child.wait()
"""
    assert run(script, tmp_path, seconds=1.0).problem == "it took longer than 1 s"
    child = int((tmp_path / "child").read_text())
    wait_until(
        lambda: not Path(f"/proc/{child}/stat").exists() or is_ended(child), "what it began is ended too"
    )


def is_ended(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")


def test_memory_and_output_are_bounded(tmp_path: Path) -> None:
    assert (
        "MiB of memory, over 64"
        in run("x = b'x' * (200 << 20)\nimport time; time.sleep(60)", tmp_path, memory=64 << 20).problem
    )
    assert run("while True: print('x' * 1000)", tmp_path).problem == "it printed more than 512 KiB"


def test_a_claim_is_renewed_while_it_runs(tmp_path: Path) -> None:
    renewed: list[int] = []
    now = [0.0]

    def clock() -> float:
        now[0] += 3.0
        return now[0]

    one = entry("import time; time.sleep(1.5)", tmp_path)
    assert run_command(one, host(tmp_path), FOUND, lambda: renewed.append(1), clock=clock).problem == ""
    assert renewed
