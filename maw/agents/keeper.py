"""`maw keep`: sees to it that the agents of one Unix user run, each once, with its conversation.

It asks the daemon whom to keep, looks at tmux and processes, lets `maw.core.roster` judge, and carries it out under the
agent's lock. Nothing is kept here that a death would lose: a keeper that is killed and begun again looks, and goes on.
While the daemon is away it keeps those it knows of.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import psutil

from maw import __version__
from maw.agents import conversations
from maw.agents.acting import Acting
from maw.agents.entries import Entry, entries, read_entry
from maw.agents.exec_hook import ExecHook
from maw.agents.nudging import Nudging
from maw.agents.running import Host, Whereabouts, begin, end, where
from maw.agents.scene import Process, Processes, Scene, environment_of, working_directory
from maw.agents.survey import Running, Survey
from maw.client.daemon import Daemon
from maw.core.roster import NOT_ALLOWED, Do, Life, Look, Stagger, State, Verdict
from maw.errors import Conflict, MawError, NotRunning

log = logging.getLogger(__name__)

ROUND_S: Final = 3.0
HURRY_S: Final = 0.5
"""While somebody waits for his turn to be started."""
REPORT_S: Final = 15.0
SURVEY_S: Final = 30.0


@dataclass(slots=True)
class Kept:
    """What is remembered of one agent. ``wanted``: the owner's decision that was last seen; ``told``: the last report,
    without what changes all the time, and when it was made."""

    life: Life
    wanted: int
    memory: int | None = None
    told: tuple[object, ...] = ()
    told_at: float = float("-inf")
    process: Process | None = None


@dataclass(slots=True)
class Keeper:
    daemon: Daemon
    host: Host
    node: str
    clock: Callable[[], float] = time.monotonic
    stagger: Stagger = field(default_factory=Stagger)
    known: dict[str, Kept] = field(default_factory=dict)
    agents: list[Entry] = field(default_factory=list)
    refused: Mapping[str, str] = field(default_factory=dict)
    """Who is not to run now, whatever the roster says, and why: see `maw host`."""
    away: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    _nudging: dict[str, tuple[Nudging, threading.Thread]] = field(default_factory=dict)
    _hooks: dict[str, tuple[ExecHook, threading.Thread]] = field(default_factory=dict)
    _surveying: threading.Thread | None = None
    _surveyed_at: float = float("-inf")

    @property
    def acting(self) -> Acting:
        return Acting(self.daemon, self.host, self.node)

    def run(self, stop: threading.Event) -> None:
        """Until ``stop``. A fault in one round ends neither the keeper nor an agent, nor the rest of the round."""
        self.stop = stop
        survey = Survey(self.daemon, self.host.home)
        steps: Sequence[Callable[[], object]] = (
            self.round, self._nudge, self._run_hooks, partial(self._survey, survey)
        )  # fmt: skip
        while not stop.is_set():
            waiting = False
            for step in steps:
                try:
                    waiting |= step() is True
                except Exception:  # the next round looks anew; systemd would do no more than that
                    log.exception("a round of the keeper failed")
            stop.wait(HURRY_S if waiting else ROUND_S)

    def round(self) -> bool:
        """Looks once and does what is to be done. True: somebody waits to be started."""
        self._ask()
        scene = Scene.now({self.host.socket_of(one) for one in self.agents})
        waiting = False
        for entry in self.agents:
            try:
                waiting |= self._keep(entry, scene)
            except MawError as error:
                log.warning("%s: %s", entry.name, error.message)
            except Exception:  # whatever is wrong with one, the others are kept
                log.exception("%s could not be looked after", entry.name)
        return waiting

    def _ask(self) -> None:
        try:
            told = self.daemon.post("/api/keeper", {"pid": os.getpid(), "version": __version__}).body
        except MawError as error:
            if not self.away:
                log.warning("the daemon is away, those that are known are kept: %s", error.message)
            self.away = True
            return
        if self.away:
            log.info("the daemon is back")
        self.away = False
        self.stagger.gap_s, self.stagger.load = float(told["stagger_s"]), float(told["load_per_core"])
        self.agents = [read_entry(one) for one in told["agents"]]
        self.refused = told["refused"]
        names = {one.name for one in self.agents}
        self.known = {name: kept for name, kept in self.known.items() if name in names}
        for one in self.agents:
            kept = self.known.get(one.name)
            if kept is None:
                told_last = one.report
                life = Life(
                    told_last.get("deaths") or 0,
                    told_last.get("respawns") or 0,
                    told_last.get("given_up") or "",
                )
                self.known[one.name] = Kept(life, one.plan.wanted)
            elif kept.wanted != one.plan.wanted:
                kept.wanted = one.plan.wanted
                kept.life.forgive()

    def _keep(self, entry: Entry, scene: Scene) -> bool:
        kept, now = self.known[entry.name], self.clock()
        at = where(entry, scene, self.host)
        if at.unsure:
            self._tell(entry, kept, at, Verdict(State.HUNG, f"its tmux server does not answer: {at.unsure}"))
            return False
        if (why := self.refused.get(entry.name)) is not None:
            self._hold_back(entry, kept, at, why)
            return False
        process = at.process or at.elsewhere
        verdict = kept.life.look(_look(entry, kept, at, scene.processes), entry.plan, now)
        kept.process = process
        if process is not None and not entry.conversation:
            self._learn(entry, process)
        if at.elsewhere is not None:
            verdict = replace(verdict, why=f"runs as process {at.elsewhere.pid}, outside of its pane")
        if why := self._unheard(entry):
            verdict = replace(verdict, why=f"{verdict.why}; {why}" if verdict.why else why)
        self._tell(entry, kept, at, verdict)
        if verdict.do is Do.NOTHING:
            return False
        if not self.stagger.may_start(_load(), now):
            return True
        return self._start(entry, kept, verdict.do, now)

    def _unheard(self, entry: Entry) -> str:
        """Why the last thing that was new could not be put in front of it."""
        nudging, hook = self._nudging.get(entry.name), self._hooks.get(entry.name)
        if entry.plan.nudge and entry.unread and nudging is not None and nudging[0].why:
            return f"not nudged: {nudging[0].why}"
        if entry.plan.exec and hook is not None and hook[0].why:
            return f"its exec hook failed: {hook[0].why}"
        return ""

    def _learn(self, entry: Entry, process: Process) -> None:
        """Its conversation, where its program says for sure which one it is in."""
        found = conversations.of_process(
            entry.plan.kind, process.pid, process.command, environment_of(process.pid), self.host.home
        )
        if found is not None and not self.away:
            self.acting.hold(entry.name, found.session, process.pid, found.transcript)

    def _start(self, entry: Entry, kept: Kept, do: Do, now: float) -> bool:
        """Under the lock, and after another look: a command may have been quicker."""
        with self.host.lock(self.node, entry.name):
            current = self._current(entry)
            if current is None or not current.plan.up or current.plan.wanted != kept.wanted:
                return True  # somebody decided something meanwhile: the next round knows
            at = self.acting.look(current)
            if do is Do.RESTART:
                kept.life.restarting()
                log.warning("%s hangs and is begun anew", entry.name)
                end(current, at, keep_pane=True)
                at = self.acting.look(current)
            elif at.runs or at.unsure:
                return False
            try:
                began = begin(current, at, self.host)
            except (MawError, OSError, ValueError) as error:
                # a folder that may not be entered, a path that is too long: as bad as a program that is not there
                why = error.message if isinstance(error, MawError) else str(error)
                log.warning("%s could not be started: %s", entry.name, why)
                kept.life.failed(why, now)
                self.stagger.started(now)
                return False
            try:
                self.acting.began(current, began)
            except MawError as error:  # it runs all the same, and is found at the next look
                log.warning("that %s was started is not told yet: %s", entry.name, error.message)
        kept.life.began(self.clock())
        self.stagger.started(self.clock())
        kept.told_at = float("-inf")
        log.info("started %s", entry.name)
        return False

    def _current(self, entry: Entry) -> Entry | None:
        """As the daemon has it now; what was last known while it is away."""
        try:
            return next((one for one in entries(self.daemon) if one.name == entry.name), None)
        except NotRunning:
            return entry

    def _hold_back(self, entry: Entry, kept: Kept, at: Whereabouts, why: str) -> None:
        """The giver of this host does not want it to run now; it comes back when he does."""
        if at.process is not None:
            log.warning("%s is stopped: %s", entry.name, why)
            with self.host.lock(self.node, entry.name):
                end(entry, at, keep_pane=False)
            at = Whereabouts()
        kept.life = Life(kept.life.deaths, kept.life.respawns, kept.life.given_up)
        self._tell(entry, kept, at, Verdict(State.DOWN, NOT_ALLOWED + why), held_back=True)

    def _tell(
        self, entry: Entry, kept: Kept, at: Whereabouts, verdict: Verdict, *, held_back: bool = False
    ) -> None:
        life = kept.life
        place = at.pane.place if at.pane is not None else None
        process = at.process or at.elsewhere
        lasting = (
            verdict.state, process.pid if process else 0, place, life.deaths, life.respawns, life.given_up,
            "" if verdict.state in (State.DEAD, State.HUNG) else verdict.why, held_back,
        )  # fmt: skip
        now = self.clock()
        if self.away or (lasting == kept.told and now - kept.told_at < REPORT_S):
            return
        if lasting[0] != (kept.told[0] if kept.told else None):
            often = verdict.state in (State.ALIVE, State.IDLE, State.BUSY)
            because = f": {verdict.why}" if verdict.why else ""
            log.log(
                logging.DEBUG if often else logging.INFO, "%s is %s%s", entry.name, verdict.state, because
            )
        counted: dict[str, Any] = {
            "deaths": life.deaths,
            "respawns": life.respawns,
            "given_up": life.given_up[:400],
        }
        try:
            self.acting.tell(entry, at, verdict.state, verdict.why[:400], **counted)
        except MawError as error:
            log.info("%s was not reported: %s", entry.name, error.message)
            return
        kept.told, kept.told_at = lasting, now

    def _nudge(self) -> None:
        """A thread for each agent that its owner wants to be nudged: it waits most of the time."""
        for entry in self.agents:
            running = self._nudging.get(entry.name)
            if not entry.plan.nudge or (running is not None and running[1].is_alive()):
                continue
            current = partial(self._nudged, entry.name)
            nudging = Nudging(self.daemon, self.host, self.node, entry.name, current, self.stop)
            thread = threading.Thread(target=nudging.run, name=f"nudge {entry.name}", daemon=True)
            self._nudging[entry.name] = nudging, thread
            thread.start()

    def _nudged(self, name: str) -> Entry | None:
        return next((one for one in self.agents if one.name == name and one.plan.nudge), None)

    def _run_hooks(self) -> None:
        """A thread for each agent whose owner has a command run for its mail."""
        for entry in self.agents:
            running = self._hooks.get(entry.name)
            if not entry.plan.exec or (running is not None and running[1].is_alive()):
                continue
            hook = ExecHook(self.daemon, self.host, entry.name, partial(self._hooked, entry.name), self.stop)
            thread = threading.Thread(target=hook.run, name=f"exec {entry.name}", daemon=True)
            self._hooks[entry.name] = hook, thread
            thread.start()

    def _hooked(self, name: str) -> Entry | None:
        if name in self.refused:
            return None
        return next((one for one in self.agents if one.name == name and one.plan.exec), None)

    def _survey(self, survey: Survey) -> None:
        """In a thread of its own: large folders take their time."""
        if self.away or self.clock() - self._surveyed_at < SURVEY_S:
            return
        if self._surveying is not None and self._surveying.is_alive():
            return
        self._surveyed_at = self.clock()
        running = {
            name: Running(kept.process.pid, working_directory(kept.process.pid))
            for name, kept in self.known.items()
            if kept.process is not None
        }
        self._surveying = threading.Thread(target=self._look_around, args=(survey, running), daemon=True)
        self._surveying.start()

    def _look_around(self, survey: Survey, running: Mapping[str, Running]) -> None:
        try:
            survey.look(running)
        except MawError as error:
            log.info("the survey was not told: %s", error.message)
        except Exception:
            log.exception("a survey failed")


def _look(entry: Entry, kept: Kept, at: Whereabouts, processes: Processes) -> Look:
    process = at.process or at.elsewhere
    if process is None:
        lived = 0.0 if kept.process is None else max(time.time() - kept.process.started, 0.0)
        return Look(False, lived, ended=at.pane.ended if at.pane is not None else "")
    return Look(
        True,
        max(time.time() - process.started, 0.0),
        at.pane.output if at.pane is not None else "",
        _cpu_s(processes, process.pid),
        entry.unread,
        entry.newest_unread,
    )


def _cpu_s(processes: Processes, root: int) -> float:
    used = 0.0
    for one in processes.tree(root):
        with contextlib.suppress(psutil.Error):
            times = psutil.Process(one.pid).cpu_times()
            used += times.user + times.system
    return used


def _load() -> float:
    """Of the last minute, for each core."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


@contextlib.contextmanager
def only_keeper(host: Host, node: str) -> Iterator[None]:
    """One keeper a user and node. Raises Conflict naming the one that runs."""
    folder: Path = host.home / ".local" / "state" / "maw" / node
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder / ".keeper", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(handle, 20).decode("ascii", "replace").strip()
            raise Conflict(
                f"a keeper of yours runs already (pid {pid or 'not known'})",
                code="keeper_runs",
                hint="one is enough for all your agents here",
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
