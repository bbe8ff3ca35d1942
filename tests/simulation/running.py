"""Many seeds one after the other: what failed, and what effect each knob had in which shape."""

from __future__ import annotations

import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.simulation.knobs import AGAINST, SHOWS, Knobs, chosen, draw
from tests.simulation.world import World, run_knobs


@dataclass(frozen=True, slots=True)
class Failure:
    knobs: Knobs
    error: Exception

    @property
    def world(self) -> World | None:
        return getattr(self.error, "world", None)

    def __str__(self) -> str:
        first = str(self.error).splitlines()[0] if str(self.error) else ""
        drawn = draw(self.knobs.seed, self.knobs.nodes)
        more = f" --with {','.join(sorted(self.knobs.faults))}" if self.knobs != drawn else ""
        more += f" --shape {self.knobs.shape}" if self.knobs.shape != drawn.shape else ""
        return f"--replay {self.knobs.seed} --nodes {self.knobs.nodes}{more}: {type(self.error).__name__}: {first}"


@dataclass(slots=True)
class Campaign:
    """``counts``: effects by shape."""

    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    failures: list[Failure] = field(default_factory=list)
    runs: int = 0

    def run(self, seed: int, nodes: int) -> bool:
        """Whether all held."""
        return self.run_knobs(draw(seed, nodes))

    def run_knobs(self, knobs: Knobs) -> bool:
        self.runs += 1
        try:
            world = run_knobs(knobs)
        except Exception as error:
            self.failures.append(Failure(knobs, error))
            return False
        self.counts[knobs.shape].update(world.trace.counts)
        return True

    def total(self) -> Counter[str]:
        return sum(self.counts.values(), Counter())

    def without_effect(self) -> list[str]:
        """Knobs that did nothing at all."""
        total = self.total()
        return [knob for knob, shown in SHOWS.items() if not total[shown]]

    def show(self, knob: str, shape: str, nodes: int, seeds: Iterable[int]) -> bool:
        """Whether this knob has had an effect in this shape; where not, seeds are run with it until it has, or until
        one fails."""
        for seed in seeds:
            if self.counts[shape][SHOWS[knob]]:
                break
            drawn = draw(seed, nodes)
            if not self.run_knobs(
                replace(chosen(drawn, drawn.faults - AGAINST.get(knob, frozenset()) | {knob}), shape=shape)
            ):
                return False
        return bool(self.counts[shape][SHOWS[knob]])

    def table(self) -> str:
        """Effects by knob and shape."""
        shapes = sorted(self.counts)
        lines = [f"{'knob':17}" + "".join(f"{shape:>9}" for shape in shapes) + "  effect"]
        lines += [
            f"{knob:17}" + "".join(f"{self.counts[shape][shown]:9}" for shape in shapes) + f"  {shown}"
            for knob, shown in SHOWS.items()
        ]
        total = self.total()
        others = sorted(set(total) - set(SHOWS.values()))
        return "\n".join([*lines, *(f"{total[what]:26}  {what}" for what in others)])


def commit() -> str:
    """Which code this is: a seed means the same run only with the same."""
    here = Path(__file__).parent
    try:
        run = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown (no git here)"
    return run.stdout.strip()
