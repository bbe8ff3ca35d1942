"""An agent's home: one folder that holds who it is, what it is to do, and what it remembers.

agent.toml is read as strictly as maw.toml: every mistake is a BadConfig that names file, line, key and reason. All
files are the owner's; maw rewrites none of them but where docs/life.md says so.
"""

from __future__ import annotations

import glob
import os
import shlex
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from maw.agents.life import durable
from maw.agents.life.templates import (
    GITIGNORE,
    OWN_GITIGNORE,
    agent_text,
    heartbeat_text,
    soul_text,
    tasks_text,
)
from maw.core.names import check_name
from maw.core.toml import Document, Section
from maw.errors import BadConfig, BadInput, MawError, NotFound, Refused

AGENT_TOML: Final = "agent.toml"
RUNNER: Final = ("claude", "-p", "--output-format", "json")
MAX_MESSAGES: Final = 5
TIMEOUT_S: Final = 300
MAX_CHANNELS: Final = 64
KEEP_DAYS: Final = 365
KEEP_MIB: Final = 64
LARGEST: Final = 262_144
"""Bytes of agent.toml that are read: a larger one is a mistake."""


@dataclass(frozen=True, slots=True)
class Dreaming:
    """``[dream]``. ``runner`` and ``timeout_s``: those of the pulse, unless they are given. ``change_soul``: what it
    proposes is put in the soul's place at once."""

    runner: tuple[str, ...] = RUNNER
    timeout_s: int = TIMEOUT_S
    change_soul: bool = False
    keep_days: int = KEEP_DAYS
    """Of what dreams archive; 0: for ever."""
    keep_mib: int = KEEP_MIB
    """The archive has at most so much; 0: any amount."""


@dataclass(frozen=True, slots=True)
class AgentHome:
    """``runner``: the command and its words. ``heartbeat_s``: the standing directives are looked after at most so
    often; 0: at each pulse."""

    folder: Path
    name: str
    runner: tuple[str, ...] = RUNNER
    watch_channels: tuple[str, ...] = ()
    max_messages: int = MAX_MESSAGES
    timeout_s: int = TIMEOUT_S
    heartbeat_s: int = 0
    dream: Dreaming = field(default_factory=Dreaming)

    @property
    def soul(self) -> Path:
        return self.folder / "soul.md"

    @property
    def heartbeat(self) -> Path:
        return self.folder / "heartbeat.md"

    @property
    def tasks(self) -> Path:
        return self.folder / "tasks.md"

    @property
    def memory(self) -> Path:
        return self.folder / "memory"

    @property
    def log(self) -> Path:
        return self.memory / "log.md"

    @property
    def pulse_log(self) -> Path:
        return self.memory / "pulse.log"

    @property
    def summary(self) -> Path:
        return self.memory / "summary.md"

    @property
    def dreams(self) -> Path:
        return self.memory / "dreams"

    @property
    def proposals(self) -> Path:
        return self.memory / "proposals"

    @property
    def own(self) -> Path:
        """The machine's: lock, journal, answers."""
        return self.folder / ".maw"


def read_home(folder: Path) -> AgentHome:
    """Raises BadConfig with file, line, key and reason; NotFound where there is no home; Refused where it is another
    user's, whose commands would run as whoever reads it."""
    path = folder / AGENT_TOML
    document = Document(str(path), _read(path))
    document.only("name", "pulse", "dream")
    name = document.table.get("name")
    if name is None:
        raise document.wrong("name", "is missing", 'write: name = "scout", the agent whose home this is')
    if not isinstance(name, str):
        raise document.wrong("name", 'must be text in quotes: name = "scout"')
    try:
        name = check_name(name.removeprefix("@"), "agent")
    except BadInput as error:
        raise document.wrong("name", f"is wrong: {error.message}", error.hint) from None
    pulse = document.section("pulse")
    pulse.only("runner", "watch_channels", "max_messages_per_pulse", "timeout_s", "heartbeat_s")
    runner = _command(pulse, "runner", RUNNER)
    timeout_s = pulse.number("timeout_s", TIMEOUT_S, 1, 86_400)
    home = AgentHome(
        folder=folder,
        name=name,
        runner=runner,
        watch_channels=_channels(pulse),
        max_messages=pulse.number("max_messages_per_pulse", MAX_MESSAGES, 0, 100),
        timeout_s=timeout_s,
        heartbeat_s=pulse.number("heartbeat_s", 0, 0, 31_536_000),
        dream=_dream(document.section("dream"), runner, timeout_s),
    )
    check_files(home)
    return home


def check_files(home: AgentHome) -> None:
    """What a pulse opens is a file, or not there: at a pipe it would wait for ever. Raises BadConfig. (Of soul.md
    ``souls`` sees to it.)"""
    for path in (home.heartbeat, home.tasks, home.log, home.pulse_log, home.summary):
        try:
            is_file = stat.S_ISREG(path.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise BadConfig(f"{path}: cannot be read: {error.strerror}") from None
        if not is_file:
            raise BadConfig(f"{path}: this is no file", hint=f"move it away: mv {path} {path}.odd")


def find_home(
    name: str | None, env: Mapping[str, str], *, folder: Path | None = None, cwd: Path | None = None
) -> AgentHome:
    """The home meant: ``folder`` (``--dir``), else $MAW_AGENT_HOME, else the current folder if it is that agent's, else
    ``~/agents/NAME``. ``name`` None: whoever's it is; in ``~/agents``, $MAW_AGENT's. Raises as ``read_home`` does, and
    BadInput where the home is another agent's than the one asked for."""
    wanted = None if name is None else check_name(name.removeprefix("@"), "agent")
    if folder is not None:
        return _of(read_home(folder.expanduser().absolute()), wanted)
    if env.get("MAW_AGENT_HOME"):
        return _of(read_home(Path(env["MAW_AGENT_HOME"]).expanduser().absolute()), wanted)
    here = Path.cwd() if cwd is None else cwd
    if (here / AGENT_TOML).is_file():
        home = read_home(here)
        if wanted is None or home.name == wanted:
            return home
    if wanted is None and env.get("MAW_AGENT"):
        wanted = check_name(env["MAW_AGENT"].removeprefix("@"), "agent")
    if wanted is None:
        raise BadInput(
            "whose? no agent is named, and this folder is no agent's home",
            code="which_agent",
            hint="name it (`maw pulse NAME`), give its home (--dir HOME), or go there",
        )
    return _of(read_home(agents_folder(env) / wanted), wanted)


def agents_folder(env: Mapping[str, str]) -> Path:
    """Where homes are if nobody says otherwise: ``~/agents``."""
    return Path(env.get("HOME") or "~").expanduser() / "agents"


def write_home(
    folder: Path, name: str, *, soul: str | None = None, heartbeat: str | None = None, tasks: str | None = None,
    runner: Sequence[str] = RUNNER, watch_channels: Sequence[str] = (), max_messages: int = MAX_MESSAGES,
    timeout_s: int = TIMEOUT_S,
) -> list[Path]:  # fmt: skip
    """Make a home, or what is missing of one: what is there stays as it is. What was made, on the disk. ``soul``,
    ``heartbeat``, ``tasks``: the texts, else a template that says what to write there. Raises BadInput, Refused."""
    name = check_name(name.removeprefix("@"), "agent")
    files = {
        AGENT_TOML: agent_text(name, runner, watch_channels, max_messages, timeout_s),
        "soul.md": soul_text(name) if soul is None else soul,
        "heartbeat.md": heartbeat_text() if heartbeat is None else heartbeat,
        "tasks.md": tasks_text() if tasks is None else tasks,
        ".gitignore": GITIGNORE,
        ".maw/.gitignore": OWN_GITIGNORE,
        "memory/log.md": f"# What {name} did and heard\n",
    }
    made = []
    try:
        for part in (folder, folder / "memory", folder / ".maw"):
            if not part.is_dir():
                part.mkdir(mode=0o700, parents=True)
                made.append(part)
        for where, text in files.items():
            path = folder / where
            if not path.exists():
                durable.write(path, text.encode())
                made.append(path)
    except OSError as error:
        raise Refused(
            f"{error.filename or folder}: cannot be written: {error.strerror}",
            code="cannot_write",
            hint="a home lies where its agent's user may write: --dir chooses another folder",
        ) from None
    read_home(folder)
    return made


def make_own(home: AgentHome) -> None:
    """The machine's folder is there, and no git takes what is in it: of a home that was made by hand, too. Raises
    OSError."""
    home.own.mkdir(mode=0o700, parents=True, exist_ok=True)
    ignored = home.own / ".gitignore"
    if not os.path.lexists(ignored):
        durable.write(ignored, OWN_GITIGNORE.encode())


def _read(path: Path) -> bytes:
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise BadConfig(f"{path}: this is no file")
        if info.st_size > LARGEST:
            raise BadConfig(f"{path}: it is {info.st_size} bytes long, at most {LARGEST} are read")
        check_owner(path, info)
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise no_home(path) from None
    except OSError as error:
        raise BadConfig(f"{path}: cannot be read: {error.strerror}") from None


def no_home(path: Path) -> MawError:
    hint = "`maw agent home NAME` makes one (--dir HOME: there); if it is elsewhere, --dir HOME says where"
    if moved := _moved_homes(path.parent):
        hint = f"its agent has moved to another host (`maw move status`); what it had here is {moved[-1]}"
    return NotFound(
        f"{path}: there is no such file, so {path.parent} is no agent's home", code="no_agent_home", hint=hint
    )


def _moved_homes(folder: Path) -> list[str]:
    """What ``maw move`` left of a home that went along, oldest first."""
    try:
        return sorted(map(str, folder.parent.glob(f"{glob.escape(folder.name)}.moved-*")))
    except OSError:
        return []


def soul_hint(home: AgentHome) -> str:
    """What to do about a soul that nobody has a sound version of."""
    if os.path.lexists(home.soul):
        return f"put {home.soul} right: a text that says who the agent is"
    where = shlex.quote(str(home.folder))
    return f"say there who it is; `maw agent home {home.name} --dir {where}` makes one to begin with"


def check_owner(path: Path, info: os.stat_result) -> None:
    """Its runner is started by whoever pulses: nobody else may have written it. Raises Refused."""
    if info.st_uid not in (os.geteuid(), 0):
        raise Refused(
            f"{path} belongs to user {info.st_uid}: its commands would run as you",
            code="others_home",
            hint=f"run it as that user: sudo -u '#{info.st_uid}' maw …",
        )
    if info.st_mode & stat.S_IWOTH:
        raise Refused(
            f"{path}: everybody may write it, and say so which command runs as you",
            code="others_home",
            hint=f"chmod o-w {path}",
        )


def _of(home: AgentHome, wanted: str | None) -> AgentHome:
    if wanted is not None and home.name != wanted:
        raise BadInput(
            f"{home.folder} is the home of {home.name}, not of {wanted}",
            code="others_home",
            hint=f"`name` in {home.folder / AGENT_TOML} says whose it is; --dir HOME gives another",
        )
    return home


def _dream(section: Section, runner: tuple[str, ...], timeout_s: int) -> Dreaming:
    section.only("runner", "timeout_s", "change_soul", "keep_days", "keep_mib")
    return Dreaming(
        runner=_command(section, "runner", runner),
        timeout_s=section.number("timeout_s", timeout_s, 1, 86_400),
        change_soul=section.flag("change_soul", False),
        keep_days=section.number("keep_days", KEEP_DAYS, 0, 36_500),
        keep_mib=section.number("keep_mib", KEEP_MIB, 0, 1_048_576),
    )


def _command(section: Section, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    """One text, as a shell splits it, or a list of words."""
    if key not in section:
        return default
    words = section.texts(key)
    if isinstance(section.table[key], str):
        try:
            words = tuple(shlex.split(words[0]))
        except ValueError as error:
            raise section.wrong(key, f"is no command: {str(error).lower()}") from None
    if not words or not words[0].strip():
        raise section.wrong(
            key, "is empty", f'leave it out for {shlex.join(RUNNER)}, or write: {key} = "COMMAND"'
        )
    if any("\0" in word for word in words):
        raise section.wrong(key, "has a NUL character")
    return words


def _channels(section: Section) -> tuple[str, ...]:
    names = [
        section.parsed("watch_channels", lambda word: check_name(word.removeprefix("#"), "channel"), text)
        for text in section.texts("watch_channels")
    ]
    if len(names) > MAX_CHANNELS:
        raise section.wrong("watch_channels", f"has {len(names)} channels, at most {MAX_CHANNELS}")
    return tuple(dict.fromkeys(names))
