"""What a dream keeps of itself in ``.maw``, so that the next one goes on where it was killed.

dream.json            the dream under way: which part of the log it is of
dream-RUN.answer      the runner's whole answer
dreaming.json         between dreams: failures in a row, what runs took and the daemon was not told yet
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from maw.agents.life import durable
from maw.agents.life.home import AgentHome
from maw.agents.life.remembered import Remembered
from maw.core.dreaming import Failing

_HINT: Final = (
    "move it away, with the dream-*.answer beside it, and dream again: the log is as it was, or in"
    " memory/archive/"
)


@dataclass(slots=True)
class Run:
    """``stamp``: of the files it makes. ``size``, ``hash``: of the first bytes of the log that it is of. ``tries``: how
    often its runner was begun."""

    run: str
    stamp: str
    size: int
    hash: str
    tries: int = 0


@dataclass(slots=True)
class State:
    failing: Failing | None = None
    owed: list[dict[str, Any]] = field(default_factory=list)


class DreamJournal:
    def __init__(self, home: AgentHome) -> None:
        self._run = Remembered(home.own / "dream.json", _HINT)
        self._state = Remembered(home.own / "dreaming.json", _HINT)
        self._folder = home.own

    def run(self) -> Run | None:
        told = self._run.read()
        return None if told is None else self._run.made(Run, told)

    def keep(self, run: Run) -> None:
        self._run.write(run)

    def answer(self, run: Run) -> Path:
        return self._folder / f"dream-{run.run}.answer"

    def end(self) -> None:
        """Nothing is under way any more. The answer goes last: without it the runner would be asked again."""
        self._run.remove()
        self.sweep()

    def sweep(self) -> None:
        """What a dream that ended left, where it was killed at its very end."""
        for one in self._folder.glob("dream-*.answer*"):
            durable.remove(one)

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
