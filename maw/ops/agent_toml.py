"""What an agent's timers must know of its agent.toml, read by root as well: how long a run may take, and what it runs.

The agent itself reads it strictly, each time it pulses; whatever is wrong beyond these few keys is said there.
"""

from __future__ import annotations

import os
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from maw.core.toml import Document, Section
from maw.errors import BadConfig, BadInput, NotFound, Refused
from maw.ops.machine import Machine

FILE: Final = "agent.toml"
TIMEOUT_S: Final = 300
LARGEST: Final = 262_144


@dataclass(frozen=True, slots=True)
class Running:
    """``timeout_s``: the runner's own limit; ``runner``: the program it begins with."""

    timeout_s: int = TIMEOUT_S
    runner: str = "claude"


@dataclass(frozen=True, slots=True)
class AgentToml:
    name: str
    pulse: Running
    dream: Running


def read(machine: Machine, folder: Path, agent: str, uid: int) -> AgentToml:
    """Of the home in ``folder``, which must be ``agent``'s and belong to ``uid``, or to root. Raises NotFound,
    BadConfig, BadInput, Refused."""
    path = folder / FILE
    document = Document(str(path), _bytes(machine, path, uid))
    name = document.table.get("name")
    if name != agent:
        raise BadInput(
            f"{folder} is the home of {str(name)[:40]!r}, not of {agent}",
            code="others_home",
            hint=f"`name` in {path} says whose it is; --dir HOME gives another",
        )
    pulse = _running(document.section("pulse"), Running())
    return AgentToml(agent, pulse, _running(document.section("dream"), pulse))


def _running(section: Section, usual: Running) -> Running:
    words = section.texts("runner") if "runner" in section else ()
    if len(words) == 1:
        try:
            words = tuple(shlex.split(words[0]))
        except ValueError as error:
            raise section.wrong("runner", f"is no command: {str(error).lower()}") from None
    timeout_s = section.number("timeout_s", usual.timeout_s, 1, 86_400)
    return Running(timeout_s, words[0] if words else usual.runner)


def _bytes(machine: Machine, path: Path, uid: int) -> bytes:
    """The file is a user's, and its reader may be root: it is opened once, looked at, and not waited for."""
    try:
        handle = os.open(machine.path(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(
            f"{path}: there is no such file, so {path.parent} is no agent's home",
            code="no_agent_home",
            hint="`maw agent home NAME` makes one (--dir HOME: there); if it is elsewhere, --dir HOME says where",
        ) from None
    except OSError as error:
        raise BadConfig(f"{path}: cannot be read: {error.strerror}") from None
    with os.fdopen(handle, "rb") as file:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode) or info.st_size > LARGEST:
            raise BadConfig(f"{path}: no file, or one of more than {LARGEST} bytes")
        if info.st_uid not in (uid, 0):
            raise Refused(
                f"{path} belongs to user {info.st_uid}, and the agent is to run as user {uid}",
                code="others_home",
                hint="--user NAME runs it as the user whose home it is",
            )
        return file.read(LARGEST)
