"""Everything a seed decides before the run begins."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

FAULTS: Final = (
    "link_loss",
    "partition",
    "one_way",
    "slow_link",
    "crash",
    "same_epoch",
    "disk_refuses",
    "slow_disk",
    "restored",
    "clock_jump",
    "big",
    "bursts",
    "pairing",
)
"""Each is on in about half of the runs; ``SHOWS`` says by what count it is seen."""

SHOWS: Final = {
    "link_loss": "frames lost with their link",
    "partition": "links cut by a partition",
    "one_way": "dials refused one way",
    "slow_link": "frames behind a slow link",
    "crash": "commits lost in a crash",
    "same_epoch": "restarts within an epoch",
    "disk_refuses": "batches refused by a disk",
    "slow_disk": "slow commits",
    "restored": "entries lost by a restored database",
    "clock_jump": "epochs after a clock jump",
    "big": "big posts",
    "bursts": "posts in bursts",
    "pairing": "pairings broken off",
}
SHAPES: Final = ("mesh", "line", "ring", "star", "random")


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

    def has(self, fault: str) -> bool:
        return fault in self.faults

    def __str__(self) -> str:
        faults = ",".join(sorted(self.faults)) or "none"
        return (
            f"seed={self.seed} nodes={self.nodes} shape={self.shape} invites={self.invites}"
            f" posts={self.posts} span={self.span:.1f} wire={self.wire} credit={self.credit}"
            f" page={self.page} latency={self.latency:.4f} commit={self.commit:.4f} faults={faults}"
        )


def draw(seed: int, nodes: int) -> Knobs:
    """The knobs of one run: the same for the same seed and number of nodes."""
    rng = random.Random(f"knobs {seed} {nodes}")
    steady = rng.random() < 0.15
    faults = frozenset() if steady else frozenset(f for f in FAULTS if rng.random() < 0.45)
    shapes: tuple[str, ...]
    if nodes > 20:
        shapes, posts, span = ("ring", "star", "random"), rng.randint(40, 80), rng.uniform(3, 8)
    elif nodes > 5:
        shapes, posts, span = SHAPES, rng.randint(40, 120), rng.uniform(3, 15)
    else:
        shapes, posts, span = SHAPES, rng.randint(20, 90), rng.uniform(2, 20)
    return Knobs(
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
