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

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from maw.agents.life import durable, leftovers
from maw.agents.life.home import AgentHome
from maw.core.pulsing import Failing
from maw.errors import BadConfig

VERSION: Final = 1


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
    """``owed``: what runs took, not yet told to the daemon. ``directives_at``: seconds since 1970."""

    failing: Failing | None = None
    directives_at: float = 0.0
    owed: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Policy:
    """The one that the daemon had last; of a Colony without one, empty."""

    id: str = ""
    text: str = ""


class Journal:
    def __init__(self, home: AgentHome) -> None:
        self.folder = home.own
        self._run = home.own / "pulse.json"
        self._state = home.own / "state.json"
        self._policy = home.own / "policy.json"

    def run(self) -> Run | None:
        told = _read(self._run)
        return None if told is None else _made(self._run, Run, told)

    def keep(self, run: Run) -> None:
        durable.write(self._run, _bytes(asdict(run)))

    def end(self, run: Run) -> None:
        leftovers.end_of(self.answer(run))
        durable.remove(self.answer(run))
        durable.remove(self._run)

    def policy(self) -> Policy:
        told = _read(self._policy)
        return Policy() if told is None else Policy(str(told.get("id", "")), str(told.get("text", "")))

    def keep_policy(self, policy: Policy) -> None:
        durable.write(self._policy, _bytes(asdict(policy)))

    def answer(self, run: Run) -> Path:
        return self.folder / f"pulse-{run.run}.answer"

    def state(self) -> State:
        told = _read(self._state)
        if told is None:
            return State()
        found: State = _made(self._state, State, told)
        if told.get("failing") is not None:
            found.failing = _made(self._state, Failing, told["failing"])
        return found

    def keep_state(self, state: State) -> None:
        durable.write(self._state, _bytes(asdict(state)))


def _bytes(told: dict[str, Any]) -> bytes:
    return json.dumps({"v": VERSION, **told}, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _read(path: Path) -> dict[str, Any] | None:
    try:
        told = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise _spoiled(path, str(error)) from None
    if not isinstance(told, dict) or told.pop("v", None) != VERSION:
        raise _spoiled(path, "it is no journal of this version")
    return told


def _made(path: Path, what: type[Any], told: Any) -> Any:
    try:
        return what(**told)
    except TypeError as error:
        raise _spoiled(path, str(error)) from None


def _spoiled(path: Path, why: str) -> BadConfig:
    """It is never passed over: what was half done might be done twice."""
    return BadConfig(
        f"{path}: cannot be read: {why}",
        code="bad_journal",
        hint="if you know what it was at (`maw sent`, memory/log.md): move the file away, and pulse again",
    )
