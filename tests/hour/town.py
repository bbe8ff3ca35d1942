"""Two hosts with agents in tmux: adopted as they run, kept, hearing by hooks or by nudges."""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from maw.config import Endpoint
from maw.node.founding import create
from tests.conftest import free_port
from tests.e2e import claude_stand_in
from tests.e2e.daemons import MAW, Daemon
from tests.e2e.fleet import Fleet
from tests.e2e.lab import wait_until

BRAIN: Final = '''\
"""Reads what came and acknowledges it, also what a digest after a tool told of; says nothing back, so that all there is
was in the schedule."""
import json

def turn(session, heard):
    read = 0
    while True:
        said = session.run("maw inbox --json || true")
        found = json.loads(said) if said.strip().startswith("[") else []
        if not found:
            return f"read {read}"
        session.run("maw ack " + " ".join(str(one["seq"]) for one in found))
        read += len(found)
'''
READY_S: Final = 60.0


class Host:
    """One host: a daemon, tmux, a keeper. ``agents``: by name, the session's conversation."""

    def __init__(self, root: Path, name: str) -> None:
        create(
            root / name, name=name, listen=Endpoint("127.0.0.1", free_port()), rest=Endpoint("127.0.0.1", free_port()),
            owner_uid=os.getuid(), owner_name=f"owner-{name}",
        )  # fmt: skip
        self.name = name
        self.daemon = Daemon(root / name).start()
        self.fleet = Fleet(self.daemon)
        self.brain = self.fleet.root / "brain.py"
        self.brain.write_text(BRAIN)
        self.agents: dict[str, str] = {}
        self.nudged: list[str] = []
        self._keeper: subprocess.Popen[bytes] | None = None

    def people(self, names: Sequence[str], nudged: int) -> None:
        """Sessions that run, taken in by `maw agent adopt`; the last ``nudged`` of them have no hooks."""
        self.fleet.maw("hook", "install", "claude")
        plain = self.fleet.root / "plain"
        plain.mkdir()
        for place, name in enumerate(names):
            self.agents[name] = str(uuid.uuid4())
            words = [f"CLAUDE_STAND_IN_BRAIN={self.brain}"]
            if place >= len(names) - nudged:
                self.nudged.append(name)
                words.append(f"CLAUDE_CONFIG_DIR={plain}")
            self.fleet.session(name, "env", *words, "claude", "--session-id", self.agents[name])
        for name in names:
            self.fleet.shows(name, "? for shortcuts")
        adopted = self.fleet.adopt("--all")
        assert adopted.returncode == 0, adopted.stdout + adopted.stderr
        for name in self.nudged:
            self.fleet.maw("agent", "set", name, "nudge=on")
        log = (self.fleet.root / "keep.log").open("ab")
        self._keeper = subprocess.Popen([*MAW, "keep"], env=self.fleet.environment, stdout=log, stderr=log)
        log.close()
        for name in names:
            self.fleet.types(
                name, "good morning"
            )  # as a person would: from its end on the session waits for mail
            self.fleet.shows(name, "●")
        wait_until(self._all_hear, f"all of {self.name} can be woken", READY_S)

    def _all_hear(self) -> bool:
        """By a hook, or by the keeper for the others."""
        return all(one["hears_by"] for one in self.wakes().values())

    def wakes(self) -> dict[str, dict[str, Any]]:
        """By name, what `maw wakes` says of its agents."""
        status, found = self.daemon.ask("GET", "/api/wakes")
        assert status == 200, found
        told = {one["agent"].partition("@")[0]: one for one in found}
        return {name: told[name] for name in self.agents}

    def say(self, author: str, path: str, body: Mapping[str, object]) -> None:
        status, said = self.daemon.ask("POST", path, body, agent=author)
        assert status == 201, said

    def heard(self, name: str) -> list[str]:
        """What entered this agent's context."""
        home = self.fleet.root / "plain" if name in self.nudged else self.fleet.home / ".claude"
        return claude_stand_in.heard(home, self.agents[name])

    def inbox(self, name: str) -> list[dict[str, Any]]:
        status, found = self.daemon.ask("GET", "/api/inbox?limit=500", agent=name)
        assert status == 200, found
        unread: list[dict[str, Any]] = found
        return unread

    def waits(self, name: str) -> bool:
        """Whether something that is to wake this agent has not been read yet."""
        return any(one["intent"] not in ("inform", "ack") for one in self.inbox(name))

    def close(self) -> None:
        if self._keeper is not None:
            self._keeper.send_signal(signal.SIGTERM)
            self._keeper.wait(20)
        self.fleet.close()
        self.daemon.stop()
