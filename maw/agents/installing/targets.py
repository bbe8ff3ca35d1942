"""What can be installed, and into which file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from maw.agents.installing.changing import Piece
from maw.agents.installing.claude import Hooks, settings_place
from maw.agents.installing.teaching import Block, Skill
from maw.errors import BadInput

KINDS: Final = ("claude", "skill", "agents-md")


@dataclass(frozen=True, slots=True)
class Target:
    """A piece, the file it goes into, and the folder that links in the file's path must not lead out of."""

    piece: Piece
    path: Path
    within: Path


def target(
    kind: str, env: Mapping[str, str], command: str, *, project: Path | None = None, waiting: bool = True
) -> Target:
    """For the user, or with ``project`` for whoever works in that folder. BadInput: no such kind, no such folder."""
    if kind not in KINDS:
        raise BadInput(
            f"no such thing to install: {kind}",
            hint=f"one of {', '.join(KINDS)}",
            code="bad_parameter",
            candidates=KINDS,
        )
    if project is not None:
        project = project.expanduser().absolute()
    settings, within = settings_place(env, project)
    if kind == "claude":
        return Target(Hooks(command, waiting), settings, within)
    if kind == "skill":
        return Target(Skill(), settings.parent / "skills" / "maw" / "SKILL.md", within)
    if project is not None:
        return Target(Block(), project / "AGENTS.md", project)
    home = Path(env.get("HOME") or Path.home())
    codex = Path(env["CODEX_HOME"]).expanduser() if env.get("CODEX_HOME") else home / ".codex"
    return Target(Block(), codex / "AGENTS.md", home if codex.is_relative_to(home) else codex)
