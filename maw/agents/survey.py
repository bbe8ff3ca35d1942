"""What a keeper measures of its user's agents, and tells the daemon; it hears in return who is not to run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from maw.agents import folders, session_logs
from maw.agents.processes import measure
from maw.client.daemon import Daemon

LOGS_S: Final = 600.0
FOLDERS_S: Final = 6 * 3600.0
"""How often session logs and folders are looked at: a disk of many files is not read for fun."""
MOST: Final = 200
"""Logs that are told of, the largest."""


@dataclass(frozen=True, slots=True)
class Running:
    """An agent that runs: its first process, and where it works."""

    pid: int
    cwd: str = ""


class Survey:
    """``home``: the user's own directory."""

    def __init__(
        self,
        daemon: Daemon,
        home: Path | None = None,
        env: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._daemon = daemon
        self._home = home or Path.home()
        self._env = env
        self._clock = clock
        self._logs_at = self._folders_at = float("-inf")

    def look(self, agents: Mapping[str, Running]) -> Mapping[str, str]:
        """Measures and reports, which takes a while where folders are due: for a thread. Which agents are not to run,
        and why. Raises MawError where the daemon cannot be asked."""
        now = self._clock()
        trees = measure({name: one.pid for name, one in agents.items()})
        report: dict[str, Any] = {
            "agents": [
                {
                    "name": name,
                    "memory_bytes": tree.memory,
                    "processes": tree.processes,
                    "started_ms": tree.started,
                }
                for name, tree in trees.items()
            ]
        }
        if logs_due := now - self._logs_at >= LOGS_S:
            report["logs"] = self._logs({name: one.cwd for name, one in agents.items()})
        if folders_due := now - self._folders_at >= FOLDERS_S:
            report["folders"] = [
                {"path": one.path, "bytes": one.size} for one in folders.largest([self._home])
            ]
        refused: Mapping[str, str] = self._daemon.post("/api/host/report", report).body["refused"]
        if logs_due:
            self._logs_at = now
        if folders_due:
            self._folders_at = now
        return refused

    def _logs(self, cwds: Mapping[str, str]) -> list[dict[str, Any]]:
        found = session_logs.look(session_logs.places(self._home, self._env), cwds)
        return [
            {
                "agent": one.agent,
                "path": one.path,
                "files": one.files,
                "bytes": one.size,
                "largest_bytes": one.largest,
            }
            for one in found[:MOST]
        ]
