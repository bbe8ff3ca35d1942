"""What runs now: all processes, and the panes of the tmux servers in question. Looked at once, asked many times."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import psutil

from maw.agents.kinds import conversation_in, kind_of
from maw.agents.tmux import Pane, Server, TmuxFailed

_TMUX: tuple[str, ...] = ("tmux: server", "tmux")


@dataclass(frozen=True, slots=True)
class Process:
    """``command``: its command line; ``started``: seconds since 1970."""

    pid: int
    parent: int
    uid: int
    name: str
    command: tuple[str, ...]
    started: float
    zombie: bool


@dataclass(frozen=True, slots=True)
class Processes:
    by_pid: Mapping[int, Process]
    children: Mapping[int, tuple[int, ...]]

    @classmethod
    def now(cls) -> Processes:
        """Whatever this user may see. Of other users' processes nothing is asked."""
        found: dict[int, Process] = {}
        below: dict[int, list[int]] = {}
        wanted = ["ppid", "uids", "name", "cmdline", "create_time", "status"]
        for one in psutil.process_iter(wanted, ad_value=None):
            told = one.info
            uid = told["uids"].real if told["uids"] else -1
            found[one.pid] = Process(
                one.pid, told["ppid"] or 0, uid, told["name"] or "", tuple(told["cmdline"] or ()),
                told["create_time"] or 0.0, told["status"] == psutil.STATUS_ZOMBIE,
            )  # fmt: skip
            below.setdefault(told["ppid"] or 0, []).append(one.pid)
        return cls(found, {pid: tuple(pids) for pid, pids in below.items()})

    def runs(self, pid: int) -> bool:
        return pid in self.by_pid and not self.by_pid[pid].zombie

    def tree(self, root: int) -> Iterator[Process]:
        """``root`` and all below it, the nearest first."""
        waiting, seen = [root], {root}
        while waiting:
            pid = waiting.pop(0)
            if (process := self.by_pid.get(pid)) is not None and not process.zombie:
                yield process
            for child in self.children.get(pid, ()):
                if child not in seen:
                    seen.add(child)
                    waiting.append(child)

    def agent_below(
        self, root: int, kind: str | None = None, more: Collection[str] = ()
    ) -> tuple[str, Process] | None:
        """The nearest process below ``root`` that is an agent's program: of this kind, where one is named."""
        for process in self.tree(root):
            found = kind_of(process.command or (process.name,), more)
            if found is not None and kind in (None, found):
                return found, process
        return None

    def in_conversation(self, kind: str, conversation: str, uid: int) -> list[Process]:
        """Processes of this user whose command line goes on with ``conversation``."""
        return [
            one
            for one in self.by_pid.values()
            if one.uid == uid and not one.zombie and kind_of(one.command) == kind
            and conversation_in(kind, one.command) == conversation
        ]  # fmt: skip

    def tmux_servers(self, uid: int) -> list[tuple[str, ...]]:
        """The command lines of this user's tmux servers."""
        return [one.command for one in self.by_pid.values() if one.uid == uid and one.name in _TMUX]


@dataclass(slots=True)
class Scene:
    """``panes`` of the servers at ``sockets``; ``silent``: servers that did not answer, and why: nothing may be
    concluded from what is not seen there."""

    processes: Processes
    panes: list[Pane]
    silent: dict[str, str] = field(default_factory=dict)

    @classmethod
    def now(cls, sockets: Iterable[str], processes: Processes | None = None) -> Scene:
        panes: list[Pane] = []
        silent: dict[str, str] = {}
        for socket in dict.fromkeys(sockets):
            try:
                panes += Server(socket).list_all()
            except TmuxFailed as error:
                silent[socket] = error.message
        seen = processes or Processes.now()
        # between the two looks a program may have ended: its pane knows by now how
        for socket in {pane.place.socket for pane in panes if not pane.dead and not seen.runs(pane.pid)}:
            with contextlib.suppress(TmuxFailed):
                again = Server(socket).list_all()
                panes = [pane for pane in panes if pane.place.socket != socket] + again
        return cls(seen, panes, silent)


def working_directory(pid: int) -> str:
    """Where the process is; "" where that is not to be seen."""
    try:
        return psutil.Process(pid).cwd()
    except (psutil.Error, OSError):
        return ""


def environment_of(pid: int) -> dict[str, str]:
    """What the process was started with; nothing where that is not to be seen."""
    try:
        return psutil.Process(pid).environ()
    except (psutil.Error, OSError):
        return {}


def executable(pid: int) -> str:
    try:
        return psutil.Process(pid).exe()
    except (psutil.Error, OSError):
        return ""


def open_files(pid: int) -> list[str]:
    try:
        return [one.path for one in psutil.Process(pid).open_files()]
    except (psutil.Error, OSError):
        return []


def starts_at(pid: int) -> str:
    """When the process began, in the kernel's own count: two processes that bear one pid differ in it. "": unknown."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - read often
            return file.read().rpartition(b")")[2].split()[19].decode("ascii")
    except (OSError, IndexError, UnicodeDecodeError):
        return ""


def own_uid() -> int:
    return os.geteuid()
