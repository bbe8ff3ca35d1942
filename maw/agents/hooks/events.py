"""The hooks that Claude Code waits for: at a session's start, with a prompt, after a tool, at the end of a turn.

What they print reaches the model. They are done within ``DEADLINE_S``, or say nothing this time: what was not announced
comes with the next one.
"""

from __future__ import annotations

import json
import sys
import time

from maw.agents.hooks import asking, notes
from maw.agents.hooks.process import is_interactive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

    from maw.agents.hooks.told import Told

DEADLINE_S: Final = 0.08
"""For everything that the daemon is asked. Starting takes some 30 ms besides."""
EVENTS: Final = ("SessionStart", "UserPromptSubmit", "PostToolUse", "Stop")


def run(told: Told, env: Mapping[str, str]) -> None:
    """Print what is new for the agent whose session this is, if there is anything."""
    session = asking.session(told, env, time.monotonic() + DEADLINE_S)
    if session is None:
        return
    bound = session.bind()
    if not bound["bound"]:
        if told.event == "SessionStart" and is_interactive(session.pid):
            warn(bound)
        return
    busy = notes.Busy(env, session.pid)
    if told.event in ("Stop", "SessionStart") and not told.compacted:
        busy.clear()
    else:  # also where its context was compacted: it goes on with its turn
        busy.set()
    if told.event == "Stop" and told.stopping_again:
        return
    # an idle session would only have read it: what waits for one that is brought back after a boot is left to the
    # waiter, which begins with it and wakes it
    left_to_waiter = told.event == "SessionStart" and is_interactive(session.pid)
    found = None if left_to_waiter else session.hear("hook", wake=told.event == "Stop")
    opening = greeting(bound) if told.event == "SessionStart" else ""
    text = "\n".join(part for part in (opening, found["text"] if found else "") if part)
    if not text:
        return
    if told.event == "Stop":
        busy.set()  # it goes on
    sys.stdout.write(json.dumps(answer(told.event, text)))
    sys.stdout.flush()
    if found:
        session.heard(found["claim"])


def warn(bound: Mapping[str, Any]) -> None:
    """To the person at the terminal, not to the model."""
    why = str(bound.get("why") or "another program is this agent")
    sys.stdout.write(json.dumps({"systemMessage": f"maw: {why}. This session hears nothing."}))


def greeting(bound: Mapping[str, Any]) -> str:
    """Who the agent is, and how much waits."""
    count = bound.get("unread") or 0
    waits = f" {count} message{'s wait' if count != 1 else ' waits'}: maw inbox." if count else ""
    return f'maw: you are {bound["agent"]}.{waits} To write to another agent: maw send @NAME "TEXT"'


def answer(event: str, text: str) -> dict[str, Any]:
    """What is printed, so that ``text`` reaches the model at this event."""
    if event == "Stop":
        return {"decision": "block", "reason": text}
    return {"hookSpecificOutput": {"hookEventName": event, "additionalContext": text}}
