"""The stand-in for Claude Code is held to what the documentation says of the real one."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import claude_hooks, claude_stand_in
from tests.e2e.claude_hooks import Done, Hook, hooks_for, meaning
from tests.e2e.claudes import Claude
from tests.e2e.lab import wait_until

MakeClaude = Callable[..., Claude]


def said(event: str, stdout: str = "", code: int = 0, stderr: str = "") -> claude_hooks.Meaning:
    return meaning(event, [Done(Hook("x"), code, stdout, stderr)])


def specific(event: str, **more: object) -> str:
    return json.dumps({"hookSpecificOutput": {"hookEventName": event, **more}})


@pytest.mark.parametrize(
    ("event", "reaches"),
    [
        ("SessionStart", ["hello"]),
        ("UserPromptSubmit", ["hello"]),
        ("PostToolUse", []),
        ("Stop", []),
        ("SessionEnd", []),
    ],
)
def test_plain_text_is_context_at_two_events_only(event: str, reaches: list[str]) -> None:
    assert said(event, "hello\n").context == reaches


def test_additional_context_counts_only_where_it_belongs() -> None:
    assert said("PostToolUse", specific("PostToolUse", additionalContext="a")).context == ["a"]
    assert said("PostToolUse", specific("Stop", additionalContext="a")).context == []
    assert said("PostToolUse", json.dumps({"additionalContext": "a"})).context == []
    assert said("SessionEnd", specific("SessionEnd", additionalContext="a")).context == []
    with_noise = "log\n" + specific("PostToolUse", additionalContext="a")
    assert said("PostToolUse", with_noise).context == [], "JSON has to be all of it"


def test_exit_code_2_ignores_standard_output() -> None:
    told = json.dumps({"decision": "block", "reason": "from JSON"})
    assert said("Stop", told, 2, "go on").blocked == "go on"
    assert said("PreToolUse", told, 2, "no").blocked == "no"
    assert said("PostToolUse", told, 2, "look").context == ["look"]
    erased = said("UserPromptSubmit", "x", 2, "not this")
    assert (erased.blocked, erased.context, erased.to_user) == ("not this", [], ["not this"])
    for event in ("SessionStart", "SessionEnd"):
        other = said(event, "x", 2, "oh")
        assert (other.blocked, other.context, other.to_user) == (None, [], ["oh"])


def test_other_exit_codes_disturb_the_person_and_nobody_else() -> None:
    other = said("UserPromptSubmit", "context", 1, "Traceback\nmore")
    assert (other.context, other.blocked) == ([], None)
    assert other.to_user == ["UserPromptSubmit hook error: Traceback"]


def test_which_hooks_run() -> None:
    def one(command: str, **more: Any) -> dict[str, Any]:
        return {"hooks": [{"type": "command", "command": command, **more}]}

    user: dict[str, Any] = {
        "hooks": {
            "PostToolUse": [
                {"matcher": "Edit|Write", **one("edits")},
                {"matcher": "", **one("all")},
                {"matcher": "mcp__.*", **one("mcp")},
            ],
            "Stop": [{"matcher": "nothing", **one("stop")}, one("stop", args=["a"])],
        }
    }
    project: dict[str, Any] = {"hooks": {"PostToolUse": [one("all"), one("own")]}}

    def commands(event: str, subject: str, *settings: dict[str, Any]) -> list[str]:
        return [hook.command for hook in hooks_for(list(settings), event, subject)]

    assert commands("PostToolUse", "Bash", user, project) == ["all", "own"], "once, though in two files"
    assert commands("PostToolUse", "Write", user) == ["edits", "all"]
    assert commands("PostToolUse", "mcp__maw__send", user) == ["all", "mcp"]
    assert commands("Stop", "", user) == ["stop", "stop"], (
        "no matcher there; other arguments are another hook"
    )
    assert commands("Stop", "", {"disableAllHooks": True}, user) == []
    assert commands("Stop", "", {"disableAllHooks": True}, user, {"disableAllHooks": False}) != []


def test_long_text_reaches_the_model_only_in_part(tmp_path: Path) -> None:
    keep = tmp_path / "s" / "long.txt"
    assert claude_hooks.cut("x" * 10_000, keep) == "x" * 10_000
    short = claude_hooks.cut("y" * 10_001, keep)
    assert short.startswith("y" * 2_000) and len(short) < 2_200
    assert keep.read_text() == "y" * 10_001


@pytest.fixture
def claude(tmp_path: Path) -> Iterator[MakeClaude]:
    """``claude(Stop=[...])``: an interactive session whose user's settings have these hooks."""
    (tmp_path / "work").mkdir()
    made: list[Claude] = []

    def make(brain: str = "", **hooks: list[dict[str, Any]]) -> Claude:
        write_settings(tmp_path, hooks)
        environment = {}
        if brain:
            (tmp_path / "brain.py").write_text(brain)
            environment["CLAUDE_STAND_IN_BRAIN"] = str(tmp_path / "brain.py")
        one = Claude(tmp_path, tmp_path / "work", environment)
        made.append(one)
        return one.__enter__()

    yield make
    for one in made:
        if one.runs():
            one.stop()


def write_settings(home: Path, hooks: dict[str, list[dict[str, Any]]]) -> None:
    groups = {
        event: [{"hooks": [{"type": "command", **hook} for hook in own]}] for event, own in hooks.items()
    }
    (home / ".claude").mkdir(exist_ok=True)
    (home / ".claude" / "settings.json").write_text(json.dumps({"hooks": groups}))


def test_a_session_tells_hooks_what_is_documented(claude: MakeClaude, tmp_path: Path) -> None:
    keep = {"command": f"cat >>{tmp_path}/told; echo >>{tmp_path}/told; env >>{tmp_path}/env"}
    events = ["SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop", "SessionEnd"]
    one = claude(**{event: [keep] for event in events})
    one.prompt("please\n$ cd /tmp\n$ pwd")
    one.stop()
    told = [json.loads(line) for line in (tmp_path / "told").read_text().splitlines() if line]
    tools = ["PreToolUse", "PostToolUse"] * 2
    assert [t["hook_event_name"] for t in told] == [*events[:2], *tools, "Stop", "SessionEnd"]
    assert {t["session_id"] for t in told} == {one.ident}
    assert Path(told[0]["transcript_path"]).is_file()
    assert told[0]["source"] == "startup"
    assert told[1]["prompt"].startswith("please")
    assert told[3]["tool_input"] == {"command": "cd /tmp"}
    assert [t["cwd"] for t in told][-1] == "/tmp", "it follows what the tools do"
    assert told[-2]["stop_hook_active"] is False
    assert told[-1]["reason"] == "prompt_input_exit"
    assert one.process is not None
    environment = (tmp_path / "env").read_text()
    assert f"CLAUDE_CODE_SESSION_ID={one.ident}\n" in environment
    assert f"CLAUDE_PROJECT_DIR={tmp_path}/work\n" in environment
    assert f"CLAUDE_PID={one.process.pid}\n" in environment


def test_what_hooks_say_enters_the_context(claude: MakeClaude) -> None:
    tool = specific("PostToolUse", additionalContext="after the tool")
    one = claude(
        SessionStart=[{"command": "echo at the start"}],
        UserPromptSubmit=[{"command": "/bin/echo", "args": ["with the prompt"]}],
        PostToolUse=[{"command": "/bin/echo", "args": [tool]}],
    )
    one.prompt("do\n$ echo it")
    assert one.heard() == ["at the start", "with the prompt", "do\n$ echo it", "it\n", "after the tool"]


def test_a_blocked_stop_goes_on_and_at_most_eight_times(claude: MakeClaude, tmp_path: Path) -> None:
    once = f"grep -q 'hook_active\": false' && echo more >&2 && exit 2; echo ended >>{tmp_path}/ended"
    one = claude(Stop=[{"command": once}])
    one.prompt("hello")
    assert one.heard() == ["hello", "Stop hook feedback: more"]
    assert (tmp_path / "ended").read_text() == "ended\n"
    write_settings(tmp_path, {"Stop": [{"command": "echo again >&2; exit 2"}]})
    one.prompt("for ever")
    assert one.heard().count("Stop hook feedback: again") == 8, "edited settings count at once"


def test_an_erased_prompt_never_reaches_the_model(claude: MakeClaude) -> None:
    one = claude(UserPromptSubmit=[{"command": "echo no >&2; exit 2"}])
    one.prompt("hello")
    assert one.heard() == []
    assert "no" in one.screen()


def test_an_idle_session_is_woken_by_exit_code_2_alone(claude: MakeClaude, tmp_path: Path) -> None:
    wait = f"while [ ! -e {tmp_path}/now ]; do sleep 0.05; done; "
    waits = wait + "echo you have mail >&2; echo not this; exit 2"
    one = claude(
        Stop=[
            {"command": waits, "asyncRewake": True},
            {"command": wait + "echo lost >&2; exit 1", "asyncRewake": True},
            {"command": wait + "echo lost >&2; exit 2", "async": True},
        ]
    )
    one.prompt("hello")
    time.sleep(0.3)
    assert one.turns() == 1, "the hooks in the background hold nobody up"
    write_settings(tmp_path, {})
    (tmp_path / "now").touch()
    one.wait_for_turns(2)
    assert one.heard("wake") == [f'Stop hook blocking error from command "{waits}":\nyou have mail']
    time.sleep(0.3)
    assert one.turns() == 2


def test_a_wake_in_a_turn_waits_for_its_end(claude: MakeClaude, tmp_path: Path) -> None:
    one = claude(UserPromptSubmit=[{"command": "echo mail >&2; exit 2", "asyncRewake": True}])
    one.submit("hello\n$ sleep 0.5; echo done")
    one.wait_for_turns(2)
    assert [text.splitlines()[-1] for text in one.heard()][1:] == ["done", "mail"]


def test_one_that_wakes_is_ended_at_its_timeout(claude: MakeClaude, tmp_path: Path) -> None:
    late = "sleep 1; echo late >&2; exit 2"
    one = claude(
        SessionStart=[
            {"command": late, "asyncRewake": True, "timeout": 0.3},
            {"command": f"sleep 1; touch {tmp_path}/async", "async": True, "timeout": 0.3},
        ]
    )
    wait_until((tmp_path / "async").exists, "a plain asynchronous hook is not ended")
    time.sleep(0.5)
    assert one.turns() == 0


def test_an_interrupted_turn_fires_no_stop(claude: MakeClaude, tmp_path: Path) -> None:
    one = claude(Stop=[{"command": f"touch {tmp_path}/stopped"}])
    one.submit("hello\n$ sleep 30")
    wait_until(lambda: "esc to interrupt" in one.screen(), "it is busy")
    wait_until(lambda: any(e["type"] == "assistant" for e in one.transcript()), "it runs the tool")
    one.keys("\x1b")
    one.wait_for_turns(1)
    assert one.kept("interrupted")
    assert not (tmp_path / "stopped").exists()


def test_a_model_that_cannot_be_reached_ends_the_turn_without_a_stop(
    claude: MakeClaude, tmp_path: Path
) -> None:
    brain = "def turn(session, heard):\n    raise session.Unreachable('overloaded')\n"
    one = claude(
        brain,
        Stop=[{"command": f"touch {tmp_path}/stopped"}],
        StopFailure=[{"command": f"touch {tmp_path}/failed; echo context; echo no >&2; exit 2"}],
    )
    one.prompt("hello")
    wait_until((tmp_path / "failed").exists, "its own hook runs")
    assert not (tmp_path / "stopped").exists() and one.heard() == ["hello"]
    assert "overloaded" in one.screen()


def test_one_that_sits_idle_says_so_once(
    claude: MakeClaude, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_STAND_IN_IDLE_S", "0.3")
    write_settings(tmp_path, {})
    one = claude(Notification=[{"command": f"cat >>{tmp_path}/told; echo >>{tmp_path}/told"}])
    time.sleep(1.2)
    (told,) = [json.loads(line) for line in (tmp_path / "told").read_text().splitlines() if line]
    assert told["notification_type"] == "idle_prompt" and one.turns() == 0


def test_clear_begins_another_session_in_the_same_process(claude: MakeClaude, tmp_path: Path) -> None:
    keep = {"command": f"cat >>{tmp_path}/told; echo >>{tmp_path}/told"}
    one = claude(SessionStart=[keep], SessionEnd=[keep])
    one.submit("/clear")
    told: list[dict[str, Any]] = []

    def cleared() -> bool:
        told[:] = [json.loads(line) for line in (tmp_path / "told").read_text().splitlines() if line]
        return len(told) == 3

    wait_until(cleared, "three hooks ran")
    assert [t.get("source", t.get("reason")) for t in told] == ["startup", "clear", "clear"]
    assert told[2]["session_id"] != told[0]["session_id"] == told[1]["session_id"]


def test_resumed_it_goes_on_with_its_transcript(claude: MakeClaude, tmp_path: Path) -> None:
    one = claude(SessionStart=[{"command": "sed 's/.*source\": \"\\([a-z]*\\).*/\\1/'"}])
    one.prompt("first")
    one.stop()
    one.start("--resume", one.ident)
    one.prompt("second")
    assert one.heard() == ["startup", "first", "resume", "second"]
    in_use = subprocess.run(
        [tmp_path / "bin" / "claude", "--session-id", one.ident, "-p", "x"],
        cwd=tmp_path / "work",
        env=one.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert in_use.returncode == 1 and "already in use" in in_use.stderr
    unknown = subprocess.run(
        [tmp_path / "bin" / "claude", "--resume", str(uuid.uuid4())],
        env=one.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert unknown.returncode == 1 and "No conversation" in unknown.stderr


def test_a_brain_runs_commands_and_hears_hooks(claude: MakeClaude) -> None:
    brain = """
def turn(session, heard):
    if heard != ["go"]:
        return "no"
    printed = session.run("echo $CLAUDE_CODE_SESSION_ID")
    return printed.strip() + " " + " ".join(session.heard)
"""
    context = specific("PostToolUse", additionalContext="news")
    one = claude(brain, PostToolUse=[{"command": "/bin/echo", "args": [context]}])
    one.prompt("go")
    spoken = [e["message"]["content"][0].get("text") for e in one.transcript() if e["type"] == "assistant"]
    assert spoken[-1] == f"{one.ident} news"


def test_printing_it_answers_once(tmp_path: Path) -> None:
    hooks: dict[str, list[dict[str, Any]]] = {
        "Stop": [
            {"command": f"sleep 0.5; touch {tmp_path}/awaited", "asyncRewake": True},
            {"command": f"sleep 20; touch {tmp_path}/outlived", "async": True},
        ]
    }
    write_settings(tmp_path, hooks)
    command = claude_stand_in.install(tmp_path / "bin")
    ident = str(uuid.uuid4())
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    words = [str(command), "-p", "--session-id", ident, "$ echo hi"]
    began = time.monotonic()
    done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "I ran 1 commands.\n"
    assert (tmp_path / "awaited").exists(), "those that could wake are waited for"
    assert time.monotonic() - began < 15, "others are not"
    assert claude_stand_in.heard(tmp_path / ".claude", ident) == ["$ echo hi", "hi\n"]


def test_the_box_takes_pastes_and_shows_what_is_typed(claude: MakeClaude) -> None:
    one = claude()
    assert "\x1b[?2004h" in one.shown, "bracketed paste is on"
    one.keys("half a li")
    wait_until(lambda: "❯ half a li" in one.screen(), "it is shown")
    one.keys("\x7f\x7fthought")
    one.keys("\x03")
    one.submit("two\nlines")
    one.wait_for_turns(1)
    assert one.heard() == ["two\nlines"], "what was typed before was cleared"
