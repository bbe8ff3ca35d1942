"""Background loops: begun again when they stumble, told of when they stand still."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass, field

import pytest

from maw.core.effects import Alert
from maw.node.loops import STANDS_STILL, Loops


@dataclass
class Bench:
    """``Loops`` with everything it says written down, and a clock that is set by hand."""

    now: float = 0.0
    alerts: list[Alert] = field(default_factory=list)
    settled: list[tuple[str, str]] = field(default_factory=list)
    bugs: list[tuple[str, Exception]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.loops = Loops(
            lambda: self.now,
            alert=self.alerts.append,
            settle=lambda kind, subject: self.settled.append((kind, subject)),
            bug=lambda what, error: self.bugs.append((what, error)),
        )


def test_one_that_stands_still_is_told_once_and_settled() -> None:
    bench = Bench()
    beat = bench.loops.pulse("joins", 10)
    bench.now = 100
    assert bench.loops.look(), "it has not begun: nothing to wait for"
    beat()
    bench.now = 110
    assert bench.loops.look()
    assert bench.alerts == []
    bench.now = 111
    assert bench.loops.look(), "nothing depends on it"
    assert bench.loops.look()
    (alert,) = bench.alerts
    assert (alert.kind, alert.subject) == (STANDS_STILL, "joins")
    beat()
    assert bench.loops.look()
    assert bench.settled == [(STANDS_STILL, "joins")]
    bench.now = 200
    bench.loops.look()
    assert len(bench.alerts) == 2


def test_one_that_is_needed_ends_the_feeding_until_it_moves() -> None:
    bench = Bench()
    busy = 0.0
    bench.loops.watch("writer", lambda: busy, 60, essential=True)
    assert bench.loops.look()
    busy = 61.0
    assert not bench.loops.look()
    assert not bench.loops.look()
    busy = 0.0
    assert bench.loops.look()
    assert len(bench.alerts) == len(bench.settled) == 1


async def test_one_that_stumbles_begins_again_ever_more_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    pauses: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await real(0)

    monkeypatch.setattr("maw.node.loops.asyncio.sleep", sleep)
    runs = 0

    async def loop() -> None:
        nonlocal runs
        runs += 1
        if runs == 9:
            bench.now += 1000
        if runs < 10:
            raise ZeroDivisionError(runs)

    await bench.loops.keep("interface", loop)
    assert runs == 10
    assert pauses[:7] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert pauses[-1] < 1.0, "it had run well for long"
    assert {what for what, _ in bench.bugs} == {"interface"}
    assert len(bench.bugs) == 9


@pytest.mark.parametrize(
    "error", [sqlite3.OperationalError("disk I/O error"), OSError(5, "Input/output error")]
)
def test_the_disks_faults_are_not_called_bugs(error: Exception) -> None:
    bench = Bench()
    bench.loops.stumbled("joins", ExceptionGroup("several", [error]))
    assert not bench.bugs
    assert bench.alerts[0].kind == "disk"


async def test_who_stumbled_over_the_disk_and_works_again_is_told_of_no_more() -> None:
    bench = Bench()
    bench.loops.stumbled("joins", OSError(5, "Input/output error"))
    bench.now = 30
    bench.loops.stumbled("joins", OSError(5, "Input/output error"))
    bench.now = 89
    bench.loops.look()
    assert bench.settled == [], "not a minute without a stumble yet"
    bench.now = 90
    bench.loops.look()
    bench.loops.look()
    assert bench.settled == [("disk", "joins")]


async def test_what_an_earlier_run_told_of_a_loop_is_settled_too() -> None:
    bench = Bench()

    async def ends() -> None:
        pass

    await bench.loops.keep("joins", ends)
    bench.now = 60
    bench.loops.look()
    assert bench.settled == [("disk", "joins")]


async def test_being_cancelled_is_no_stumbling() -> None:
    bench = Bench()
    task = asyncio.ensure_future(bench.loops.keep("joins", asyncio.Event().wait))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not bench.bugs


async def test_a_stop_in_the_moment_of_a_fault_is_not_lost() -> None:
    """A TaskGroup raises what its task failed with, and not that it was cancelled meanwhile."""
    bench = Bench()
    runs: list[int] = []

    async def fail() -> None:
        raise ZeroDivisionError

    async def loop() -> None:
        runs.append(1)
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            group.create_task(asyncio.Event().wait())
            await asyncio.Event().wait()

    task = asyncio.ensure_future(bench.loops.keep("interface", loop))
    while not runs:
        await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(0.3):
        await asyncio.wait([task])
    assert task.cancelled()
    assert runs == [1]
