"""The first quiet pulse after a change of the home: everything is read, and found to be nothing to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from maw.agents.life import quick
from maw.agents.life.home import AgentHome, read_home
from maw.agents.life.journal import Journal
from maw.agents.life.souls import is_known
from maw.core.pulsing import is_empty
from maw.errors import MawError


def learn(folder: str, name: str | None) -> dict[str, Any] | None:
    """What ``quick.remember`` notes of a home in which there is nothing to do; None where there may be, where the home
    is not ``name``'s, and where anything is wrong with it: the whole pulse says what."""
    seen = quick.looks(folder)
    try:
        home = read_home(Path(folder))
        journal = Journal(home)
        state, policy = journal.state(), journal.policy()
        busy = state.failing is not None or state.owed or not _is_quiet(home) or not is_known(home)
    except (MawError, OSError):
        return None
    if busy or name not in (None, home.name):
        return None
    return {"looks": seen, "name": home.name, "watch": list(home.watch_channels), "policy": policy.id}


def _is_quiet(home: AgentHome) -> bool:
    for path in (home.heartbeat, home.tasks):
        try:
            if not is_empty(path.read_text(encoding="utf-8", errors="replace")):
                return False
        except FileNotFoundError:
            continue
    return True
