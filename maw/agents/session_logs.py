"""How large the logs of agents' sessions are: the JSONL files that their programs write, by project."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_NOT_ALPHANUMERIC: Final = re.compile(r"[^A-Za-z0-9]")
MAX_FILES: Final = 50_000
"""Files that one look goes through."""


@dataclass(frozen=True, slots=True)
class Logs:
    """Of one folder: how many files, bytes of all and of the largest; ``agent``: whose, where one works there."""

    path: str
    files: int
    size: int
    largest: int
    agent: str | None = None


def project_folder(cwd: str) -> str:
    """What Claude Code calls the folder of a project: its path with everything but letters and digits as ``-``."""
    return _NOT_ALPHANUMERIC.sub("-", cwd)


def places(home: Path, env: Mapping[str, str]) -> tuple[Path, ...]:
    """Where the programs that agents run keep their sessions."""
    claude = Path(env.get("CLAUDE_CONFIG_DIR") or home / ".claude")
    codex = Path(env.get("CODEX_HOME") or home / ".codex")
    return (claude / "projects", codex / "sessions")


def look(where: Iterable[Path], agents: Mapping[str, str]) -> list[Logs]:
    """The folders with session logs, the largest first. ``agents``: each one's working directory, by name.

    What cannot be read is passed over: it is nothing of ours."""
    owners = {project_folder(cwd): name for name, cwd in agents.items() if cwd}
    sizes: dict[str, tuple[int, int, int]] = {}
    for number, (folder, size) in enumerate(found for place in where for found in _files(place)):
        if number >= MAX_FILES:
            break
        files, total, largest = sizes.get(folder, (0, 0, 0))
        sizes[folder] = (files + 1, total + size, max(largest, size))
    found = [Logs(folder, *numbers, owners.get(Path(folder).name)) for folder, numbers in sizes.items()]
    return sorted(found, key=lambda one: -one.size)


def _files(place: Path) -> Iterator[tuple[str, int]]:
    """(the folder right below ``place``, or the place itself; bytes) of each log."""
    for directory, _, names in os.walk(place):
        inner = Path(directory).relative_to(place).parts[:1]
        folder = str(place.joinpath(*inner))
        for name in names:
            if name.endswith(".jsonl"):
                try:
                    yield folder, os.stat(os.path.join(directory, name), follow_symlinks=False).st_size  # noqa: PTH116, PTH118 - many files
                except OSError:
                    continue
