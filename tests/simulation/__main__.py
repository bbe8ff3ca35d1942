"""python -m tests.simulation: runs in virtual time. Without more words: --seeds 200.

--seeds N [--start S] [--nodes 3,10,50]   as many runs as you like
--replay SEED [--nodes 3]                 one run, every event on standard output
--with crash,frozen  --shape ring         for a replay: these knobs instead of those drawn
--broadcast                               25 nodes at 100 ms links: messages per operation, latency
--scale 25,100 [--agents 8000]            what grows with the number of nodes, and how; --cold: up to so many
                                          begin knowing nothing of each other, the others knowing all
--mutants                                 deliberate bugs, and how many seeds each takes to be caught
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from dataclasses import replace

from tests.simulation import broadcast, mutants, scale
from tests.simulation.knobs import SHAPES, Knobs, chosen, draw
from tests.simulation.running import Campaign, Failure, commit
from tests.simulation.trace import Violation
from tests.simulation.world import run_knobs

SPREAD = {3: 1, 10: 8, 50: 80}
"""Of so many seeds one runs with this many nodes."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--nodes", default="3,10,50", help="mostly the first, each other more rarely")
    parser.add_argument("--all", action="store_true", help="every seed with every number of nodes")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first failing seed")
    parser.add_argument("--tail", type=int, default=80, help="lines of trace shown for a failing seed")
    parser.add_argument("--replay", type=int, metavar="SEED")
    parser.add_argument("--mutants", action="store_true")
    parser.add_argument("--scale", metavar="NODES")
    parser.add_argument("--agents", type=int, default=8_000)
    parser.add_argument("--cold", type=int, default=100, metavar="NODES")
    parser.add_argument("--broadcast", action="store_true")
    parser.add_argument("--with", dest="faults", metavar="KNOBS")
    parser.add_argument("--shape", choices=SHAPES)
    args = parser.parse_args()
    sizes = [int(word) for word in args.nodes.split(",")]
    print(f"commit {commit()}", flush=True)
    if args.replay is not None:
        knobs = draw(args.replay, sizes[0])
        if args.faults is not None:
            knobs = chosen(knobs, set(args.faults.split(",")) - {""})
        return replay(replace(knobs, shape=args.shape or knobs.shape))
    if args.broadcast:
        return broadcast.report()
    if args.scale:
        return scale.report([int(word) for word in args.scale.split(",")], args.agents, args.cold)
    if args.mutants:
        return mutants.report()
    return campaign(args, sizes)


def replay(knobs: Knobs) -> int:
    """Byte for byte the same each time, on every machine, for one commit."""
    print(knobs)
    try:
        world = run_knobs(knobs, sys.stdout)
    except Violation as violation:
        print(f"VIOLATION {violation}")
        return 1
    print(f"all held; {world.clockwork.events} events, digest {world.trace.digest()}")
    return 0


def campaign(args: argparse.Namespace, sizes: list[int]) -> int:
    done, began = Campaign(), time.monotonic()
    print(f"seeds {args.start} to {args.start + args.seeds - 1}, nodes {args.nodes}")
    for seed in range(args.start, args.start + args.seeds):
        for size in sizes:
            if not args.all and size != sizes[0] and seed % SPREAD.get(size, 8):
                continue
            if not done.run(seed, size):
                _tell(done.failures[-1], args.tail)
                if not args.keep_going:
                    return 1
        if (seed - args.start) % 100 == 99:
            spent = time.monotonic() - began
            each = spent / done.runs * 1000
            print(
                f"{done.runs} runs, {len(done.failures)} failed, {spent:.0f} s, {each:.0f} ms a run",
                flush=True,
            )
    print(done.table())
    for failure in done.failures:
        print(f"FAILED {failure}")
    idle = done.without_effect()
    if idle:
        print(f"without effect (more seeds would show them): {', '.join(idle)}")
    print(f"{done.runs} runs, {len(done.failures)} failed")
    return 1 if done.failures else 0


def _tell(failure: Failure, tail: int) -> None:
    print(f"\n{failure}\n{failure.knobs}")
    if failure.world is not None and tail:
        print(failure.world.trace.tail(tail))
    if isinstance(failure.error, AssertionError):
        print(f"{type(failure.error).__name__}: {failure.error}")
    if not isinstance(failure.error, Violation):
        traceback.print_exception(failure.error)
    sys.stdout.flush()


def run() -> int:
    """Who looks at the beginning alone (``| head``) has seen enough."""
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # else Python complains as it closes it
        return 0
    return code


if __name__ == "__main__":
    raise SystemExit(run())
