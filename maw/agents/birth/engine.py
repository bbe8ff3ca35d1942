"""Steps, one after the other: each told when it ends, and on record before the next begins."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final

from maw.agents.birth.far import RUN_S, Far
from maw.agents.birth.journal import Journal
from maw.core.text import one_line
from maw.errors import MawError, Refused, Unavailable

DONE: Final = "done"
ALREADY: Final = "already"
TO_DO: Final = "to do"
FAILED: Final = "failed"
_ACT: Final = 'exec "$1" -I -m maw.agents.birth.there'


@dataclass(frozen=True, slots=True)
class Outcome:
    """``already``: nothing was (or, in a dry run, is) to be done."""

    already: bool
    said: str


@dataclass(frozen=True, slots=True)
class Step:
    """``what``: for people, while it runs."""

    name: str
    what: str
    do: Callable[[], Outcome]


@dataclass(frozen=True, slots=True)
class Told:
    """How a step ended: ``state`` is one of the words above."""

    name: str
    state: str
    seconds: float
    said: str

    def as_json(self) -> dict[str, Any]:
        return {"step": self.name, "state": self.state, "seconds": round(self.seconds, 2), "said": self.said}


@dataclass(slots=True)
class Engine:
    """``dry``: nothing is changed or noted. ``begins`` and ``told`` are called before and after each step."""

    journal: Journal | None
    dry: bool
    begins: Callable[[Step], None] = lambda _: None
    told: Callable[[Told], None] = lambda _: None

    def run(self, steps: Sequence[Step]) -> list[Told]:
        """What came of each; a step that fails ends it, is told and on record, and raises."""
        ended = []
        for step in steps:
            self.begins(step)
            began = time.monotonic()
            self._note(step, "begun", 0.0, "")
            try:
                outcome = step.do()
            except MawError as error:
                seconds = time.monotonic() - began
                self.told(Told(step.name, FAILED, seconds, error.message))
                self._note(step, FAILED, seconds, error.message)
                raise
            state = ALREADY if outcome.already else TO_DO if self.dry else DONE
            one = Told(step.name, state, time.monotonic() - began, one_line(outcome.said, 300))
            self.told(one)
            self._note(step, DONE, one.seconds, one.said)
            ended.append(one)
        return ended

    def _note(self, step: Step, state: str, seconds: float, said: str) -> None:
        if self.journal is not None and not self.dry:
            self.journal.step(step.name, state, seconds, said)


@dataclass(slots=True)
class Helper:
    """Acts on the far host, by the maw that lives there; ``python``: its Python, None while there is none."""

    far: Far
    python: str | None
    dry: bool

    def act(
        self, do: str, *, into: IO[bytes] | None = None, timeout: float = RUN_S * 2, **asked: Any
    ) -> dict[str, Any]:
        """What it answered. Raises what it raised."""
        if self.python is None:
            return {"done": False, "said": "", "unknown": True}
        data = json.dumps({"do": do, **({"dry": True} if self.dry else {}), **asked}).encode() + b"\n"
        ran = self.far.run(_ACT, [self.python], data=data, into=into, timeout=timeout)
        try:
            told = json.loads((ran.err if into else ran.out).strip().splitlines()[-1])
        except (ValueError, IndexError):
            raise Unavailable(
                f"{do} on {self.far.name} broke off ({ran.code}): {one_line(ran.words[-400:], 400)}",
                code="act_failed", hint="the same again goes on there",
            ) from None  # fmt: skip
        if "error" in told:
            raise _error(told["error"])
        assert isinstance(told, dict)
        return told

    def outcome(self, do: str, planned: str, **asked: Any) -> Outcome:
        told = self.act(do, **asked)
        return Outcome(bool(told["done"]), planned if told.get("unknown") else str(told["said"]))


def _error(told: dict[str, Any]) -> MawError:
    kind = Refused if told.get("code") in _REFUSALS else Unavailable
    return kind(str(told["message"]), code=str(told["code"]), hint=str(told.get("hint") or ""))


_REFUSALS: Final = frozenset(
    {"refused", "frozen", "too_deep", "too_many_births", "too_many_agents", "daemons_user"}
)
