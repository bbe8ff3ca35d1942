"""A node as a whole: started, told to stop, asked about itself; its faults stay where they are."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from maw.core.effects import Alert
from maw.core.entry import Kind
from maw.errors import BadConfig, Refused, Unavailable
from maw.node.home import read_key
from maw.node.node import open_node
from tests.conftest import MakeHome
from tests.integration.nodes import all_running, config_of, pair, running, until
from tests.integration.test_hearing import hear


async def test_it_introduces_itself_once(make_home: MakeHome) -> None:
    home = make_home("mbp")
    entries: list[int] = []
    for _ in range(2):
        async with running(home) as host:
            entries.append(host.node.runtime.held.total())
            assert entries[0] == entries[-1] <= 5, "nothing more at the second start"
            own = host.node.state.nodes[host.me]
            assert (own.name, own.addresses) == ("mbp", host.node.mesh.addresses())
            assert own.addresses


async def test_told_to_stop_before_it_is_up_it_stops(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with open_node(home, config_of(home), read_key(home.key)) as node:
        stop = asyncio.Event()
        stop.set()
        async with asyncio.timeout(5):
            await node.run(stop)


async def test_stopped_with_links_up_it_stops_soon_and_the_peer_sees_it(make_home: MakeHome) -> None:
    """Whoever dialled: a link that ends in the moment of its cancellation must not keep the node alive."""
    async with all_running(make_home("a"), make_home("b"), make_home("c")) as (a, b, c):
        await pair(a, b)
        await pair(a, c)
        await until(lambda: b.linked(c), "all are linked")
        for host in (b, c):
            host.stop.set()
            assert host.task is not None
            async with asyncio.timeout(5):
                await host.task
        await until(lambda: not a.node.board.all(), "the links are gone")


async def test_a_broken_peers_toml_stops_the_start_with_its_reason(make_home: MakeHome) -> None:
    home = make_home("mbp")
    home.peers.write_text("[[peer]]\n")
    with pytest.raises(ExceptionGroup) as several:
        async with running(home):
            pass
    assert several.group_contains(BadConfig)


async def test_a_bug_ends_the_node_loudly_and_writes_what_was_accepted(make_home: MakeHome) -> None:
    home = make_home("mbp")
    with pytest.raises(ExceptionGroup) as several:
        async with running(home) as host:
            post = asyncio.ensure_future(host.post("owner", "accepted"))
            await post

            def bug(*_: Any) -> None:
                raise ZeroDivisionError

            host.node.runtime.machine.tick = bug  # type: ignore[method-assign, assignment]
            assert host.task is not None
            await asyncio.wait([host.task], timeout=5)
            assert host.task.done()
    assert several.group_contains(ZeroDivisionError)
    async with running(home) as host:
        assert await host.channel() == ["accepted"]


async def test_a_disk_that_refuses_is_no_bug(make_home: MakeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(make_home("mbp")) as host:

        async def full(*_: Any, **__: Any) -> None:
            raise Unavailable("full", code="cannot_write")

        monkeypatch.setattr(host.node.writer, "submit", full)
        monkeypatch.setattr(host.node.authoring, "say", full)
        host.node.receipts.note(host.me, 1, 1, 0)
        await host.node.housekeeping.round(60)
        tidied = asyncio.ensure_future(host.node._tidy())
        await tidied
        monkeypatch.undo()
        await host.post("owner", "fine again")


async def test_a_chore_that_is_refused_holds_up_no_other(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        tries: list[str] = []

        async def full() -> None:
            tries.append("full")
            raise Unavailable("full", code="cannot_write")

        async def fine() -> None:
            tries.append("fine")

        host.node.housekeeping.chores = {"one": full, "another": fine}
        await until(lambda: len(tries) >= 4, "it is tried again")
        assert tries[:4] == ["full", "fine", "full", "fine"]
        await host.post("owner", "alive")


async def test_a_disk_that_was_full_when_it_was_killed_is_told_of_no_more(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        host.node.alerts.raise_alert(Alert("disk", "mbp", "no room"))
        await host.node.alerts.save()
        assert [alert["kind"] for alert in await host.node.alerts.recent(host.node.db, str)] == ["disk"]
    async with running(home) as host:
        assert await host.node.alerts.recent(host.node.db, str) == []


async def test_a_changed_address_is_said(make_home: MakeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(make_home("mbp")) as host:
        monkeypatch.setattr(host.node.mesh, "addresses", lambda: ("10.9.8.7:6290",))
        await host.node.introducing.say_card()
        assert host.node.state.nodes[host.me].addresses == ("10.9.8.7:6290",)
        entries = host.node.runtime.held.total()
        await host.node.introducing.say_card()
        assert host.node.runtime.held.total() == entries, "said once"
        monkeypatch.setattr(host.node.mesh, "addresses", lambda: ())
        await host.node.introducing.say_card()
        assert host.node.runtime.held.total() == entries, "gone for now is not taken back"


async def test_own_entries_that_return_end_the_epoch_if_it_is_the_newest(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        epoch, _ = host.node.state.newest_epoch(host.me)
        host.node._own_log_returned(epoch - 1)
        await host.node.authoring.say(Kind.CHANNEL, {"name": "one", "by": ""})
        assert host.node.state.newest_epoch(host.me)[0] == epoch
        host.node._own_log_returned(epoch)
        await host.node.authoring.say(Kind.CHANNEL, {"name": "two", "by": ""})
        assert host.node.state.newest_epoch(host.me)[0] > epoch


async def test_peers_toml_that_names_another_colony(make_home: MakeHome) -> None:
    """Before anything was linked it is followed; afterwards refused."""
    async with all_running(make_home("a"), make_home("b"), make_home("c")) as (a, b, c):
        await pair(a, b)
        from maw.core.statement import colony_text

        theirs = c.node.membership.book.colony
        a.node.home.peers.write_text(f'[colony]\nid = "{colony_text(theirs)}"\n')
        with pytest.raises(Refused) as no:
            await a.node.read_peers()
        assert no.value.code == "already_in_a_colony"
        assert a.linked(b)
        c.node.home.peers.write_text(f'[colony]\nid = "{colony_text(a.node.membership.book.colony)}"\n')
        await c.post("owner", "kept")
        await c.node.read_peers()
        assert c.node.membership.book.colony == a.node.membership.book.colony
        assert await c.channel() == ["kept"]


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        ("UPDATE roster SET plan = '{\"a'", "how agent 2 is run"),
        ("UPDATE roster SET plan = '[1]'", "how agent 2 is run"),
        ("UPDATE roster SET plan = '{\"command\": [1]}'", "how agent 2 is run"),
        ("UPDATE roster SET plan = CAST(x'7bff' AS TEXT)", "how agent 2 is run"),
        ("UPDATE roster SET report = '{'", "what was last seen of agent 2"),
        ("UPDATE panes SET pane = CAST(x'ff' AS TEXT)", "the pane of agent 2"),
        ("UPDATE conversations SET pid = 'x'", "the conversation of agent 2"),
        ("UPDATE wakes SET causes = '[['", "1 of the wakes"),
        ("UPDATE wakes SET causes = '[[]]', via = 'hold'", "1 of the wakes"),
        ("UPDATE wakes SET causes = '[[1]]'", "1 of the wakes"),
        ("UPDATE dnd SET quiet = '2x:00-07:00'", "when agent 2 is not to be disturbed"),
        ("UPDATE meta SET value = '[[' WHERE key = 'heralded'", "what was told in the channel"),
        ("UPDATE meta SET value = '{' WHERE key = 'host_stopped'", "has stopped"),
        ("UPDATE meta SET value = '[]' WHERE key = 'host_stopped'", "has stopped"),
    ],
)
async def test_a_row_that_is_damaged_is_left_out_and_told(make_home: MakeHome, spoil: str, what: str) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("arthur")
        await host.service.enlist(await host.owner(), "arthur", {"command": ["x"], "session": "a"}, "/s,1,%0")
        await host.service.hold_conversation(await host.as_("arthur"), "1f2e", 1, "")
    rows = (
        "INSERT INTO wakes (agent, at, via, causes, messages) VALUES (2, 99999999999999, 'rewake', '[]', 1)",
        "INSERT INTO dnd VALUES (2, '22:00-07:00')",
        "INSERT OR REPLACE INTO meta VALUES ('heralded', '[]'), ('host_stopped', '{}')",
    )
    with closing(sqlite3.connect(home.database)) as conn:
        for sql in rows:
            conn.execute(sql)
        assert conn.execute("SELECT agent FROM roster").fetchall() == [(2,)]
        assert conn.execute(spoil).rowcount == 1
        conn.commit()
    async with running(home) as host:
        text = (await host.alerts())["damaged", "mbp"]["text"]
        assert what in text and ";" not in text, "that row alone"
        assert await hear(host, "arthur") is None
        assert await host.service.wakes(await host.owner(), "arthur")
        await host.service.roster(await host.owner())
        await host.service.enlist(await host.owner(), "arthur", {"command": ["y"], "session": "a"}, "/s,1,%0")
