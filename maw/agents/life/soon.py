"""A pulse that begins now, in the background: by the agent's own unit where it has one, else as a process."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from maw.agents.life import durable
from maw.agents.life.home import AgentHome, make_own
from maw.agents.life.pulse import only_pulse

SYSTEM_UNITS: Final = Path("/etc/systemd/system")
SYSTEMCTL_S: Final = 20.0


def begin(
    home: AgentHome, command: Sequence[str], env: Mapping[str, str], system_units: Path = SYSTEM_UNITS
) -> str:
    """What was done, in words. ``command``: maw, by its whole path. A pulse that runs is followed by another one.
    Raises OSError."""
    make_own(home)
    durable.write(home.own / "again", b"")  # before the lock is looked for: a pulse that ends now sees it
    with only_pulse(home) as free:
        pass
    if not free:
        return f"a pulse of {home.name} is running, and is followed by another"
    unit = f"maw-pulse@{home.name}.service"
    if any(_started(words) for words in _ways(unit, env, system_units)):
        return f"{unit} begins; memory/pulse.log tells what comes of it"
    nowhere = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    words = [*command, "pulse", home.name, "--dir", str(home.folder)]
    os.posix_spawn(words[0], words, dict(env), file_actions=nowhere, setsid=True)
    return f"a pulse of {home.name} begins; memory/pulse.log tells what comes of it"


def _ways(unit: str, env: Mapping[str, str], system_units: Path) -> list[list[str]]:
    """systemd's, where this agent's timer was installed: a pulse is then as confined as those of the timer."""
    own = (
        Path(env.get("XDG_CONFIG_HOME") or Path(env.get("HOME") or "/nonexistent") / ".config")
        / "systemd/user"
    )
    places: tuple[tuple[Path, list[str]], ...] = ((own, ["--user"]), (system_units, []))
    return [
        ["systemctl", *scope, "--no-ask-password", "start", "--no-block", unit]
        for folder, scope in places
        if (folder / f"{unit}.d" / "maw.conf").exists()
    ]


def _started(words: list[str]) -> bool:
    try:
        done = subprocess.run(words, capture_output=True, timeout=SYSTEMCTL_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
