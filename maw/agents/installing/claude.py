"""Claude Code's settings: where they are, what they hold of maw's, and what else keeps hooks from running."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from maw.agents.installing import files, settings
from maw.errors import BadInput, MawError

MANAGED: Final = Path("/etc/claude-code/managed-settings.json")
WAKES_SINCE: Final = (2, 1, 120)
"""Versions before this one may run a hook that wakes as one that they wait for, for days: they get none."""
_VERSION: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)")


@dataclass(slots=True)
class Hooks:
    """maw's hooks as a piece of a settings file. ``command``: the absolute path of `maw`."""

    command: str
    waiting: bool = True
    kind: str = "claude"
    _wanted: dict[str, list[dict[str, Any]]] = field(init=False)

    def __post_init__(self) -> None:
        self._wanted = settings.handlers(self.command, waiting=self.waiting)

    def put(self, text: str) -> str:
        return settings.with_ours(text, self._wanted)

    def take(self, text: str, before: str | None) -> str:
        return settings.without_ours(text, before)

    def is_current(self, text: str) -> bool:
        return settings.ours(text) == self._wanted

    def is_there(self, text: str) -> bool:
        return bool(settings.ours(text))


def config_dir(env: Mapping[str, str], home: Path) -> Path:
    return Path(env["CLAUDE_CONFIG_DIR"]).expanduser() if env.get("CLAUDE_CONFIG_DIR") else home / ".claude"


def settings_place(env: Mapping[str, str], project: Path | None) -> tuple[Path, Path]:
    """The settings file, and the folder that links in its path must not lead out of. BadInput: no such project."""
    if project is not None:
        if not project.is_dir():
            raise BadInput(f"--project: there is no folder {project}", code="no_folder")
        return project / ".claude" / "settings.json", project
    home = Path(env.get("HOME") or Path.home())
    place = config_dir(env, home) / "settings.json"
    return place, home if place.is_relative_to(home) else place.parent


def hears(env: Mapping[str, str]) -> bool:
    """Whether this user's sessions have maw's hooks; also where that cannot be told."""
    path, within = settings_place(env, None)
    try:
        text = files.look(path, within).text
        return text is not None and bool(settings.ours(text))
    except MawError:
        return True


def version_of_claude(command: str = "claude") -> tuple[int, int, int] | None:
    """The version of the Claude Code on PATH; None where there is none, or it does not say."""
    try:
        done = subprocess.run(
            [command, "--version"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(done.stdout)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def obstacles(texts: Mapping[str, str | None], managed: Path = MANAGED) -> list[str]:
    """What keeps installed hooks from running, by settings files and their texts, the weakest first."""
    found = []
    switch: tuple[str, bool] | None = None
    for where, text in texts.items():
        told = _object(text)
        if isinstance(told.get("disableAllHooks"), bool):
            switch = (where, told["disableAllHooks"])
    if switch is not None and switch[1]:
        found.append(f'{switch[0]} says "disableAllHooks": true: Claude Code runs no hooks')
    try:
        told = _object(managed.read_text())
    except OSError:
        told = {}
    keys = [key for key in ("disableAllHooks", "allowManagedHooksOnly") if told.get(key) is True]
    return found + [f'{managed} says "{key}": true: Claude Code runs no hooks of users' for key in keys]


def _object(text: str | None) -> dict[str, Any]:
    try:
        told = json.loads(text or "{}")
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
