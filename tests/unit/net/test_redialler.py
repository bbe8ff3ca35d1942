"""The redialler against a dialler that is none: addresses in turn, patience, waking, letting go."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NoReturn, cast

import pytest

from maw.core.identity import NodeId
from maw.errors import HandshakeRefused, LinkClosed, LinkError
from maw.net.link import Link
from maw.net.redialler import Backoff, Redialler

A, B = NodeId(b"a" * 32), NodeId(b"b" * 32)
QUICK = Backoff(first=0.001, cap=0.004, settled=10.0, check=0.01)
NEVER = Backoff(first=1000.0, cap=1000.0)


class FakeLink:
    remote_address = "10.0.0.1:1"

    def __init__(self, peer: NodeId) -> None:
        self.peer = peer
        self.ended: LinkError | None = None
        self.over = asyncio.Event()

    async def shut(self, reason: str) -> None:
        self.ended = self.ended or LinkClosed(reason)
        self.over.set()


class World:
    """Addresses in ``up`` can be dialled; ``linked`` is what a switchboard would know."""

    def __init__(self, backoff: Backoff = QUICK) -> None:
        self.up: set[str] = set()
        self.dialled: list[str] = []
        self.links: list[FakeLink] = []
        self.dropped: list[Link] = []
        self.refuse: HandshakeRefused | None = None
        self.linked_by_them: set[NodeId] = set()
        self.redialler = Redialler(
            self.dial,
            self,
            self.serve,
            linked=lambda node: node in self.linked_by_them,
            rng=random.Random(7),
            wall=time.time,
            backoff=backoff,
        )

    def dial(self, address: str, node: NodeId) -> Awaitable[Link]:
        return self._dial(address, node)

    async def _dial(self, address: str, node: NodeId) -> Link:
        self.dialled.append(address)
        await asyncio.sleep(0)
        if address not in self.up:
            raise LinkClosed("connection refused", code="unreachable")
        self.links.append(FakeLink(node))
        return cast(Link, self.links[-1])

    def judge(self, peer: NodeId, admission: bytes | None) -> None:
        raise AssertionError("nobody dials in here")

    async def admit_link(self, link: Link) -> None:
        if self.refuse is not None:
            raise self.refuse

    def drop_link(self, link: Link) -> None:
        self.dropped.append(link)

    async def serve(self, link: Link) -> None:
        fake = cast(FakeLink, link)
        await fake.over.wait()
        fake.ended = fake.ended or LinkClosed("lost")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Redialler]:
        task = asyncio.get_running_loop().create_task(self.redialler.run())
        try:
            yield self.redialler
        finally:
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            await task


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(3):
        while not true():
            await asyncio.sleep(0.001)


async def test_addresses_are_tried_in_turn_until_one_answers() -> None:
    world = World()
    world.up = {"c:3"}
    world.redialler.set_targets({A: ["a:1", "b:2", "c:3", "d:4"]})
    async with world.running() as redialler:
        await until(lambda: redialler.states()[A].state == "linked")
        assert world.dialled == ["a:1", "b:2", "c:3"]
        state = redialler.states()[A]
        assert (state.last_error, state.attempts, state.address) == (None, 0, "c:3")
    assert world.dropped == [cast(Link, link) for link in world.links]
    assert world.links[0].ended is not None


async def test_the_state_says_what_is_wrong_and_since_when() -> None:
    world = World()
    begun = time.time()
    world.redialler.set_targets({A: ["a:1"]})
    async with world.running() as redialler:
        await until(lambda: len(world.dialled) > 3)
        state = redialler.states()[A]
        assert state.last_error == "a:1: connection refused"
        assert state.last_error_code == "unreachable"
        assert state.attempts >= 3
        assert begun <= state.since < begun + 1


async def test_a_link_that_is_lost_is_dialled_again() -> None:
    world = World()
    world.up = {"a:1"}
    world.redialler.set_targets({A: ["a:1"]})
    async with world.running() as redialler:
        for _ in range(3):
            await until(lambda: world.links and world.links[-1].ended is None)
            lost = world.links[-1]
            lost.over.set()
            await until(lambda lost=lost: world.links[-1] is not lost)  # type: ignore[misc]
        assert len(world.links) == 4
        await until(lambda: redialler.states()[A].state == "linked")


async def test_who_is_linked_already_is_not_dialled_until_that_ends() -> None:
    world = World()
    world.linked_by_them = {A}
    world.redialler.set_targets({A: ["a:1"]})
    async with world.running() as redialler:
        await until(lambda: redialler.states()[A].state == "linked")
        await asyncio.sleep(0.03)  # some times what it waits between two attempts: nothing comes
        assert world.dialled == []
        world.linked_by_them.clear()
        redialler.wake(A)
        await until(lambda: world.dialled)


async def test_waking_ends_every_wait() -> None:
    world = World(NEVER)
    world.redialler.set_targets({A: ["a:1"], B: ["b:2"]})
    async with world.running() as redialler:
        await until(lambda: sorted(world.dialled) == ["a:1", "b:2"])
        redialler.wake(B)
        await until(lambda: world.dialled.count("b:2") == 2)
        assert world.dialled.count("a:1") == 1
        world.up = {"a:1", "b:2"}
        redialler.wake()
        await until(lambda: len(world.links) == 2)


async def test_new_addresses_are_tried_at_once() -> None:
    world = World(NEVER)
    world.redialler.set_targets({A: ["a:1"]})
    async with world.running() as redialler:
        await until(lambda: world.dialled == ["a:1"])
        redialler.set_targets({A: ["a:2"]})
        await until(lambda: world.dialled == ["a:1", "a:2"])
        redialler.set_targets({A: ["a:2"]})
        await asyncio.sleep(0.01)  # an attempt that was to come would have by now
        assert world.dialled == ["a:1", "a:2"]


async def test_who_is_no_target_any_more_loses_task_and_link() -> None:
    world = World()
    world.up = {"a:1", "b:2"}
    world.redialler.set_targets({A: ["a:1"], B: ["b:2"]})
    async with world.running() as redialler:
        await until(lambda: len(world.links) == 2)
        redialler.set_targets({B: ["b:2"]})
        gone = next(link for link in world.links if link.peer == A)
        await until(lambda: gone.ended)
        assert set(redialler.states()) == {B}
        assert redialler.states()[B].state == "linked"
        redialler.set_targets({A: ["a:1"], B: ["b:2"]})
        await until(lambda: len(world.links) == 3)


async def test_a_peer_without_an_address_waits_for_one() -> None:
    world = World()
    world.redialler.set_targets({A: []})
    async with world.running() as redialler:
        await until(lambda: redialler.states()[A].last_error)
        assert redialler.states()[A].last_error == "no address is known for it"
        assert redialler.states()[A].last_error_code == "no_address"


async def test_one_peers_trouble_is_not_anothers() -> None:
    world = World()
    world.up = {"b:2"}
    world.redialler.set_targets({A: ["a:1"], B: ["b:2"]})
    async with world.running() as redialler:
        await until(lambda: world.dialled.count("a:1") > 3)
        assert redialler.states()[B].state == "linked"
        assert world.dialled.count("b:2") == 1


@pytest.mark.parametrize(("code", "shown"), [("copied_host", True), ("duplicate", False)])
async def test_a_link_that_is_not_admitted_is_shut(code: str, shown: bool) -> None:
    world = World()
    world.up = {"a:1"}
    world.refuse = HandshakeRefused("another stays", code=code)
    world.redialler.set_targets({A: ["a:1"]})
    async with world.running() as redialler:
        await until(lambda: world.links and world.links[0].ended)
        await until(lambda: len(world.links) > 1)
        assert (redialler.states()[A].last_error is not None) is shown
    assert world.dropped == []


async def test_a_trouble_that_differs_by_a_port_is_logged_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where connections come from, ports are others each time."""
    world = World()
    world.up = {"a:1"}
    ports = iter(range(40_000, 50_000))

    async def refuse(link: Link) -> None:
        where = f"10.44.0.1:6290 and [fd00::2]:{next(ports)}"
        raise HandshakeRefused(f"another running node has this key, at {where}", code="copied_host")

    monkeypatch.setattr(world, "admit_link", refuse)
    world.redialler.set_targets({A: ["a:1"]})
    with caplog.at_level(logging.INFO):
        async with world.running():
            await until(lambda: len(world.links) > 3)
    assert len([record for record in caplog.records if "cannot link" in record.getMessage()]) == 1


async def test_a_bug_is_no_peers_fault() -> None:
    world = World()

    def bug(_address: str, _node: NodeId) -> NoReturn:
        raise ZeroDivisionError

    world.redialler._dial = bug
    world.redialler.set_targets({A: ["a:1"]})
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(3):
            await world.redialler.run()
    assert caught.group_contains(ZeroDivisionError)


async def test_after_a_fault_it_runs_again_and_dials_anew() -> None:
    world = World()
    world.up = {"a:1"}
    world.redialler.set_targets({A: ["a:1"]})
    first = asyncio.ensure_future(world.redialler.run())
    await until(lambda: world.links)
    world.redialler._peers[B] = None  # type: ignore[assignment]  # what nobody thought of
    world.redialler._changed.set()
    with pytest.raises(ExceptionGroup):
        await first
    assert world.dropped
    del world.redialler._peers[B]
    async with world.running() as redialler:
        await until(lambda: len(world.links) == 2)
        await until(lambda: redialler.states()[A].state == "linked")


async def test_it_beats_also_while_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maw.net.redialler.LOOK_S", 0.001)
    beats: list[int] = []
    task = asyncio.ensure_future(World().redialler.run(lambda: beats.append(1)))
    await until(lambda: len(beats) > 3)
    task.cancel()
    await asyncio.wait([task])


def test_waits_double_to_the_cap_and_are_spread_from_zero() -> None:
    rng = random.Random(1)
    backoff = Backoff(first=0.25, cap=30.0)
    for failures, bound in [(0, 0.25), (1, 0.5), (3, 2.0), (7, 30.0), (10_000, 30.0)]:
        waits = [backoff.wait(failures, rng) for _ in range(500)]
        assert max(waits) <= bound
        assert max(waits) > 0.9 * bound
        assert min(waits) < 0.1 * bound
