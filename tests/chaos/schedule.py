"""What goes wrong when: a list made from a seed. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import ceil
from random import Random
from typing import Final

CUT: Final = "cut"
CUT_PAIR: Final = "cut pair"
DEAF: Final = "one way"
WG_DOWN: Final = "wg0 down"
KILL: Final = "kill -9"
STOP: Final = "SIGSTOP"
RESTART: Final = "restart"
CLOCK: Final = "clock"
FULL: Final = "disk full"
ROLLBACK: Final = "rolled back"
DELETE: Final = "deleted"

KINDS: Final = (CUT, CUT_PAIR, DEAF, WG_DOWN, KILL, STOP, RESTART, CLOCK, FULL, ROLLBACK, DELETE)
DISASTERS: Final = frozenset({ROLLBACK, DELETE})
"""The database is not what it was: one at a time, and all others have time to hold what the last one cost."""
PAIRS: Final = frozenset({CUT_PAIR, DEAF})
ABOUT: Final = {
    CUT: "the host's underlay is down",
    CUT_PAIR: "two hosts do not hear each other",
    DEAF: "the first does not hear the second",
    WG_DOWN: "wg0 is down",
    KILL: "the daemon is killed, and started again",
    STOP: "the daemon is stopped, and goes on",
    RESTART: "SIGTERM, and started again",
    CLOCK: "the wall clock is off by hours, and put right",
    FULL: "no byte is left on the disk of the home, then there are",
    ROLLBACK: "killed; an older copy of the database is put back",
    DELETE: "killed; the database is deleted, the key stays",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """``at`` and ``lasts`` in seconds from the start of the load; ``hosts`` by number from 0."""

    kind: str
    at: float
    lasts: float
    hosts: tuple[int, ...]
    amount: int = 0
    """Of a clock: seconds ahead. Of a rollback: how many seconds before it the copy is taken."""

    @property
    def ends(self) -> float:
        return round(self.at + self.lasts, 1)

    def describe(self) -> str:
        where = "+".join(f"h{host + 1}" for host in self.hosts)
        more = f" {self.amount / 3600:+.1f} h" if self.kind == CLOCK else ""
        more = f" to {self.amount} s before" if self.kind == ROLLBACK else more
        return f"{where} {self.kind}{more}"


def plan(
    seed: int, seconds: float, hosts: int, *, without: Collection[str] = (), at_once: int = 2
) -> list[Fault]:
    """The faults of a run, by time of beginning; all have ended after ``seconds``.

    A host has one fault at a time, ``at_once`` hosts at most are struck together, so that three of five go on.
    Kinds come in shuffled rounds: every kind before any a second time. Kinds in ``without`` are left out.
    """
    random = Random(seed)
    kinds = [kind for kind in KINDS if kind not in without]
    scale = min(1.0, seconds / 240)  # a short run has short faults, so that it has room for each kind
    faults: list[Fault] = []
    calm_from = 0.0
    round_: list[str] = []
    at = 3.0
    while True:
        if not round_:
            round_ = random.sample(kinds, len(kinds))
        kind = round_.pop()
        lasts = round(random.uniform(6.0, 6.0 + 24.0 * scale) * (0.6 if scale < 1 else 1), 1)
        if kind in DISASTERS:
            at = max(at, calm_from)
        while len(_struck(faults, at)) + (2 if kind in PAIRS else 1) > at_once:
            at = min(fault.ends for fault in faults if fault.ends > at)
        at = ceil(at * 10) / 10
        if at + lasts > seconds:
            return sorted(faults, key=lambda fault: fault.at)
        free = [host for host in range(hosts) if host not in _struck(faults, at)]
        struck = tuple(random.sample(free, 2 if kind in PAIRS else 1))
        amount = 0
        if kind == CLOCK:
            amount = random.choice((-1, 1)) * random.randrange(1800, 6 * 3600)
        if kind == ROLLBACK:
            amount = min(int(at), random.randrange(5, 60))
        faults.append(Fault(kind, at, lasts, struck, amount))
        if kind in DISASTERS:
            calm_from = at + lasts + 10.0 + 20.0 * scale
        at += random.uniform(1.0, 1.0 + 7.0 * scale)


def _struck(faults: Sequence[Fault], at: float) -> set[int]:
    """Hosts that a fault has hold of at ``at``, with a moment afterwards to come to themselves."""
    return {host for fault in faults if fault.at <= at < fault.ends for host in fault.hosts}
