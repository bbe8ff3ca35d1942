"""Whether an installed hook works: it is run once, as Claude Code would run it, for nobody in particular."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PATIENCE_S: Final = 20.0
_WHO: Final = ("MAW_AGENT", "TMUX", "TMUX_PANE")


@dataclass(frozen=True, slots=True)
class Tried:
    """``ms``: how long it took, from start to end. ``trouble``: empty where it did what it should."""

    ms: float
    trouble: str = ""


def try_hook(command: str, env: Mapping[str, str]) -> Tried:
    """Run ``command`` at its event in a session that is nobody's: it has to end with 0 and say nothing."""
    bare = command.removesuffix(" || true")
    told = {"hook_event_name": bare.rpartition(" ")[2], "session_id": "maw-hook-try"}
    nobody = {name: value for name, value in env.items() if name not in _WHO}
    began = time.monotonic()
    try:
        done = subprocess.run(
            ["sh", "-c", bare],
            input=json.dumps(told),
            env=nobody,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Tried(PATIENCE_S * 1e3, f"it did not end within {PATIENCE_S:g} s")
    took = (time.monotonic() - began) * 1e3
    if done.returncode != 0 or done.stdout or done.stderr:
        said = (done.stderr or done.stdout).strip().splitlines()
        return Tried(took, f"exit code {done.returncode}: {said[-1] if said else 'no word'}")
    return Tried(took)
