"""A host with systemd, a node, and a user whose agents run in tmux: the power is cut, and all come back by themselves.

``python -m tests.e2e.agents_reboot`` (`make reboot`, as root) prints the seconds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer

from tests.e2e.booted import BootedHost, boot_requirements_missing
from tests.e2e.fleet import BRAIN
from tests.e2e.lab import wait_until

ROOT: Final = Path(__file__).parents[2]
HOME: Final = "/var/lib/maw"
MAW: Final = "/opt/maw/bin/maw"
PYTHON: Final = "/opt/maw/venv/bin/python"
USER: Final = "nova"
AGENTS: Final = 13
STAGGER_S: Final = 2
"""As maw.toml has it."""
PATIENCE_S: Final = 60.0
COMMAND: Final = f"""\
#!{PYTHON}
import os, sys
sys.path[:0] = ["/opt/maw/src", "/opt/maw/lib"]
os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:2])
from maw.cli.main import main
sys.exit(main())
"""
CLAUDE: Final = f"""\
#!{PYTHON}
import os, sys
sys.path[:0] = ["/opt/maw/src"]
os.environ["CLAUDE_STAND_IN_BRAIN"] = "/opt/brain.py"
from tests.e2e.claude_stand_in import main
sys.exit(main(sys.argv[1:]))
"""


@dataclass(frozen=True)
class Back:
    """Seconds since the power came: systemd had booted, the daemon answered, the first and the last agent ran, and
    the last had answered a message."""

    booted: float
    answers: float
    first: float
    all_run: float
    all_heard: float


class Box:
    """The host, as root and as the user."""

    def __init__(self, booted: BootedHost) -> None:
        self.booted = booted

    def write(self, path: str, text: str, mode: str = "755") -> None:
        script = 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"'
        self.booted.run(["sh", "-c", script, "write", path, mode], input_text=text)

    def root(self, *words: str, check: bool = True) -> str:
        return self.booted.run([MAW, *words], check, environment={"MAW_HOME": HOME}, timeout=90).stdout

    def user(self, *command: str, check: bool = True) -> str:
        """As the user, from nowhere near a terminal, with what a login gives."""
        whole = [
            "runuser",
            "-u",
            USER,
            "--",
            "env",
            f"HOME=/home/{USER}",
            f"MAW_HOME={HOME}",
            "LC_ALL=C.UTF-8",
        ]
        return self.booted.run([*whole, *command], check, timeout=90).stdout

    def maw(self, *words: str, check: bool = True) -> Any:
        said = self.user(MAW, *words, "--json", check=check)
        return json.loads(said) if said.strip() else None

    def roster(self) -> dict[str, Any]:
        return {
            one["username"]: one["roster"] for one in self.maw("agent", "list", "--here") if one["roster"]
        }

    def processes(self) -> dict[str, list[int]]:
        """Running stand-ins by conversation."""
        script = "for p in /proc/[0-9]*; do printf '%s ' ${p#/proc/}; tr '\\0' ' ' <$p/cmdline; echo; done 2>/dev/null"
        found: dict[str, list[int]] = {}
        for line in self.booted.run(["sh", "-c", script], check=False).stdout.splitlines():
            pid, _, words = line.partition(" ")
            if words.startswith(f"{PYTHON} /usr/local/bin/claude ") and "--" in words:
                found.setdefault(words.split()[-1], []).append(int(pid))
        return found


@contextmanager
def box() -> Iterator[Box]:
    libraries = Path(typer.__file__).parents[1]
    binds = (
        (ROOT, Path("/opt/maw/src")),
        (Path(sys.prefix), Path("/opt/maw/venv")),
        (libraries, Path("/opt/maw/lib")),
    )
    with BootedHost(binds=binds) as booted:
        yield prepared(Box(booted))


def prepared(made: Box) -> Box:
    """A node as the system's service, and a user of it with a keeper."""
    for parent in Path(sys.executable).resolve().parents:
        made.booted.run(
            ["chmod", "a+x", str(parent)]
        )  # an overlay: this tree's Python may lie in somebody's home
    made.write(MAW, COMMAND)
    made.write("/usr/local/bin/maw", f'#!/bin/sh\nexec {MAW} "$@"\n')
    made.write("/usr/local/bin/claude", CLAUDE)
    made.write("/opt/brain.py", BRAIN, "644")
    made.booted.run(["useradd", "--create-home", "--shell", "/bin/bash", USER])
    made.booted.run(["groupadd", "apes"])
    made.booted.run(["usermod", "-aG", "apes", USER])
    made.root("init", "--name", "oracle", "--listen", "127.0.0.1:0")
    config = made.booted.run(["cat", f"{HOME}/maw.toml"]).stdout
    config = config.replace("[socket]", '[socket]\ngroup = "apes"', 1)
    # the machine below is shared: what others do on it is not to be measured
    made.write(f"{HOME}/maw.toml", config.replace("load_per_core = 2", "load_per_core = 1000"), "600")
    made.root("service", "install", "--no-backup", "--keep", USER)
    wait_until(lambda: made.user(MAW, "whoami", check=False), "the user may speak to the node", 30)
    return made


def populated(made: Box, agents: int = AGENTS) -> dict[str, str]:
    """So many sessions with a conversation each, begun by hand, and adopted. Conversations by name."""
    made.user(MAW, "hook", "install", "claude")
    made.user(MAW, "agent", "add", "asker")
    for n in range(1, agents + 1):
        made.user("mkdir", "-p", f"/home/{USER}/agents/n{n}")
        words = ["tmux", "new-session", "-d", "-s", f"n{n}", "-c", f"/home/{USER}/agents/n{n}", "claude"]
        made.user(*words)

    def found() -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = made.maw("agent", "adopt", check=False) or []
        return [one for one in told if one["conversation"]]

    wait_until(lambda: len(found()) == agents, "all are found, with their conversations", PATIENCE_S)
    talks = {one["name"]: str(one["conversation"]) for one in made.maw("agent", "adopt", "--all")}
    for name in talks:
        made.user("tmux", "send-keys", "-t", f"={name}:", f"I am {name}", "Enter")
    wait_until(
        lambda: all(begun(made, talk) for talk in talks.values()), "each has said something", PATIENCE_S
    )
    wait_until(lambda: kept(made), "the keeper watches all", PATIENCE_S)
    return talks


def begun(made: Box, talk: str) -> bool:
    return bool(made.user("sh", "-c", f"cat ~/.claude/projects/*/{talk}.jsonl 2>/dev/null || true").strip())


def kept(made: Box) -> bool:
    roster = made.roster()
    return bool(roster) and all(
        (one["report"] or {}).get("state") in ("idle", "busy") for one in roster.values()
    )


def power_cut(made: Box, talks: dict[str, str]) -> Back:
    """The power goes and comes. AssertionError: somebody did not come back as he was."""
    try:
        return _power_cut(made, talks)
    except AssertionError as error:
        seen = made.user(MAW, "agent", "list", check=False)
        raise AssertionError(
            f"{error}\n{seen}\n{made.processes()}\n{made.booted.journal(f'maw-keep@{USER}')}"
        ) from error


def _power_cut(made: Box, talks: dict[str, str]) -> Back:
    made.booted.power_cut()
    start = time.monotonic()

    def since() -> float:
        return time.monotonic() - start

    made.booted.boot()
    booted = since()
    wait_until(lambda: made.maw("whoami", check=False), "the daemon answers", 60)
    answers = since()
    for name in talks:
        made.user(MAW, "send", "--as", "asker", f"@{name}", f"after the boot, {name}?")
    wait_until(lambda: made.processes(), "the first runs", PATIENCE_S)
    first = since()
    wait_until(lambda: set(made.processes()) >= set(talks.values()), "all run again", PATIENCE_S)
    all_run = since()
    wait_until(lambda: heard(made) >= set(talks), "each has answered", PATIENCE_S)
    all_heard = since()
    running = made.processes()
    assert {talk: len(pids) for talk, pids in running.items()} == dict.fromkeys(talks.values(), 1), running
    for name, listed in made.roster().items():
        assert listed["conversation"]["session"] == talks[name], (name, listed)
    return Back(booted, answers, first, all_run, all_heard)


def heard(made: Box) -> set[str]:
    told = made.maw("inbox", "--as", "asker", check=False) or []
    return {
        one["author_name"]
        for one in told
        if one["text"].startswith("I heard: after the boot") and one["author_name"] in one["text"]
    }


def main(say: Callable[[str], None] = print) -> int:
    if missing := boot_requirements_missing():
        say(f"cannot be done here: {missing}")
        return 1
    with box() as made:
        talks = populated(made)
        back = power_cut(made, talks)
    figures = (
        f"systemd had booted {back.booted:.1f}, the daemon answered {back.answers:.1f}, the first ran {back.first:.1f},"
        f" all ran {back.all_run:.1f}, all had answered a message {back.all_heard:.1f}"
    )
    say(
        f"{len(talks)} agents, {STAGGER_S} s from one start to the next; seconds since the power came: {figures}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
