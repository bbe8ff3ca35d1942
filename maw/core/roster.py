"""The roster: which agents are to run on a host, how each is started again, and what is done when one does not run.

Laws
  1. What was stopped stays stopped, and what was given up stays down, until somebody says otherwise.
  2. A death is answered by one start, after a pause that doubles; who dies at once, again and again, is given up.
  3. Hung is who shows nothing, takes no CPU *and* lets mail lie: one sign alone is an agent that rests.
  4. A restart of a hung one is tried a few times, and not again before its mail got less: some are deaf, not hung.

Times are seconds of one clock that only grows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Final, NamedTuple

QUICK_S: Final = 30.0
"""Who lives shorter than this died at once."""
STEADY_S: Final = 600.0
"""Who lives longer than this has the deaths before it forgotten."""
MOST_DEATHS: Final = 5
LONGEST_PAUSE_S: Final = 300.0
QUIET_S: Final = 10.0
"""So long after its last sign an agent is idle."""
CPU_SHARE: Final = 0.05
"""Of one core: below it a process only keeps its clock and cursor going."""
MOST_HANG_RESTARTS: Final = 3

BY_OTHERS: Final = ("up", "respawn", "hang", "hang_after_s")
"""Of a plan: what an administrator may change of another user's agent. All else says what that user's keeper runs."""

KINDS: Final = ("claude", "codex", "gemini", "opencode", "command")


class Place(NamedTuple):
    """A tmux pane, as ``$TMUX`` and ``$TMUX_PANE`` name it: the server's socket and pid, and the pane's ``%3``."""

    socket: str
    server: int
    pane: str

    def __str__(self) -> str:
        return f"{self.socket},{self.server},{self.pane}"


NOT_ALLOWED: Final = "not allowed now: "
"""How a reason begins that is the giver's of the host: no fault of the agent's, and nobody is called."""


class State(StrEnum):
    """Of one agent. ALIVE: it runs, and has not been watched long enough to say more. DEAD: it does not run, and
    will be started. DOWN: it does not run, and will not be."""

    ALIVE = "alive"
    IDLE = "idle"
    BUSY = "busy"
    HUNG = "hung"
    DEAD = "dead"
    DOWN = "down"


class OnHang(StrEnum):
    """What is done with a hung one."""

    REPORT = "report"
    RESPAWN = "respawn"
    OFF = "off"


class Do(StrEnum):
    """What is to be done now. RESTART ends what runs first."""

    NOTHING = "nothing"
    START = "start"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class Plan:
    """How one agent is run. ``socket``: of its tmux server, "" is the user's own; ``env``: ``NAME=VALUE``, or ``NAME``
    to take the value from whoever starts it; ``resume``: the whole command that goes on with a conversation,
    ``{conversation}`` in it, empty for what its kind does; ``exec``: what is run for its mail."""

    kind: str = "command"
    command: tuple[str, ...] = ()
    cwd: str = ""
    socket: str = ""
    session: str = ""
    env: tuple[str, ...] = ()
    resume: tuple[str, ...] = ()
    up: bool = True
    respawn: bool = True
    hang: str = OnHang.REPORT
    hang_after_s: int = 600
    nudge: bool = False
    exec: tuple[str, ...] = ()
    wanted: int = 0
    """How often somebody decided that it is to run, or not: who keeps it sees by a new number that what was given up
    is to be tried again."""

    def changed(self, asked: Mapping[str, Any]) -> Plan:
        """With what of ``asked`` is not None. Unknown names are the caller's to refuse."""
        names = {one.name for one in fields(self)}
        told: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in asked.items()
            if name in names and value is not None
        }
        if "up" in told:
            told.setdefault("wanted", self.wanted + 1)
        return replace(self, **told)

    def as_json(self) -> dict[str, Any]:
        shown = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in shown.items()}


def own_alone(asked: Mapping[str, Any]) -> list[str]:
    """What of ``asked`` only the agent's own user may say. Anybody who administers may have nudging end, not begin."""
    return [
        name
        for name, value in asked.items()
        if value is not None and name not in BY_OTHERS and (name, value) != ("nudge", False)
    ]


@dataclass(frozen=True, slots=True)
class Look:
    """What was found of one agent. ``output``: anything that changes when it shows something; ``cpu_s``: what its
    processes have used so far; ``age_s``: for how long it has run; ``newest``: the seq of its newest unread message,
    0 for none; ``ended``: how it ended, where that is known."""

    running: bool
    age_s: float = 0.0
    output: str = ""
    cpu_s: float = 0.0
    unread: int = 0
    newest: int = 0
    ended: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    state: State
    why: str = ""
    do: Do = Do.NOTHING


def pause_s(deaths: int) -> float:
    """How long to wait after so many deaths in a row: 1 s, 2 s, 4 s … 5 min."""
    return float(min(2 ** max(deaths - 1, 0), LONGEST_PAUSE_S))


@dataclass(slots=True)
class Life:
    """What is remembered of one agent from look to look. ``deaths`` (at once, in a row), ``respawns`` and
    ``given_up`` outlast the keeper: they are read back from its last report."""

    deaths: int = 0
    respawns: int = 0
    given_up: str = ""
    _ran: bool = False
    _may_start_at: float = 0.0
    _ended: str = ""
    _seen: tuple[str, float, float] | None = field(default=None, repr=False)
    """Output, CPU seconds and time of the last look."""
    _sign_at: float = 0.0
    _newest_at_sign: int = 0
    _grew_at: float | None = None
    _unread: int = 0
    _hang_restarts: int = 0

    def look(self, look: Look, plan: Plan, now: float) -> Verdict:
        """What it is, and what is to be done. ``do`` is repeated at each look until ``began`` or ``failed``."""
        return self._running(look, plan, now) if look.running else self._not_running(look, plan, now)

    def began(self, now: float) -> None:
        """It was started."""
        self._ran, self._seen, self._grew_at = True, None, None
        self._may_start_at = now + pause_s(self.deaths + 1)

    def failed(self, why: str, now: float) -> None:
        """It could not be started: that is a death at once."""
        self._died(f"could not be started: {why}", now)

    def forgive(self) -> None:
        """Somebody wants it to run: what was before does not count."""
        self.deaths, self.given_up, self._may_start_at, self._hang_restarts = 0, "", 0.0, 0

    def _running(self, look: Look, plan: Plan, now: float) -> Verdict:
        if not self._ran:
            self._ran, self._seen = True, None
        self.given_up = ""
        if look.age_s >= STEADY_S:
            self.deaths = 0
        if look.unread < self._unread:
            self._hang_restarts = 0
        self._unread = look.unread
        first = self._seen is None
        if self._gave_a_sign(look, now):
            self._sign_at, self._newest_at_sign, self._grew_at = now, look.newest, None
        elif look.newest > self._newest_at_sign and self._grew_at is None:
            self._grew_at = now
        elif not look.newest:
            self._grew_at = None
        self._seen = (look.output, look.cpu_s, now)
        if first:
            return Verdict(State.ALIVE)
        if self._hangs(plan, now):
            return self._hung(look, plan, now)
        return Verdict(State.BUSY if now - self._sign_at < QUIET_S else State.IDLE)

    def _gave_a_sign(self, look: Look, now: float) -> bool:
        if self._seen is None:
            return True
        output, cpu_s, at = self._seen
        return look.output != output or look.cpu_s - cpu_s > CPU_SHARE * max(now - at, 0.001)

    def _hangs(self, plan: Plan, now: float) -> bool:
        if plan.hang == OnHang.OFF or self._grew_at is None:
            return False
        return min(now - self._sign_at, now - self._grew_at) >= plan.hang_after_s

    def _hung(self, look: Look, plan: Plan, now: float) -> Verdict:
        why = f"no output and no CPU for {now - self._sign_at:.0f} s, and {look.unread} unread"
        if plan.hang != OnHang.RESPAWN:
            return Verdict(State.HUNG, why)
        if self._hang_restarts >= MOST_HANG_RESTARTS:
            return Verdict(State.HUNG, f"{why}; {self._hang_restarts} restarts did not help")
        return Verdict(State.HUNG, why, Do.RESTART)

    def restarting(self) -> None:
        """A hung one is being ended to be started anew."""
        self._hang_restarts += 1
        self.respawns += 1
        self._ran = False

    def _not_running(self, look: Look, plan: Plan, now: float) -> Verdict:
        if self._ran:
            self._ran = False
            if plan.up:
                self._died(look.ended or "it ended", now, look.age_s)
        if not plan.up:
            self.given_up = ""
            return Verdict(State.DOWN, "stopped")
        if self.given_up:
            return Verdict(State.DOWN, self.given_up)
        if self._ended and not plan.respawn:
            return Verdict(State.DOWN, f"{self._ended}; it is not to be respawned")
        left = self._may_start_at - now
        if left > 0:
            return Verdict(State.DEAD, f"{self._ended}; started again in {left:.0f} s")
        return Verdict(State.DEAD, self._ended, Do.START)

    def _died(self, how: str, now: float, lived_s: float = 0.0) -> None:
        self._ran, self._seen = False, None
        self._ended = how
        if lived_s >= STEADY_S:
            self.deaths = 0
        self.deaths += 1
        self.respawns += 1
        self._may_start_at = now + pause_s(self.deaths)
        if self.deaths >= MOST_DEATHS:
            self.given_up = f"died {self.deaths} times in a row, the last time: {how}"


@dataclass(slots=True)
class Stagger:
    """Starts one after another: ``gap_s`` apart, and not while the host is busy, unless it is so for long."""

    gap_s: float = 2.0
    load: float = 2.0
    """Load a core above which the next start waits."""
    patience_s: float = 10.0
    _last: float = float("-inf")

    def may_start(self, load: float, now: float) -> bool:
        """Whether one may be started now; who is, is to say so with ``started``."""
        waited = now - self._last
        return waited >= self.gap_s and (load < self.load or waited >= self.patience_s)

    def started(self, now: float) -> None:
        self._last = now
