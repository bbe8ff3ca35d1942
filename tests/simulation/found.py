"""Seeds that found faults in the machines, kept so that the faults cannot come back unseen.

A seed means the same run only as long as the simulator draws its dice in the same order: when that changes,
run the old fault again (each is one line in its machine) and keep a seed that finds it.
"""

from __future__ import annotations

from typing import Final

FOUND: Final[tuple[tuple[int, int, str], ...]] = (
    (8, 3, "an overdue follow was begun again over the same slow link, whose frames were then passed over"),
    (12, 3, "statements of issuers not known yet were dropped and never asked for again"),
    (64, 10, "the same, along a line of ten"),
    (15, 3, "a run of a later epoch stayed when the batch before it was lost: an author's order was broken"),
)
"""(seed, nodes, what it found)"""
