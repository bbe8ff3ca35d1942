"""Every loop of a running node made to stumble or to stand still: what ends, what goes on, what is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from maw.core.frames import Unfollow
from maw.net.wireguard import InterfaceState
from maw.node.loops import STANDS_STILL
from tests.conftest import MakeHome
from tests.integration.evil import evil_peer
from tests.integration.linknode import LinkNode
from tests.integration.nodes import Host, acquainted, all_running, config_of, pair, running, until


class Bug(Exception):
    """What nobody thought of."""


def bug(*_: Any, **__: Any) -> Any:
    raise Bug("here")


async def stumble(*_: Any, **__: Any) -> Any:
    raise Bug("here")


@pytest.fixture
async def host(make_home: MakeHome) -> AsyncIterator[Host]:
    async with running(make_home("mbp")) as mbp:
        yield mbp
        assert mbp.task is not None
        assert not mbp.task.done(), "the daemon lives"
        await mbp.post("owner", "still here")


class StumblingOnce:
    """Stands in front of a part of the node: the first use within the loop ``name`` finds a fault."""

    def __init__(self, real: Any, name: str, method: str) -> None:
        self._real, self._name, self._method = real, name, method
        self.stumbled = False

    def __getattr__(self, method: str) -> Any:
        task = asyncio.current_task()
        if (
            method == self._method
            and not self.stumbled
            and task is not None
            and task.get_name() == self._name
        ):
            self.stumbled = True
            raise Bug("here")
        return getattr(self._real, method)


PARTS: dict[str, tuple[Callable[[Host], Any], str, str]] = {
    "housekeeping": (lambda host: host.node, "conduct", "look"),
    "joins": (lambda host: host.node.joiner, "_db", "rows"),
    "choose links": (lambda host: host.node.mesh, "linking", "targets"),
    "listen": (lambda host: host.node.mesh, "_listener", "set_addresses"),
    "redial": (lambda host: host.node.mesh._redialler, "_changed", "clear"),
}


@pytest.mark.parametrize("name", PARTS)
async def test_these_are_told_and_begin_again(host: Host, name: str) -> None:
    find, part, method = PARTS[name]
    owner = find(host)
    real = getattr(owner, part)
    stumbling = StumblingOnce(real, name, method)
    setattr(owner, part, stumbling)
    await until(lambda: stumbling.stumbled, "it stumbled")
    told = await host.alert("bug")
    assert told["subject"] == name
    assert "Bug: here" in told["text"]
    beats = host.node.loops._watched[name][0]
    await until(lambda: beats() > 0.3, "it rests")
    await until(lambda: beats() < 0.3, "it goes on")
    setattr(owner, part, real)


async def test_a_frame_that_makes_us_stumble_costs_that_link_only(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with all_running(make_home("mbp"), make_home("oracle")) as (mbp, oracle):
        await mbp.add("arthur")
        await oracle.add("neo")
        await pair(mbp, oracle)
        await acquainted(mbp, oracle)
        monkeypatch.setattr(mbp.node.runtime.machine.serving, "unfollow", bug)
        for _ in range(2):
            async with evil_peer(mbp) as evil:
                evil.send(Unfollow(evil.node.node))
                await evil.thrown_out()
        told = await mbp.alert("bug")
        assert told["subject"].startswith("frames of ")
        await oracle.send("neo", "arthur", "all is well")
        await mbp.receives("arthur", ["all is well"])


async def test_a_stranger_that_makes_us_stumble_ends_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host.node.mesh._listener._gatekeeper, "judge", bug)
    stranger = LinkNode("stranger", colony=host.node.membership.book.colony)
    with pytest.raises(Exception):  # noqa: B017 - however it ends there
        await stranger.dialer.dial(host.node.mesh.addresses()[0], host.me)
    assert (await host.alert("bug"))["subject"] == "an inbound connection"


async def test_one_peers_redialling_that_stumbles_leaves_the_others(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with all_running(make_home("mbp"), make_home("oracle")) as (mbp, oracle):
        await pair(mbp, oracle)
        link = mbp.node.board.get(oracle.me)
        assert link is not None
        if link.outbound:  # whoever dialled lives through the link: the other looks after it
            mbp, oracle = oracle, mbp
        redialler = mbp.node.mesh._redialler
        stumbled: list[object] = []

        def stumble(node: object) -> None:
            stumbled.append(node)
            bug()

        def has_stumbled() -> bool:
            redialler.wake()  # once is not enough: who is in the middle of dialling looks half a minute later
            return bool(stumbled)

        monkeypatch.setattr(redialler, "_linked", stumble)
        await until(has_stumbled, "it stumbles")
        assert "the link with" in (await mbp.alert("bug"))["subject"]
        monkeypatch.undo()
        mbp.node.board.close(oracle.me, "to see whether it comes back")
        await until(lambda: not mbp.linked(oracle), "it ended")
        redialler.wake()
        await until(lambda: mbp.linked(oracle), "linked again")


@pytest.mark.parametrize("where", ["_woken", "discarded"])
async def test_the_machines_own_faults_end_the_node(make_home: MakeHome, where: str) -> None:
    """In a callback of the event loop they would only be logged."""
    with pytest.raises(ExceptionGroup) as several:
        async with running(make_home("mbp")) as host:
            runtime = host.node.runtime
            if where == "_woken":
                runtime.machine.tick = bug  # type: ignore[method-assign]
                runtime._woken()
            else:
                runtime.or_end(bug)
            assert host.task is not None
            await asyncio.wait([host.task], timeout=5)
            assert host.task.done()
    assert several.group_contains(Bug)


async def test_one_that_stands_still_is_told_by_name(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    released = asyncio.Event()
    inside: list[int] = []

    async def hang() -> None:
        inside.append(1)
        await released.wait()

    monkeypatch.setitem(host.node.housekeeping.chores, "hangs", hang)
    await until(lambda: inside, "it hangs")
    quiet, _, essential = host.node.loops._watched["housekeeping"]
    host.node.loops.watch("housekeeping", quiet, 0.2, essential=essential)
    await until(lambda: quiet() > 0.2, "for a while")
    assert host.node.loops.look(), "the rest goes on: no reason to end"
    status = await host.service.status(await host.owner())
    assert [(a["kind"], a["subject"]) for a in status["alerts"]] == [(STANDS_STILL, "housekeeping")]
    released.set()
    host.node.loops.watch("housekeeping", quiet, 30, essential=essential)
    assert host.node.loops.look()
    assert (STANDS_STILL, "housekeeping") not in await host.alerts()


@pytest.fixture
async def on_an_interface(make_home: MakeHome, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Host]:
    """On an interface that is not there: there is nothing to see for as long as the watch waits for news."""
    monkeypatch.setattr("maw.node.mesh.REBIND_S", 0.05)
    home = make_home("mbp")
    config = config_of(home)
    config = replace(config, mesh=replace(config.mesh, listen=(), interface="maw-none0"))
    async with running(home, config=config) as mbp:
        yield mbp
        await mbp.post("owner", "still here")


async def test_the_watch_of_an_interface_that_stands_still_is_told_though_the_rest_beats(
    on_an_interface: Host,
) -> None:
    loops = on_an_interface.node.loops
    watched, _, essential = loops._watched["watch maw-none0"]
    await until(lambda: on_an_interface.node.mesh.interface is not None, "it was looked at")
    loops.watch("watch maw-none0", watched, 0.2, essential=essential)
    await until(lambda: watched() > 0.2, "nothing happens for a while")
    assert loops._watched["interface"][0]() < 0.2, "what follows it beats on"
    assert loops.look(), "the rest goes on: no reason to end"
    assert (STANDS_STILL, "watch maw-none0") in await on_an_interface.alerts()


async def test_a_writer_that_stands_still_is_no_longer_called_alive(host: Host) -> None:
    released = asyncio.Event()

    async def hang(_: Any) -> None:
        await released.wait()

    host.node.loops.watch("writer", host.node.writer.busy_s, 0.2, essential=True)
    assert host.node.loops.look()
    job = asyncio.ensure_future(host.node.writer.submit(hang))
    await until(lambda: host.node.writer.busy_s() > 0.2, "it hangs")
    assert not host.node.loops.look()
    assert await host.channel() == [], "reading goes on"
    released.set()
    await job
    await until(host.node.loops.look, "it moves again")


async def test_a_read_that_stands_still_is_told(host: Host) -> None:
    quiet, _, essential = host.node.loops._watched["reads"]
    host.node.loops.watch("reads", quiet, 0.2, essential=essential)
    async with host.node.db.reading():
        await until(lambda: not host.node.loops.look() or quiet() > 0.2, "it hangs")
        assert host.node.loops.look(), "the other connection goes on"
        assert (STANDS_STILL, "reads") in await host.alerts()
    assert host.node.loops.look()
    assert (STANDS_STILL, "reads") not in await host.alerts()


async def test_a_kernel_that_says_nothing_of_the_interface_keeps_nobody_from_what_is_local(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: Any, **__: Any) -> AsyncGenerator[InterfaceState]:
        await asyncio.Event().wait()
        yield InterfaceState("wg0", present=False, up=False, addresses=())

    monkeypatch.setattr("maw.node.mesh.REBIND_S", 0.05)
    monkeypatch.setattr("maw.node.mesh.watch", silent)
    home = make_home("mbp")
    config = config_of(home)
    config = replace(config, mesh=replace(config.mesh, listen=(), interface="wg0"))
    async with asyncio.timeout(10), running(home, config=config) as mbp:
        await mbp.post("owner", "hi")
