"""The command line: ``python -m tests.chaos [--minutes M] [--seed N] [--rate R] [--list]``."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Sequence

from tests.chaos import run, verdict
from tests.chaos.schedule import ABOUT, plan
from tests.e2e.lab import requirements_missing


def main(words: Sequence[str] | None = None) -> int:
    """0 when all held, 1 when something did not, 70 when this machine cannot have the hosts."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description="Five real hosts, and every fault."
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="of load and faults")
    parser.add_argument("--seed", type=int, help="of the schedule; else a new one")
    parser.add_argument("--rate", type=float, default=300.0, help="words a second, of all agents together")
    parser.add_argument("--list", action="store_true", help="only print the schedule")
    arguments = parser.parse_args(words)
    if arguments.minutes < 0.25 or arguments.rate <= 0:
        parser.error("--minutes is at least 0.25, --rate above 0")
    seed = secrets.randbelow(1 << 31) if arguments.seed is None else arguments.seed
    seconds = arguments.minutes * 60
    print(f"seed {seed}: python -m tests.chaos --minutes {arguments.minutes:g} --seed {seed}", flush=True)
    if arguments.list:
        for fault in plan(seed, seconds, run.HOSTS, without=run.missing_kinds()):
            print(f"{fault.at:6.1f} s  {fault.describe()} for {fault.lasts:g} s: {ABOUT[fault.kind]}")
        return 0
    if missing := requirements_missing():
        print(f"chaos {missing}", file=sys.stderr)
        return 70
    for kind, why in run.missing_kinds().items():
        print(f"without {kind!r}: {why}", flush=True)
    outcome = run.carry_out(seed, seconds, arguments.rate, lambda line: print(line, flush=True))
    print(report(outcome))
    return 0 if outcome.good else 1


def report(outcome: run.Outcome) -> str:
    kinds = ", ".join(
        f"{kind} {sum(fault.kind == kind for fault in outcome.faults)}" for kind in ABOUT
        if any(fault.kind == kind for fault in outcome.faults)
    )  # fmt: skip
    refusals = ", ".join(f"{code} {times:,}" for code, times in sorted(outcome.refusals.items())) or "none"
    return "\n".join(
        [
            "",
            f"seed {outcome.seed}: {outcome.accepted:,} words accepted in {outcome.seconds:g} s"
            f" ({outcome.accepted / outcome.seconds:.0f}/s), the same everywhere {outcome.healed_s:.1f} s later",
            f"faults: {kinds}",
            f"answers other than accepted, each asked again: {refusals}",
            verdict.table(outcome.findings),
            "everything held"
            if outcome.good
            else f"NOT everything held: --seed {outcome.seed} has this schedule",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
