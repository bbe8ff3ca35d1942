"""What whoever gives a box allows to run on it: how many agents, how much memory, at which hours; or nothing now. Pure.

Laws
  1. What is paused (one agent, or all) or outside its hours does not run, and each says why in the giver's words.
  2. Beyond the number, the youngest go: who was there first keeps his place.
  3. Beyond the memory the largest go, until the rest fit: it is they who would take the box down.
  4. What a rule let go comes back by itself when the rule allows it again; with room to spare, so that nothing flaps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from maw.core.hours import Hours

ROOM: Final = 0.9
"""What was let go for its memory comes back when all together stay below this part of what is allowed."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """``agents``: how many may run; ``memory``: bytes, all together; ``hours``: when; None is no limit. ``paused``: why
    nothing is to run now; ``stopped``: which agents are not to, and why."""

    agents: int | None = None
    memory: int | None = None
    hours: Hours | None = None
    paused: str | None = None
    stopped: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Running:
    """An agent whose owner wants it to run. ``since``: ms since 1970 when it last began, None where it does not run;
    ``memory``: bytes it takes, or took when it last ran."""

    name: str
    since: int | None
    memory: int


def refusals(allowance: Allowance, wanted: Iterable[Running], minute: int) -> Mapping[str, str]:
    """Who may not run now, and why; who is not in it may. ``minute``: of the day, in this host's own time."""
    everybody = sorted(wanted, key=lambda one: (one.since is None, one.since or 0, one.name))
    if allowance.paused is not None:
        return dict.fromkeys((one.name for one in everybody), f"this host is paused: {allowance.paused}")
    if allowance.hours is not None and minute not in allowance.hours:
        why = f"this host gives room to agents from {str(allowance.hours).replace('-', ' to ')} only"
        return dict.fromkeys((one.name for one in everybody), why)
    refused = {one.name: _stopped(allowance, one) for one in everybody if one.name in allowance.stopped}
    everybody = [one for one in everybody if one.name not in refused]
    if allowance.agents is not None:
        why = f"this host gives room to {allowance.agents} agents"
        refused |= dict.fromkeys((one.name for one in everybody[allowance.agents :]), why)
    if allowance.memory is not None:
        refused |= _too_large(allowance.memory, [one for one in everybody if one.name not in refused])
    return refused


def _stopped(allowance: Allowance, one: Running) -> str:
    return f"whoever gives this host stopped it: {allowance.stopped[one.name]}"


def _too_large(allowed: int, wanted: list[Running]) -> dict[str, str]:
    """The largest of those that run go first; then who does not run yet has its turn, as far as there is room."""
    refused: dict[str, str] = {}
    why = f"this host gives {allowed >> 20} MiB to all agents together"
    running = sorted((one for one in wanted if one.since is not None), key=lambda one: -one.memory)
    taken = sum(one.memory for one in running)
    for one in running:
        if taken <= allowed:
            break
        taken -= one.memory
        refused[one.name] = f"{why}, and {one.name} took {one.memory >> 20}"
    for one in sorted((one for one in wanted if one.since is None), key=lambda one: (one.memory, one.name)):
        if taken + one.memory <= allowed * ROOM:
            taken += one.memory
        else:
            refused[one.name] = f"{why}, and {one.name} would not fit"
    return refused
