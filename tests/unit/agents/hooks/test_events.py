"""The hooks that are waited for: what they print, and all the times that they print nothing."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maw.agents.hooks import events, notes, run
from maw.agents.hooks.daemon import Daemon, NoAnswer, find_socket, speaker_headers
from maw.client.daemon import find_daemon
from maw.client.pane import pane_of
from maw.errors import NotRunning
from tests.unit.agents.hooks.hearing import Hearing, hearing
from tests.unit.cli.fake_daemon import Hangup, error

HEAVY = {
    "typing",
    "dataclasses",
    "pathlib",
    "http",
    "http.client",
    "asyncio",
    "typer",
    "maw.errors",
    "inspect",
}


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hearing]:
    """A daemon, and an environment in which arthur's hooks find it."""
    for name in list(os.environ):
        if name.startswith(("MAW_", "TMUX", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MAW_SOCKET", str(tmp_path / "maw.sock"))
    monkeypatch.setenv("MAW_AGENT", "arthur")
    monkeypatch.setattr(events, "DEADLINE_S", 10.0)
    with hearing(tmp_path / "maw.sock") as made:
        yield made


def fire(event: str, capsys: pytest.CaptureFixture[str], **more: Any) -> str:
    """What the hook printed; it must have ended with 0 and said nothing on standard error."""
    told = {"hook_event_name": event, "session_id": "s-1", "transcript_path": "/t.jsonl", **more}
    return fire_raw(event, json.dumps(told).encode(), capsys)


def fire_raw(word: str, data: bytes, capsys: pytest.CaptureFixture[str]) -> str:
    real = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(data))
    try:
        assert run.main([word]) == 0
    finally:
        sys.stdin = real
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


def context(printed: str, event: str) -> str:
    said = json.loads(printed)
    assert said["hookSpecificOutput"]["hookEventName"] == event
    return str(said["hookSpecificOutput"]["additionalContext"])


def logged(tmp_path: Path) -> str:
    path = Path(notes.log_path({"HOME": str(tmp_path)} | dict(os.environ)))
    return path.read_text() if path.exists() else ""


@pytest.mark.parametrize("event", ["UserPromptSubmit", "PostToolUse"])
def test_what_is_new_reaches_the_model_and_is_confirmed(
    heard: Hearing, event: str, capsys: pytest.CaptureFixture[str]
) -> None:
    heard.post("neo asks")
    assert context(fire(event, capsys), event) == "[maw abc123] neo asks"
    assert heard.announced == [("neo asks", "hook")]
    asked = heard.asked("/api/hear")[0]
    assert asked.headers["x-maw-agent"] == "arthur"
    assert asked.body == {"via": "hook", "wake": False, "session": "s-1"}
    assert fire(event, capsys) == "", "and only once"


def test_a_session_begins_with_who_it_is_and_what_waits(
    heard: Hearing, capsys: pytest.CaptureFixture[str]
) -> None:
    heard.unread = 3
    told = context(fire("SessionStart", capsys, source="resume"), "SessionStart")
    assert told.startswith("maw: you are arthur@mbp. 3 messages wait: maw inbox. ")
    assert "\n" not in told
    assert heard.asked("/api/session")[0].body == {
        "session": "s-1",
        "pid": heard.asked("/api/session")[0].body["pid"],
        "transcript": "/t.jsonl",
    }
    heard.post("new")
    assert context(fire("SessionStart", capsys, source="clear"), "SessionStart").endswith(
        "\n[maw abc123] new"
    )


def test_a_stop_goes_on_once_and_never_in_circles(heard: Hearing, capsys: pytest.CaptureFixture[str]) -> None:
    assert fire("Stop", capsys, stop_hook_active=False) == ""
    heard.post("neo asks")
    assert json.loads(fire("Stop", capsys, stop_hook_active=False)) == {
        "decision": "block",
        "reason": "[maw abc123] neo asks",
    }
    assert heard.asked("/api/hear")[-1].body["wake"] is True, "what wakes nobody keeps nobody from stopping"
    heard.post("again")
    assert fire("Stop", capsys, stop_hook_active=True) == ""
    assert heard.waiting == ["again"]


def test_only_one_that_was_put_in_front_of_the_model_is_confirmed(
    heard: Hearing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Broken(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError("nobody reads")

    heard.post("neo asks")
    told = json.dumps({"hook_event_name": "PostToolUse", "session_id": "s"})
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(told.encode())))
    monkeypatch.setattr(sys, "stdout", Broken())
    assert run.main(["PostToolUse"]) == 0
    assert heard.announced == []
    assert "nobody reads" in logged(tmp_path)


def test_silent_where_it_is_not_the_agent_s_session(
    heard: Hearing, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    heard.post("neo asks")
    assert fire("PostToolUse", capsys, agent_id="sub-1") == "", "inside a subagent"
    heard.bound_to = 1
    assert fire("PostToolUse", capsys) == "", "another program is the agent"
    heard.bound_to = None
    monkeypatch.delenv("MAW_AGENT")
    assert fire("PostToolUse", capsys) == "", "nobody says who speaks"
    monkeypatch.setenv("TMUX", "/tmp/tmux-0/default,4321,0")
    monkeypatch.setenv("TMUX_PANE", "%3")
    assert fire("PostToolUse", capsys) == "", "a program without a terminal in an agent's pane"
    assert heard.waiting == ["neo asks"] and len(heard.asked("/api/hear")) == 0
    assert logged(tmp_path) == ""


def test_a_second_session_of_one_agent_is_told_to_the_person(
    heard: Hearing, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard.bound_to = 1
    assert fire("SessionStart", capsys, source="startup") == "", "nobody sits at it"
    monkeypatch.setattr(events, "is_interactive", lambda pid: True)
    told = json.loads(fire("SessionStart", capsys, source="startup"))
    assert told == {"systemMessage": "maw: arthur is process 1. This session hears nothing."}
    assert fire("PostToolUse", capsys) == ""


def test_the_pane_says_who_speaks(
    heard: Hearing, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maw.agents.hooks.asking.is_interactive", lambda pid: True)
    monkeypatch.delenv("MAW_AGENT")
    monkeypatch.setenv("TMUX", "/tmp/a,b/default,4321,0")
    monkeypatch.setenv("TMUX_PANE", "%3")
    heard.post("neo asks")
    assert fire("PostToolUse", capsys) != ""
    assert heard.fake.last.headers["x-maw-pane"] == "/tmp/a,b/default,4321,%3"
    assert "x-maw-agent" not in heard.fake.last.headers


@pytest.mark.parametrize("event", events.EVENTS)
def test_no_daemon_breaks_no_session(
    heard: Hearing,
    event: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("MAW_SOCKET", str(tmp_path / "nothing.sock"))
    assert fire(event, capsys) == ""
    monkeypatch.delenv("MAW_SOCKET")
    assert fire(event, capsys) == "", "no node at all"
    assert logged(tmp_path) == "", "an ordinary state"


@pytest.mark.parametrize(
    "refusal",
    [error(403, "frozen", "stop"), error(400, "no_agent", "who?"), error(503, "recovering", "soon")],
)
def test_refusals_that_are_no_fault_are_not_even_noted(
    heard: Hearing, refusal: tuple[int, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    heard.refusal = refusal
    assert fire("PostToolUse", capsys) == ""
    assert logged(tmp_path) == ""


def test_other_faults_are_noted_once_and_break_nothing(
    heard: Hearing, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    heard.refusal = error(403, "not_yours", "arthur belongs to another user")
    for _ in range(3):
        assert fire("PostToolUse", capsys) == ""
    assert logged(tmp_path).count("\n") == 1
    assert "not_yours: arthur belongs to another user" in logged(tmp_path)
    heard.fake.answers["POST /api/session"] = Hangup()
    assert fire("PostToolUse", capsys) == ""
    assert "hung up" in logged(tmp_path)
    heard.fake.answers["POST /api/session"] = (200, b"<html>")
    assert fire("PostToolUse", capsys) == ""
    heard.fake.answers["POST /api/session"] = (200, ["not", "an", "object"])
    assert fire("PostToolUse", capsys) == ""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"hook_event_name": "PostToolUse"}',
        b'{"session_id": 3}',
        b"{" * 9999,
    ],
)
def test_what_is_no_hook_s_input_is_noted(
    heard: Hearing, data: bytes, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert fire_raw("PostToolUse", data, capsys) == ""
    assert logged(tmp_path) != ""
    assert heard.fake.asked == []


def test_a_hook_of_another_event_does_nothing(
    heard: Hearing, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data = json.dumps({"hook_event_name": "PreCompact", "session_id": "s"}).encode()
    assert fire_raw("PostToolUse", data, capsys) == ""
    assert fire_raw("PreCompact", data, capsys) == ""
    assert fire_raw("", data, capsys) == ""
    assert "called for 'PostToolUse' at 'PreCompact'" in logged(tmp_path)


def test_where_nothing_can_be_written_it_hears_all_the_same(
    heard: Hearing, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / ".local").write_text("no folder")
    for event in ("SessionStart", "UserPromptSubmit", "PostToolUse", "Stop"):
        heard.post(f"at {event}")
        assert f"at {event}" in fire(event, capsys)
    assert len(heard.announced) == 4


def test_a_slow_daemon_is_not_waited_for(
    heard: Hearing, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(events, "DEADLINE_S", 0.08)
    heard.slow_s = 8.0
    heard.post("neo asks")
    began = time.monotonic()
    assert fire("PostToolUse", capsys) == ""
    assert time.monotonic() - began < 4
    assert "not answer in time" in logged(tmp_path)


def test_one_that_takes_no_connection_is_not_waited_for_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "s"))
        deaf.listen(1)
        daemon = Daemon(str(tmp_path / "s"), {}, time.monotonic() + 0.1)
        with pytest.raises(NoAnswer, match="in time"):
            daemon.ask("/api/session", {})


def test_it_finds_the_same_daemon_as_every_command(tmp_path: Path) -> None:
    own = tmp_path / ".local" / "share" / "maw"
    own.mkdir(parents=True)
    for env in (
        {"HOME": str(tmp_path), "MAW_SOCKET": "/x/y.sock"},
        {"HOME": str(tmp_path), "MAW_HOME": str(tmp_path / "elsewhere")},
        {"HOME": str(tmp_path)},
    ):
        if "MAW_SOCKET" not in env:
            (own / "maw.toml").touch()
        try:
            wanted = str(find_daemon(env, os.geteuid()).socket)
        except NotRunning as missing:
            wanted = missing.message
        found = find_socket(env)
        assert found is not None and found in wanted
    (own / "maw.toml").unlink()
    assert find_socket({"HOME": str(tmp_path)}) in (None, "/var/lib/maw/maw.sock")


def test_headers_cannot_be_ended_by_what_the_environment_holds() -> None:
    assert speaker_headers({"MAW_AGENT": "@arthur"}) == {"X-Maw-Agent": "arthur"}
    assert speaker_headers({"TMUX": "no-commas", "TMUX_PANE": "%1"}) == {}
    daemon = Daemon("/s", {"X-Maw-Agent": "arthur\r\nX-Maw-Agent: owner"}, 0.0)
    assert "\r\nX-Maw-Agent: owner" not in daemon._headers


@pytest.mark.parametrize(
    ("tmux", "pane"),
    [
        ("/tmp/tmux-0/default,4321,0", "%3"),
        ("/tmp/a,b c/default,4321,12", "%123456789"),
        ("/tmp/tmux-0/default,4321,0", "3"),
        ("/tmp/tmux-0/default,4321,0", "%"),
        ("/tmp/tmux-0/default,4321,0", "%1234567890"),
        ("/tmp/tmux-0/default,,0", "%3"),
        ("/tmp/tmux-0/default,12345678901,0", "%3"),
        ("/tmp/tmux-0/default,4321", "%3"),
        ("tmux,4321,0", "%3"),
        ("/,4321,0", "%3"),
        ("/tmp/\u00e9,4321,0", "%3"),
        ("/tmp/x\r\nX-Maw-Agent: y,4321,0", "%3"),
        ("/" + "x" * 400 + ",1,0", "%3"),
        ("/" + "x" * 401 + ",1,0", "%3"),
        ("/tmp/x,\u0663,0", "%3"),
        ("", "%3"),
        ("/tmp/x,1,0", ""),
    ],
)
def test_the_pane_is_told_as_every_command_tells_it(tmux: str, pane: str) -> None:
    env = {"TMUX": tmux, "TMUX_PANE": pane}
    assert speaker_headers(env).get("X-Maw-Pane") == pane_of(env)


def test_what_is_no_text_is_noted_all_the_same(
    heard: Hearing, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a").write_text("no folder")
    monkeypatch.setenv("MAW_SOCKET", f"{tmp_path}/a/\udcff")
    assert fire("PostToolUse", capsys) == ""
    assert "\\udcff" in logged(tmp_path)
    monkeypatch.setattr(notes, "log", lambda *_: 1 / 0)
    assert fire("PostToolUse", capsys) == "", "not even a fault in noting faults"


def test_the_log_stays_small(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    for number in range(700):
        notes.log(env, f"{number} " + "x" * 300)
    files = list((tmp_path / "state" / "maw" / "hooks").iterdir())
    assert {file.name for file in files} == {"log", "log.1"}
    assert all(file.stat().st_size < notes.LOG_BYTES + 1000 for file in files)
    assert Path(notes.log_path(env)).read_text().splitlines()[-1].split()[1] == "699"


def test_nothing_heavy_is_imported(heard: Hearing) -> None:
    """With a digest to print: all that it ever needs."""
    heard.post("neo asks")
    script = (
        "import sys\nfrom maw.agents.hooks.run import main\ncode = main(['PostToolUse'])\n"
        "print('\\n' + ' '.join(sys.modules))"
    )
    told = json.dumps({"hook_event_name": "PostToolUse", "session_id": "s-1"})
    done = subprocess.run(
        [sys.executable, "-c", script], input=told, capture_output=True, text=True, check=True
    )
    assert "neo asks" in done.stdout
    loaded = set(done.stdout.rsplit("\n", 2)[-2].split())
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(' '.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "maw.agents.hooks.events" in loaded
    assert not (loaded - set(bare.stdout.split())) & HEAVY
