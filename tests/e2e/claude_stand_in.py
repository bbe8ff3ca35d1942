"""A stand-in for Claude Code, as far as its documentation says what the real one does.

The real program needs a paid login, so this stands at the edge in its place: it reads the user's, the project's and
the local settings, runs their hooks, keeps the transcript, and is a terminal program with a prompt box, or with ``-p``
answers once. What would be the model is a *brain*: $CLAUDE_STAND_IN_BRAIN names a Python file with
``def turn(session, heard: list[str]) -> str``; it gets what entered the context since it spoke last, runs commands with
``session.run(command)``, and returns what it says, or raises ``session.Unreachable``. Without one, every line
``$ COMMAND`` of a prompt is run.

``install(directory)`` puts a ``claude`` there; ``transcript(...)`` and ``heard(...)`` read what a session kept.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.e2e import claude_hooks
from tests.e2e.claude_hooks import Done, Hook, Meaning
from tests.e2e.claude_screen import Screen

REWAKES_AWAITED_S: Final = 30.0
"""With -p: how long those hooks that can wake are waited for before the end; then they are ended."""
STOPS_BLOCKED: Final = 8
"""Consecutive times that hooks may keep a turn from ending."""

Brain = Callable[["Session", list[str]], str]


class Interrupted(Exception):
    """Esc: the turn ends where it is."""


class Unreachable(Exception):
    """For brains: the model could not be reached. The turn ends, without Stop."""


@dataclass(frozen=True, slots=True)
class Wake:
    """What a hook in the background ended with: shown to the model in a turn of its own."""

    text: str


class Session:
    """One conversation in one process. ``ident`` is the session's id; ``/clear`` begins another."""

    Unreachable = Unreachable

    def __init__(self, ident: str, *, interactive: bool, extra: Path | None = None) -> None:
        self.ident = ident
        self.interactive = interactive
        self.project = os.getcwd()
        self.cwd = self.project
        self.home = Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude")
        self.todo: queue.Queue[str | Wake] = queue.Queue()
        self.heard: list[str] = []
        self.screen: Screen | None = None
        self.interrupted = threading.Event()
        self.ended = threading.Event()
        self._extra = extra
        self._brain = _brain()
        self._running: dict[subprocess.Popen[bytes], Hook] = {}
        self._tools = 0

    @property
    def path(self) -> Path:
        return transcript_path(self.home, self.project, self.ident)

    # what hooks see

    def fire(self, event: str, subject: str = "", *, agent: str | None = None, **more: object) -> Meaning:
        """Run this event's hooks: those in the background are started, the others waited for."""
        own = Path(self.project) / ".claude"
        files = [self.home / "settings.json", own / "settings.json", own / "settings.local.json"]
        settings = claude_hooks.read_settings([*files, *([self._extra] if self._extra else [])])
        told = {
            "session_id": self.ident,
            "transcript_path": str(self.path),
            "cwd": self.cwd,
            "permission_mode": "default",
            "hook_event_name": event,
            **({"agent_id": agent, "agent_type": "Explore"} if agent else {}),
            **more,
        }
        begun = []
        for hook in claude_hooks.hooks_for(settings, event, subject):
            try:
                process = claude_hooks.start(hook, told, self.cwd, self.environment())
            except OSError as error:
                self.note("hook_error", f"{event} hook error: {error}")
                continue
            if hook.in_background and not self._awaited(event, hook):
                self._running[process] = hook
                threading.Thread(target=self._background, args=(hook, process, event), daemon=True).start()
            else:
                begun.append((hook, process))
        ended = [claude_hooks.finish(hook, process, hook.seconds(event)) for hook, process in begun]
        found = claude_hooks.meaning(event, ended)
        for text in found.to_user:
            self.note("hook_to_user", text)
        if event != "Stop":
            for text in found.context:
                self.learn(text, kind="hook", event=event)
        return found

    def _awaited(self, event: str, hook: Hook) -> bool:
        """A fault of the real one: with -p, a hook of SessionStart that can wake is waited for."""
        return not self.interactive and event == "SessionStart" and hook.rewakes

    def _background(self, hook: Hook, process: subprocess.Popen[bytes], event: str) -> None:
        done = claude_hooks.finish(hook, process, hook.seconds(event))
        if self._running.pop(process, None) is None:
            return  # ended because the session ended
        if hook.rewakes and done.code == 2:
            self.todo.put(Wake(_reminder(done)))
        elif not hook.rewakes and (said := claude_hooks.read_json(done.stdout)):
            specific = said.get("hookSpecificOutput") or {}
            later = [said.get("systemMessage"), specific.get("additionalContext")]
            # for the next turn: the model is not woken for it
            self.heard += [text for text in later if text]

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "CLAUDECODE": "1",
            "CLAUDE_CODE_SESSION_ID": self.ident,
            "CLAUDE_PROJECT_DIR": self.project,
            "CLAUDE_PID": str(os.getpid()),
            "CLAUDE_CODE_ENTRYPOINT": "cli" if self.interactive else "sdk-cli",
        }

    # what the transcript keeps

    def write(self, kind: str, **more: object) -> None:
        entry = {
            "type": kind,
            **more,
            "sessionId": self.ident,
            "cwd": self.cwd,
            "uuid": str(uuid.uuid4()),
            "timestamp": datetime.now(UTC).isoformat(),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def note(self, subtype: str, text: str) -> None:
        """Something for the person and the transcript, not for the model."""
        self.write("system", subtype=subtype, content=text)
        if self.screen is not None and text:
            self.screen.say(text)

    def learn(self, text: str, *, kind: str, **more: object) -> None:
        """``text`` enters the context."""
        keep = self.path.with_suffix("") / f"hook-{uuid.uuid4().hex[:8]}.txt"
        text = claude_hooks.cut(text, keep) if kind in ("hook", "wake") else text
        if kind != "tool":  # what a tool printed is run's answer
            self.heard.append(text)
        self.write("user", origin=kind, message={"role": "user", "content": text}, **more)

    # what a brain may do

    def run(self, command: str, *, agent: str | None = None) -> str:
        """The Bash tool, hooks around it; what it printed. ``agent``: a subagent of this session runs it."""
        if self.interrupted.is_set():
            raise Interrupted
        call: dict[str, Any] = {"tool_name": "Bash", "tool_input": {"command": command}}
        call["tool_use_id"] = f"toolu_{uuid.uuid4().hex[:12]}"
        self.write("assistant", message={"role": "assistant", "content": [{"type": "tool_use", **call}]})
        before = self.fire("PreToolUse", "Bash", agent=agent, **call)
        if before.blocked is not None:
            self.learn(before.blocked, kind="tool")
            return before.blocked
        self._tools += 1
        printed = self._shell(command)
        self.learn(printed, kind="tool")
        self.fire("PostToolUse", "Bash", agent=agent, **call, tool_response={"stdout": printed})
        return printed

    def _shell(self, command: str) -> str:
        """Its folder stays for the next one, as it does in the real one."""
        read_end, write_end = os.pipe()
        process = subprocess.Popen(
            ["bash", "-c", f"{{ {command}\n}}; code=$?; pwd -P >&{write_end}; exit $code"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.cwd,
            env=self.environment(),
            pass_fds=[write_end],
            start_new_session=True,
        )
        os.close(write_end)
        while process.poll() is None and not self.interrupted.is_set():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        if self.interrupted.is_set():
            claude_hooks.end(process)
        with os.fdopen(read_end) as file:
            self.cwd = file.read().strip() or self.cwd
        if self.interrupted.is_set():
            raise Interrupted
        assert process.stdout is not None
        with process.stdout:
            return process.stdout.read().decode(errors="replace")

    # its life

    def live(self, source: str, prompt: str | None) -> int:
        """Until ``/exit``; with ``-p`` until the prompt is answered. The exit code."""
        self._register()
        self.fire("SessionStart", source, source=source, model="stand-in")
        self.note("ready", "")
        if self.screen is not None:
            self.screen.busy(False)
        if prompt is not None:
            self.todo.put(prompt)
        while not self.ended.is_set():
            item = self._next()
            if item is None:
                self.fire(
                    "Notification", "idle_prompt", notification_type="idle_prompt", message="waits for input"
                )
                item = self.todo.get()
            if item == "/exit":
                break
            if item == "/clear":
                self._clear()
                continue
            self._turn(item)
            if not self.interactive:
                self._flush()
                break
        self.fire(
            "SessionEnd", "prompt_input_exit", reason="prompt_input_exit" if self.interactive else "other"
        )
        self.write("system", subtype="ended")
        if not self.interactive:
            self._end_background()
        return 0

    def _register(self) -> None:
        """The small file that the real one keeps about each of its processes; it is not made anew at ``/clear``."""
        place = self.home / "sessions" / f"{os.getpid()}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        began = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
        told = {"pid": os.getpid(), "sessionId": self.ident, "cwd": self.project, "procStart": began}
        place.write_text(json.dumps(told))

    def _next(self) -> str | Wake | None:
        """None once, where nothing came for a minute (a test may make it shorter)."""
        try:
            return self.todo.get(timeout=float(os.environ.get("CLAUDE_STAND_IN_IDLE_S", "60")))
        except queue.Empty:
            return None

    def _clear(self) -> None:
        self.fire("SessionEnd", "clear", reason="clear")
        self.ident, self.heard = str(uuid.uuid4()), []
        self.fire("SessionStart", "clear", source="clear", model="stand-in")
        self.note("ready", "")

    def _turn(self, item: str | Wake) -> None:
        """One turn, from a prompt or a wake; several wakes that wait are one turn."""
        self.interrupted.clear()
        if self.screen is not None:
            self.screen.busy(True)
        try:
            if isinstance(item, str):
                if self.fire("UserPromptSubmit", prompt=item).blocked is not None:
                    return
                self.learn(item, kind="prompt")
            else:
                self._woken(item)
            self._speak(active=isinstance(item, Wake))
        except Interrupted:
            self.note("interrupted", "[Request interrupted by user]")
        except Unreachable as error:
            self.note("api_error", f"API Error: {error}")
            self.fire("StopFailure", "overloaded", error=str(error))
        finally:
            self.write("system", subtype="turn_duration", of="prompt" if isinstance(item, str) else "wake")
            if self.screen is not None:
                self.screen.busy(False)

    def _woken(self, first: Wake) -> None:
        prompts: list[str] = []
        self.learn(first.text, kind="wake")
        while not self.todo.empty():
            other = self.todo.get()
            if isinstance(other, Wake):
                self.learn(other.text, kind="wake")
            else:
                prompts.append(other)
        for prompt in prompts:
            self.todo.put(prompt)

    def _speak(self, active: bool) -> None:
        """The brain's answer, and more of it for as long as Stop hooks ask for more."""
        blocked = 0
        while True:
            heard, self.heard, self._tools = self.heard, [], 0
            said = self._brain(self, heard)
            if self.interrupted.is_set():
                raise Interrupted
            self.write(
                "assistant", message={"role": "assistant", "content": [{"type": "text", "text": said}]}
            )
            if self.screen is not None:
                self.screen.say(f"● {said}")
            elif not self.interactive:
                print(said, flush=True)
            stop = self.fire("Stop", stop_hook_active=active, last_assistant_message=said)
            more = ([] if stop.blocked is None else [stop.blocked]) + stop.context
            blocked = 0 if self._tools else blocked
            if not more or stop.stopped or blocked == STOPS_BLOCKED:
                return
            blocked, active = blocked + 1, True
            for text in more:
                self.learn(f"Stop hook feedback: {text}", kind="hook", event="Stop")

    def _flush(self) -> None:
        """With -p: those that can wake are waited for, and each wake is a turn more."""
        deadline = time.monotonic() + REWAKES_AWAITED_S
        while any(hook.rewakes for hook in list(self._running.values())) and time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                self._turn(self.todo.get(timeout=0.1))

    def _end_background(self) -> None:
        for process in list(self._running):
            if self._running.pop(process, None) is not None:
                claude_hooks.end(process)


def _reminder(done: Done) -> str:
    opening = done.hook.rewake_message or f'Stop hook blocking error from command "{done.hook.command}":'
    return f"{opening}\n{done.stderr.strip() or done.stdout.strip()}"


def _brain() -> Brain:
    where = os.environ.get("CLAUDE_STAND_IN_BRAIN")
    if not where:
        return _literal
    spec = importlib.util.spec_from_file_location("brain", where)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.turn  # type: ignore[no-any-return]


def _literal(session: Session, heard: list[str]) -> str:
    """Runs each line ``$ COMMAND`` of what it heard."""
    lines = [line for text in heard for line in text.splitlines() if line.startswith("$ ")]
    for line in lines:
        session.run(line[2:])
    return f"I ran {len(lines)} commands." if lines else "ok"


# what a test may ask


def transcript_path(home: Path, project: str, ident: str) -> Path:
    return home / "projects" / re.sub(r"[^A-Za-z0-9]", "-", project) / f"{ident}.jsonl"


def transcript(home: Path, ident: str) -> list[dict[str, Any]]:
    """What session ``ident`` kept, of whatever project; empty before it began."""
    for path in home.glob(f"projects/*/{ident}.jsonl"):
        return [
            json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")
        ]
    return []


def heard(home: Path, ident: str, *kinds: str) -> list[str]:
    """What entered its context, in order: all of it, or of these kinds: prompt, hook, wake, tool."""
    entries = [entry for entry in transcript(home, ident) if "origin" in entry]
    return [entry["message"]["content"] for entry in entries if not kinds or entry["origin"] in kinds]


def install(directory: Path) -> Path:
    """An executable ``claude`` in ``directory``; its processes are called that too."""
    directory.mkdir(parents=True, exist_ok=True)
    command = directory / "claude"
    command.write_text(f'#!/bin/bash\nexec -a claude "{sys.executable}" "{Path(__file__).resolve()}" "$@"\n')
    command.chmod(0o755)
    return command


# the command line

_WITH_VALUE: Final = {
    "--session-id",
    "--resume",
    "-r",
    "--settings",
    "--model",
    "--permission-mode",
    "--mcp-config",
}


def options(words: Sequence[str]) -> tuple[dict[str, str], str | None]:
    """Options with their values, and the prompt."""
    found: dict[str, str] = {}
    prompt = None
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, given, value = word.partition("=")
        if name in _WITH_VALUE:
            found[name] = value if given else rest.pop(0)
        elif word.startswith("-"):
            found[word] = ""
        else:
            prompt = word
    return found, prompt


def _identity(found: Mapping[str, str], home: Path) -> tuple[str, str]:
    """The session's id, and how it starts."""
    resumed = found.get("--resume") or found.get("-r")
    if resumed is None and ("--continue" in found or "-c" in found):
        here = transcript_path(home, os.getcwd(), "x").parent
        newest = sorted(here.glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
        if not newest:
            sys.exit("No conversation found to continue")
        resumed = newest[-1].stem
    if resumed is not None:
        if not transcript(home, resumed):
            sys.exit(f"No conversation found with session ID: {resumed}")
        return resumed, "resume"
    given = found.get("--session-id")
    if given is not None and transcript(home, given):
        sys.exit(f"Error: Session ID {given} is already in use.")
    return str(uuid.UUID(given)) if given else str(uuid.uuid4()), "startup"


def main(words: Sequence[str]) -> int:
    found, prompt = options(words)
    if "--version" in found:
        print("2.1.328 (Claude Code)")
        return 0
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text("claude")
    home = Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude")
    ident, source = _identity(found, home)
    interactive = "-p" not in found and "--print" not in found
    extra = Path(found["--settings"]) if "--settings" in found else None
    session = Session(ident, interactive=interactive, extra=extra)
    if not interactive:
        return session.live(source, prompt if prompt is not None else sys.stdin.read())
    with Screen(session.todo.put, session.interrupted.set) as screen:
        session.screen = screen
        screen.say(f"✻ Claude Code stand-in · {ident}")

        def gone() -> None:
            screen.keys(session.ended)
            session.todo.put("/exit")

        threading.Thread(target=gone, daemon=True).start()
        try:
            return session.live(source, prompt)
        finally:
            session.ended.set()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
