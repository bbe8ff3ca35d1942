"""What a disk does to a node that is full, read-only or refuses: it refuses in turn, and loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from maw.core.effects import Alert
from maw.errors import Unavailable
from tests.conftest import MakeHome
from tests.integration.nodes import (
    Host,
    all_running,
    config_of,
    epochs,
    pair,
    running,
    settle,
    until,
)


@pytest.fixture
async def two(make_home: MakeHome) -> AsyncIterator[tuple[Host, Host]]:
    async with all_running(make_home("mbp"), make_home("oracle")) as (mbp, oracle):
        await settle(mbp, oracle)
        yield mbp, oracle


async def refuse_pages(host: Host, refuse: bool) -> None:
    """The database can grow no more (as on a full disk), or can again."""
    pages = (await host.node.db.rows("PRAGMA page_count"))[0][0]
    await host.node.db.writing.execute(f"PRAGMA max_page_count = {pages if refuse else 1 << 30}")


async def round_of_housekeeping(host: Host) -> None:
    """A whole one, that begins after the call."""
    rounds = 0

    async def count() -> None:
        nonlocal rounds
        rounds += 1

    chores = host.node.housekeeping.chores
    host.node.housekeeping.chores = {"a test's": count, **chores}
    await until(lambda: rounds >= 2, "a round is over")
    host.node.housekeeping.chores = chores


async def test_commits_that_fail_refuse_and_the_node_goes_on(two: tuple[Host, Host]) -> None:
    mbp, oracle = two
    big = "x" * 60_000
    await mbp.post("arthur", "before")
    before = epochs(mbp)
    await refuse_pages(mbp, True)
    refused = 0
    for _ in range(8):
        try:
            await mbp.post("arthur", big)
        except Unavailable as error:
            assert error.code == "cannot_write"
            refused += 1
    assert refused, "the disk never refused: this tests nothing"
    sent = [await oracle.send("neo", "arthur", f"{n} {big}") for n in range(4)]
    assert sent[-1]["state"] == "stored"
    mbp.node.alerts.raise_alert(Alert("test", "x", "y"))
    mbp.node.receipts.note(oracle.me, before[-1], 1, 0)
    await round_of_housekeeping(mbp)  # which must not fall over either
    assert (await oracle.service.wait_reached(sent[-1]["id"], 0.05))["state"] == "stored"
    with pytest.raises(Unavailable):  # what is small may have found a place meanwhile, and all seemed well
        await mbp.post("arthur", big)
    assert not (await mbp.service.health())["ok"]
    assert await mbp.channel(), "reading goes on"
    await refuse_pages(mbp, False)
    await mbp.post("arthur", "after")
    assert (await mbp.service.health())["ok"]
    assert epochs(mbp)[-1] > before[-1], "nobody knows what reached the disk: a new epoch"
    await until(lambda: len(mbp.node.state.channels) and mbp.held() == oracle.held(), "all is the same", 20)
    assert [text[:2] for text in await mbp.texts("arthur")] == ["0 ", "1 ", "2 ", "3 "]
    texts = [text for text in await oracle.channel() if text != big]
    assert texts == ["before", "after"]
    assert not oracle.node.state.disputed()


async def test_below_the_reserve_it_only_reads_and_comes_back(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home("mbp")
    free = [1 << 30]
    monkeypatch.setattr(
        "maw.node.disk.os.statvfs",
        lambda _: SimpleNamespace(f_bavail=free[0] // 4096, f_frsize=4096, f_flag=0),
    )
    async with (
        running(home, config=config_of(home, min_free_disk_mib=256)) as mbp,
        running(make_home("oracle")) as oracle,
    ):
        await settle(mbp, oracle)
        free[0] = 255 << 20
        mbp.node.disk.check()
        with pytest.raises(Unavailable) as no:
            await mbp.send("arthur", "neo", "hi")
        assert no.value.code == "read_only"
        status = await mbp.service.status(await mbp.owner())
        assert status["state"] == "read_only"
        assert "reserve" in status["trouble"]
        sent = await oracle.send("neo", "arthur", "while it is full")
        assert (await oracle.service.wait_reached(sent["id"], 0.3))["state"] == "stored"
        assert await mbp.texts("arthur") == []
        assert mbp.linked(oracle), "the link stays"
        free[0] = 260 << 20
        mbp.node.disk.check()
        assert mbp.node.authoring.read_only, "a little more is not enough: it must not flap"
        free[0] = 300 << 20
        mbp.node.disk.check()
        await mbp.receives("arthur", ["while it is full"])
        await mbp.send("arthur", "neo", "hi")
        await oracle.receives("neo", ["hi"])


async def test_a_node_starts_read_only_on_a_full_disk(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home("mbp")
    async with running(home) as mbp:
        await mbp.post("owner", "before")
    monkeypatch.setattr(
        "maw.node.disk.os.statvfs", lambda _: SimpleNamespace(f_bavail=10, f_frsize=4096, f_flag=0)
    )
    async with running(home, config=config_of(home, min_free_disk_mib=256)) as mbp:
        assert await mbp.channel() == ["before"]
        with pytest.raises(Unavailable):
            await mbp.post("owner", "no")


async def test_the_copy_of_trust_that_cannot_be_written_is_written_later(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes = make_home("mbp"), make_home("oracle")
    async with all_running(*homes) as (mbp, oracle):

        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("maw.node.membership.replace_file", full)
            await pair(mbp, oracle)
        assert "trust.copy" in (await mbp.alert("disk"))["text"]
        await until(
            lambda: all(
                home.trust_copy.read_bytes().find(peer.me) >= 0
                for home, peer in zip(homes, (oracle, mbp), strict=True)
            ),
            "both copies are written",
        )


async def test_a_mark_that_cannot_be_written_is_told_and_nothing_stops(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(make_home("mbp")) as mbp:

        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(type(mbp.node._opened.mark), "write", full)
        await mbp.post("owner", "still accepted")
        assert "node.mark" in (await mbp.alert("disk"))["text"]
        assert await mbp.channel() == ["still accepted"]


async def test_nothing_is_written_into_a_mark_that_was_closed(make_home: MakeHome) -> None:
    """A draft that is still waiting when the node stops is written behind everything else."""
    async with running(make_home("mbp")) as mbp:
        posts = [asyncio.ensure_future(mbp.post("owner", f"{n}")) for n in range(50)]
        await asyncio.sleep(0)
        mbp.stop.set()
        assert mbp.task is not None
        await mbp.task
        done = await asyncio.gather(*posts, return_exceptions=True)
        assert all(isinstance(item, dict | Unavailable) for item in done)
