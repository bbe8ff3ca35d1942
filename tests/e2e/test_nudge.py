"""Digests typed into panes: whole, into an empty prompt only, and what could not be typed is said."""

from __future__ import annotations

import re
import shutil
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.claude_stand_in import heard
from tests.e2e.conftest import need
from tests.e2e.daemons import MakeDaemon
from tests.e2e.fleet import Fleet, wait_for
from tests.e2e.test_keeper import Keep

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
]


@pytest.fixture
def fleet(daemon: MakeDaemon) -> Iterator[Fleet]:
    need(None if shutil.which("tmux") else "needs tmux: apt-get install -y tmux")
    made = Fleet(daemon("mbp"))
    yield made
    made.close()


@pytest.fixture
def keep(fleet: Fleet) -> Iterator[Keep]:
    made = Keep(fleet)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.stop()


@pytest.fixture
def neo(fleet: Fleet) -> str:
    """An agent without hooks, whose pane may be typed into; its conversation."""
    ident = str(uuid.uuid4())
    fleet.session("neo", "claude", "--session-id", ident)
    fleet.shows("neo", "? for shortcuts")
    assert fleet.adopt("neo").returncode == 0
    fleet.maw("agent", "set", "neo", "nudge=on")
    fleet.maw("agent", "add", "oracle")
    return ident


def told(fleet: Fleet, ident: str) -> str:
    """All that came in through the prompt."""
    return "\n".join(heard(fleet.home / ".claude", ident))


def states(fleet: Fleet) -> dict[str, Any]:
    found = fleet.json("sent", "--as", "oracle")
    return {one["text"]: one for one in found}


def test_twenty_messages_at_once_are_all_put_in_front_of_the_agent_whole(
    fleet: Fleet, keep: Keep, neo: str
) -> None:
    keep.start()
    texts = [f"message {n:02} of twenty; 'quoted', $HOME, `id`, ไทย and {n * 7919}" for n in range(20)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda text: fleet.maw("send", "--as", "oracle", "@neo", text), texts))

    def announced() -> tuple[list[str], int]:
        """Lines of messages that came in through the prompt, and how many more they say there are."""
        lines = told(fleet, neo).splitlines()
        more = sum(int(found[1]) for line in lines if (found := re.match(r"and (\d+) more: maw inbox", line)))
        return [line for line in lines if "of twenty" in line], more

    wait_for(lambda: len(announced()[0]) + announced()[1] >= 20, "all are announced", 90)
    lines, more = announced()
    assert len(lines) + more == 20, "each once"
    shown = [line.split('ago: "', 1)[1].removesuffix('"') for line in lines]
    assert len(set(shown)) == len(shown) and set(shown) <= set(texts), "a line each, and each whole"
    assert {one["text"] for one in fleet.json("inbox", "--as", "neo", "--peek")} == set(texts), (
        "nothing is lost"
    )
    wait_for(
        lambda: sum(one["state"] == "delivered" for one in states(fleet).values()) == len(lines),
        "what was shown is delivered, and nothing else",
        30,
    )
    assert "via pane" in fleet.maw("sent", "--as", "oracle")
    assert fleet.screen("neo").rstrip().splitlines()[-3].rstrip() == "❯", "the prompt is empty again"
    assert fleet.tmux("list-buffers") == "", "nothing is left in tmux"


def test_nothing_is_typed_over_a_half_typed_line_and_it_is_said(fleet: Fleet, keep: Keep, neo: str) -> None:
    fleet.tmux("send-keys", "-t", "=neo:", "-l", "rm -rf what I was about to")
    fleet.shows("neo", "rm -rf what")
    keep.start()
    fleet.maw("send", "--as", "oracle", "@neo", "are you there?")
    wait_for(lambda: "half-typed" in str(states(fleet)["are you there?"]), "it is said why not", 40)
    assert "❯ rm -rf what I was about to" in fleet.screen("neo") and "are you there" not in fleet.screen(
        "neo"
    )
    assert "are you there?" in fleet.maw("inbox", "--as", "neo", "--peek")
    wait_for(
        lambda: "not nudged: its pane shows a half-typed line" in fleet.maw("agent", "show", "neo"),
        "it is shown",
    )
    fleet.tmux("send-keys", "-t", "=neo:", "C-c")
    wait_for(lambda: "are you there?" in told(fleet, neo), "as soon as the line is empty", 40)
    assert "rm -rf" not in told(fleet, neo)


def test_a_pane_in_copy_mode_is_left_alone(fleet: Fleet, keep: Keep, neo: str) -> None:
    fleet.tmux("copy-mode", "-t", "=neo:")
    keep.start()
    fleet.maw("send", "--as", "oracle", "@neo", "are you there?")
    wait_for(lambda: "copy mode" in str(states(fleet)["are you there?"]), "it is said why not", 40)
    assert fleet.tmux("display-message", "-p", "-t", "=neo:", "#{pane_in_mode}").strip() == "1"
    fleet.tmux("send-keys", "-t", "=neo:", "-X", "cancel")
    wait_for(lambda: "are you there?" in told(fleet, neo), "as soon as it is left", 40)


def test_an_agent_whose_prompt_is_not_known_is_not_typed_at(fleet: Fleet, keep: Keep) -> None:
    program = fleet.bin / "sensor"
    program.write_text("#!/bin/sh\nwhile read line; do echo got $line; done\n")
    program.chmod(0o755)
    fleet.session("pm25", "sensor")
    wait_for(lambda: fleet.adopt("pm25", "--program", "sensor").returncode == 0, "it is adopted")
    fleet.maw("agent", "set", "pm25", "nudge=on")
    fleet.maw("agent", "add", "oracle")
    keep.start()
    fleet.maw("send", "--as", "oracle", "@pm25", "are you there?")
    wait_for(lambda: "no prompt of command" in str(states(fleet)["are you there?"]), "it is said why not", 40)
    assert "got" not in fleet.screen("pm25")


def test_who_does_not_want_it_is_never_typed_at(fleet: Fleet, keep: Keep, neo: str) -> None:
    fleet.maw("agent", "set", "neo", "nudge=off")
    keep.start()
    before = fleet.screen("neo")
    fleet.maw("send", "--as", "oracle", "@neo", "are you there?")
    wait_for(
        lambda: (fleet.listed("neo")["report"] or {}).get("state") == "idle", "it is watched, and rests", 40
    )
    assert fleet.screen("neo") == before


def test_a_command_is_run_for_mail_and_its_end_is_told(fleet: Fleet, keep: Keep) -> None:
    fleet.maw("agent", "add", "sensor")
    fleet.maw("agent", "add", "oracle")
    command = fleet.bin / "on-mail"
    command.write_text(
        '#!/bin/sh\n[ -e ready ] || { echo "not ready"; exit 3; }\ncat >>heard; echo "$MAW_AGENT" >>heard\n'
    )
    command.chmod(0o755)
    fleet.maw("agent", "set", "sensor", f"exec={command}", f"cwd={fleet.root}")
    keep.start()
    fleet.maw("send", "--as", "oracle", "@sensor", "how warm is it?")
    wait_for(
        lambda: "exec: exit code 3: not ready" in str(states(fleet)["how warm is it?"]),
        "it is said why not",
        40,
    )
    wait_for(
        lambda: "its exec hook failed: exit code 3" in fleet.maw("agent", "show", "sensor"), "it is shown"
    )
    assert "exec" in fleet.maw("agent", "list").split()
    (fleet.root / "ready").touch()
    wait_for(lambda: (fleet.root / "heard").exists(), "it is tried again", 40)
    wait_for(lambda: states(fleet)["how warm is it?"]["state"] == "delivered", "and it is delivered")
    assert "via exec" in fleet.maw("sent", "--as", "oracle")
    heard_text = (fleet.root / "heard").read_text()
    assert heard_text.count("how warm is it?") == 1 and heard_text.endswith("sensor\n")


def test_a_human_at_the_terminal_is_not_typed_over(fleet: Fleet, keep: Keep, neo: str) -> None:
    with fleet.terminal("agent", "attach", "neo") as human:
        wait_for(lambda: fleet.tmux("list-clients") != "", "the human looks at it")
        typing = threading.Event()

        def type_on() -> None:
            while not typing.wait(0.4):
                human.press(b"x\x7f")

        thread = threading.Thread(target=type_on)
        thread.start()
        try:
            keep.start()
            fleet.maw("send", "--as", "oracle", "@neo", "are you there?")
            wait_for(lambda: "somebody is at its terminal" in str(states(fleet)), "it is said why not", 40)
            assert "are you there?" not in told(fleet, neo)
        finally:
            typing.set()
            thread.join()
        wait_for(lambda: "are you there?" in told(fleet, neo), "when the human rests", 40)
