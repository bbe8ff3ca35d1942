"""Typing into a prompt: what counts as delivered, as the screen changes under it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from maw.agents import nudging
from maw.agents.entries import Entry
from maw.agents.nudging import NotNow, Nudging
from maw.agents.running import Host
from maw.agents.tmux import Pane
from maw.client.daemon import Daemon
from maw.core.prompts import Prompt, Shows
from maw.core.roster import Place, Plan

TEXT = "2 new for arthur"
EMPTY, OURS, UNKNOWN = Prompt(Shows.EMPTY), Prompt(Shows.TYPED, (TEXT,)), Prompt(Shows.UNKNOWN)
PANE = Pane(Place("/x", 1, "%0"), 1, "s", "arthur", False, "", False, 0, 0, 0, "", True, True)
ENTRY = Entry("arthur", 0, Plan(kind="claude"), None, "", "", {}, 0, 0)


class Screen:
    """What the prompt shows at each look, the last for ever; what it shows from Enter on. ``mode``: nothing is pressed
    in copy mode."""

    def __init__(self, *before: Prompt, after: Prompt = EMPTY, runs: bool = True, mode: bool = False) -> None:
        self.before, self.after, self.runs, self.mode = list(before), after, runs, mode
        self.enters = 0

    def look(self) -> Prompt:
        if self.enters:
            return self.after
        return self.before.pop(0) if len(self.before) > 1 else self.before[0]

    def must(self, *words: str, given: str | None = None) -> list[str]:
        if "Enter" not in " ".join(words) or self.mode:
            return []
        self.enters += 1
        return ["entered"]


@pytest.fixture
def type_into(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Screen], None]:
    def type_(screen: Screen) -> None:
        monkeypatch.setattr(nudging, "Server", lambda socket: screen)
        monkeypatch.setattr(Nudging, "_pane", lambda self, entry: PANE)
        monkeypatch.setattr(Nudging, "_prompt", lambda self, *_: screen.look())
        monkeypatch.setattr(Nudging, "_runs", lambda self, entry: screen.runs)
        monkeypatch.setattr(nudging, "SETTLE_S", 0.0)
        monkeypatch.setattr(nudging, "TAKEN_S", 0.0)
        host = Host({}, 0, tmp_path, "/bin/sh")
        nobody: Any = None
        Nudging(cast(Daemon, nobody), host, "n", "arthur", lambda: None, threading.Event()).type(ENTRY, TEXT)

    return type_


def test_it_is_delivered_when_enter_was_pressed_and_the_prompt_let_go(
    type_into: Callable[[Screen], None],
) -> None:
    screen = Screen(EMPTY, OURS)
    type_into(screen)
    assert screen.enters == 1


@pytest.mark.parametrize("then", [UNKNOWN, EMPTY, Prompt(Shows.WORKS)])
def test_what_goes_from_the_prompt_before_enter_was_not_delivered(
    then: Prompt, type_into: Callable[[Screen], None]
) -> None:
    screen = Screen(EMPTY, OURS, then)
    with pytest.raises(NotNow, match="before Enter was pressed"):
        type_into(screen)
    assert screen.enters == 0


def test_an_enter_that_copy_mode_kept_back_was_not_pressed(type_into: Callable[[Screen], None]) -> None:
    with pytest.raises(NotNow, match="before Enter was pressed"):
        type_into(Screen(EMPTY, OURS, OURS, OURS, EMPTY, mode=True))


def test_a_program_that_ends_at_enter_has_read_nothing(type_into: Callable[[Screen], None]) -> None:
    with pytest.raises(NotNow, match="the program ended"):
        type_into(Screen(EMPTY, OURS, after=UNKNOWN, runs=False))
    type_into(Screen(EMPTY, OURS, after=UNKNOWN))
