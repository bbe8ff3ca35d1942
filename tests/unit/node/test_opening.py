"""What a node reads at its start: state, trust, clock, and whether its database is the one it wrote."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import aiosqlite
import pytest

from maw.core.statement import FOUND
from maw.errors import BadConfig
from maw.node.home import NodeHome, read_key
from maw.node.opening import Opened, open_store
from maw.store import trust as rows
from maw.store.database import open_database
from tests.conftest import MakeHome
from tests.integration.nodes import running


async def opened(home: NodeHome, before: Callable[[aiosqlite.Connection], Any] | None = None) -> Opened:
    async with open_database(home.database) as db:
        if before:
            await before(db.writing)
        found = await open_store(home, read_key(home.key), db)
        found.mark.close()
        return found


async def test_a_new_node(make_home: MakeHome) -> None:
    found = await opened(make_home("mbp"))
    assert found.new_epoch == "first"
    assert found.state.seq == 0
    assert [item.type for item in found.book.statements().values()] == [FOUND]
    assert found.recovery is not None
    assert found.notes == []


async def test_each_run_is_another_instance_and_the_same_colony(make_home: MakeHome) -> None:
    home = make_home("mbp")
    one, two = await opened(home), await opened(home)
    assert one.instance != two.instance
    assert one.book.colony == two.book.colony


async def test_after_a_run_the_log_goes_on(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.post("owner", "hi")
        last = host.node.state.newest_epoch(host.me)
        seq = host.node.state.seq
    found = await opened(home)
    assert (found.new_epoch, found.notes) == (None, [])
    assert found.state.newest_epoch(read_key(home.key).node) == last
    assert found.state.seq == seq
    assert abs((found.clock.last >> 16) / 1000 - time.time()) < 60, "the clock goes on from the last entry"


async def test_an_older_database_starts_above_every_old_cursor(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.post("owner", "hi")
        epoch, head = host.node.state.newest_epoch(host.me)
        host.node._opened.mark.write(epoch, head.seq + 10)
    found = await opened(home)
    assert found.new_epoch == "the database is older than what this node has already said"
    assert found.state.seq >= int(time.time() - 60) << 20
    assert "a new epoch begins" in found.notes[0]
    again = await opened(home)
    assert again.state.seq >= found.state.seq, "until it is written, each start says so, and never falls"


async def test_another_boot_opens_an_epoch_above_every_old_cursor(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.post("owner", "hi")
    monkeypatch.setattr("maw.node.instance._line", lambda path: f"another {path}")

    async def same_machine(conn: aiosqlite.Connection) -> None:
        stored = await rows.get_meta(conn, "fingerprint")
        boot, _, rest = stored.partition("|")
        await rows.set_meta(conn, "fingerprint", f"{boot}|another /etc/machine-id|{rest.partition('|')[2]}")

    found = await opened(home, same_machine)
    assert (found.new_epoch, found.notes) == ("the machine was booted again", []), "nothing to be told of"
    assert found.state.seq >= int(time.time() - 60) << 20, "its disk may have been put back to an earlier day"


async def test_a_clock_that_fell_while_it_was_down(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.post("owner", "hi")
    monkeypatch.setattr("maw.node.opening.wall_clock_ms", lambda: int(time.time() - 86_400) * 1000)
    assert (await opened(home)).new_epoch == "the clock fell behind"


async def test_counts_that_drifted_are_mended_and_told(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.post("owner", "hi")

    async def spoil(conn: aiosqlite.Connection) -> None:
        await conn.execute("UPDATE meta SET value = 70 WHERE key = 'messages'")

    found = await opened(home, spoil)
    assert "a count had drifted and was mended" in found.notes[0]
    assert (await opened(home)).notes == []


async def test_a_new_database_takes_trust_from_its_copy(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        colony = host.node.membership.book.colony
        await host.post("owner", "hi")
    for path in home.path.glob("colony.db*"):
        path.unlink()
    found = await opened(home)
    assert found.book.colony == colony
    assert found.new_epoch == "the database is new beside an old key"
    assert "taken from its copy" in found.notes[0]

    async def linked(conn: aiosqlite.Connection) -> None:
        assert await rows.get_meta(conn, "linked"), "it has a past: it joins no other Colony"

    await opened(home, linked)


async def test_neither_database_nor_copy(make_home: MakeHome) -> None:
    home = make_home("mbp")
    for path in home.path.glob("colony.db*"):
        path.unlink()
    home.trust_copy.unlink(missing_ok=True)
    with pytest.raises(BadConfig) as no:
        await opened(home)
    assert no.value.code == "no_colony"
