"""Pulses that are killed with SIGKILL before their Nth act on the disk or at the daemon; run by test_pulse.

``python -m tests.e2e.pulse_driver HOME``: for each line on its standard input one pulse in its own process, killed
before the act of that number (0: none) or that is told with these words; prints before which act it was killed, or what
it said, then how it ended: ``ended -9``.
Acts: what is renamed into its place, appended or removed, what the daemon is told, the runner's start and end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from maw.agents.life import durable, quick, runner
from maw.agents.life.home import read_home
from maw.agents.life.pulse import pulse
from maw.client.daemon import Door, find_daemon


class Acts:
    """Counts them; at ``die_at`` the process is gone, before the act."""

    def __init__(self, die_at: str) -> None:
        self.die_at = die_at
        self.seen = 0

    def watch(self, owner: Any, name: str, says: Callable[..., str]) -> None:
        real = getattr(owner, name)

        def act(*args: Any, **keywords: Any) -> Any:
            self.come(says(*args))
            return real(*args, **keywords)

        setattr(owner, name, act)

    def come(self, what: str) -> None:
        """What changes nothing, not even whether a step was done, is none: ""."""
        if not what:
            return
        self.seen += 1
        if self.die_at == str(self.seen) or (not self.die_at.isdigit() and self.die_at in what):
            os.write(1, f"killed before {what}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)


def once(folder: Path, die_at: str) -> None:
    acts = Acts(die_at)
    acts.watch(durable, "append", lambda path, *_: f"append to {Path(path).name}")
    acts.watch(os, "unlink", lambda path: f"remove of {Path(path).name}")
    acts.watch(os, "rename", lambda old, new: f"rename to {Path(new).name}")
    acts.watch(Door, "_ask", lambda _door, method, path, *_: f"{method} {path}" if method == "POST" else "")
    acts.watch(subprocess, "Popen", lambda command, *_: f"start of {command[0]}")
    acts.watch(runner, "understood", lambda *_: "what the runner said is looked at")
    acts.watch(quick, "log_once", lambda *_: "the line in pulse.log")
    home = read_home(folder)
    outcome = pulse(home, find_daemon(os.environ, os.geteuid(), home.name), os.environ)
    os.write(1, f"{outcome.line}\n".encode())


def main(folder: str) -> None:
    for line in sys.stdin:
        child = os.fork()
        if not child:
            code = 1
            try:
                once(Path(folder), line.strip())
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.write(1, f"ended {ended}\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
