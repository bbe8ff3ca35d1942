"""Claude Code's settings with maw's hooks in them, and without: text to text, pure.

Only handlers that are maw's are ever changed: those that run ``… maw hook run WORD``. All else stays byte for byte.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

from maw.agents.hooks.events import EVENTS
from maw.agents.hooks.run import WAIT
from maw.agents.hooks.waiter import WAKE
from maw.core import json_text
from maw.core.json_text import Part, Value
from maw.errors import BadInput

Handler = Mapping[str, Any]
Json = dict[str, Any]

WAITED_S: Final = 5
"""Claude Code ends a hook that takes longer; it is done in a fiftieth of that."""
WAITING_S: Final = 7 * 24 * 3600
"""So long a session may lie idle and still be woken. Claude Code ends the waiter then; a month would overflow its
timer, which fires at once then."""
WAITER_EVENTS: Final = ("SessionStart", "UserPromptSubmit", "Stop", "StopFailure", "Notification")
"""Where one that waits begins. Stop comes neither after an interrupt nor where the model could not be reached: then
there is what Claude Code says of a session that has sat idle for a minute."""
MATCHERS: Final[Mapping[str, str]] = {"Notification": "idle_prompt"}
ALL_EVENTS: Final = tuple(dict.fromkeys((*EVENTS, *WAITER_EVENTS)))
_RUNS: Final = re.compile(
    r"(?P<program>.+) hook run (?P<word>[A-Za-z]+)(?: \|\| true|; \[ \$\? -eq \d+ \] && exit 2; exit 0)?"
)
EMPTY: Final = "{}\n"


def handlers(command: str, *, waiting: bool = True) -> dict[str, list[Json]]:
    """By event, what is installed. ``waiting`` False: without those that wake an idle session.

    ``|| true``: a maw that was removed, or is another, disturbs nobody: exit code 2 would erase the person's prompt.
    What waits wakes with 2 only where its maw said so (75): one that is older, or refuses its words, wakes nobody.
    """
    program = shlex.quote(command)
    found: dict[str, list[Json]] = {}
    for event in EVENTS:
        run = f"{program} hook run {event} || true"
        found[event] = [{"type": "command", "command": run, "timeout": WAITED_S}]
    wait = f"{program} hook run {WAIT}; [ $? -eq {WAKE} ] && exit 2; exit 0"
    for event in WAITER_EVENTS if waiting else ():
        own = {"type": "command", "command": wait, "asyncRewake": True, "timeout": WAITING_S}
        found.setdefault(event, []).append(own)
    return found


def is_ours(handler: object) -> bool:
    if not isinstance(handler, dict) or not isinstance(handler.get("command"), str):
        return False
    match = _RUNS.fullmatch(handler["command"])
    if match is None or match["word"] not in (*EVENTS, WAIT):
        return False
    try:
        words = shlex.split(match["program"])
    except ValueError:
        return False
    return bool(words) and (PurePath(words[-1]).name == "maw" or words[-1].startswith("maw.cli."))


def ours(text: str) -> dict[str, list[Json]]:
    """By event, maw's handlers that are there. Raises BadInput on what are no settings."""
    found: dict[str, list[Json]] = {}
    for place in _places(text):
        handler = json_text.read(text, place.handler.value)
        if is_ours(handler):
            found.setdefault(place.event, []).append(handler)
    return found


def with_ours(text: str, wanted: Mapping[str, Sequence[Handler]]) -> str:
    """Settings without maw's hooks, with them: one group for each event, the last of its event's."""
    text = text if text.strip() else EMPTY
    for event, own in wanted.items():
        matcher = {"matcher": MATCHERS[event]} if event in MATCHERS else {}
        group = {**matcher, "hooks": list(own)}
        root = _root(text)
        hooks = root.member("hooks")
        if hooks is None:
            text = json_text.put_in(text, root, {event: [group]}, "hooks")
            continue
        groups = hooks.value.member(event)
        if groups is None:
            text = json_text.put_in(text, hooks.value, [group], event)
        else:
            text = json_text.put_in(text, groups.value, group)
    return text


def without_ours(text: str, before: str | None = None) -> str:
    """Settings without maw's handlers, and without the groups, lists and the ``hooks`` that are empty for that reason.
    ``before``: how they were before maw came, where it is known; what was empty then stays."""
    kept = _kept(before)
    while (place := next(_ours_in(text), None)) is not None:
        text = _without(text, place, kept)
    return text


@dataclass(frozen=True, slots=True)
class _Place:
    """A handler, and all that it stands in."""

    root: Value
    hooks: Part
    groups: Part
    group: Part
    handlers: Part
    handler: Part

    @property
    def event(self) -> str:
        assert self.groups.key is not None
        return self.groups.key


def _without(text: str, place: _Place, kept: frozenset[str]) -> str:
    if len(place.handlers.value.parts) > 1:
        return json_text.take_out(text, place.handlers.value, place.handler)
    if len(place.groups.value.parts) > 1 or f"hooks.{place.event}" in kept:
        return json_text.take_out(text, place.groups.value, place.group)
    if len(place.hooks.value.parts) > 1 or "hooks" in kept:
        return json_text.take_out(text, place.hooks.value, place.groups)
    return json_text.take_out(text, place.root, place.hooks)


def _kept(before: str | None) -> frozenset[str]:
    if before is None or not before.strip():
        return frozenset()
    hooks = _root(before).member("hooks")
    if hooks is None:
        return frozenset()
    return frozenset({"hooks", *(f"hooks.{part.key}" for part in hooks.value.parts)})


def _ours_in(text: str) -> Iterator[_Place]:
    return (place for place in _places(text) if is_ours(json_text.read(text, place.handler.value)))


def _places(text: str) -> Iterator[_Place]:
    """Every handler of every event. What is no hook by its shape is left to Claude Code to complain of, unless it is
    where maw would have to put its own."""
    if not text.strip():
        return
    root = _root(text)
    hooks = root.member("hooks")
    if hooks is None:
        return
    for event in ALL_EVENTS:
        groups = hooks.value.member(event)
        for group in groups.value.parts if groups is not None else ():
            own = group.value.member("hooks") if group.value.kind == "object" else None
            if groups is None or own is None or own.value.kind != "array":
                continue
            for handler in own.value.parts:
                yield _Place(root, hooks, groups, group, own, handler)


def _root(text: str) -> Value:
    root = json_text.parse(text)
    if root.kind != "object":
        raise _shape("the settings are no object")
    hooks = root.member("hooks")
    if hooks is None:
        return root
    if hooks.value.kind != "object":
        raise _shape('"hooks" is no object')
    for event in ALL_EVENTS:
        groups = hooks.value.member(event)
        if groups is not None and groups.value.kind != "array":
            raise _shape(f'"hooks.{event}" is no list')
    return root


def _shape(what: str) -> BadInput:
    return BadInput(what, code="bad_settings")
