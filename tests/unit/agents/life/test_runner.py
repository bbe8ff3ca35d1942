"""The program that thinks, started once: what it says is kept, and each way to fail is told apart."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from maw.agents.life.runner import Ran, Stopped, kept, run
from maw.core.answering import FAILED, GARBAGE, HUNG, LIMITED, MISSING, SILENT, TOO_LONG, Usage

ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


def ran(
    tmp_path: Path, script: str, prompt: str = "hello", timeout_s: float = 30, env: dict[str, str] = ENV
) -> Ran:
    return run(
        ["/bin/sh", "-c", script],
        prompt,
        cwd=tmp_path,
        env=env,
        timeout_s=timeout_s,
        answer=tmp_path / ".maw" / "answer",
    )


def test_the_prompt_goes_in_and_the_answer_is_on_the_disk(tmp_path: Path) -> None:
    got = ran(tmp_path, "cat; pwd", "eins\nzwei\n")
    assert got.answer == f"eins\nzwei\n{tmp_path}" and got.failure is None
    assert kept(tmp_path / ".maw" / "answer") == got
    assert [one.name for one in (tmp_path / ".maw").iterdir()] == ["answer"]


def test_json_of_a_run_with_what_it_took(tmp_path: Path) -> None:
    told = {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "result": "done",
        "total_cost_usd": 0.25,
        "usage": {"input_tokens": 3, "cache_read_input_tokens": 40, "output_tokens": 7},
    }
    (tmp_path / "said").write_text(json.dumps(told))
    got = ran(tmp_path, "cat said")
    assert (got.answer, got.usage) == ("done", Usage(3, 7, 0.25, 40))
    assert kept(tmp_path / ".maw" / "answer") == got


def test_a_large_prompt_that_nobody_reads(tmp_path: Path) -> None:
    assert ran(tmp_path, "echo fine", "x" * 1_000_000).answer == "fine"


def test_nothing_is_kept_of_what_failed(tmp_path: Path) -> None:
    got = ran(tmp_path, "echo half; echo 'no such model' >&2; exit 3")
    assert got.failure is not None and got.answer == ""
    assert (got.failure.kind, got.failure.why) == (FAILED, "exit code 3: no such model")
    assert kept(tmp_path / ".maw" / "answer") is None
    told = (tmp_path / ".maw" / "last-failure").read_text()
    assert told == "exit code 3: no such model\n\nno such model\n\nhalf\n\n"


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ("echo 'Claude AI usage limit reached|1764003600'; exit 1", LIMITED),
        ("echo 'API Error: Rate limit reached'", LIMITED),
        ("true", SILENT),
        ("kill -9 $$", FAILED),
        ("head -c 2000000 /dev/zero", TOO_LONG),
        ("printf 'fine\\000'", GARBAGE),
        ("printf 'caf\\351'", GARBAGE),
        ("printf '\\377\\000'; exit 3", FAILED),
    ],
)
def test_each_way_to_fail(tmp_path: Path, script: str, kind: str) -> None:
    got = ran(tmp_path, script)
    assert got.failure is not None and got.failure.kind == kind


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    answer = tmp_path / "answer"
    got = run(["no-such-runner"], "", cwd=tmp_path, env=ENV, timeout_s=1, answer=answer)
    assert got.failure is not None and got.failure.kind == MISSING
    (tmp_path / "text").write_text("no program")
    got = run([str(tmp_path / "text")], "", cwd=tmp_path, env=ENV, timeout_s=1, answer=answer)
    assert got.failure is not None and got.failure.kind == MISSING


def test_one_that_hangs_is_ended_with_all_its_group(tmp_path: Path) -> None:
    got = ran(tmp_path, "sleep 1000 & echo $! > child; wait", timeout_s=0.5)
    assert got.failure is not None and got.failure.kind == HUNG
    assert ended(int((tmp_path / "child").read_text()))


def test_what_it_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    got = ran(tmp_path, "sleep 1000 & echo $! > child; echo done")
    assert got.answer == "done"
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


def test_a_signal_ends_the_runner_too(tmp_path: Path) -> None:
    script = "echo $$ > it; kill -TERM $PARENT; sleep 1000"
    with pytest.raises(Stopped) as caught:
        ran(tmp_path, script, env=ENV | {"PARENT": str(os.getpid())})
    assert caught.value.number == signal.SIGTERM
    assert ended(int((tmp_path / "it").read_text()))


def test_a_runner_whose_starter_was_killed_is_ended_before_the_next_begins(tmp_path: Path) -> None:
    started = "echo $$ > it; setsid sh -c 'echo $$ > far; sleep 1000' & sleep 1000"
    start = (
        "import sys; from pathlib import Path; from maw.agents.life.runner import run;"
        "run(['/bin/sh', '-c', sys.argv[2]], '', cwd=Path(sys.argv[1]), env={}, timeout_s=900,"
        " answer=Path(sys.argv[1], '.maw', 'answer'))"
    )
    starter = subprocess.Popen([sys.executable, "-c", start, str(tmp_path), started])
    mark = tmp_path / ".maw" / "answer.runner"
    both = [tmp_path / "it", tmp_path / "far"]
    wait_for(lambda: all(one.exists() and one.read_text() != "" for one in both))
    assert mark.exists()
    starter.kill()
    starter.wait()
    left = [int(one.read_text()) for one in both]
    assert [state(pid) for pid in left].count("") == 0
    assert ran(tmp_path, "echo anew").answer == "anew"
    assert {state(pid) for pid in left} <= {"", "Z"} and not mark.exists()


def test_its_environment(tmp_path: Path) -> None:
    env = ENV | {
        "HOME": str(tmp_path),
        "TMUX_PANE": "%1",
        "CLAUDECODE": "1",
        "CLAUDE_CODE_OAUTH_TOKEN": "t",
        "MAW_AGENT": "scout",
    }
    (tmp_path / ".local" / "bin").mkdir(parents=True)
    (tmp_path / ".local" / "bin" / "mine").write_text("#!/bin/sh\nenv\n")
    (tmp_path / ".local" / "bin" / "mine").chmod(0o755)
    got = run(["mine"], "", cwd=tmp_path, env=env, timeout_s=30, answer=tmp_path / "answer")
    told = dict(line.split("=", 1) for line in got.answer.splitlines())
    assert told["MAW_AGENT"] == "scout" and told["CLAUDE_CODE_OAUTH_TOKEN"] == "t"
    assert "TMUX_PANE" not in told and "CLAUDECODE" not in told
    assert str(Path(sys.executable).parent) in told["PATH"].split(":")


def ended(pid: int) -> bool:
    wait_for(lambda: state(pid) in ("Z", ""))
    return True


def state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def wait_for(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)
