"""Sessions that run agents already: found, each with a name that would suit it, and taken without a restart.

Looking changes nothing, at any server. Taking one marks its pane (`@maw_agent`) and touches nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from maw.agents import conversations
from maw.agents.entries import Entry, change
from maw.agents.kinds import plain_command
from maw.agents.running import Host
from maw.agents.scene import Process, Processes, Scene, environment_of, executable, working_directory
from maw.agents.tmux import Pane, Server, TmuxFailed, sockets, usual_socket
from maw.client.daemon import Daemon
from maw.core.names import MAX_NAME, folded_name
from maw.errors import Ambiguous, Conflict, NotFound

KEPT_VARIABLES: Final = (
    "PATH",
    "CLAUDE_CONFIG_DIR",
    "CODEX_HOME",
    "GEMINI_CONFIG_DIR",
    "OPENCODE_CONFIG",
    "VIRTUAL_ENV",
)
"""Of a running agent's environment: what it takes to find the program and its conversations. Nothing that is secret:
the node keeps it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pane that runs an agent. ``name``: what it would be called; ``clash``: why not, or ""; ``taken``: whose it is
    already."""

    pane: Pane
    kind: str
    process: Process
    command: tuple[str, ...]
    cwd: str
    env: tuple[str, ...]
    conversation: conversations.Found | None
    name: str = ""
    clash: str = ""
    taken: str = ""
    shared: bool = False
    """Other agents run in the same session: begun anew it gets one of its own, by its own name."""

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name or None,
            "clash": self.clash or None,
            "agent": self.taken or None,
            "kind": self.kind,
            "session": self.pane.session,
            "socket": self.pane.place.socket,
            "pane": self.pane.place.pane,
            "pid": self.process.pid,
            "cwd": self.cwd,
            "command": list(self.command),
            "conversation": self.conversation.session if self.conversation else None,
        }


@dataclass(frozen=True, slots=True)
class Known:
    """Who is on this host. ``own``: agents of the caller; ``others``: names that another user's agents bear;
    ``roster``: those that are kept."""

    own: Collection[str]
    others: Collection[str]
    roster: Sequence[Entry]


def find(
    host: Host, known: Known, programs: Collection[str] = (), only: Collection[str] = ()
) -> tuple[list[Candidate], dict[str, str]]:
    """Every pane of this user's that runs an agent, and the servers that did not answer. ``programs``: commands that
    are agents too; ``only``: sockets of servers, else all are looked at."""
    processes = Processes.now()
    where = only or sockets(host.env, host.uid, processes.tmux_servers(host.uid))
    scene = Scene.now(where, processes)
    found = [one for pane in scene.panes if (one := _candidate(pane, processes, host, programs)) is not None]
    return _named(found, known), scene.silent


def _candidate(pane: Pane, processes: Processes, host: Host, programs: Collection[str]) -> Candidate | None:
    if pane.dead:
        return None
    found = processes.agent_below(pane.pid, None, programs)
    if found is None or found[1].uid != host.uid:
        return None
    kind, process = found
    env = environment_of(process.pid)
    kept = tuple(f"{name}={env[name]}" for name in KEPT_VARIABLES if env.get(name))
    return Candidate(
        pane, kind, process, tuple(plain_command(kind, process.command, executable(process.pid))),
        working_directory(process.pid), kept,
        conversations.of_process(kind, process.pid, process.command, env, host.home),
    )  # fmt: skip


def _named(found: Sequence[Candidate], known: Known) -> list[Candidate]:
    """Each with the name of its session, as a name may be; a session with several gets numbers."""
    kept = {one.pane: one.name for one in known.roster if one.pane is not None}
    running = {name for place, name in kept.items() if any(one.pane.place == place for one in found)}
    given: set[str] = set()
    named = []
    sessions = Counter((one.pane.place.socket, one.pane.session) for one in found)
    found = [replace(one, shared=sessions[one.pane.place.socket, one.pane.session] > 1) for one in found]
    for one in sorted(found, key=lambda one: (one.pane.place.socket, one.pane.session, one.pane.place.pane)):
        if (taken := kept.get(one.pane.place)) is not None:
            named.append(replace(one, name=taken, taken=taken))
            continue
        name = plain = folded_name(one.pane.session)
        number = 2
        while name and name in given:  # of some names of sessions nothing is left
            name, number = f"{plain[: MAX_NAME - 3]}-{number}", number + 1
        given.add(name)
        named.append(replace(one, name=name, clash=clash(name, known, running)))
    return named


def clash(name: str, known: Known, running: Collection[str] = ()) -> str:
    """Why an agent that is found may not be called so; "" when it may."""
    if not name:
        return "its session's name makes no agent's name"
    if name in known.others:
        return f"{name} is another user's agent"
    if name in running:
        return f"{name} runs in another pane"
    return ""


def choose(found: Sequence[Candidate], name: str | None, session: str | None) -> Candidate:
    """The one that is meant: by the name it would get, or by its session. NotFound, Ambiguous."""
    meant = [
        one
        for one in found
        if (session is None or one.pane.session == session)
        and (name is None or name in (one.name, one.pane.session) or session is not None)
    ]
    free = [one for one in meant if not one.taken]
    if not meant:
        raise NotFound(
            f"no tmux session {session or name} runs an agent",
            code="no_such_session",
            hint="`maw agent adopt` shows those that do; --program NAME looks for another program",
            candidates=[one.pane.session for one in found],
        )
    if not free:
        raise Conflict(
            f"{meant[0].taken} is in the roster already", code="adopted_already", hint="`maw agent list`"
        )
    if len(free) > 1:
        raise Ambiguous(
            f"{len(free)} panes run an agent in {session or name}",
            hint="say which: maw agent adopt NAME, as `maw agent adopt` lists them",
            candidates=[one.name for one in free],
        )
    return free[0]


def take(daemon: Daemon, host: Host, node: str, one: Candidate, name: str) -> Entry:
    """Into the roster as it runs, and marked. The agent is there already. Its name speaks in the pane from now on."""
    socket = one.pane.place.socket
    with host.lock(node, name):
        entry = change(
            daemon, name, kind=one.kind, command=list(one.command), cwd=one.cwd, env=list(one.env),
            session=name if one.shared else one.pane.session, socket="" if socket == usual_socket(host.uid) else socket,
            up=True, pane=str(one.pane.place),
        )  # fmt: skip
        if one.conversation is not None:
            told = {
                "session": one.conversation.session,
                "pid": one.process.pid,
                "transcript": one.conversation.transcript,
            }
            replace(daemon, speaker=name, pane=None).post("/api/session", told)
        Server(socket).mark(one.pane.place.pane, name)
    return entry


def release(entry: Entry) -> None:
    """Takes the mark off its pane, where that is still there."""
    if entry.pane is None:
        return
    try:
        Server(entry.pane.socket).mark(entry.pane.pane, "")
    except TmuxFailed:
        return  # the pane is gone, and its mark with it


def known_here(users: Sequence[Mapping[str, Any]], roster: Sequence[Entry], uid: int) -> Known:
    """``users``: as the API lists them."""
    local = [one for one in users if one.get("local")]
    return Known(
        {one["username"] for one in local if one.get("uid") == uid},
        {one["username"] for one in local if one.get("uid") != uid},
        roster,
    )
