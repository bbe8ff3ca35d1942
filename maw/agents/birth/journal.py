"""What this host knows of a birth or a death that is under way: enough to go on after any end, and no secret."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from maw.agents.life import durable
from maw.errors import BadInput, Conflict, Refused

FOLDER: Final = "births"


def births_folder(node_home: Path, env: Mapping[str, str]) -> Path:
    """In the node's directory, where that is ours to write; else in the user's own state."""
    if os.access(node_home, os.W_OK):
        return node_home / FOLDER
    state = env.get("XDG_STATE_HOME") or str(Path(env.get("HOME") or "~").expanduser() / ".local" / "state")
    return Path(state) / "maw" / FOLDER


class Journal:
    """One file, ``NAME.birth.json``: read when it is opened, written whole at each note."""

    def __init__(self, path: Path, data: dict[str, Any]) -> None:
        self.path = path
        self.data = data

    def note(self, **more: Any) -> None:
        self.data |= more
        durable.write(self.path, json.dumps(self.data, indent=1).encode() + b"\n")

    def step(self, name: str, state: str, seconds: float, said: str) -> None:
        """``state``: ``done``, ``begun``, ``failed``, ``waits``."""
        steps = self.data.setdefault("steps", {})
        steps[name] = {"state": state, "at": time.time(), "seconds": round(seconds, 2), "said": said[:300]}
        self.note()


@contextmanager
def opened(folder: Path, name: str, kind: str) -> Iterator[Journal]:
    """Held by one process at a time. Conflict: another gives birth to the same one now."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Refused(
            f"{folder}: {error.strerror}", code="cannot_write", hint="as the user whose node this is, or root"
        ) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                f"another maw is at the birth or death of {name} now",
                code="birth_under_way",
                hint="wait for its end",
            ) from None
        path = folder / f"{name}.{kind}.json"
        yield Journal(path, _read(path))
    finally:
        os.close(lock)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        raise BadInput(
            f"{path} cannot be read: {error}",
            code="bad_journal",
            hint="move it aside: each step looks what is done already",
        ) from None
    if not isinstance(found, dict):
        raise BadInput(f"{path} holds no journal", code="bad_journal", hint="move it aside")
    return found


def births(folder: Path) -> list[dict[str, Any]]:
    """All that are on record here, the newest first."""
    found = []
    for path in folder.glob("*.birth.json") if folder.is_dir() else ():
        data = _read(path)
        found.append({**data, "name": path.name.removesuffix(".birth.json")})
    return sorted(found, key=lambda one: float(one.get("began") or 0), reverse=True)
