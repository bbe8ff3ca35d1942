"""The exec hook: a command of the owner's that is run when an agent has mail, for who is no program that waits.

One at a time for each agent, with the digest on standard input; bounded in time, memory and output. Exit code 0 says
that it was put in front of the agent; anything else is why it was not, and it is tried again, later each time.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from maw.agents.entries import Entry
from maw.agents.processes import measure
from maw.agents.running import Host, environment
from maw.agents.tmux import plain_environment
from maw.client.daemon import Daemon
from maw.errors import MawError

log = logging.getLogger(__name__)

SECONDS: Final = 120.0
MEMORY: Final = 1 << 30
OUTPUT: Final = 8192
"""Bytes of what it prints that are looked at: the last ones."""
GAP_S: Final = 2.0
"""From the end of one to the beginning of the next."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 300.0
RENEW_S: Final = 4.0
LOOK_S: Final = 0.25
WAIT_S: Final = 20.0
MESSAGES_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Ended:
    """``problem``: "" when it did what it should."""

    problem: str
    output: str


@dataclass(slots=True)
class ExecHook:
    """Of one agent, in a thread of its own. ``entry``: as it is now, None where there is nothing to run any more."""

    daemon: Daemon
    host: Host
    name: str
    entry: Callable[[], Entry | None]
    stop: threading.Event
    why: str = ""
    """Why the last one failed; "" when it did not."""
    _pause: float = field(default=0.0, repr=False)

    def run(self) -> None:
        """Until it is stopped, or not wanted any more."""
        while not self.stop.is_set() and self.entry() is not None:
            try:
                ran = self.once()
            except MawError as error:
                log.info("the exec hook of %s waits: %s", self.name, error.message)
                ran = False
                self._pause = max(self._pause, FIRST_PAUSE_S)
            except Exception:
                log.exception("the exec hook of %s failed", self.name)
                ran, self._pause = False, LONGEST_PAUSE_S
            if ran or self._pause:
                self.stop.wait(max(self._pause, GAP_S))

    def once(self) -> bool:
        """Waits for something new, and runs the command for it. Whether it did. Raises MawError."""
        found = self._ask("/api/hear", {"via": "exec", "wake": True, "wait": WAIT_S}, WAIT_S + 15)
        entry = self.entry()
        if found is None:
            self._pause = 0.0
            return False
        if entry is None or self.stop.is_set():
            self._ask(
                "/api/heard", {"claim": found["claim"], "failed": "its exec hook is not to run any more"}
            )
            return False
        ended = run_command(entry, self.host, found, lambda: self._renew(found["claim"]))
        self.why = ended.problem
        if ended.problem:
            log.warning("the exec hook of %s: %s", self.name, ended.problem)
            self._pause = min(max(2 * self._pause, FIRST_PAUSE_S), LONGEST_PAUSE_S)
            self._ask("/api/heard", {"claim": found["claim"], "failed": f"exec: {ended.problem}"[:200]})
        else:
            self._pause = 0.0
            self._ask("/api/heard", {"claim": found["claim"]})
        return True

    def _renew(self, claim: str) -> None:
        with contextlib.suppress(MawError):  # should it lapse, what it holds is announced once more
            self._ask("/api/heard", {"claim": claim, "renew": True})

    def _ask(self, path: str, body: Mapping[str, object], patience: float = 15.0) -> Any:
        return replace(self.daemon, speaker=self.name, pane=None).post(path, body, patience=patience).body


def run_command(
    entry: Entry, host: Host, found: Mapping[str, Any], renew: Callable[[], None], *,
    seconds: float = SECONDS, memory: int = MEMORY, clock: Callable[[], float] = time.monotonic,
) -> Ended:  # fmt: skip
    """Runs the command with the digest on standard input. ``renew`` is called while it takes its time.

    In its environment: MAW_AGENT, MAW_COUNT and, where they are not too long, MAW_MESSAGES, the briefs in JSON."""
    env = plain_environment(host.env) | dict(
        word.split("=", 1) for word in environment(entry.plan.env, host.env)
    )
    briefs = json.dumps(found["messages"], separators=(",", ":"))
    env |= {"MAW_AGENT": entry.name, "MAW_COUNT": str(len(found["messages"]) + found["more"])}
    if len(briefs) <= MESSAGES_BYTES:
        env["MAW_MESSAGES"] = briefs
    folder = entry.plan.cwd if Path(entry.plan.cwd or "/nonexistent").is_dir() else str(host.home)
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
        given.write(str(found["text"]).encode() + b"\n")
        given.seek(0)
        try:
            process = subprocess.Popen(
                entry.plan.exec,
                stdin=given,
                stdout=said,
                stderr=said,
                env=env,
                cwd=folder,
                start_new_session=True,
            )
        except OSError as error:
            return Ended(f"{entry.plan.exec[0]}: {error.strerror}", "")
        problem = _watch(process, said.fileno(), renew, seconds, memory, clock)
        size = said.seek(0, os.SEEK_END)
        said.seek(max(size - OUTPUT, 0))
        output = said.read(OUTPUT).decode("utf-8", "replace")
    if problem or not process.returncode:
        return Ended(problem, output)
    last = next((line for line in reversed(output.splitlines()) if line.strip()), "")
    ended = f"signal {-process.returncode}" if process.returncode < 0 else f"exit code {process.returncode}"
    printable = "".join(char if char.isprintable() else " " for char in last.strip())[:120]
    return Ended(f"{ended}: {printable}" if printable else ended, output)


def _watch(
    process: subprocess.Popen[bytes], said: int, renew: Callable[[], None], seconds: float, memory: int,
    clock: Callable[[], float],
) -> str:  # fmt: skip
    """Until it has ended, by itself or because of a limit: then which."""
    begun = renewed = clock()
    while process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_S)
            break
        now, problem = clock(), ""
        tree = measure({"it": process.pid}).get("it")
        if now - begun > seconds:
            problem = f"it took longer than {seconds:g} s"
        elif tree is not None and tree.memory > memory:
            problem = f"it took {tree.memory >> 20} MiB of memory, over {memory >> 20}"
        elif os.fstat(said).st_size > 64 * OUTPUT:
            problem = f"it printed more than {64 * OUTPUT >> 10} KiB"
        if problem:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return problem
        if now - renewed > RENEW_S:
            renew()
            renewed = now
    return ""
