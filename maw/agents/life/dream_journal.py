"""What a dream keeps of itself in ``.maw``, so that the next one goes on where it was killed.

dream.json            the dream under way: which part of the log it is of
dream-RUN.answer      the runner's whole answer
dreaming.json         between dreams: failures in a row, what runs took and the daemon was not told yet
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from maw.agents.life import durable
from maw.agents.life.home import AgentHome
from maw.core.dreaming import Failing
from maw.errors import BadConfig

VERSION: Final = 1


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
        self._run = home.own / "dream.json"
        self._state = home.own / "dreaming.json"
        self._folder = home.own

    def run(self) -> Run | None:
        told = _read(self._run)
        return None if told is None else _made(self._run, Run, told)

    def keep(self, run: Run) -> None:
        durable.write(self._run, _bytes(asdict(run)))

    def answer(self, run: Run) -> Path:
        return self._folder / f"dream-{run.run}.answer"

    def end(self) -> None:
        """Nothing is under way any more. The answer goes last: without it the runner would be asked again."""
        durable.remove(self._run)
        self.sweep()

    def sweep(self) -> None:
        """What a dream that ended left, where it was killed at its very end."""
        for one in self._folder.glob("dream-*.answer*"):
            durable.remove(one)

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
    return json.dumps({"v": VERSION, **told}).encode()


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


def _made(path: Path, what: type[Any], told: dict[str, Any]) -> Any:
    try:
        return what(**told)
    except TypeError as error:
        raise _spoiled(path, str(error)) from None


def _spoiled(path: Path, why: str) -> BadConfig:
    return BadConfig(
        f"{path}: cannot be read: {why}",
        code="bad_journal",
        hint="move it away, with the dream-*.answer beside it, and dream again: the log is as it was, or in"
        " memory/archive/",
    )
