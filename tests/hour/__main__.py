"""``python -m tests.hour [--minutes 60] [--messages 500] [--agents 13] [--nudged 3] [--seed N]``."""

from __future__ import annotations

import argparse
import sys
import time

from tests.hour.run import Tally, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hour", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--messages", type=int, default=500)
    parser.add_argument("--agents", type=int, default=13)
    parser.add_argument("--nudged", type=int, default=3)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    tally = run(**vars(asked), told=lambda line: print(f"{time.strftime('%H:%M:%S')} {line}", flush=True))
    show(tally, asked.agents)
    return 1 if tally.missing or tally.twice else 0


def show(tally: Tally, agents: int) -> None:
    print(f"{tally.said} messages among {agents} agents in {tally.seconds / 60:.0f} min")
    print(f"wakes {tally.wakes} ({tally.nudges} of them nudges), digests {tally.digests}")
    print(f"bytes into contexts: {tally.digest_bytes} by digests, {tally.context_bytes} in all")
    for name, (wakes, digest_bytes, size) in sorted(tally.per_agent.items()):
        print(f"  {name}: {wakes} wakes, {digest_bytes} bytes of digests, {size} in all")
    print(f"states: {', '.join(f'{state} {count}' for state, count in tally.states.most_common())}")
    if tally.missing:
        print(f"NOT HEARD OF: {', '.join(tally.missing)}")
    if tally.twice:
        print(f"TOLD TWICE: {', '.join(tally.twice)}")


if __name__ == "__main__":
    sys.exit(main())
