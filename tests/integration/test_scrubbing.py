"""Damage on the disk of a running node: seen at reads and by looking at everything, contained, fetched from a peer."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from typing import Any

import pytest

from maw.core.entry import Position
from maw.core.identity import short_key
from maw.core.message_ids import message_id
from maw.node import scrubbing
from maw.node.home import NodeHome
from maw.node.scrubbing import Round
from maw.store.copying import open_readonly
from maw.store.rows import execute_all
from maw.store.verifying import read_rows, verify_database
from tests.conftest import MakeHome
from tests.integration.nodes import Host, pair, running, until


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrubbing, "PAUSE_S", 0.02)
    monkeypatch.setattr(scrubbing, "RETRY_S", 0.2)
    monkeypatch.setattr(scrubbing, "ROUND_S", 0.2)


def damage(home: NodeHome, *, of: Host, on: Host, texts: int = 3) -> None:
    """Flips a bit in payloads of the one's log, as they lie on the disk of the other."""
    epoch, _ = on.node.state.newest_epoch(of.me)
    row = on.node.state.logs[of.me, epoch]
    with closing(sqlite3.connect(home.database, timeout=10)) as conn:
        sql = """SELECT place, payload FROM entries WHERE place >> 40 = ? AND shown IS NOT NULL
            ORDER BY place DESC LIMIT ?"""
        for place, payload in conn.execute(sql, (row.l, texts)).fetchall():
            changed = payload[:-1] + bytes([payload[-1] ^ 1])
            conn.execute("UPDATE entries SET payload = ? WHERE place = ?", (changed, place))
        conn.commit()


def sound(home: NodeHome) -> bool:
    with closing(open_readonly(home.database)) as conn:
        return verify_database(conn).sound


@pytest.mark.parametrize("whose", ["ours", "theirs"])
async def test_it_is_found_and_fetched(make_home: MakeHome, whose: str) -> None:
    home = make_home("mbp")
    async with running(home) as mbp, running(make_home("oracle")) as oracle:
        await pair(mbp, oracle)
        for host in (mbp, oracle):
            for n in range(5):
                await host.post("owner", f"{whose} {n}")
        async with asyncio.timeout(20):
            while len(before := await mbp.channel()) < 10 or len(await oracle.channel()) < 10:
                await asyncio.sleep(0.01)
        # in a thread: what is being written needs the loop to end, and the file is locked until then
        await asyncio.to_thread(damage, home, of=mbp if whose == "ours" else oracle, on=mbp)
        await until(lambda: sound(home), "the damage is mended")
        assert await mbp.channel() == before
        await until(lambda: not mbp.node.scrubber.round.damaged, "and off the list")
        assert "damaged" not in {kind for kind, _ in await mbp.alerts()}, "what is over is not told of"


async def test_a_reader_sees_that_it_is_damaged_and_the_rest_of_the_page(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrubbing, "PAUSE_S", 30.0)
    home = make_home("mbp")
    async with running(home) as host:
        for n in range(5):
            await host.post("owner", f"hi {n}")
        await asyncio.to_thread(damage, home, of=host, on=host, texts=1)
        found = await host.channel()
        assert found[:4] == ["hi 0", "hi 1", "hi 2", "hi 3"]
        assert "damaged on this disk" in found[4]
        assert len(host.node.scrubber.round.damaged) == 1, "reading was enough to notice it"
        alert = await host.alert("damaged")
        assert alert["subject"] == short_key(host.me)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE messages SET agent = 2 WHERE seq = {seq}",
        "UPDATE messages SET agent = 77 WHERE seq = {seq}",
        "UPDATE messages SET channel = 3 - channel WHERE seq = {seq}",
        "UPDATE messages SET place = 1 WHERE seq = {seq}",
        "UPDATE messages SET place = 'x' WHERE seq = {seq}",
        "UPDATE entries SET shown = shown + 1000 WHERE shown = {seq}",
    ],
)
async def test_what_was_made_of_an_entry_is_made_again_here(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Nobody's words are shown as another's, and no peer is needed to put it right."""
    monkeypatch.setattr(scrubbing, "PAUSE_S", 30.0)
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("neo")
        await host.service.add_channel(await host.owner(), "plans")
        for n in range(5):
            await host.post("owner", f"hi {n}")
        before = await host.channel()
        seq = host.node.state.seq - 2
        with closing(sqlite3.connect(home.database, timeout=10)) as conn:
            assert conn.execute(change.format(seq=seq)).rowcount == 1
            conn.commit()
        damaged = [text for text in await host.channel() if text not in before]
        assert all("damaged on this disk" in text for text in damaged)
        with closing(open_readonly(home.database)) as conn:
            damages = verify_database(conn).damages
        assert damages, "and `maw verify --repair` knows what to ask for"
        ids = [message_id(Position(one.author, one.epoch, one.seq)) for one in damages]
        await host.service.mend(await host.owner(), ids)
        assert sound(home), "it was made again"
        assert await host.channel() == before


async def test_the_list_outlasts_a_restart_until_somebody_has_it(make_home: MakeHome) -> None:
    home, other = make_home("mbp"), make_home("oracle")
    async with running(home) as mbp, running(other) as oracle:
        await pair(mbp, oracle)
        await mbp.post("owner", "hi")
        await until(lambda: oracle.node.state.messages == 1, "it is there")
    async with running(home) as mbp:
        await asyncio.to_thread(damage, home, of=mbp, on=mbp, texts=1)
        await until(lambda: len(mbp.node.scrubber.round.damaged) == 1, "it is found")
        await until(lambda: mbp.node.scrubber._saved == mbp.node.scrubber.round.text(), "and noted")
        assert "no host that is linked" in (text := (await mbp.alert("damaged"))["text"])
        assert " of node oracle (" in text or " of node mbp (" in text, "by name"
    async with running(home) as mbp, running(other):
        await until(
            lambda: sound(home) and not mbp.node.scrubber.round.damaged, "mended when the peer is back"
        )


async def test_all_is_seen_and_then_it_rests(make_home: MakeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrubbing, "ROUND_S", 86_400.0)
    home = make_home("mbp")
    async with running(home) as host:
        for n in range(200):
            await host.post("owner", f"{n}")
        host.node.scrubber.round = (
            Round()
        )  # one that was over before all of this was said sees the rest a day later
        await until(lambda: host.node.scrubber.round.ended > 0, "a round is over")
        seen = host.node.scrubber.round
        assert (seen.log, seen.seq) == (1, host.node.state.log_at[1].head.seq)
        began = seen.began
        steps = 0
        step = host.node.scrubber.step

        async def counted() -> None:
            nonlocal steps
            await step()
            steps += 1

        monkeypatch.setattr(host.node.scrubber, "step", counted)
        await until(lambda: steps >= 3, "it looks whether it is time")
        assert host.node.scrubber.round.began == began, "the next begins a day later"


async def test_what_is_written_slowly_is_not_called_damaged(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in a transaction counts in memory before it is on the disk: it is waited for, however long."""
    monkeypatch.setattr(scrubbing, "PAUSE_S", 30.0)
    monkeypatch.setattr(scrubbing, "CONFIRM_S", 0.01)
    async with running(make_home("mbp")) as host:
        await host.post("owner", "before")
        _, head = host.node.state.newest_epoch(host.me)
        real, slow = execute_all, asyncio.Event()

        async def slowly(*args: Any) -> None:
            await slow.wait()
            await real(*args)

        monkeypatch.setattr("maw.store.writer.execute_all", slowly)
        post = asyncio.ensure_future(host.post("owner", "slow"))
        await until(lambda: host.node.state.newest_epoch(host.me)[1] != head, "it counts already")
        row = host.node.state.log_at[1]
        look = asyncio.ensure_future(host.node.scrubber.look(row, 1, row.head.seq))
        await asyncio.wait([look], timeout=0.5)
        assert not host.node.scrubber.round.damaged
        slow.set()
        assert await look == 0
        await post


def test_what_is_noted_is_read_back_and_nonsense_begins_anew() -> None:
    noted = Round(3, 64, 1.0, 2.0, {(1, 5), (2, 6)})
    assert Round.read(noted.text()) == noted
    for nonsense in (None, b"", "x", "[]", "[1,2,3,4,[[5]]]", 7):
        assert Round.read(nonsense) == Round()


async def test_verify_asks_for_what_it_found(make_home: MakeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrubbing, "PAUSE_S", 30.0)
    home = make_home("mbp")
    async with running(home) as mbp, running(make_home("oracle")) as oracle:
        await pair(mbp, oracle)
        await mbp.post("owner", "hi")
        await until(lambda: oracle.node.state.messages == 1, "it is there")
        await asyncio.to_thread(damage, home, of=mbp, on=mbp, texts=1)
        epoch, head = mbp.node.state.newest_epoch(mbp.me)
        name = message_id(Position(mbp.me, epoch, head.seq))
        answer = await mbp.service.mend(await mbp.owner(), [name, "aaaaaa-1-1"])
        assert answer["mended"] == 1
        assert [one["id"] for one in answer["left"]] == ["aaaaaa-1-1"]
        assert sound(home)


async def test_what_is_being_read_is_not_closed_when_the_node_stops(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else SQLite reads what is freed, and the process ends by a signal."""
    begun, go_on = threading.Event(), threading.Event()
    closed_meanwhile: list[bool] = []

    def slowly(conn: sqlite3.Connection, *where: Any) -> Any:
        begun.set()
        go_on.wait(0.3)  # so long a stop has time to close it
        closed_meanwhile.append(host.node.scrubber._conn is None)
        return read_rows(conn, *where)

    monkeypatch.setattr(scrubbing, "read_rows", slowly)
    async with running(make_home("mbp")) as host:
        await until(begun.is_set, "it reads")
    assert closed_meanwhile and not any(closed_meanwhile)
