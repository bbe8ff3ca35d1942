"""Peers and strangers that ask for more than their share: bounded, named, and nobody else waits for them."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator
from functools import partial

import aiohttp
import pytest

from maw.core.entry import START
from maw.core.frames import (
    MAX_FRAME,
    Entries,
    Follow,
    Frame,
    Have,
    Held,
    LogName,
    StatementDigest,
    StatementIds,
    encode,
)
from maw.core.identity import key_text
from maw.core.statement import MAX_STATEMENT
from maw.errors import LinkError
from maw.net.listener import Bounds
from maw.net.reception import STRANGERS_BYTES, ReceptionTimers
from maw.node import conduct
from tests.conftest import MakeHome
from tests.integration.evil import Evil, evil_peer
from tests.integration.linknode import LinkNode, everything, linked
from tests.integration.linknode import until as soon
from tests.integration.nodes import Host, acquainted, all_running, pair

ID = b"i" * 32


@pytest.fixture
async def good(make_home: MakeHome) -> AsyncIterator[tuple[Host, Host]]:
    async with all_running(make_home("mbp"), make_home("oracle")) as (mbp, oracle):
        await mbp.add("arthur")
        await oracle.add("neo")
        await pair(mbp, oracle)
        await acquainted(mbp, oracle)
        yield mbp, oracle
        for host in (mbp, oracle):
            assert host.task is not None
            assert not host.task.done(), "the daemon lives"


FLOODS: dict[str, list[Frame | bytes]] = {
    "unknown frames": [b"\x92\xcd\x03\xe7\xc4\x01a"],
    "digests that differ": [encode(StatementDigest(ID))],
    "sets of ids": [encode(StatementIds((ID,)))],
    "follows of nobody": [encode(Follow(ID, 7, ()))],  # type: ignore[arg-type]
    "heads of strangers": [encode(Have((LogName(1, ID, 1),), (Held(1, START, complete=True),), ()))],  # type: ignore[arg-type]
    "no entries": [encode(Entries(()))],
}


async def pour(evil: Evil, frames: list[Frame | bytes]) -> None:
    """As fast as its link takes it."""
    while True:
        if evil.link.queued_bytes < 1 << 20:
            for _ in range(1000):
                evil.send(*frames)
        await asyncio.sleep(0.001)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that are reached in less than a second."""
    monkeypatch.setattr("maw.core.pacing.BURST", 300.0)
    monkeypatch.setattr("maw.core.pacing.RATE", 50.0)
    monkeypatch.setattr("maw.core.pacing.LONGEST_WAIT_S", 0.1)
    monkeypatch.setattr(conduct, "FLOODING_S", 0.3)
    monkeypatch.setattr(conduct, "FLOODING_WINDOW_S", 0.5)


async def named(host: Host) -> tuple[str, list[str]]:
    """The one peer that status tells of, and what it says."""
    (one,) = (await host.service.status(await host.owner()))["trouble_with"]
    return one["key"], one["trouble"]


@pytest.mark.usefixtures("impatient")
async def test_a_peer_that_floods_is_slowed_and_named_and_others_are_not(
    good: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    mbp, oracle = good
    async with evil_peer(mbp) as evil:
        flood = asyncio.ensure_future(pour(evil, [frame for frames in FLOODS.values() for frame in frames]))
        try:
            told = await mbp.alert("flooding")
            took = []
            for n in range(20):
                begun = time.monotonic()
                await oracle.send("neo", "arthur", f"live {n}")
                await mbp.receives("arthur", [f"live {at}" for at in range(n + 1)])
                took.append(time.monotonic() - begun)
            assert sorted(took)[10] < 0.5, took
            assert evil.link.ended is None
            key, words = await named(mbp)
            assert key == key_text(evil.node.node)
            assert words[0].startswith("flooding: slowed by")
            assert told["subject"] == key[3:9]
            (shown,) = [p for p in await mbp.service.peers(await mbp.owner()) if p["key"] == key]
            assert shown["trouble"][0].startswith("flooding")
            assert (await mbp.peer(oracle))["trouble"] == []
            monkeypatch.setattr(conduct, "FLOOD_END_S", 0.5)
            await evil.thrown_out()
            assert "broke the protocol once (flooding)" in (await named(mbp))[1]
        finally:
            flood.cancel()
    async with asyncio.timeout(10):
        while ("flooding", told["subject"]) in await mbp.alerts():
            await asyncio.sleep(0.05)


@pytest.mark.usefixtures("impatient")
async def test_no_kind_of_frame_is_free(good: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conduct, "FLOOD_END_S", 0.3)
    monkeypatch.setattr(conduct, "FORGIVEN", len(FLOODS))
    mbp, _ = good
    signer = None
    for number, (what, frames) in enumerate(FLOODS.items(), 1):
        async with evil_peer(mbp, signer) as evil:
            signer = evil.node.local.signer
            flood = asyncio.ensure_future(pour(evil, frames))
            try:
                await evil.thrown_out()
            finally:
                flood.cancel()
        times = "once" if number == 1 else f"{number} times"
        assert f"broke the protocol {times} (flooding)" in (await named(mbp))[1], what


async def test_a_peer_that_breaks_the_rules_again_and_again_is_held_off(good: tuple[Host, Host]) -> None:
    mbp, oracle = good
    async with evil_peer(mbp) as first:
        signer = first.node.local.signer
        first.send(b"\xc1")
        await first.thrown_out()
    for _ in range(conduct.FORGIVEN):
        async with evil_peer(mbp, signer) as evil:
            evil.send(b"\xc1")
            await evil.thrown_out()
    again = LinkNode("evil", signer=signer, colony=mbp.node.membership.book.colony)
    with pytest.raises(LinkError) as no:
        await again.dialer.dial(mbp.node.mesh.addresses()[0], mbp.me)
    assert no.value.code == "held_off"
    (named,) = (await mbp.service.status(await mbp.owner()))["trouble_with"]
    assert "broke the protocol 5 times (bad_frame), held off for" in named["trouble"][0]
    await oracle.send("neo", "arthur", "all is well")
    await mbp.receives("arthur", ["all is well"])


@pytest.mark.parametrize("where", ["a frame", "many frames", "http"])
async def test_a_stranger_keeps_next_to_nothing_here(where: str) -> None:
    """Before a proof was checked a connection may say 64 KiB in all; a frame of a link may be a MiB."""
    async with LinkNode("b").listening(timers=ReceptionTimers(30, 30, 30)) as b:
        assert b.listener is not None
        a = LinkNode("a")
        connection = await a.dialer.connect(b.address, b.node)
        try:
            begun = time.monotonic()
            with pytest.raises(LinkError):
                if where == "a frame":
                    await connection.pipe.send(b"x" * (MAX_FRAME - 1))
                elif where == "http":
                    transport = connection.pipe.transport
                    transport.write(b"\x82\x7f" + (1 << 19).to_bytes(8, "big") + b"x" * (2 * STRANGERS_BYTES))
                else:
                    for _ in range(100):
                        await connection.pipe.send(b"x" * 1000)
                while True:
                    await connection.pipe.receive()
            await soon(lambda: b.listener is not None and b.listener.strangers == 0)
            assert time.monotonic() - begun < 5
        finally:
            await connection.pipe.close("done")
        async with linked(LinkNode("c"), b) as link:
            link.send(b"x" * MAX_FRAME)  # who was believed may
            await soon(lambda: b.frames)


async def test_who_shows_the_largest_statement_at_the_door_is_let_in() -> None:
    """A rotation is shown by a node whose new key nobody knows yet: as a stranger."""
    async with LinkNode("b").listening() as b:
        a = LinkNode("a", admission=b"r" * MAX_STATEMENT)
        async with linked(a, b):
            assert b.shown == [b"r" * MAX_STATEMENT]


async def test_a_thousand_strangers_keep_no_peer_out(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of them say nothing, half begin TLS and stop; from as many addresses as it takes."""
    hello = bytes.fromhex("1603010200010001fc0303") + bytes(40)
    b = LinkNode("b")
    peers = {"127.0.0.9"}
    async with b.listening(timers=ReceptionTimers(20, 20, 20), bounds=Bounds(), known=peers.__contains__):
        assert b.listener is not None
        host, port = b.address.rsplit(":", 1)
        held: list[asyncio.StreamWriter] = []
        try:
            for n in range(1000):
                source = f"127.0.1.{1 + n % 200}"
                _, writer = await asyncio.open_connection(host, int(port), local_addr=(source, 0))
                if n % 2:
                    writer.write(hello)
                held.append(writer)
            listener = b.listener
            await soon(lambda: listener.strangers == Bounds().strangers)
            refused = sum("too many" in record.getMessage() for record in caplog.records)
            assert refused, "the bound was never reached"
            assert refused < 300, "and said once a source"
            assert listener.refusals.total() == 1000 - Bounds().strangers, "each is counted"
            assert listener.refusals.worst()[0].address.startswith("127.0.1.")
            peer = LinkNode("peer")
            monkeypatch.setattr(
                "maw.net.dialer.aiohttp.TCPConnector",
                partial(aiohttp.TCPConnector, local_addr=("127.0.0.9", 0)),
            )
            link = await peer.dialer.dial(b.address, b.node)
            await soon(lambda: everything([b]))
            await link.shut("done")
        finally:
            for writer in held:
                writer.transport.abort()


@pytest.mark.parametrize("how", ["half-open", "unknown key"])
async def test_an_address_that_is_refused_again_and_again_is_named(good: tuple[Host, Host], how: str) -> None:
    mbp, oracle = good
    host, port = oracle.node.mesh.addresses()[0].rsplit(":", 1)
    offender = "127.0.3.7"
    held: list[asyncio.StreamWriter] = []
    try:
        if how == "half-open":
            for _ in range(40):
                _, writer = await asyncio.open_connection(host, int(port), local_addr=(offender, 0))
                held.append(writer)
            await soon(lambda: oracle.node.mesh.refusals.total() == 32)
            words = "too many half-open"
        else:
            stranger = LinkNode("stranger", colony=oracle.node.membership.book.colony)
            stranger.dialer._admission = lambda _: None
            offender = "127.0.0.1"
            for _ in range(20):
                with pytest.raises(LinkError, match="not trusted"):
                    await stranger.dialer.dial(f"{host}:{port}", oracle.me)
            await soon(lambda: oracle.node.mesh.refusals.total() >= 20)
            words = "unknown key"
        status = await oracle.service.status(await oracle.owner())
        (worst,) = status["refused_connections"]["worst"]
        assert (worst["address"], words in worst["why"]) == (offender, True)
        assert worst["count"] == status["refused_connections"]["count"] >= 20
        assert mbp.linked(oracle), "a peer is not kept out"
    finally:
        for writer in held:
            writer.transport.abort()


async def test_the_bound_of_strangers_does_not_log_without_end(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with LinkNode("b").listening(bounds=Bounds(strangers=2, per_source=2)) as b:
            host, port = b.address.rsplit(":", 1)
            for _ in range(50):
                _, writer = await asyncio.open_connection(host, int(port))
                writer.transport.abort()
            await soon(lambda: b.listener is not None and b.listener.strangers == 0)
    assert sum("too many" in record.getMessage() for record in caplog.records) <= 1


async def test_who_comes_in_the_moment_of_the_stop_leaves_nothing_open() -> None:
    ours, theirs = socket.socketpair()
    async with LinkNode("b").listening() as b:
        assert b.listener is not None
        b.listener._received(ours, "127.0.0.1")  # and its task is cancelled before its first step
    assert ours.fileno() == -1
    theirs.close()
