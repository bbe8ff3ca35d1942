"""Sessions of Claude Code that run in tmux, with nothing in their environment: adopted, each hears what is its own."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import claude_stand_in
from tests.e2e.daemons import MakeDaemon
from tests.e2e.fleet import Fleet
from tests.e2e.lab import wait_until

pytestmark = [
    pytest.mark.skipif(not shutil.which("tmux"), reason="needs tmux: apt-get install -y tmux"),
    pytest.mark.slow,
]


@pytest.fixture
def fleet(daemon: MakeDaemon) -> Iterator[Fleet]:
    made = Fleet(daemon("mbp"))
    made.maw("hook", "install", "claude")
    yield made
    made.close()


def heard(fleet: Fleet, ident: str, *kinds: str) -> str:
    return "\n".join(claude_stand_in.heard(fleet.home / ".claude", ident, *kinds))


def test_a_running_session_is_adopted_and_hears_unprompted(fleet: Fleet) -> None:
    talks = {name: str(uuid.uuid4()) for name in ("neo", "trinity")}
    for name, ident in talks.items():
        fleet.session(name, "claude", "--session-id", ident)
        fleet.shows(name, "? for shortcuts")
    assert heard(fleet, talks["neo"]) == "", "nobody yet: nothing is said"
    assert fleet.adopt("--all").returncode == 0
    fleet.maw("send", "@neo", "are you there?", env={"MAW_AGENT": "trinity"})
    wait_until(lambda: "are you there?" in heard(fleet, talks["neo"], "wake"), "neo is woken", 30)
    assert "are you there?" not in heard(fleet, talks["trinity"])

    fleet.types("trinity", "$ maw send @neo 'it is me' && maw whoami --json")
    wait_until(lambda: "it is me" in heard(fleet, talks["neo"], "wake", "hook"), "neo hears trinity", 30)
    told = heard(fleet, talks["trinity"], "tool")
    assert json.loads(told[told.index("{") : told.rindex("}") + 1])["name"] == "trinity", (
        "the pane speaks as its agent"
    )
    known = json.loads(fleet.maw("agent", "show", "trinity", "--json"))["conversation"]
    assert known["session"] == talks["trinity"]
    assert Path(known["transcript"]).stem == talks["trinity"]


def test_who_adopts_is_told_how_they_hear(fleet: Fleet) -> None:
    for name in ("neo", "trinity"):
        fleet.session(name, "claude")
        fleet.shows(name, "? for shortcuts")
    assert "hook install" not in fleet.adopt("neo").stderr, "they do already"
    fleet.maw("hook", "remove", "claude")
    assert "next: `maw hook install claude`" in fleet.adopt("trinity").stderr


def test_a_program_of_a_tool_in_the_same_pane_takes_nothing(fleet: Fleet) -> None:
    ident, nested = str(uuid.uuid4()), str(uuid.uuid4())
    fleet.session("neo", "claude", "--session-id", ident)
    fleet.shows("neo", "? for shortcuts")
    assert fleet.adopt("--all").returncode == 0
    fleet.maw("agent", "add", "trinity")
    fleet.types("neo", f"$ maw send @neo 'for neo' --as trinity; claude -p --session-id {nested} 'hello'")
    wait_until(lambda: "for neo" in heard(fleet, ident, "hook", "wake"), "neo hears it", 20)
    assert heard(fleet, nested) == "hello"
