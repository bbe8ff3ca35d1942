"""Which conversation a running program is in, and whether one can be gone on with.

Sure ways only: what the program keeps about itself, the file it holds open, its command line. A conversation that is
guessed would be resumed in another's place; hooks tell the rest (`maw hook install claude`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from maw.agents.kinds import conversation_in
from maw.agents.scene import open_files, starts_at

_ROLLOUT: Final = re.compile(
    r"rollout-.*-([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\.jsonl"
)
_IDENT: Final = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Found:
    """``transcript``: its file, or "" where none was found."""

    session: str
    transcript: str = ""


def of_process(
    kind: str, pid: int, command: Sequence[str], env: Mapping[str, str], home: Path
) -> Found | None:
    """The conversation that this process is in now; None when nothing says so for sure."""
    found: str | None = None
    if kind == "claude":
        found = _claude_says(pid, env, home)
    elif kind == "codex":
        for path in open_files(pid):
            if (held := _ROLLOUT.fullmatch(Path(path).name)) is not None:
                return Found(held[1], path)
    found = found or conversation_in(kind, command)
    if found is None or not _IDENT.fullmatch(found):
        return None
    return Found(found, transcript(kind, found, env, home))


def _claude_says(pid: int, env: Mapping[str, str], home: Path) -> str | None:
    """Claude Code keeps a small file about each of its processes."""
    try:
        told = json.loads((_claude(env, home) / "sessions" / f"{pid}.json").read_text("utf-8"))
        began = str(told.get("procStart") or "")
        session = told.get("sessionId")
    except (OSError, ValueError, AttributeError):
        return None
    if began and began != starts_at(pid):
        return None  # of an earlier process with this pid
    return session if isinstance(session, str) else None


def transcript(kind: str, session: str, env: Mapping[str, str], home: Path) -> str:
    """The file that a conversation is kept in; "" where there is none yet, or its program keeps it otherwise."""
    if not _IDENT.fullmatch(session):
        return ""
    if kind == "claude":
        found = sorted((_claude(env, home) / "projects").glob(f"*/{session}.jsonl"))
    elif kind == "codex":
        place = Path(env.get("CODEX_HOME") or home / ".codex") / "sessions"
        found = sorted(place.glob(f"*/*/*/rollout-*-{session}.jsonl*"))
    else:
        return ""
    return str(found[0]) if found else ""


def size_of(path: str) -> int | None:
    """Bytes of a conversation's file; None where there is none."""
    try:
        return os.stat(path).st_size if path else None  # noqa: PTH116
    except OSError:
        return None


def _claude(env: Mapping[str, str], home: Path) -> Path:
    return Path(env.get("CLAUDE_CONFIG_DIR") or home / ".claude")
