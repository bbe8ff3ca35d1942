"""True forks between real nodes: one log in two branches, whoever made them; how each ends.

A node that cannot notice that it was put back (same boot, same machine, same file) makes one by speaking.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from maw.core.identity import NodeId
from maw.errors import HandshakeRefused
from maw.net.link import Link
from maw.node.home import NodeHome
from maw.node.mesh import Gate
from tests.conftest import MakeHome
from tests.integration.nodes import Host, acquainted, all_running, pair, running, until

Homes = tuple[NodeHome, ...]


@pytest.fixture
def unnoticed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every directory looks as it did when it was written last."""
    same = SimpleNamespace(boot="b", machine="m", file="f", text=lambda: "b|m|f")
    monkeypatch.setattr("maw.node.opening.take_fingerprint", lambda _: same)
    yield


class TimeMachine:
    """Keeps a copy of a node's directory, and puts it back, mark and all."""

    def __init__(self, home: NodeHome, at: Path) -> None:
        self._home = home
        self._at = at
        shutil.copytree(home.path, at)

    def back(self) -> None:
        shutil.rmtree(self._home.path)
        shutil.copytree(self._at, self._home.path)


async def acquaint(*hosts: Host) -> None:
    """The first invites the others; all are linked with all and know each other's agents."""
    for host, name in zip(hosts, ("arthur", "neo", "trinity", "morpheus"), strict=False):
        await host.add(name)
    for other in hosts[1:]:
        await pair(hosts[0], other)
    for host in hosts:
        for other in hosts:
            if host is not other:
                await until(lambda a=host, b=other: a.linked(b), "all are linked")  # type: ignore[misc]
                await acquainted(host, other)


def keep_apart(monkeypatch: pytest.MonkeyPatch, *pair: NodeId) -> None:
    """These two do not get a link to each other any more."""
    admit = Gate.admit_link

    async def admit_others(self: Gate, link: Link) -> None:
        if {self._membership.book.me, link.peer} == set(pair):
            raise HandshakeRefused("a firewall, say")
        await admit(self, link)

    monkeypatch.setattr(Gate, "admit_link", admit_others)


async def agree(*hosts: Host) -> None:
    await until(lambda: all(host.held() == hosts[0].held() for host in hosts), "all hold the same", 20)


async def first_day(*homes: NodeHome) -> list[Host]:
    """All get to know each other, and hold one old message when they stop."""
    async with all_running(*homes) as hosts:
        await acquaint(*hosts)
        await hosts[0].post("arthur", "old")
        await agree(*hosts)
    return hosts


def disputed(host: Host) -> set[Any]:
    """On the disk or in the machine; the two differ for as long as a commit takes."""
    return {*host.node.state.disputed(), *host.node.runtime.held.disputed}


async def flagged(host: Host) -> list[str]:
    page = await host.service.channel_page(
        await host.owner(), "general", after_seq=0, before_seq=None, limit=500
    )
    return [item["text"] for item in page.items if item["disputed"]]


async def until_flagged(host: Host, texts: list[str]) -> None:
    async with asyncio.timeout(10):
        while await flagged(host) != texts:
            await asyncio.sleep(0.02)


def sound(home: NodeHome) -> None:
    """The counts that are kept are the counts there are, and nothing points to nowhere."""
    with sqlite3.connect(home.database) as db:
        for table in ("mailbox", "mentions", "outbox", "progress", "untold"):
            sql = f"SELECT count(*) FROM {table} WHERE seq NOT IN (SELECT seq FROM messages)"
            assert db.execute(sql).fetchone() == (0,), table
        sql = "SELECT count(*) FROM messages m LEFT JOIN entries e ON e.place = m.place WHERE e.shown IS NOT m.seq"
        assert db.execute(sql).fetchone() == (0,)
        sql = (
            "SELECT count(*) FROM entries WHERE shown IS NOT NULL AND shown NOT IN (SELECT seq FROM messages)"
        )
        assert db.execute(sql).fetchone() == (0,)
        counted = db.execute("SELECT name, messages FROM channels").fetchall()
        for name, count in counted:
            sql = "SELECT count(*) FROM messages m JOIN channels c ON c.n = m.channel WHERE c.name = ?"
            assert db.execute(sql, (name,)).fetchone() == (count,)
        assert (
            db.execute("SELECT count(*) FROM messages").fetchone()
            == db.execute("SELECT value FROM meta WHERE key = 'messages'").fetchone()
        )
    db.close()


@pytest.mark.usefixtures("unnoticed")
async def test_a_parting_is_found_where_one_answer_does_not_reach_it(
    make_home: MakeHome, tmp_path: Path
) -> None:
    """Much was said since, and just before it so many long messages that a page of them ends below the parting."""
    homes = make_home("mbp"), make_home("oracle")
    async with all_running(*homes) as (mbp, oracle):
        await acquaint(mbp, oracle)
        for n in range(14):
            await mbp.post("arthur", f"{n} " + "x" * 50_000)
        await agree(mbp, oracle)
    night = TimeMachine(homes[0], tmp_path / "night")
    async with all_running(*homes) as (mbp, oracle):
        for n in range(3):
            await mbp.post("arthur", f"heard {n}")
        await agree(mbp, oracle)
    night.back()
    async with running(homes[0]) as mbp:
        for n in range(18):
            await mbp.post("arthur", f"dark {n}")
    async with all_running(*homes) as (mbp, oracle):
        assert "18 entries that only this host held" in (await mbp.alert("own_fork"))["text"]
        await agree(mbp, oracle)
        await until(lambda: not disputed(mbp) and not disputed(oracle), "the dispute is over")
        for host in (mbp, oracle):
            short = [text for text in await host.channel() if len(text) < 100]
            assert sorted(short) == sorted(
                [*(f"heard {n}" for n in range(3)), *(f"dark {n}" for n in range(18))]
            )


@pytest.mark.usefixtures("unnoticed")
async def test_what_was_said_before_and_after_a_restore_is_everywhere_once(
    make_home: MakeHome, tmp_path: Path
) -> None:
    """Last night's directory, put back unnoticed; a word before any peer could tell. Then the peer can."""
    homes = make_home("mbp"), make_home("oracle")
    async with all_running(*homes) as (mbp, oracle):
        await acquaint(mbp, oracle)
        await mbp.post("arthur", "old")
        await agree(mbp, oracle)
    night = TimeMachine(homes[0], tmp_path / "night")
    async with all_running(*homes) as (mbp, oracle):
        for n in range(5):
            await mbp.send("arthur", "@neo", f"today {n}")
        await mbp.post("arthur", "today in public")
        await agree(mbp, oracle)
        first = (await oracle.inbox("neo"))[0]
        await oracle.service.ack(await oracle.as_("neo"), [first["id"]])
    night.back()
    async with running(homes[0]) as mbp:
        dark = await mbp.post("arthur", "in the dark @neo")
        answer = await mbp.post("arthur", "and on", reply_to=dark["id"])
        assert answer["message"]["reply_to"] == dark["id"]
    async with all_running(*homes) as (mbp, oracle):
        told = await mbp.alert("own_fork")
        assert "two branches" in told["text"]
        assert "2 entries that only this host held" in told["text"]
        await agree(mbp, oracle)
        texts = ["old", "today in public", "in the dark @neo", "and on"]
        for host in (mbp, oracle):
            assert sorted(await host.channel()) == sorted(texts), "everything, once"
            assert not disputed(host)
        assert [text for text in await oracle.texts("neo") if text.startswith("today")] == [
            f"today {n}" for n in range(1, 5)
        ], "what was acknowledged stays so"
        page = await mbp.service.channel_page(
            await mbp.owner(), "general", after_seq=0, before_seq=None, limit=50
        )
        by_text = {item["text"]: item for item in page.items}
        assert by_text["and on"]["reply_to"] == by_text["in the dark @neo"]["id"] != dark["id"]
        assert by_text["in the dark @neo"]["seq"] == dark["seq"], "it stays where readers of this host saw it"
        await mbp.post("arthur", "life goes on")
        await agree(mbp, oracle)
        sent = await mbp.service.sent(await mbp.as_("arthur"), limit=50)
        dark_now = next(item for item in sent if item["text"] == "in the dark @neo")
        assert (await mbp.service.wait_reached(dark_now["id"], 10))["state"] == "replicated"
        # what was told before the restore, of a branch that was not here for a while, is known again
        known = await mbp.service.wait_reached(first["id"], 10, "acked")
        assert known["state"] == "acked"
        await oracle.service.read(await oracle.as_("neo"), [dark_now["id"]], "inbox")
        assert (await mbp.service.wait_reached(dark_now["id"], 10, "read"))["state"] == "read"
        second = (await oracle.inbox("neo"))[0]
        assert (await mbp.service.wait_reached(second["id"], 10))["state"] == "replicated"
    for home in homes:
        sound(home)
    async with all_running(*homes) as (mbp, oracle):
        await agree(mbp, oracle)
        assert not any(kind == "drift" for kind, _ in await mbp.alerts())


@pytest.mark.usefixtures("unnoticed")
async def test_who_is_put_back_to_before_he_ended_a_fork_says_nothing_twice(
    make_home: MakeHome, tmp_path: Path
) -> None:
    """mbp ends its fork while carol is away, is put back to before that, and finds the same fork again."""
    homes = tuple(make_home(name) for name in ("mbp", "oracle", "carol"))
    await first_day(*homes)
    night = TimeMachine(homes[0], tmp_path / "night")
    async with all_running(*homes) as hosts:
        await hosts[0].post("arthur", "today")
        await agree(*hosts)
    night.back()
    async with running(homes[0]) as mbp:
        dark = await mbp.post("arthur", "dark @neo @trinity")
        await mbp.post("arthur", "and on", reply_to=dark["id"])
        await mbp.post("arthur", "dark again @neo")
    forked = TimeMachine(homes[0], tmp_path / "forked")
    async with all_running(*homes[:2]) as (mbp, oracle):
        assert "3 entries" in (await mbp.alert("own_fork"))["text"]
        await agree(mbp, oracle)
        assert await oracle.texts("neo") == ["dark @neo @trinity", "dark again @neo"]
        (first, *_) = await oracle.inbox("neo")
        await oracle.service.ack(await oracle.as_("neo"), [first["id"]])
        cursor = oracle.node.visible.seq

    forked.back()
    async with all_running(homes[0], homes[1]) as (mbp, other):
        again = (await mbp.alert("own_fork"))["text"]
        assert "0 entries" in again, "what it published again was waited for"
        await agree(mbp, other)
    async with all_running(*homes) as (mbp, oracle, carol):
        await mbp.post("arthur", "life goes on")
        await agree(mbp, oracle, carol)
        expected = ["old", "today", "dark @neo @trinity", "and on", "dark again @neo", "life goes on"]
        for host in (mbp, oracle, carol):
            await until(lambda h=host: not disputed(h), "settled")  # type: ignore[misc]
            page = await host.service.channel_page(
                await host.owner(), "general", after_seq=0, before_seq=None, limit=50
            )
            assert sorted(item["text"] for item in page.items) == sorted(expected), "every word, once"
            by_text = {item["text"]: item for item in page.items}
            assert by_text["and on"]["reply_to"] == by_text["dark @neo @trinity"]["id"]
            if host is oracle:
                assert [text for text, item in by_text.items() if item["seq"] > cursor] == ["life goes on"]
        assert await oracle.texts("neo") == ["dark again @neo"], "acknowledged stays so"
        assert await carol.texts("trinity") == ["dark @neo @trinity"]
    for home in homes:
        sound(home)


@pytest.mark.usefixtures("unnoticed")
async def test_two_branches_in_the_mesh_are_proved_told_kept_apart_and_settled(
    make_home: MakeHome, tmp_path: Path
) -> None:
    """One branch reached oracle, the other carol; dave holds neither. Then the author comes back."""
    homes = tuple(make_home(name) for name in ("mbp", "oracle", "carol", "dave"))
    one, other = homes[1], homes[2]
    await first_day(*homes)
    night = TimeMachine(homes[0], tmp_path / "night")
    async with all_running(homes[0], one) as (mbp, oracle):
        for n in range(3):
            await mbp.post("arthur", f"first branch {n} @trinity @neo")
        await until(lambda: mbp.held() == oracle.held(), "oracle has it")
        assert len(await oracle.texts("neo")) == 3
    night.back()
    async with all_running(homes[0], other) as (mbp, carol):
        for n in range(5):
            await mbp.post("arthur", f"second branch {n} @trinity @neo")
        await until(lambda: mbp.held() == carol.held(), "carol has it")
        (seen, *_) = await carol.inbox("trinity")
        await carol.service.ack(await carol.as_("trinity"), [seen["id"]])
        cursor = carol.node.visible.seq

    async with all_running(one, other, homes[3]) as (oracle, carol, dave):
        for host in (oracle, carol, dave):
            assert "two different things" in (await host.alert("fork"))["text"]
            await until(lambda h=host: disputed(h), "disputed everywhere, also where neither branch is")  # type: ignore[misc]
        await until_flagged(oracle, [f"first branch {n} @trinity @neo" for n in range(3)])
        await until_flagged(carol, [f"second branch {n} @trinity @neo" for n in range(5)])
        await dave.post("morpheus", "the rest goes on")
        await until(lambda: _says(oracle, dave) and _says(carol, dave), "others' logs are not held up")
        branch = [text for text in await dave.channel() if "branch" in text]
        assert len({text.partition(" ")[0] for text in branch}) <= 1, "one branch at the most"
        await until_flagged(dave, branch)

    async with all_running(one, other, homes[3]) as (oracle, carol, dave):
        for host in (oracle, carol, dave):
            assert disputed(host), "also after a restart"
        async with running(homes[0]) as mbp:
            everybody = mbp, oracle, carol, dave
            await until(lambda: not any(disputed(host) for host in everybody), "settled everywhere", 60)
            await agree(*everybody)
            expected = ["old", "the rest goes on"]
            expected += [f"first branch {n} @trinity @neo" for n in range(3)]
            expected += [f"second branch {n} @trinity @neo" for n in range(5)]
            for host in everybody:
                assert sorted(await host.channel()) == sorted(expected), "every word of both, once"
                assert await flagged(host) == []
                alerts = await host.alerts()
                assert not any(kind == "fork" for kind, _ in alerts), alerts
            assert "second branch 0 @trinity @neo" not in await carol.texts("trinity"), (
                "acknowledged stays so"
            )
            assert len(await carol.texts("trinity")) == 7
            again = [
                item["text"]
                for item in await carol.inbox("trinity")
                if item["seq"] > cursor and item["text"].startswith("second")
            ]
            assert again == [], "carol is told of nothing twice"
            await mbp.post("arthur", "life goes on")
            await agree(*everybody)
    for home in homes:
        sound(home)


@pytest.mark.usefixtures("unnoticed")
@pytest.mark.parametrize("linked", [True, False], ids=["linked", "through_another"])
async def test_a_branch_that_comes_back_when_all_is_settled_loses_no_message(
    make_home: MakeHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    """oracle alone has what mbp acknowledged, and is away while mbp, put back, settles without it. Where the two cannot
    reach each other any more, carol passes on what oracle shows."""
    monkeypatch.setattr("maw.core.forks.KEEP_OWN_S", 0.5)
    homes = tuple(make_home(name) for name in ("mbp", "oracle", "carol"))
    hosts = await first_day(*homes)
    night = TimeMachine(homes[0], tmp_path / "night")
    async with all_running(homes[0], homes[1]) as (mbp, oracle):
        for n in range(3):
            await mbp.post("arthur", f"oracle heard {n} @neo")
        await until(lambda: mbp.held() == oracle.held(), "oracle has it")
    night.back()
    async with all_running(homes[0], homes[2]) as (mbp, carol):
        await mbp.post("arthur", "carol heard")
        await until(lambda: mbp.held() == carol.held(), "carol has it")
    async with all_running(homes[1], homes[2]) as (oracle, carol):
        await until(lambda: disputed(oracle) and disputed(carol), "both know")
        (first, *_) = await oracle.inbox("neo")
        await oracle.service.ack(await oracle.as_("neo"), [first["id"]])
    async with all_running(homes[0], homes[2]) as (mbp, carol):
        await until(lambda: not disputed(carol), "settled, without oracle", 20)
        assert "no host that is linked has it" in (await mbp.alert("own_fork"))["text"]
    if not linked:
        keep_apart(monkeypatch, hosts[0].me, hosts[1].me)
    async with all_running(*homes) as (mbp, oracle, carol):
        await until(lambda: not any(map(disputed, (mbp, oracle, carol))), "settled everywhere", 30)
        await agree(mbp, oracle, carol)
        assert mbp.linked(oracle) is linked
        expected = ["old", "carol heard", *(f"oracle heard {n} @neo" for n in range(3))]
        for host in (mbp, oracle, carol):
            assert sorted(await host.channel()) == sorted(expected), "every word, once"
            assert await flagged(host) == []
        assert "3 entries that only it had" in (await mbp.alert("own_fork"))["text"]
        assert await oracle.texts("neo") == ["oracle heard 1 @neo", "oracle heard 2 @neo"], (
            "acknowledged stays so"
        )
        epochs = len(mbp.held())
        await mbp.post("arthur", "life goes on")
        await agree(mbp, oracle, carol)
    async with all_running(*homes) as (mbp, oracle, carol):
        await agree(mbp, oracle, carol)
        assert len(mbp.held()) == epochs, "and no epoch more, for it is said but once"
    for home in homes:
        sound(home)


@pytest.mark.usefixtures("unnoticed")
async def test_a_branch_of_which_a_message_was_redacted_is_taken_all_the_same(
    make_home: MakeHome, tmp_path: Path
) -> None:
    homes = tuple(make_home(name) for name in ("mbp", "oracle", "carol"))
    await first_day(*homes)
    night = TimeMachine(homes[0], tmp_path / "night")
    async with all_running(homes[0], homes[1]) as (mbp, oracle):
        said = [await mbp.post("arthur", f"first branch {n}") for n in range(3)]
        await mbp.service.redact(await mbp.as_("arthur"), [said[1]["id"]], None)
        await until(lambda: mbp.held() == oracle.held(), "oracle has it")
    night.back()
    async with all_running(homes[0], homes[2]) as (mbp, carol):
        for n in range(2):
            await mbp.post("arthur", f"second branch {n}")
        await until(lambda: mbp.held() == carol.held(), "carol has it")
    async with all_running(*homes) as everybody:
        for host in everybody:
            async with asyncio.timeout(30):
                while {"first branch 2", "second branch 1"} - {*await host.channel()}:
                    await asyncio.sleep(0.05)
        await agree(*everybody)
        await until(lambda: not any(map(disputed, everybody)), "settled everywhere", 30)
        for host in everybody:
            texts = await host.channel()
            gone = [text for text in texts if text.startswith("[redacted by")]
            assert len(gone) == (host.me == everybody[1].me), "whom it never reached is shown nothing of it"
            expected = {"old", "first branch 0", "first branch 2", "second branch 0", "second branch 1"}
            assert sorted({*texts} - {*gone}) == sorted(expected)
    for home in homes:
        sound(home)


def _says(host: Host, author: Host) -> bool:
    return all(host.held().get(place) == seq for place, seq in author.held().items() if place[0] == author.me)
