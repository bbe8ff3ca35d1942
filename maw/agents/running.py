"""One agent: where it runs now, and starting, ending and beginning it again.

Law: nothing is started before it was looked whether it runs, and both are done under the agent's lock, which the
keeper and every command take. Whoever holds it may be killed at any point: the lock ends with the process, a session
is made whole by one call, and a second one of that name is refused by tmux.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

from maw.agents import conversations
from maw.agents.entries import Entry
from maw.agents.kinds import command_line, is_interpreter
from maw.agents.locks import waited_for
from maw.agents.scene import Process, Scene
from maw.agents.tmux import Pane, Server, TmuxFailed, usual_socket
from maw.core.roster import Place
from maw.errors import BadInput, Conflict, Unavailable

LOCK_S: Final = 15.0
END_S: Final = 8.0
"""How long a program has to end after SIGTERM; then its pane goes away with what is left."""
_POSIX_SHELLS: Final = ("sh", "bash", "dash", "zsh", "ksh")
_RUN: Final = '[ -z "$1" ] || export PATH="$1"; shift; exec "$@"'


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """``pane``: where it sits, dead or alive; ``process``: its program, None where it does not run. ``elsewhere``: its
    conversation is gone on with by a process outside of its pane: it must not be started a second time. ``unsure``:
    its tmux server does not answer."""

    pane: Pane | None = None
    process: Process | None = None
    elsewhere: Process | None = None
    unsure: str = ""
    beside: tuple[str, ...] = ()
    """What else was begun from the shell of its pane, by name."""

    @property
    def runs(self) -> bool:
        return self.process is not None or self.elsewhere is not None


@dataclass(frozen=True, slots=True)
class Began:
    place: Place
    session: str
    """Its conversation, "" where it has none that is known."""


@dataclass(frozen=True, slots=True)
class Host:
    """Where this user's agents live: environment, home, locks."""

    env: Mapping[str, str]
    uid: int
    home: Path
    shell: str

    @classmethod
    def here(cls) -> Host:
        uid = os.geteuid()
        try:
            login = pwd.getpwuid(uid)
            home, shell = login.pw_dir, login.pw_shell
        except KeyError:
            home, shell = "/", "/bin/sh"
        return cls(os.environ, uid, Path(os.environ.get("HOME") or home), shell)

    def socket_of(self, entry: Entry) -> str:
        return entry.plan.socket or usual_socket(self.uid)

    def lock(self, node: str, name: str, seconds: float = LOCK_S) -> AbstractContextManager[int]:
        """This agent's, for this user. Raises Unavailable when another has it for so long."""
        busy = Unavailable(
            f"{name} is being started or ended by another process",
            code="agent_busy",
            hint="try again in a moment",
        )
        return waited_for(self.home / ".local" / "state" / "maw" / node / f"{name}.lock", seconds, busy)


def where(entry: Entry, scene: Scene, host: Host) -> Whereabouts:
    """Where it is, as ``scene`` shows: its own pane, else one that bears its mark, else its session on its server."""
    socket = host.socket_of(entry)
    if socket in scene.silent:
        return Whereabouts(unsure=scene.silent[socket])
    pane = _pane(entry, scene, socket)
    process = None if pane is None or pane.dead else _program(entry, scene, pane)
    if process is not None:
        return Whereabouts(pane, process)
    beside: tuple[str, ...] = ()
    if pane is not None and not pane.dead and not pane.ours:
        beside = tuple(one.name for one in scene.processes.tree(pane.pid) if one.pid != pane.pid)
    others = entry.conversation and scene.processes.in_conversation(
        entry.plan.kind, entry.conversation, entry.uid
    )
    return Whereabouts(pane, None, others[0] if others else None, beside=beside)


def _pane(entry: Entry, scene: Scene, socket: str) -> Pane | None:
    for one in scene.panes:
        if entry.pane is not None and one.place == entry.pane:
            return one
    marked = [one for one in scene.panes if one.mark == entry.name and one.place.socket == socket]
    named = [one for one in scene.panes if one.session == entry.session and one.place.socket == socket]
    running = [one for one in (*marked, *named) if not one.dead and _program(entry, scene, one) is not None]
    # a session of that name with other things in it is somebody's own: it is not taken for the agent's
    return next(iter((*running, *marked)), None)


def _program(entry: Entry, scene: Scene, pane: Pane) -> Process | None:
    """The agent's program in this pane."""
    plan = entry.plan
    programs = [] if plan.kind != "command" else [_program_name(plan.command)]
    found = scene.processes.agent_below(pane.pid, plan.kind, [one for one in programs if one])
    if found is not None:
        return found[1]
    # a program of ours may call itself anything: the pane was begun with its command, and lives as long as it does
    return scene.processes.by_pid.get(pane.pid) if pane.mark == entry.name and pane.ours else None


def _program_name(command: tuple[str, ...]) -> str:
    words = [word for word in command if not word.startswith("-")]
    if len(words) > 1 and is_interpreter(words[0]):
        return PurePath(words[1]).name
    return PurePath(words[0]).name if words else ""


def begin(entry: Entry, at: Whereabouts, host: Host) -> Began:
    """Starts it where it does not run; the caller holds the lock and has just looked. A pane that is left of it is used
    again. Raises BadInput (its folder, its command), Conflict (its session's name is taken), TmuxFailed."""
    plan = entry.plan
    if at.beside:
        raise Conflict(
            f"its pane runs something else now: {', '.join(at.beside)}",
            code="pane_in_use",
            hint=f"end that, or `maw agent remove {entry.name} --keep` and start it in a pane of its own",
        )
    if at.runs or at.unsure:
        raise Conflict(
            f"{entry.name} runs" if at.runs else f"its tmux server does not answer: {at.unsure}",
            code="runs_already",
            hint=f"`maw agent respawn {entry.name}` ends it and begins it anew",
        )
    if not plan.command:
        raise BadInput(
            f"it is not known how to run {entry.name}",
            code="no_command_known",
            hint=f"maw agent set {entry.name} command='claude' cwd=/path",
        )
    folder = plan.cwd or str(host.home)
    if not Path(folder).is_dir():  # tmux would begin it in another one, without a word
        raise BadInput(
            f"{entry.name}'s folder is not there: {folder}",
            code="no_folder",
            hint=f"maw agent set {entry.name} cwd=/path",
        )
    env = environment(plan.env, host.env)
    conversation, command = _conversation(entry, host, dict(word.split("=", 1) for word in env))
    words = wrapped(command, host.shell, env)
    server = Server(host.socket_of(entry))
    Path(server.path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if at.pane is not None:
        server.begin_again(at.pane.place.pane, entry.name, folder, env, words)
        return Began(at.pane.place, conversation)
    return Began(server.begin(entry.session, entry.name, folder, env, words), conversation)


def _conversation(entry: Entry, host: Host, env: Mapping[str, str]) -> tuple[str, list[str]]:
    """Its conversation, and the command that goes on with it, or begins one under a name of ours."""
    plan, session = entry.plan, entry.conversation
    if not session and plan.kind == "claude" and not plan.resume:
        session = str(uuid.uuid4())
    seen = {**host.env, **env}
    begun = bool(
        session
        and (
            conversations.size_of(entry.transcript)
            or conversations.transcript(plan.kind, session, seen, host.home)
        )
    )
    return session, command_line(plan.kind, plan.command, plan.resume, session or None, begun=begun)


def environment(wanted: tuple[str, ...], env: Mapping[str, str]) -> list[str]:
    """``NAME=VALUE`` for each; a name alone has the value it has here, and is left out where it has none. The node that
    commands here mean goes along, so that the agent's commands mean the same."""
    found = {name: env[name] for name in ("MAW_HOME", "MAW_SOCKET") if env.get(name)}
    for word in wanted:
        name, given, value = word.partition("=")
        if given:
            found[name] = value
        elif name in env:
            found[name] = env[name]
    return [f"{name}={value}" for name, value in found.items()]


def wrapped(command: list[str], shell: str, env: list[str]) -> list[str]:
    """Through the user's login shell, for what its profile sets; a PATH of the agent's own comes behind that."""
    own_path = next((word.partition("=")[2] for word in env if word.startswith("PATH=")), "")
    chosen = shell if PurePath(shell).name in _POSIX_SHELLS else "/bin/sh"
    return [chosen, "-l", "-c", _RUN, "maw-agent", own_path, *command]


def end(
    entry: Entry, at: Whereabouts, *, keep_pane: bool, wait: Callable[[float], None] = time.sleep
) -> None:
    """Ends its program, and with it the pane that was begun for it; the shell of one that was adopted stays. The caller
    holds the lock. Raises TmuxFailed."""
    process, pane = at.process or at.elsewhere, at.pane
    if keep_pane and pane is not None and process is not None and process.pid == pane.pid:
        # else the pane, and a session of one, go with their program, and whoever looks at it is thrown out
        Server(pane.place.socket).must("set-option", "-p", "-t", pane.place.pane, "remain-on-exit", "on")
    if process is not None:
        _terminate(process, wait)
    if pane is None or keep_pane:
        return
    if pane.ours:
        server = Server(pane.place.socket)
        with contextlib.suppress(TmuxFailed):  # it may have gone with its program
            server.must("kill-pane", "-t", pane.place.pane)


def _terminate(process: Process, wait: Callable[[float], None]) -> None:
    import psutil

    try:
        running = psutil.Process(process.pid)
        if abs(running.create_time() - process.started) > 1:
            return  # another has its pid
        for number in (signal.SIGTERM, signal.SIGKILL):
            running.send_signal(number)
            deadline = time.monotonic() + END_S
            while time.monotonic() < deadline:
                # ended and not collected by its parent, as a busy tmux leaves them, is ended
                if not running.is_running() or running.status() == psutil.STATUS_ZOMBIE:
                    return
                wait(0.05)
    except psutil.NoSuchProcess:
        return
