"""A fork made on purpose among real daemons: proved, told to everybody, contained, and ended by its author."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import MakeHome
from tests.e2e.daemons import Daemon
from tests.e2e.lab import wait_until
from tests.e2e.world import World, put_back, told

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def four(make_home: MakeHome, tmp_path: Path) -> Iterator[World]:
    made = World(make_home, tmp_path, "carol", "dave")
    made.pair()
    made.say(made.mbp, "before")
    made.check()
    yield made
    for daemon in made.started:
        daemon.__exit__(None, None, None)


def disputed(daemon: Daemon) -> list[str]:
    return [item["text"] for item in daemon.channel() if item["disputed"]]


def kinds(daemon: Daemon) -> set[str]:
    return {alert["kind"] for alert in daemon.ask("GET", "/api/status")[1]["alerts"]}


def has(daemon: Daemon, *texts: str) -> bool:
    return set(texts) <= {item["text"] for item in daemon.channel()}


def test_two_branches_are_proved_contained_shown_and_adopted_while_the_rest_goes_on(four: World) -> None:
    """mbp's machine is put back to a snapshot, twice alone with another host: each has heard another branch."""
    mbp, oracle, carol, dave = four.daemons
    four.stop()
    snapshot = four.copy(mbp, "snapshot")
    first = [f"first branch {n} @neo @trinity" for n in range(3)]
    second = [f"second branch {n} @neo @trinity" for n in range(4)]
    for host, branch in ((oracle, first), (carol, second)):
        put_back(snapshot, mbp.home)
        four.start(mbp, host)
        four.linked(mbp)
        for text in branch:
            four.say(mbp, text, "arthur")
        wait_until(lambda h=host, b=branch: has(h, *b), "the branch is heard", 20)  # type: ignore[misc]
        four.stop(mbp, host)

    others = [oracle, carol, dave]
    four.start(*others)
    for host in others:
        assert "said two different things at one place" in told(host, "fork")
    wait_until(lambda: disputed(oracle) == first, "each shows the branch it holds as disputed")
    wait_until(lambda: disputed(carol) == second, "each shows the branch it holds as disputed")
    assert "DISPUTED: its host said something else there too" in carol.maw("read", "general")
    for host, text in zip(others, ("oracle goes on", "carol goes on", "dave goes on"), strict=True):
        four.say(host, text)
    on = ("oracle goes on", "carol goes on", "dave goes on")
    for host in others:
        wait_until(lambda h=host: has(h, *on), "the rest goes on", 20)  # type: ignore[misc]
    assert not any(has(host, *first, *second) for host in others), "no branch is mixed with the other"
    four.stop(carol)
    four.start(carol)
    assert disputed(carol) == second, "also after a restart"

    four.start(mbp)
    four.check()
    assert "two branches" in told(mbp, "own_fork")
    for host in others:
        wait_until(lambda h=host: "fork" not in kinds(h), f"{host.home.name} says that it is over", 30)  # type: ignore[misc]
        assert "dispute is over" in told(host, "fork_settled")
    four.say(mbp, "and on", "arthur")
    four.check()
