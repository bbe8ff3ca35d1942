"""What goes wrong under a running node: a disk that refuses, databases lost, old, copied or damaged."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from maw.core.effects import Alert
from maw.errors import BadConfig, MawError, Unavailable
from maw.node.home import NodeHome
from maw.node.waking import WallJumped
from tests.conftest import MakeHome
from tests.integration.nodes import NOWHERE, Host, acquainted, all_running, config_of, pair, running, until


@pytest.fixture
async def two(make_home: MakeHome) -> AsyncIterator[tuple[Host, Host]]:
    async with all_running(make_home("mbp"), make_home("oracle")) as (mbp, oracle):
        await settle(mbp, oracle)
        yield mbp, oracle


async def settle(mbp: Host, oracle: Host) -> None:
    await mbp.add("arthur")
    await oracle.add("neo")
    await pair(mbp, oracle)
    await acquainted(mbp, oracle)


async def refuse_pages(host: Host, refuse: bool) -> None:
    """The database can grow no more (as on a full disk), or can again."""
    pages = (await host.node.db.rows("PRAGMA page_count"))[0][0]
    await host.node.db.writing.execute(f"PRAGMA max_page_count = {pages if refuse else 1 << 30}")


def epochs(host: Host) -> list[int]:
    return sorted(epoch for author, epoch in host.held() if author == host.me)


# -- the disk --------------------------------------------------------------------------------------------


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
    assert (await oracle.service.wait_replicated(sent[-1]["id"], 0.05))["state"] == "stored"
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
        assert (await oracle.service.wait_replicated(sent["id"], 0.3))["state"] == "stored"
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


# -- the database ------------------------------------------------------------------------------------------


def lose_database(home: NodeHome) -> None:
    for path in home.path.glob("colony.db*"):
        path.unlink()


async def test_a_lost_database_comes_back_from_the_key_its_copy_and_the_peers(make_home: MakeHome) -> None:
    homes = make_home("mbp"), make_home("oracle")
    async with all_running(*homes) as (mbp, oracle):
        await settle(mbp, oracle)
        for n in range(5):
            await mbp.post("arthur", f"mine {n}")
        await oracle.send("neo", "arthur", "for arthur")
        await mbp.receives("arthur", ["for arthur"])
        await until(lambda: mbp.held() == oracle.held(), "the same")
        before, cursor = mbp.held(), mbp.node.visible.seq
    lose_database(homes[0])
    async with all_running(*homes) as (mbp, oracle):
        assert "trust was taken from its copy" in (await mbp.alert("recovery"))["text"]
        await until(lambda: mbp.linked(oracle), "linked again, without a new invite")
        await until(lambda: all(mbp.held().get(at, 0) >= seq for at, seq in before.items()), "all is back")
        assert await mbp.channel() == [f"mine {n}" for n in range(5)]
        assert cursor < 1 << 40 < min(
            item["seq"] for item in (
                await mbp.service.stream_page(
                    await mbp.service.speaker_for_uid(os.getuid(), None),
                    after_seq=cursor, channel=None, user=None, limit=100,
                )
            ).items
        ), "an old cursor finds it all again: repeats, and skips nothing"  # fmt: skip
        assert (await mbp.owner()).agent == "owner@mbp"
        assert [row.name for row in mbp.node.directory.agents()].count("arthur") == 1
        assert [row.name for row in oracle.node.directory.agents()].count("arthur") == 1
        await mbp.post("arthur", "a new epoch")
        await until(lambda: mbp.held() == oracle.held(), "the same again")
        assert not oracle.node.state.disputed()
        assert not mbp.node.state.disputed()
        await oracle.send("neo", "arthur", "you again")
        assert await later(mbp, "you again")
        assert "for arthur" in await mbp.texts("arthur"), "what was unread may be read"


async def later(host: Host, text: str) -> bool:
    async with asyncio.timeout(5):
        while text not in await host.texts("arthur"):
            await asyncio.sleep(0.01)
    return True


async def test_an_old_database_put_back_forks_nothing_and_catches_up(make_home: MakeHome) -> None:
    homes = make_home("mbp"), make_home("oracle")
    backup = homes[0].path / "backup.db"
    async with all_running(*homes) as (mbp, oracle):
        await settle(mbp, oracle)
        await mbp.post("arthur", "old")
        await until(lambda: mbp.held() == oracle.held(), "the same")
    shutil.copy(homes[0].database, backup)
    async with all_running(*homes) as (mbp, oracle):
        for n in range(5):
            await mbp.post("arthur", f"lost {n}")
        await until(lambda: mbp.held() == oracle.held(), "the same")
        before = epochs(mbp)
    lose_database(homes[0])
    backup.rename(homes[0].database)
    async with running(homes[0]) as mbp:
        await mbp.post("arthur", "said in the dark, before anybody could tell us")
        assert epochs(mbp)[-1] > before[-1]
    async with all_running(*homes) as (mbp, oracle):
        await until(lambda: mbp.held() == oracle.held(), "the same again")
        assert sorted(await mbp.channel()) == sorted(await oracle.channel())
        assert len(await mbp.channel()) == 7
        assert not oracle.node.state.disputed()
        assert not mbp.node.state.disputed()
        assert "older than" in (await mbp.alert("recovery"))["text"]


async def test_an_old_directory_put_back_is_noticed_by_the_file(make_home: MakeHome, tmp_path: Path) -> None:
    """Key, mark and all from a backup: only the file (another inode) tells."""
    homes = make_home("mbp"), make_home("oracle")
    async with all_running(*homes) as (mbp, oracle):
        await settle(mbp, oracle)
        await mbp.post("arthur", "old")
        await until(lambda: mbp.held() == oracle.held(), "the same")
    shutil.copytree(homes[0].path, tmp_path / "backup")
    async with all_running(*homes) as (mbp, oracle):
        await mbp.post("arthur", "lost")
        await until(lambda: mbp.held() == oracle.held(), "the same")
    shutil.rmtree(homes[0].path)
    shutil.copytree(tmp_path / "backup", homes[0].path)
    async with running(homes[0]) as mbp:
        await mbp.post("arthur", "in the dark")
    async with all_running(*homes) as (mbp, oracle):
        await until(lambda: mbp.held() == oracle.held(), "the same again")
        assert sorted(await mbp.channel()) == sorted(await oracle.channel()) == ["in the dark", "lost", "old"]
        assert not oracle.node.state.disputed()


async def test_a_copied_host_is_a_fork_that_is_shown_and_stops_nothing_else(
    make_home: MakeHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Two daemons with one key, which both believe to be the one: same boot, same machine, same file."""
    homes = make_home("mbp"), make_home("oracle")
    async with all_running(*homes) as (mbp, oracle):
        await settle(mbp, oracle)
        await until(lambda: mbp.held() == oracle.held(), "the same")
    same = SimpleNamespace(boot="b", machine="m", file="f", text=lambda: "b|m|f")
    monkeypatch.setattr("maw.node.opening.take_fingerprint", lambda _: same)
    async with running(homes[0]) as mbp:
        await mbp.post("arthur", "one epoch for both")
        at = mbp.held()[mbp.me, epochs(mbp)[-1]]
    shutil.copytree(homes[0].path, tmp_path / "twin")
    twin_home = NodeHome(tmp_path / "twin")
    config = config_of(twin_home)
    async with running(twin_home, config=config) as twin:
        await twin.post("arthur", "the twin's")
        assert twin.held()[twin.me, epochs(twin)[-1]] == at + 1
    async with running(homes[0]) as mbp:
        await mbp.post("arthur", "the other's")
    async with running(homes[1]) as oracle:
        async with running(homes[0]) as mbp:
            await until(lambda: mbp.held() == oracle.held(), "the first of the two")
        async with running(twin_home, config=config) as twin:
            await until(lambda: twin.linked(oracle), "the copy is linked")
            # the copy hears of it and takes the others' branch, perhaps before anybody can look
            await oracle.alert("fork_settled")
            assert "two different things" in caplog.text
            assert not oracle.node.state.disputed()
            await oracle.post("neo", "I go on")
            epoch = epochs(oracle)[-1]
            await until(
                lambda: twin.held().get((oracle.me, epoch)) == oracle.held()[oracle.me, epoch], "others go on"
            )
            assert "the other's" in await oracle.channel()


async def test_a_copy_is_told_that_it_may_be_one(make_home: MakeHome, tmp_path: Path) -> None:
    homes = make_home("mbp"), make_home("oracle")
    async with all_running(*homes) as (mbp, oracle):
        await settle(mbp, oracle)
    twin_home = NodeHome(tmp_path / "twin")
    shutil.copytree(homes[0].path, twin_home.path)
    async with all_running(*homes) as (mbp, oracle):
        await until(lambda: mbp.linked(oracle), "linked")
        async with running(twin_home, config=config_of(twin_home)) as twin:
            alert = await twin.alert("copied_host")
            assert "another running node holds this node's key: oracle is linked" in alert["text"]
            assert "the key of mbp" in (await oracle.alert("copied_host"))["text"]
            dismissed = await oracle.service.dismiss_alerts(await oracle.owner(), "copied_host", None)
            assert [item["kind"] for item in dismissed["dismissed"]] == ["copied_host"]


async def test_a_damaged_row_does_not_bring_the_node_down(make_home: MakeHome) -> None:
    """A bit flipped in one entry: its followers get what they can, and the daemon lives."""
    homes = make_home("mbp"), make_home("oracle")
    async with running(homes[0]) as mbp:
        await mbp.add("arthur")
        for n in range(3):
            await mbp.post("arthur", f"{n}")
    with sqlite3.connect(homes[0].database) as db:
        (place, payload) = db.execute("SELECT place, payload FROM entries WHERE shown IS NOT NULL").fetchone()
        flipped = payload[:20] + bytes([payload[20] ^ 1]) + payload[21:]
        db.execute("UPDATE entries SET payload = ? WHERE place = ?", (flipped, place))
    db.close()
    async with all_running(*homes) as (mbp, oracle):
        await oracle.add("neo")
        oracle_line = await oracle.invite()
        with pytest.raises(MawError):
            await mbp.join(oracle_line)  # it cannot sign again what it cannot read
        await pair(mbp, oracle)
        assert "cannot be read" in (await mbp.alert("damaged"))["text"]
        await oracle.post("neo", "hello @arthur")
        assert await later(mbp, "hello @arthur")
        assert mbp.task is not None
        assert not mbp.task.done()


async def test_a_database_that_is_none(make_home: MakeHome) -> None:
    home = make_home("mbp")
    lose_database(home)
    home.database.write_bytes(b"this is no database at all, but long enough to be looked at" * 100)
    with pytest.raises(BadConfig) as no:
        async with running(home):
            pass
    assert no.value.code == "bad_database"
    assert home.database.read_bytes().startswith(b"this is no database"), "nothing was changed"


async def test_a_database_whose_middle_is_gone(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as mbp:
        await mbp.post("owner", "before")
    whole = home.database.read_bytes()
    home.database.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(BadConfig) as no:
        async with running(home):
            pass
    assert no.value.code == "bad_database"


async def test_no_database_and_no_copy(make_home: MakeHome) -> None:
    home = make_home("mbp")
    lose_database(home)
    home.trust_copy.unlink(missing_ok=True)
    with pytest.raises(BadConfig) as no:
        async with running(home):
            pass
    assert no.value.code == "no_colony"


async def test_a_damaged_copy_of_trust_is_named(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home):
        pass
    lose_database(home)
    home.trust_copy.write_bytes(home.trust_copy.read_bytes()[:-5])
    with pytest.raises(BadConfig) as no:
        async with running(home):
            pass
    assert no.value.code == "bad_trust_copy"
    assert "trust.copy" in no.value.message


async def test_a_clock_that_was_set_opens_a_new_epoch(two: tuple[Host, Host]) -> None:
    mbp, _ = two
    before = epochs(mbp)
    await mbp.node._clock_event(WallJumped(-4000.0))
    await mbp.post("arthur", "after the jump")
    assert len(epochs(mbp)) == len(before) + 1


# -- a line of three: receipts from beyond the next host -------------------------------------------------------


@pytest.fixture
def far_apart(make_home: MakeHome) -> Iterator[list[NodeHome]]:
    yield [make_home(name) for name in ("alpha", "beta", "gamma")]


async def test_relayed_messages_are_receipted_by_the_recipients_host(far_apart: list[NodeHome]) -> None:
    """alpha – beta – gamma: alpha and gamma cannot dial each other, and know each other all the same."""
    a_home, b_home, c_home = far_apart
    async with (
        running(a_home, config=config_of(a_home, advertise=NOWHERE)) as a,
        running(b_home) as b,
        running(c_home, config=config_of(c_home, advertise=NOWHERE)) as c,
    ):
        await a.add("ann")
        await c.add("cleo")
        await pair(b, a)
        await pair(b, c)
        await until(lambda: c.me in a.node.membership.book.trusted, "a trusts c")
        await acquainted(a, c)
        sent = await a.send("ann", "cleo", "over the hill")
        assert sent["state"] == "stored"
        assert sent["recipients"][0]["online"] is False
        await c.receives("cleo", ["over the hill"])
        assert (await c.inbox("cleo"))[0]["author"] == "ann@alpha"
        receipt = await a.service.wait_replicated(sent["id"], 10)
        assert receipt["state"] == "replicated"
        assert not a.linked(c)
        page = await b.service.stream_page(await b.owner(), after_seq=0, channel=None, user=None, limit=100)
        assert "over the hill" not in [item["text"] for item in page.items], (
            "the relay's agents do not read it"
        )
        back = await c.send("cleo", "ann", "and back", reply_to=sent["id"])
        await a.receives("ann", ["and back"])
        assert (await c.service.wait_replicated(back["id"], 10))["state"] == "replicated"


async def test_held_by_the_relay_is_not_held_by_the_recipients_host(far_apart: list[NodeHome]) -> None:
    a_home, b_home, c_home = far_apart
    async with (
        running(a_home, config=config_of(a_home, advertise=NOWHERE)) as a,
        running(b_home) as b,
    ):
        async with running(c_home, config=config_of(c_home, advertise=NOWHERE)) as c:
            await a.add("ann")
            await c.add("cleo")
            await pair(b, a)
            await pair(b, c)
            await acquainted(a, c)
        sent = await a.send("ann", "cleo", "nobody home")
        await until(lambda: a.held() == b.held(), "the relay holds it")
        await until(
            lambda: a.node.receipts.has(b.me, epochs(a)[-1], a.held()[a.me, epochs(a)[-1]]), "and says so"
        )
        assert (await a.service.wait_replicated(sent["id"], 0.1))["state"] == "stored"
        async with running(c_home, config=config_of(c_home, advertise=NOWHERE)) as c:
            await c.receives("cleo", ["nobody home"])
            assert (await a.service.wait_replicated(sent["id"], 10))["state"] == "replicated"
