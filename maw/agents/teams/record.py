"""What a team was begun as, on the disk before its first step and until its last: a file each, of the user's own."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

from maw.agents.life import durable
from maw.agents.locks import waited_for
from maw.core.teams import Team
from maw.errors import BadConfig, Unavailable

LOCK_S: Final = 20.0


def folder_of(home: Path, node: str) -> Path:
    return home / ".local" / "state" / "maw" / node / "teams"


def read(folder: Path, name: str) -> Team | None:
    """None where there is none. Raises BadConfig for a file that is none of ours."""
    path = folder / f"{name}.json"
    try:
        return _team(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise BadConfig(
            f"{path}: this is no team's record: {error}", hint="its worktrees are in `git worktree list`"
        ) from None


def write(folder: Path, team: Team) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    durable.write(folder / f"{team.name}.json", json.dumps(asdict(team), indent=1).encode())


def forget(folder: Path, name: str) -> None:
    durable.remove(folder / f"{name}.json")


def names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.json")) if folder.is_dir() else []


def locked(folder: Path, name: str, seconds: float = LOCK_S) -> AbstractContextManager[int]:
    """The team's; the descriptor that holds it. Raises Unavailable when another has it for so long."""
    busy = Unavailable(
        f"another `maw team` is at work on {name}, or a git that it began",
        code="team_busy",
        hint="try again in a moment",
    )
    return waited_for(folder / f"{name}.lock", seconds, busy)


def _team(told: dict[str, Any]) -> Team:
    known = {one.name: told[one.name] for one in fields(Team)}
    for key in ("command", "roles"):
        if not all(isinstance(word, str) for word in known[key]):
            raise TypeError(f"{key} is no list of words")
        known[key] = tuple(known[key])
    if not isinstance(known["agents"], int):
        raise TypeError("agents is no number")
    return Team(**known)
