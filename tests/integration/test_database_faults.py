"""A database that is lost, put back, copied or damaged; and a clock that was set."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest

from maw.errors import BadConfig, MawError
from maw.node.home import NodeHome
from maw.node.waking import WallJumped
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


async def test_a_clock_that_was_set_opens_a_new_epoch(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as mbp:
        await mbp.add("arthur")
        before = epochs(mbp)
        await mbp.node._clock_event(WallJumped(-4000.0))
        await mbp.post("arthur", "after the jump")
        assert len(epochs(mbp)) == len(before) + 1
