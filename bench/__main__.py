"""The command line: ``python -m bench [NAME…] [--size SIZE] [--json] [--write]``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import ModuleType
from typing import Final

from bench import catchup, cli, colony, files, hearing, hooks, hop, idle, memory, posts, pulse, report
from bench.figure import Figure
from bench.fleet import page
from bench.house import TroubleError
from bench.sizes import SIZES, Size
from bench.stage import Stage

BENCHMARKS: Final[dict[str, ModuleType]] = {
    "hop": hop,
    "posts": posts,
    "catchup": catchup,
    "memory": memory,
    "cli": cli,
    "idle": idle,
    "hooks": hooks,
    "pulse": pulse,
    "hearing": hearing,
    "colony": colony,
    "files": files,
}
STAGED: Final = ("catchup", "memory")
"""These share the big Colony."""
DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Figures, as ratios in one run.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(BENCHMARKS)}; else all")
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--write", action="store_true", help=f"write {DOCUMENT.name} anew")
    arguments = parser.parse_args(words)
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    if arguments.write and arguments.names:
        parser.error("--write is for all benchmarks together")
    return arguments


async def measure(
    names: Sequence[str], size: Size, told: Callable[[str, list[Figure]], None] = lambda name, figures: None
) -> dict[str, list[Figure]]:
    """Runs the benchmarks named, one after the other; ``told`` hears of each as it ends."""
    results: dict[str, list[Figure]] = {}
    async with AsyncExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="maw-bench-")))
        stage: Stage | None = None
        for name in names:
            place = root / name
            place.mkdir()
            work: Awaitable[list[Figure]]
            if name in STAGED:
                stage = stage or await stack.enter_async_context(Stage(root, size))
                work = BENCHMARKS[name].run(place, size, stage)
            else:
                work = BENCHMARKS[name].run(place, size)
            results[name] = await work
            told(name, results[name])
    return results


def main(words: Sequence[str] | None = None) -> int:
    """0 when every figure asked for was met, 1 when one was not, 70 when a benchmark could not run."""
    given = list(sys.argv[1:] if words is None else words)
    if given[:1] == ["pulses"]:
        from bench import pulses  # takes ten minutes, has options of its own, and is not one of all

        return pulses.main(given[1:])
    arguments = _arguments(given)
    names = [name for name in BENCHMARKS if not arguments.names or name in arguments.names]

    def tell(name: str, figures: list[Figure]) -> None:
        if not arguments.json:
            print(f"\n{name}\n{report.table(figures)}", flush=True)

    try:
        results = asyncio.run(measure(names, SIZES[arguments.size], tell))
    except TroubleError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 70
    if arguments.json:
        print(report.as_json(results))
    if arguments.write:
        fleet = page.from_here_on(DOCUMENT.read_text())
        DOCUMENT.write_text(
            "\n".join(filter(None, [report.document(results, BENCHMARKS, arguments.size), fleet]))
        )
    return 1 if any(figure.met is False for figures in results.values() for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
