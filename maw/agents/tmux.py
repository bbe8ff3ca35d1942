"""tmux: its servers, what runs in their panes, and acts on one pane.

libtmux names and drives single panes. Two things are done beside it: every call has a time limit and speaks UTF-8
(without ``-u`` tmux writes ``_`` for what it cannot show), and panes are listed by one call of our own, for a name or
a folder with a line break in it makes libtmux's listing fail for all of them.

Panes are addressed by ``%N`` at a server known by socket and pid, never by a name that may be matched in part.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import stat
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import libtmux
from libtmux.common import tmux_cmd

from maw.core.roster import Place
from maw.errors import Conflict, Unavailable

COMMAND_S: Final = 10.0
ENDING_S: Final = 0.025
ENDING_LOOKS: Final = 20
"""tmux calls a pane dead as its terminal closes, and knows a moment later what its program ended with."""
COLUMNS, ROWS = 200, 50
"""Of a session that nobody looks at: 80 columns would wrap what is read off the screen."""
MARK: Final = "@maw_agent"
BEGAN: Final = "@maw_began"
"""Of a pane that was begun for its agent, and has nothing else in it."""

_FIELDS: Final = (
    "pane_id", "pid", "pane_pid", "pane_dead", "pane_dead_status", "pane_dead_signal", "pane_in_mode",
    "session_attached", "session_created", "window_activity", "history_size", "cursor_x", "cursor_y",
    "pane_active", "window_active", BEGAN, MARK, "session_name",
)  # fmt: skip
# anybody may set an option to anything: only what can be an agent's name is let through
_CLEAN: Final = {
    MARK: f"#{{?#{{m/r:^[a-z0-9_-]*$,#{{{MARK}}}}},#{{{MARK}}},}}",
    BEGAN: f"#{{?#{{==:#{{{BEGAN}}},1}},1,}}",
}
_FORMAT: Final = "|".join(_CLEAN.get(name, f"#{{{name}}}") for name in _FIELDS)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}|", re.ASCII)
_NO_SERVER: Final = ("no server running", "error connecting to", "server exited", "lost server")
# What a program that starts tmux has of its own, and no pane should inherit.
_STRANGE: Final = re.compile(
    r"TMUX|TMUX_PANE|MAW_AGENT|CLAUDECODE|CLAUDE_CODE_(?!USE_)\w+|CLAUDE_PID|CODEX_THREAD_ID"
)


@dataclass(frozen=True, slots=True)
class Pane:
    """One pane as it is now. ``mark``: the agent that it is marked with; ``ours``: it was begun for that one;
    ``output`` changes with what it shows."""

    place: Place
    pid: int
    session: str
    mark: str
    dead: bool
    ended: str
    in_mode: bool
    attached: int
    created: int
    active_at: int
    output: str
    front: bool
    ours: bool


class TmuxFailed(Unavailable):
    default_code = "tmux_failed"


class Ran(tmux_cmd):
    """How a tmux command ended; as libtmux's own, with a time limit, standard input, and no shell's environment."""

    def __init__(
        self, command: Sequence[str], given: str | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self.cmd = list(command)
        try:
            done = subprocess.run(
                command,
                input=given,
                stdin=subprocess.DEVNULL if given is None else None,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="backslashreplace",
                timeout=COMMAND_S,
                check=False,
                env=plain_environment(os.environ if env is None else env),
            )
        except FileNotFoundError:
            raise TmuxFailed("tmux is not on PATH", code="no_tmux", hint="apt install tmux") from None
        except subprocess.TimeoutExpired:
            raise TmuxFailed(
                f"tmux did not answer within {COMMAND_S:g} s",
                hint="its server may be stopped: `ps -o pid,stat,cmd -C 'tmux: server'`",
            ) from None
        self.returncode = done.returncode
        self.stdout = done.stdout.rstrip("\n").split("\n") if done.stdout.rstrip("\n") else []
        self.stderr = [line for line in done.stderr.split("\n") if line]


class Server(libtmux.Server):
    """A tmux server by its socket's path; it may run or not."""

    def __init__(self, socket: str) -> None:
        super().__init__(socket_path=socket)
        self.path = socket

    def cmd(self, cmd: str, *args: Any, target: str | int | None = None) -> tmux_cmd:
        to = [] if target is None else ["-t", str(target)]
        return self.run(cmd, *to, *(str(one) for one in args))

    def run(self, *words: str, given: str | None = None) -> Ran:
        """Words as a command line has them; ``;`` alone parts commands, at the end of a word it stands for itself."""
        return Ran(["tmux", "-u", "-S", self.path, *(_escaped(word) for word in words)], given)

    def must(self, *words: str, given: str | None = None) -> list[str]:
        """Its output. Raises TmuxFailed with what tmux said."""
        ran = self.run(*words, given=given)
        if ran.returncode:
            raise TmuxFailed(
                f"tmux {words[0]}: {' '.join(ran.stderr) or 'failed'}", hint=f"socket {self.path}"
            )
        return ran.stdout

    def list_all(self) -> list[Pane]:
        """Every pane; none where no server runs. Raises TmuxFailed where one does not answer as it should."""
        panes = self._list()
        waited_for = _LINGERING.get(self.path, frozenset())
        for _ in range(ENDING_LOOKS):
            ending = [pane for pane in panes if _is_ending(pane) and (pane.place, pane.pid) not in waited_for]
            if not ending:
                break
            for server in {pane.place.server for pane in ending}:
                _ask_for_the_ended(server)
            time.sleep(ENDING_S)
            panes = self._list()
        _LINGERING[self.path] = frozenset((pane.place, pane.pid) for pane in panes if _is_ending(pane))
        return panes

    def _list(self) -> list[Pane]:
        ran = self.run("list-panes", "-a", "-F", _FORMAT)
        if ran.returncode:
            said = " ".join(ran.stderr)
            if not said or any(words in said for words in _NO_SERVER):
                return []
            raise TmuxFailed(f"tmux list-panes: {said}", hint=f"socket {self.path}")
        return [pane for line in ran.stdout if (pane := _read(self.path, line)) is not None]

    def pane(self, pane: str) -> libtmux.Pane:
        """For acts on this one; nothing is asked yet."""
        return libtmux.Pane(server=self, pane_id=pane)

    def capture(self, pane: str, lines: int = 0, *, styles: bool = False) -> list[str]:
        """What is on its screen, and so many lines above. ``styles``: with the escape sequences of colours."""
        words = ["capture-pane", "-p", "-t", pane, "-S", str(-lines)]
        return self.must(*words, *(["-e"] if styles else []))

    def mark(self, pane: str, agent: str) -> None:
        """For people, and to find it again: ``@maw_agent`` of the pane. "" takes it away."""
        words = (
            ("set-option", "-p", "-t", pane, MARK, agent)
            if agent
            else ("set-option", "-p", "-u", "-t", pane, MARK)
        )
        self.must(*words)

    def begin(self, session: str, agent: str, cwd: str, env: Sequence[str], command: Sequence[str]) -> Place:
        """A new session with this command, marked, all in one call: it is there whole, or not at all. Raises
        TmuxFailed, also when there is one of that name. Starts the server where none runs."""
        where = f"={session}:"
        if any(pane.session == session for pane in self.list_all()):
            raise Conflict(
                f"there is a tmux session {session} already, and it is not {agent}'s",
                code="session_in_use",
                hint=f"maw agent set {agent} session=ANOTHER; or start {agent} in it by hand, and adopt it",
            )
        said = self.must(
            "new-session", "-d", "-P", "-F", "#{pane_id}|#{pid}", "-s", session, "-x", str(COLUMNS), "-y", str(ROWS),
            "-c", cwd, *_each("-e", env), "--", *command,
            ";", "set-option", "-p", "-t", where, MARK, agent,
            ";", "set-option", "-p", "-t", where, BEGAN, "1",
            ";", "set-option", "-p", "-t", where, "remain-on-exit", "on",
        )  # fmt: skip
        pane, _, server = said[0].partition("|")
        return Place(self.path, int(server), pane)

    def begin_again(
        self, pane: str, agent: str, cwd: str, env: Sequence[str], command: Sequence[str]
    ) -> None:
        """This command in a pane that is there, in place of whatever runs in it. Raises TmuxFailed."""
        self.must(
            "respawn-pane", "-k", "-t", pane, "-c", cwd, *_each("-e", env), "--", *command,
            ";", "set-option", "-p", "-t", pane, MARK, agent,
            ";", "set-option", "-p", "-t", pane, BEGAN, "1",
            ";", "set-option", "-p", "-t", pane, "remain-on-exit", "on",
        )  # fmt: skip


def plain_environment(env: Mapping[str, str]) -> dict[str, str]:
    """What a tmux server, and so every pane of it, may inherit of ``env``: nobody's pane, name or session."""
    return {name: value for name, value in env.items() if not _STRANGE.fullmatch(name)}


def usual_socket(uid: int) -> str:
    """Where plain ``tmux`` looks for its server, whatever $TMUX_TMPDIR somebody has: what "" means in the roster."""
    return str(folder_of_sockets({}, uid) / "default")


def folder_of_sockets(env: Mapping[str, str], uid: int) -> Path:
    return Path(os.path.realpath(env.get("TMUX_TMPDIR") or "/tmp")) / f"tmux-{uid}"  # noqa: S108 - tmux's own place


def sockets(env: Mapping[str, str], uid: int, servers: Iterable[Sequence[str]]) -> list[str]:
    """The sockets of this user's tmux servers: those in its folder, the one this runs in, and those that ``servers``,
    command lines of running ones, were given with -S. Whether a server runs behind one, asking it tells."""
    found = {usual_socket(uid): None}
    if env.get("TMUX"):
        found[env["TMUX"].rsplit(",", 2)[0]] = None
    for command in servers:
        for at, word in enumerate(command):
            if word == "-S" and at + 1 < len(command):
                found[command[at + 1]] = None
            elif word.startswith("-S") and len(word) > 2:
                found[word[2:]] = None
    for folder in {folder_of_sockets(env, uid), folder_of_sockets({}, uid)}:
        if folder.is_dir():
            found |= dict.fromkeys(str(path) for path in sorted(folder.iterdir()))
    return [path for path in found if _is_ours(path, uid)]


_LINGERING: Final[dict[str, frozenset[tuple[Place, int]]]] = {}
"""By socket: panes whose program closed its terminal and lives on. Each is waited for once in the life of this process,
not in every list."""


def _is_ending(pane: Pane) -> bool:
    """Its program has let go of the terminal, and tmux has not asked yet what it ended with."""
    return pane.dead and not pane.ended and pane.pid > 0 and os.path.exists(f"/proc/{pane.pid}")  # noqa: PTH110


def _ask_for_the_ended(server: int) -> None:
    """tmux 3.3 misses now and then that a child ended, which stays a zombie then: told so once more, it asks."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(server, signal.SIGCHLD)


def _is_ours(path: str, uid: int) -> bool:
    try:
        info = os.stat(path)  # noqa: PTH116
    except OSError:
        return False
    return stat.S_ISSOCK(info.st_mode) and info.st_uid == uid


def _read(socket: str, line: str) -> Pane | None:
    """None: a line that a name with a line break in it tore, or that is not as it was asked for."""
    words = line.split("|", len(_FIELDS) - 1)
    if len(words) != len(_FIELDS):
        return None
    row = dict(zip(_FIELDS, words, strict=True))
    mark = row[MARK]
    if not re.fullmatch(r"%[0-9]+", row["pane_id"]) or not _NAME.fullmatch(mark):
        return None
    try:
        status, signal = row["pane_dead_status"], row["pane_dead_signal"]
        ended = f"signal {signal}" if signal else f"exit status {status}" if status else ""
        shows = (row["window_activity"], row["history_size"], row["cursor_x"], row["cursor_y"])
        return Pane(
            Place(socket, int(row["pid"]), row["pane_id"]), int(row["pane_pid"] or 0), row["session_name"], mark,
            row["pane_dead"] == "1", ended, row["pane_in_mode"] not in ("", "0"), int(row["session_attached"] or 0),
            int(row["session_created"] or 0), int(row["window_activity"] or 0), ":".join(shows),
            row["pane_active"] == "1" and row["window_active"] == "1", row[BEGAN] == "1",
        )  # fmt: skip
    except ValueError:
        return None


def _each(option: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def _escaped(word: str) -> str:
    """tmux takes a ``;`` at the end of a word for the end of a command."""
    return f"{word[:-1]}\\;" if word.endswith(";") and word != ";" else word
