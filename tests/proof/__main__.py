"""``python -m tests.proof [--seed N] [--examples N]``: as long a run as is wanted, at each door."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.proof.house import live, prove, ways

DOORS = ("anonymous", "token", "socket")
PHASES = "examples,coverage,fuzzing,stateful"


async def _run(seed: int, examples: int, doors: Sequence[str], more: tuple[str, ...]) -> int:
    with tempfile.TemporaryDirectory(prefix="maw-proof-") as root:
        async with live(Path(root)) as house:
            worst = 0
            for name in doors:
                code, out = await prove(
                    ways(house)[name], Path(root), seed=seed, examples=examples, phases=PHASES, more=more
                )
                print(f"=== {name}, seed {seed}\n{out}", flush=True)
                worst = max(worst, code)
            return worst


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.proof", description="The API against openapi.json."
    )
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--examples", type=int, default=200, help="for each operation")
    parser.add_argument("--door", choices=DOORS, action="append")
    arguments, more = parser.parse_known_args()
    doors = arguments.door or DOORS
    return asyncio.run(_run(arguments.seed, arguments.examples, doors, tuple(more)))


if __name__ == "__main__":
    sys.exit(main())
