"""The command line: ``python -m bench.fleet [--nodes N[,N…]] [--messages M] [--idle S] [--json] [--write]``."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.__main__ import DOCUMENT
from bench.fleet import page
from bench.fleet.measures import Measured, measure
from bench.house import TroubleError


def _sizes(text: str) -> list[int]:
    sizes = sorted({int(word) for word in text.replace(",", " ").split()})
    if not sizes or sizes[0] < 2:
        raise argparse.ArgumentTypeError("sizes are whole numbers from 2: 5,10,30")
    return sizes


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description="Many daemons on one machine.")
    parser.add_argument("--nodes", type=_sizes, default=[30], help="one size, or several: 5,10,30")
    parser.add_argument("--introducers", type=int, default=3)
    parser.add_argument("--messages", type=int, default=150)
    parser.add_argument("--idle", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--write", action="store_true", help=f"put it into {DOCUMENT.name}, with a plot")
    arguments = parser.parse_args(words)
    if arguments.messages < 1 or arguments.idle <= 0 or arguments.introducers < 1:
        parser.error("--messages, --idle and --introducers are above 0")
    return arguments


async def _all(arguments: argparse.Namespace) -> list[Measured]:
    began = time.monotonic()

    def told(what: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {what}", file=sys.stderr, flush=True)

    several = []
    for count in arguments.nodes:
        with tempfile.TemporaryDirectory(prefix="maw-fleet-") as root:
            several.append(
                await measure(
                    Path(root), count, introducers=arguments.introducers, messages=arguments.messages,
                    idle_s=arguments.idle, told=told,
                )
            )  # fmt: skip
    return several


def _first_of(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def main(words: Sequence[str] | None = None) -> int:
    """0 when what is asked was met, 1 when not, 70 when the nodes did not get there."""
    arguments = _arguments(words)
    several: list[Measured] = []
    try:
        several = asyncio.run(_all(arguments))
    except* TroubleError as errors:
        print(f"bench.fleet: {_first_of(errors)}", file=sys.stderr)
    if not several:
        return 70
    print(json.dumps([asdict(one) for one in several], indent=1) if arguments.json else page.table(several))
    if arguments.write:
        DOCUMENT.write_text(page.put_into(DOCUMENT.read_text(), page.section(several)))
        DOCUMENT.with_name(page.PLOT).write_text(page.picture(several))
    return 1 if any(page.met(one) is False for one in several) else 0


if __name__ == "__main__":
    sys.exit(main())
