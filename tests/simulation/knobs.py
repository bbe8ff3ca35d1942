"""Everything a seed decides before the run begins."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

SHOWS: Final = {
    "link_loss": "frames lost with their link",
    "partition": "links cut by a partition",
    "one_way": "dials refused one way",
    "apart": "hours that two halves were apart",
    "outbound": "dials refused by a host that only dials",
    "slow_link": "frames behind a slow link",
    "crash": "commits lost in a crash",
    "crash_queued": "crashes with a job queued",
    "crash_writing": "crashes while a commit is written",
    "crash_synced": "crashes after the sync, nobody told",
    "crash_told_some": "crashes with half of a commit answered",
    "crash_told": "crashes right after the answers",
    "power_cut": "power cuts",
    "frozen": "events that waited for a stopped process",
    "disk_refuses": "batches refused by a disk",
    "disk_full": "posts refused on a full disk",
    "slow_disk": "slow commits",
    "restored": "entries lost by a restored database",
    "deleted": "entries lost by a deleted database",
    "copied": "entries lost by an old copy of a directory",
    "snapshot": "entries lost by an old snapshot of a machine",
    "forked": "forks of an honest log ended by its author",
    "clock_jump": "epochs after a clock jump",
    "big": "big posts",
    "bursts": "posts in bursts",
    "pairing": "pairings broken off",
    "revoked": "nodes locked out by a revocation",
    "freeze": "posts refused under a freeze",
    "redacted": "payloads dropped by a rule",
    "marked": "marks that authors heard of",
    "forger": "entries signed twice and shown both ways",
    "impostor": "entries forged in another's name",
    "bad_signer": "entries with a bad signature within a run",
    "liar": "heads announced that nobody holds",
    "withholder": "entries withheld",
    "dripper": "entries dripped",
    "censor": "payloads withheld",
}
"""Each knob and the count by which its effect is seen."""
FAULTS: Final = tuple(SHOWS)
HOSTILE: Final = frozenset({"forger", "impostor", "bad_signer", "liar", "withholder", "dripper", "censor"})
"""What one node of a run, the last, does to the others."""
LATER: Final = frozenset({"redacted", "censor", "marked"})
"""Drawn after all others, so that what an older seed drew it draws still."""
MEASURED: Final = 100
"""The seeds with which deliberate bugs are measured begin at thousands: of so many from each on, none draws what came
after they were."""
CRASHES: Final = frozenset(fault for fault in FAULTS if fault.startswith("crash"))
AGAINST: Final = {
    "pairing": frozenset({"revoked", "apart"}),
    "outbound": frozenset({"revoked"}),
    **dict.fromkeys(HOSTILE, frozenset({"revoked"})),
    "redacted": frozenset({"forked"}),
    "censor": frozenset({"revoked", "forked"}),
    **dict.fromkeys(CRASHES, frozenset({"snapshot"})),
}
"""What a knob does not go together with, and would give way to."""
LOSING: Final = frozenset({"restored", "deleted", "copied", "snapshot", "forked"})
"""Time travel: a node that no longer has what it had."""
SHAPES: Final = ("mesh", "line", "ring", "star", "random", "cliques")


@dataclass(frozen=True, slots=True)
class Knobs:
    """``faults`` empty: a steady run, in which nothing may be sent twice."""

    seed: int
    nodes: int
    shape: str
    invites: str
    posts: int
    span: float
    faults: frozenset[str]
    wire: bool
    credit: int
    page: int
    latency: float
    commit: float

    def has(self, *faults: str) -> bool:
        return not self.faults.isdisjoint(faults)

    @property
    def hostile(self) -> frozenset[str]:
        return self.faults & HOSTILE

    def __str__(self) -> str:
        faults = ",".join(sorted(self.faults)) or "none"
        return (
            f"seed={self.seed} nodes={self.nodes} shape={self.shape} invites={self.invites}"
            f" posts={self.posts} span={self.span:.1f} wire={self.wire} credit={self.credit}"
            f" page={self.page} latency={self.latency:.4f} commit={self.commit:.4f} faults={faults}"
        )


def chosen(knobs: Knobs, faults: Iterable[str]) -> Knobs:
    """With these faults, less those that do not go together."""
    kept = set(faults)
    if "revoked" in kept:  # the last is: whom it let in would be out with it, and who reaches it alone
        kept -= {"pairing", "outbound", *HOSTILE}
    if "forked" in kept:  # what becomes of rules in a branch that gives way is not modelled
        kept -= {"redacted", "censor"}
    if "apart" in kept:  # an invite is good for minutes
        kept -= {"pairing"}
    if "snapshot" in kept:  # a process that falls over before it writes again has forgotten that time jumped
        kept -= CRASHES
    invites = "star" if "revoked" in kept else "tree" if "outbound" in kept else knobs.invites
    return replace(knobs, faults=frozenset(kept), invites=invites)


def _faults(rng: random.Random) -> frozenset[str]:
    """None, a few, or many at once; one run in four has a hostile node among it."""
    kind = rng.random()
    if kind < 0.12:
        return frozenset()
    share = 0.12 if kind < 0.4 else 0.4
    found = {fault for fault in FAULTS if fault not in HOSTILE | LATER and rng.random() < share}
    if rng.random() < 0.25:
        found |= set(rng.sample(sorted(HOSTILE - LATER), rng.randint(1, 2)))
    return frozenset(found)


def draw(seed: int, nodes: int) -> Knobs:
    """The knobs of one run: the same for the same seed and number of nodes."""
    rng = random.Random(f"knobs {seed} {nodes}")
    faults = _faults(rng)
    later = random.Random(f"later knobs {seed} {nodes}")
    if faults:
        faults |= {knob for knob, share in (("redacted", 0.3), ("censor", 0.06)) if later.random() < share}
    if faults and seed % 1000 >= MEASURED and later.random() < 0.3:
        faults |= {"marked"}
    shapes: tuple[str, ...]
    if nodes > 20:
        shapes, posts, span = ("ring", "star", "random", "cliques"), rng.randint(40, 80), rng.uniform(3, 8)
    elif nodes > 5:
        shapes, posts, span = SHAPES, rng.randint(40, 120), rng.uniform(3, 15)
    else:
        shapes, posts, span = SHAPES, rng.randint(20, 90), rng.uniform(2, 20)
    drawn = Knobs(
        seed=seed,
        nodes=nodes,
        shape=rng.choice(shapes),
        invites=rng.choice(("star", "tree")),
        posts=posts,
        span=span,
        faults=faults,
        wire=rng.random() < 0.3,
        credit=rng.choice((4 << 20, 64 << 10, 8 << 10)),
        page=rng.choice((1_000, 5_000, 100_000)),
        latency=rng.choice((0.0005, 0.005, 0.04)),
        commit=rng.choice((0.001, 0.005, 0.03)),
    )
    # a day of many nodes takes a minute to compute
    return chosen(drawn, faults - {"apart"} if nodes > 20 else faults)
