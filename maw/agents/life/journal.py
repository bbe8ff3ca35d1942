"""What a pulse keeps of itself in ``.maw``, so that the next one goes on where it was killed.

pulse.json            the run under way: what was handed over, and what of its answer was carried out
pulse-RUN.answer      the runner's whole answer
state.json            between runs: failures of the runner, when directives were looked after, costs yet to tell
policy.json           the Colony's policy, as the daemon had it last
quick.json            how the home looked when there was nothing to do: see ``maw.agents.life.quick``
lock                  held by the pulse that runs
again                 somebody wanted a pulse while one ran
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from maw.agents.life import durable, leftovers
from maw.agents.life.home import AgentHome
from maw.agents.life.remembered import Remembered
from maw.core.pulsing import Failing

_HINT: Final = "if you know what it was at (`maw sent`, memory/log.md): move the file away, and pulse again"


@dataclass(slots=True)
class Run:
    """``run``: its id; ``tries``: how often its runner was begun. ``begun``: ms since 1970. ``handed``: the messages
    (and open asks, which have ``new`` false) that it was given. ``tasks``: as they stood in tasks.md. ``posting``: when
    the first message of its answer was sent, ms. ``sent``: by number of the request, what became of it. ``logged``: the
    entry for the log, once it is known."""

    run: str
    begun: int
    tries: int = 0
    handed: list[dict[str, Any]] = field(default_factory=list)
    tasks: str = ""
    directives: bool = False
    most: int = 0
    posting: int | None = None
    sent: dict[str, dict[str, str]] = field(default_factory=dict)
    logged: str = ""


@dataclass(slots=True)
class State:
    """``owed``: what runs took, not yet told to the daemon. ``directives_at``: seconds since 1970. ``limit_key``: what
    ends the limit on messages that the last run was given, where it has not ended; its runner is not told."""

    failing: Failing | None = None
    directives_at: float = 0.0
    owed: list[dict[str, Any]] = field(default_factory=list)
    limit_key: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """The one that the daemon had last; of a Colony without one, empty."""

    id: str = ""
    text: str = ""


class Journal:
    def __init__(self, home: AgentHome) -> None:
        self.folder = home.own
        self._run = Remembered(home.own / "pulse.json", _HINT)
        self._state = Remembered(home.own / "state.json", _HINT)
        self._policy = Remembered(home.own / "policy.json", _HINT)

    def run(self) -> Run | None:
        told = self._run.read()
        return None if told is None else self._run.made(Run, told)

    def keep(self, run: Run) -> None:
        self._run.write(run)

    def end(self, run: Run) -> None:
        leftovers.end_of(self.answer(run))
        durable.remove(self.answer(run))
        self._run.remove()

    def policy(self) -> Policy:
        told = self._policy.read()
        return Policy() if told is None else Policy(str(told.get("id", "")), str(told.get("text", "")))

    def keep_policy(self, policy: Policy) -> None:
        self._policy.write(policy)

    def answer(self, run: Run) -> Path:
        return self.folder / f"pulse-{run.run}.answer"

    def state(self) -> State:
        told = self._state.read()
        if told is None:
            return State()
        found = self._state.made(State, told)
        if told.get("failing") is not None:
            found.failing = self._state.made(Failing, told["failing"])
        return found

    def keep_state(self, state: State) -> None:
        self._state.write(state)
