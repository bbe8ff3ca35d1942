"""A few hundred seeds; ``python -m tests.simulation --seeds N`` runs as many as you like."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import NoReturn

import pytest

from tests.simulation.checkers import CHECKERS
from tests.simulation.knobs import AGAINST, FAULTS, HOSTILE, SHAPES, SHOWS, chosen, draw
from tests.simulation.mutants import MUTANTS
from tests.simulation.running import Campaign
from tests.simulation.world import World, run_seed

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
THREE = 100
TEN = 12


def campaign(seeds: range, nodes: int) -> Campaign:
    done = Campaign()
    for seed in seeds:
        if not done.run(seed, nodes):
            _fail(done)
    return done


def _fail(done: Campaign) -> NoReturn:
    failure = done.failures[-1]
    trace = failure.world.trace.tail(40) if failure.world else ""
    pytest.fail(f"{failure.error}\n{failure.knobs}\n{trace}\npython -m tests.simulation {failure}")


@pytest.mark.slow
def test_three_nodes_and_every_knob_had_an_effect_in_every_shape() -> None:
    """What only one node of three does is asked for in all shapes together."""
    done = campaign(range(THREE), 3)
    wanted = [(knob, shape) for knob in FAULTS if knob not in HOSTILE for shape in SHAPES]
    wanted += [(knob, "mesh") for knob in done.without_effect()]
    missing = [
        f"{knob} in a {shape}"
        for knob, shape in wanted
        if not done.show(knob, shape, 3, range(THREE, 2 * THREE))
    ]
    if done.failures:
        _fail(done)
    assert missing == []


@pytest.mark.slow
def test_ten_nodes_and_every_honest_knob_had_an_effect() -> None:
    done = campaign(range(TEN), 10)
    wanted = [knob for knob in done.without_effect() if knob not in HOSTILE]
    missing = [knob for knob in wanted if not done.show(knob, "random", 10, range(TEN, 3 * TEN))]
    if done.failures:
        _fail(done)
    assert missing == []


def test_thirty_nodes() -> None:
    assert campaign(range(1, 2), 30).runs == 1


def test_steady_runs_are_among_the_seeds() -> None:
    assert [seed for seed in range(THREE) if not draw(seed, 3).faults]


def test_every_knob_is_drawn() -> None:
    drawn = {fault for seed in range(500) for fault in draw(seed, 3).faults}
    assert drawn == set(FAULTS)


def test_every_violation_names_a_checker() -> None:
    named = {
        name
        for path in HERE.glob("*.py")
        for name in re.findall(r"Violation\(\s*\"(\w+)\"", path.read_text(encoding="utf-8"))
    }
    assert named == set(CHECKERS)


def test_the_page_on_testing_names_every_knob_checker_and_bug() -> None:
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    missing = [f"`{knob}` | {shown}" for knob, shown in SHOWS.items() if f"`{knob}` | {shown} |" not in page]
    missing += [checker for checker in CHECKERS if f"**{checker}**" not in page]
    missing += [mutant.what for mutant in MUTANTS if f"| {mutant.what} " not in page]
    assert missing == []


@pytest.mark.parametrize(("seed", "nodes"), [(7, 3), (21, 3), (24, 5)])
def test_every_forked_epoch_is_found_though_its_author_went_on_for_long(seed: int, nodes: int) -> None:
    """Honest nodes hear nothing of each other while a forger shows each its own branch of one epoch after another:
    when they meet, but the latest are hidden in a digest."""
    world = World(chosen(draw(seed, nodes), {"forger", "clock_jump"}))
    forger, rng = world.nodes[-1], random.Random(seed)

    def say() -> None:
        forger.home.wall_ahead += rng.choice((-3600, 3600, 7200))
        forger.post(rng.randint(1, 4), 50)

    for _ in range(14):
        world.clockwork.at(1 + rng.uniform(0, world.knobs.span), say)
    honest = {node.index for node in world.around.honest}
    apart = {(a, b) for a in honest for b in honest - {a}}
    world.clockwork.at(0.3, world.faults.cut_off, apart, world.knobs.span + 5)
    world.run()
    assert min(len(node.disk.rows.proofs) for node in world.around.honest) >= 10


def test_who_withholds_payloads_is_told_apart_from_who_drops_them_by_a_rule() -> None:
    """That no honest node is accused is for the checkers to see; here, that the other is."""
    wanted = {
        "payloads dropped by a rule", "payloads withheld", "payloads that came later",
        "withheld payloads noticed", "rules over the words of others",
    }  # fmt: skip
    done = Campaign()
    for seed in range(80):
        drawn = draw(seed, 3)
        if not done.run_knobs(chosen(drawn, drawn.faults - AGAINST["censor"] | {"censor", "redacted"})):
            _fail(done)
        if wanted <= done.total().keys():
            return
    pytest.fail(f"without effect: {wanted - done.total().keys()}")


SEEDS = {
    (
        40,
        3,
    ): "apart,big,bursts,clock_jump,copied,crash,crash_queued,disk_full,forked,freeze,frozen,revoked,slow_link",
    (2043, 3): "apart,bursts,clock_jump,crash_told,crash_writing,deleted,forked,frozen,partition,slow_link",
    (96, 10): "big,bursts,crash,crash_told,disk_refuses,forked,freeze,one_way",
    (1138, 3): "apart,big,bursts,copied,deleted,frozen,partition,redacted,slow_link,snapshot",
    (
        5051,
        3,
    ): "apart,bursts,copied,disk_refuses,forked,freeze,frozen,link_loss,partition,restored,slow_disk,snapshot",
    (
        5340,
        3,
    ): "apart,bursts,deleted,dripper,forger,forked,one_way,partition,power_cut,restored,slow_disk,snapshot",
}
"""Runs that saw something once: the number and the nodes they were drawn from, and their knobs."""


@pytest.mark.parametrize(("seed", "nodes"), SEEDS)
def test_what_a_seed_saw_is_mended(seed: int, nodes: int) -> None:
    done = Campaign()
    if not done.run_knobs(chosen(draw(seed, nodes), SEEDS[seed, nodes].split(","))):
        _fail(done)


# -- replay ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seed", "nodes"), [(3, 3), (5, 3), (2, 10)])
def test_a_seed_is_the_same_run_each_time(seed: int, nodes: int) -> None:
    first, second = StringIO(), StringIO()
    one, other = run_seed(seed, nodes, first), run_seed(seed, nodes, second)
    assert first.getvalue() == second.getvalue() != ""
    assert one.trace.digest() == other.trace.digest()
    assert one.clockwork.events == other.clockwork.events


def test_another_seed_is_another_run() -> None:
    assert run_seed(3, 3).trace.digest() != run_seed(4, 3).trace.digest()


def test_a_replay_is_the_same_byte_for_byte_whatever_python_hashes() -> None:
    shown = [replay("11", "3", hash_seed) for hash_seed in ("0", "1", "4711")]
    assert shown[0] == shown[1] == shown[2]
    assert b"commit " in shown[0] and b"seed=11" in shown[0] and b"digest" in shown[0]


def test_who_looks_at_the_beginning_of_a_replay_alone_gets_no_traceback() -> None:
    script = f"set -o pipefail; {sys.executable} -m tests.simulation --replay 11 --nodes 25 | head -1"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("commit ")
    assert (done.returncode, done.stderr) == (0, "")


def replay(seed: str, nodes: str, hash_seed: str) -> bytes:
    command = [sys.executable, "-m", "tests.simulation", "--replay", seed, "--nodes", nodes]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True).stdout
