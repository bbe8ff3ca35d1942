"""What Claude Code's documentation says of hooks, as the stand-in does it: which run, and what their output means.

https://code.claude.com/docs/en/hooks, as of autumn 2026. Where the documentation is silent and something had to be
chosen, the comment says so: nothing in maw may lean on that.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

TIMEOUT_S: Final[Mapping[str, float]] = {"UserPromptSubmit": 30.0, "SessionEnd": 1.5}
DEFAULT_TIMEOUT_S: Final = 600.0
LONGEST_TEXT: Final = 10_000
PREVIEW: Final = 2_000
"""Longer text goes to a file, and only its beginning reaches the model."""

WITHOUT_MATCHER: Final = frozenset({"UserPromptSubmit", "Stop"})
IGNORED: Final = frozenset({"StopFailure"})
"""Whatever hooks print or end with here: nobody looks. That one which wakes may do so all the same is chosen: the
documentation is silent on it."""
PLAIN_TEXT_IS_CONTEXT: Final = frozenset({"SessionStart", "UserPromptSubmit"})
CONTEXT_IS_TAKEN: Final = frozenset({"SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop"})
_NAMES: Final = re.compile(r"[A-Za-z0-9_\- ,|]*")


@dataclass(frozen=True, slots=True)
class Hook:
    """One command hook. ``args`` None: a shell runs ``command``; else it is started directly with them."""

    command: str
    args: tuple[str, ...] | None = None
    timeout: float | None = None
    in_background: bool = False
    rewakes: bool = False
    rewake_message: str | None = None

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Hook:
        args = entry.get("args")
        rewakes = bool(entry.get("asyncRewake"))
        return cls(
            str(entry["command"]),
            None if args is None else tuple(map(str, args)),
            entry.get("timeout"),
            bool(entry.get("async")) or rewakes,
            rewakes,
            entry.get("rewakeMessage"),
        )

    def seconds(self, event: str) -> float | None:
        """How long it may run: plain asynchronous hooks are not ended, those that wake are."""
        if self.in_background and not self.rewakes:
            return None
        return self.timeout or TIMEOUT_S.get(event, DEFAULT_TIMEOUT_S)

    def words(self, project: str) -> list[str]:
        def placed(text: str) -> str:
            return text.replace("${CLAUDE_PROJECT_DIR}", project)

        if self.args is None:
            return ["sh", "-c", placed(self.command)]
        return [placed(self.command), *map(placed, self.args)]


@dataclass(frozen=True, slots=True)
class Done:
    """How a hook's process ended. ``code`` None: it took too long and was ended; its output is discarded."""

    hook: Hook
    code: int | None
    stdout: str
    stderr: str


@dataclass(slots=True)
class Meaning:
    """What the outputs of one event's hooks amount to.

    ``context`` reaches the model, ``to_user`` only the person. ``blocked``: the prompt is erased, the tool's call
    denied, the stop prevented; its reason. ``stopped``: everything ends.
    """

    context: list[str] = field(default_factory=list)
    to_user: list[str] = field(default_factory=list)
    blocked: str | None = None
    stopped: bool = False


def read_settings(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The settings files that are there, the strongest last; one that is no JSON counts as not there."""
    found = []
    for path in paths:
        try:
            read = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(read, dict):
            found.append(read)
    return found


def hooks_for(settings: list[dict[str, Any]], event: str, subject: str) -> list[Hook]:
    """The hooks of every file that match; the same command with the same arguments once."""
    switches = [one["disableAllHooks"] for one in settings if "disableAllHooks" in one]
    if switches and switches[-1]:
        return []
    found: dict[tuple[str, tuple[str, ...] | None], Hook] = {}
    for one in settings:
        for group in one.get("hooks", {}).get(event, []):
            if event not in WITHOUT_MATCHER and not _matches(group.get("matcher"), subject):
                continue
            for entry in group.get("hooks", []):
                if entry.get("type") == "command":
                    hook = Hook.read(entry)
                    found.setdefault((hook.command, hook.args), hook)
    return list(found.values())


def _matches(matcher: str | None, subject: str) -> bool:
    if matcher in (None, "", "*"):
        return True
    assert matcher is not None
    if _NAMES.fullmatch(matcher):
        return subject in [name.strip() for name in re.split(r"[|,]", matcher)]
    return re.search(matcher, subject) is not None


def start(
    hook: Hook, told: Mapping[str, Any], cwd: str, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """A process of its own session, as Claude Code starts hooks; what it is told goes to its standard input."""
    process = subprocess.Popen(
        hook.words(environment["CLAUDE_PROJECT_DIR"]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=dict(environment),
        start_new_session=True,
    )
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it need not read what it is told
        process.stdin.write(json.dumps(told).encode())
        process.stdin.close()
    process.stdin = None
    return process


def finish(hook: Hook, process: subprocess.Popen[bytes], seconds: float | None) -> Done:
    began = time.monotonic()
    try:
        stdout, stderr = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        end(process)
        process.communicate()
        return Done(hook, None, "", f"timed out after {time.monotonic() - began:.0f} s")
    return Done(hook, process.returncode, stdout.decode(errors="replace"), stderr.decode(errors="replace"))


def end(process: subprocess.Popen[bytes]) -> None:
    """It, and what it started. Who waits for it reads what it said: two readers would close each other's pipes."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def meaning(event: str, ended: Iterable[Done]) -> Meaning:
    """What the hooks that were waited for have said."""
    found = Meaning()
    if event in IGNORED:
        return found
    for done in ended:
        if done.code == 2:
            _refusal(event, done, found)
        elif done.code == 0:
            _word(event, done.stdout, found)
        elif done.code is not None:
            first = done.stderr.strip().split("\n")[0]
            found.to_user.append(f"{event} hook error: {first or f'exit code {done.code}'}")
    return found


def _refusal(event: str, done: Done, found: Meaning) -> None:
    """Exit code 2: standard output is ignored."""
    said = done.stderr.strip()
    if event in ("PreToolUse", "Stop"):
        found.blocked = said
    elif event == "PostToolUse":
        found.context.append(said)
    elif event == "UserPromptSubmit":
        found.blocked = said
        found.to_user.append(said)
    else:
        found.to_user.append(said)


def _word(event: str, stdout: str, found: Meaning) -> None:
    said = read_json(stdout)
    if said is None:
        if event in PLAIN_TEXT_IS_CONTEXT and stdout.strip():
            found.context.append(stdout.strip())
        return
    if said.get("continue") is False:
        found.stopped = True
    if isinstance(said.get("systemMessage"), str):
        found.to_user.append(said["systemMessage"])
    specific = said.get("hookSpecificOutput")
    if isinstance(specific, dict) and specific.get("hookEventName") == event:
        if event in CONTEXT_IS_TAKEN and specific.get("additionalContext"):
            found.context.append(str(specific["additionalContext"]))
        if specific.get("permissionDecision") == "deny":
            found.blocked = str(specific.get("permissionDecisionReason", ""))
    if said.get("decision") == "block":
        reason = str(said.get("reason", ""))
        if event == "PostToolUse":
            found.context.append(reason)
        elif event in ("UserPromptSubmit", "Stop"):
            found.blocked = reason
            if event == "UserPromptSubmit":
                found.to_user.append(reason)


def read_json(stdout: str) -> dict[str, Any] | None:
    """The object that the whole of standard output is, or None: it is text then."""
    try:
        said = json.loads(stdout)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def cut(text: str, keep: Path) -> str:
    """As it reaches the model: longer than allowed it lies in ``keep``, and its beginning is shown."""
    if len(text) <= LONGEST_TEXT:
        return text
    keep.parent.mkdir(parents=True, exist_ok=True)
    keep.write_text(text)
    return f"{text[:PREVIEW]}\n… (the whole text is in {keep})"
