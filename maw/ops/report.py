"""What installing or removing the service did, for the command line to tell."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from maw.ops.machine import Machine, Ran
from maw.ops.units import Manager


@dataclass(frozen=True, slots=True)
class Step:
    """One thing done (or tried: ``ok``), and the command that undoes it by hand where there is one."""

    text: str
    ok: bool = True
    undo: str = ""


@dataclass(frozen=True, slots=True)
class ServiceReport:
    """``unit`` is the file written or removed, ``hints`` what is left for a person to do."""

    manager: Manager
    unit: Path
    home: Path
    steps: tuple[Step, ...]
    hints: tuple[str, ...] = ()
    undo: str = ""

    @property
    def ok(self) -> bool:
        return all(step.ok for step in self.steps)


@dataclass(slots=True)
class Work:
    """Gathers the steps while they are done; ``dry_run``: instead of that."""

    machine: Machine
    dry_run: bool = False
    steps: list[Step] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)

    def did(self, text: str, undo: str = "") -> None:
        self.steps.append(Step(text, True, undo))

    def run(self, text: str, command: Iterable[str], undo: str = "") -> Ran:
        """Run ``command`` and note it under ``text``, with what it said when it failed."""
        if self.dry_run:
            self.did(f"{text}: {shlex.join(command)}")
            return Ran(0, "")
        ran = self.machine.run(tuple(command))
        self.steps.append(Step(text if ran.ok else f"{text}: FAILED: {ran.words}", ran.ok, undo))
        return ran

    def report(self, manager: Manager, unit: Path, home: Path, undo: str = "") -> ServiceReport:
        return ServiceReport(manager, unit, home, tuple(self.steps), tuple(self.hints), undo)
