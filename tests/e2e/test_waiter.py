"""The hook in the background, run by the stand-in for Claude Code: it wakes an idle session, and is no burden else."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from maw.agents.hooks.notes import BUSY_S
from maw.agents.installing.settings import handlers, with_ours
from tests.e2e.claudes import Claude
from tests.e2e.lab import wait_until
from tests.unit.agents.hooks.hearing import Hearing, hearing
from tests.unit.cli.fake_daemon import Hangup, error

MakeSession = Callable[..., Claude]
RUN = f"{sys.executable} -m maw.cli.entry hook run"


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[Hearing]:
    with hearing(tmp_path / "maw.sock") as made:
        yield made


@pytest.fixture
def session(tmp_path: Path) -> Iterator[MakeSession]:
    """``session()``: arthur's, with the hooks of `maw hook install claude`."""
    (tmp_path / "work").mkdir()
    with ExitStack() as stack:

        def make(**environment: str) -> Claude:
            write_settings(tmp_path)
            environment = {"MAW_SOCKET": str(tmp_path / "maw.sock"), "MAW_AGENT": "arthur"} | environment
            one = Claude(tmp_path, tmp_path / "work", environment)
            stack.callback(lambda: one.stop() if one.runs() else None)
            return one.__enter__()

        yield make


def write_settings(home: Path) -> None:
    """As `maw hook install claude` does, with this Python's maw as the command."""
    text = with_ours("", handlers("maw")).replace("maw hook run", RUN)
    (home / ".claude").mkdir(exist_ok=True)
    (home / ".claude" / "settings.json").write_text(text)


def waiters(one: Claude) -> list[int]:
    """Process ids of those that wait for this session."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            owner = (entry / "environ").read_bytes()
        except (OSError, ValueError):
            continue
        if b"wait" in words and b"hook" in words and f"HOME={one.config.parent}\0".encode() in owner:
            found += [int(entry.name)] if entry.name.isdecimal() and words[0] != b"sh" else []
    return found


def polls(heard: Hearing) -> int:
    return len([asked for asked in heard.asked("/api/hear") if asked.body["via"] == "rewake"])


def test_an_idle_session_is_woken_and_wakes_again(heard: Hearing, session: MakeSession) -> None:
    one = session()
    wait_until(lambda: polls(heard) == 1, "it waits from the start on, before any prompt")
    heard.post("neo asks")
    one.wait_for_turns(1)
    assert [text.splitlines()[-1] for text in one.heard("wake")] == ["[maw abc123] neo asks"]
    assert heard.announced == [("neo asks", "rewake")]
    wait_until(lambda: polls(heard) == 2, "the turn's end has another one wait")
    heard.post("neo asks more")
    one.wait_for_turns(2)
    assert heard.announced[1:] == [("neo asks more", "rewake")]
    assert one.kept("hook_to_user") == []


def test_there_is_one_waiter_however_many_turns(heard: Hearing, session: MakeSession) -> None:
    one = session()
    for number in range(4):
        one.prompt(f"prompt {number}")
    wait_until(lambda: len(waiters(one)) == 1, f"one is left: {waiters(one)}")
    time.sleep(0.5)
    assert len(waiters(one)) == 1
    before = polls(heard)
    heard.post("neo asks")
    one.wait_for_turns(5)
    assert heard.announced == [("neo asks", "rewake")]
    assert polls(heard) <= before + 1


@pytest.mark.parametrize("ending", ["left", "killed"])
def test_it_ends_with_its_session(heard: Hearing, session: MakeSession, ending: str) -> None:
    one = session()
    wait_until(lambda: polls(heard) == 1, "it waits")
    assert len(waiters(one)) == 1
    one.stop() if ending == "left" else one.kill()
    wait_until(lambda: waiters(one) == [], "it ended", 5)
    heard.post("neo asks")
    time.sleep(0.2)
    assert heard.waiting == ["neo asks"], "nobody claims for a session that is gone"


def test_a_restart_of_the_daemon_is_outlasted(heard: Hearing, session: MakeSession) -> None:
    one = session()
    wait_until(lambda: polls(heard) == 1, "it waits")
    waiting = waiters(one)
    heard.fake.stop()
    heard.down = True
    time.sleep(1.0)
    heard.down = False
    heard.fake.start()
    wait_until(lambda: polls(heard) >= 2, "it asks again")
    assert waiters(one) == waiting
    one.prompt("hello")
    wait_until(
        lambda: len(waiters(one)) == 1 and waiters(one) != waiting, "the next one takes over from it", 2
    )
    heard.post("neo asks")
    one.wait_for_turns(2)
    assert heard.announced == [("neo asks", "rewake")]


def test_while_it_works_what_comes_is_told_after_a_tool(heard: Hearing, session: MakeSession) -> None:
    one = session()
    one.submit("work\n$ sleep 1\n$ true")
    wait_until(lambda: any(e["type"] == "assistant" for e in one.transcript()), "it runs a tool")
    heard.post("neo asks")
    one.wait_for_turns(1)
    assert heard.announced == [("neo asks", "hook")]
    assert one.heard("wake") == []


def test_an_interrupted_session_hears_again(heard: Hearing, session: MakeSession, tmp_path: Path) -> None:
    one = session()
    one.submit("work\n$ sleep 60")
    wait_until(lambda: any(e["type"] == "assistant" for e in one.transcript()), "it runs a tool")
    one.keys("\x1b")
    one.wait_for_turns(1)
    assert len(waiters(one)) == 1, "no Stop was fired, and the one of the prompt still waits"
    heard.post("neo asks")
    assert one.process is not None
    mark = tmp_path / ".local" / "state" / "maw" / "hooks" / f"{one.process.pid}.busy"
    time.sleep(0.5)
    assert mark.exists() and heard.announced == [], "as far as it knows the session works"
    long_ago = time.time() - BUSY_S - 1
    os.utime(mark, (long_ago, long_ago))
    one.wait_for_turns(2)
    assert heard.announced == [("neo asks", "rewake")]


def test_a_session_of_another_program_is_left_alone(heard: Hearing, session: MakeSession) -> None:
    heard.bound_to = 1
    heard.post("neo asks")
    one = session()
    one.prompt("hello\n$ true")
    wait_until(lambda: waiters(one) == [], "nobody waits")
    assert one.heard() == ["hello\n$ true", ""]
    assert heard.asked("/api/hear") == []


def test_one_that_only_prints_waits_for_nothing(heard: Hearing, session: MakeSession, tmp_path: Path) -> None:
    """`claude -p`, run by a tool of the agent's own session."""
    one = session()
    wait_until(lambda: polls(heard) == 1, "it waits")
    assert one.process is not None
    heard.bound_to = one.process.pid
    began = time.monotonic()
    one.prompt(f"$ {tmp_path}/bin/claude -p 'hello'")
    assert time.monotonic() - began < 10
    assert one.heard("tool") == ["ok\n"]
    wait_until(lambda: len(waiters(one)) == 1, "there is one waiter, the session's")


def test_a_refusal_for_good_ends_it_and_a_freeze_does_not(heard: Hearing, session: MakeSession) -> None:
    heard.refusal = error(403, "not_yours", "arthur belongs to another user")
    one = session()
    wait_until(lambda: len(heard.asked("/api/session")) >= 2, "it asked")
    wait_until(lambda: waiters(one) == [], "and ended")
    heard.refusal = error(403, "frozen", "stop")
    one.prompt("hello")
    wait_until(lambda: len(waiters(one)) == 1, "it waits for the end of the freeze")
    assert one.kept("hook_to_user") == []


def test_what_was_said_and_not_confirmed_wakes_all_the_same(
    heard: Hearing, session: MakeSession, tmp_path: Path
) -> None:
    """The daemon dies between the two: it is announced once more then, rather than never."""
    one = session()
    heard.fake.answers["POST /api/heard"] = Hangup()
    heard.post("neo asks")
    one.wait_for_turns(1)
    assert "neo asks" in one.heard("wake")[0] and heard.announced == []
    assert "said, and not confirmed" in (tmp_path / ".local/state/maw/hooks/log").read_text()


def test_one_that_has_something_to_say_is_not_ended_by_the_next(heard: Hearing, session: MakeSession) -> None:
    one = session()
    wait_until(lambda: polls(heard) == 1, "it waits")
    heard.slow_heard_s = 1.0
    heard.post("neo asks")
    wait_until(lambda: heard.asked("/api/heard") != [], "it said so, and waits for the answer")
    one.prompt("hello")  # begins another, which asks the one before to end
    one.wait_for_turns(2)
    assert heard.announced == [("neo asks", "rewake")]
    assert sum("neo asks" in text for text in one.heard()) == 1
    wait_until(lambda: len(waiters(one)) == 1, "one is left")


@pytest.mark.parametrize("then", ["unreachable", "interrupted"])
def test_a_wake_that_came_to_nothing_leaves_nobody_deaf(
    heard: Hearing, session: MakeSession, tmp_path: Path, then: str
) -> None:
    """No Stop comes, so that nothing would wait any more."""
    brain = tmp_path / "brain.py"
    brain.write_text(
        "tries = []\n"
        "def turn(session, heard):\n"
        "    tries.append(1)\n"
        "    if len(tries) > 1:\n"
        "        return 'ok'\n"
        f"    if {then == 'unreachable'}:\n"
        "        raise session.Unreachable('overloaded')\n"
        "    session.run('sleep 60')\n"
    )
    one = session(CLAUDE_STAND_IN_BRAIN=str(brain), CLAUDE_STAND_IN_IDLE_S="1.5")
    heard.post("first")
    if then == "interrupted":
        wait_until(lambda: any(e["type"] == "assistant" for e in one.transcript()), "it works")
        one.keys("\x1b")
    one.wait_for_turns(1)
    heard.post("second")
    one.wait_for_turns(2)
    assert heard.announced == [("first", "rewake"), ("second", "rewake")]


def test_where_nothing_can_be_written_it_wakes_all_the_same(
    heard: Hearing, session: MakeSession, tmp_path: Path
) -> None:
    (tmp_path / ".local").write_text("no folder")
    one = session()
    for number in (1, 2):
        heard.post(f"message {number}")
        one.wait_for_turns(number)
    assert heard.announced == [("message 1", "rewake"), ("message 2", "rewake")]
    assert one.kept("hook_to_user") == []
