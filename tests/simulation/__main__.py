"""python -m tests.simulation --seeds N [--start S] [--nodes 3,10,50]: as many runs as you like."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter

from tests.simulation.knobs import SHOWS, draw
from tests.simulation.world import World, run_seed

SPREAD = {3: 1, 10: 8, 50: 80}
"""Of so many seeds one runs with this many nodes."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument(
        "--nodes", default="3,10,50", help="3,10,50: mostly the first, each other more rarely"
    )
    parser.add_argument("--all", action="store_true", help="every seed with every number of nodes")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first failing seed")
    parser.add_argument("--tail", type=int, default=80, help="lines of trace shown for a failing seed")
    args = parser.parse_args()
    sizes = [int(word) for word in args.nodes.split(",")]
    counts: Counter[str] = Counter()
    failed: list[tuple[int, int, str]] = []
    runs, began = 0, time.monotonic()
    for seed in range(args.start, args.start + args.seeds):
        for size in sizes:
            if not args.all and size != sizes[0] and seed % SPREAD.get(size, 8):
                continue
            runs += 1
            try:
                counts.update(run_seed(seed, size).trace.counts)
            except Exception as error:
                failed.append((seed, size, f"{type(error).__name__}: {error}".splitlines()[0]))
                _tell(error, seed, size, args.tail)
                if not args.keep_going:
                    return 1
        if (seed - args.start) % 25 == 24:
            spent = time.monotonic() - began
            print(
                f"{runs} runs, {len(failed)} failed, {spent:.0f} s, {spent / runs * 1000:.0f} ms a run",
                flush=True,
            )
    for what in (*sorted(SHOWS.values()), *sorted(set(counts) - set(SHOWS.values()))):
        print(f"{counts[what]:10} {what}")
    for seed, size, what in failed:
        print(f"FAILED --start {seed} --seeds 1 --nodes {size}: {what}")
    print(f"{runs} runs, {len(failed)} failed")
    return 1 if failed else 0


def _tell(error: Exception, seed: int, size: int, tail: int) -> None:
    world: World | None = getattr(error, "world", None)
    print(f"\nseed {seed} with {size} nodes failed: {draw(seed, size)}")
    if world is not None and tail:
        print(world.trace.tail(tail))
    if isinstance(error, AssertionError):
        print(f"{type(error).__name__}: {error}")
    if not isinstance(error, AssertionError) or not str(error):
        traceback.print_exception(error)
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
