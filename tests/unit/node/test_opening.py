"""What a node reads at its start: state, trust, clock, and whether its database is the one it wrote."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from maw.core.identity import NodeId
from maw.core.members import INVITED, Pin
from maw.core.statement import FOUND
from maw.errors import BadConfig, Unavailable
from maw.node.home import NodeHome, read_key
from maw.node.membership import Membership
from maw.node.node import open_node
from maw.node.opening import Opened, open_store
from maw.store import trust as rows
from maw.store.database import Database, open_database
from maw.store.writer import Writer
from tests.conftest import MakeHome
from tests.integration.nodes import config_of, running


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


@contextmanager
def files_may_not_grow(*paths: Path) -> Iterator[None]:
    """As on a disk with no byte left; what is in these files may be written over."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = max((path.stat().st_size for path in paths if path.exists()), default=0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_disk_with_no_byte_left_keeps_what_the_start_found_in_memory_until_it_takes_it(
    make_home: MakeHome,
) -> None:
    home = make_home("mbp")
    pin = Pin(NodeId(bytes(31) + b"p"), "oracle", ("127.0.0.1:1",), INVITED, False, 1)
    async with running(home) as host:
        await host.post("owner", "hi")
        colony = host.node.membership.book.colony
        host.node._opened.mark.write(host.node.state.newest_epoch(host.me)[0], 1_000)
    statements = list((await opened(home)).book.statements().values())
    home.trust_copy.write_bytes(
        rows.pack_copy(rows.TrustRecords(colony, statements, [pin], [], {pin.key: bytes(32)}))
    )

    async def pins(db: Database) -> list[NodeId]:
        return [NodeId(key) for (key,) in await db.rows("SELECT key FROM pins")]

    async with open_database(home.database) as db:
        with files_may_not_grow(home.path / "colony.db-wal"):
            found = await open_store(home, read_key(home.key), db)
        found.mark.close()
        assert found.unwritten
        assert pin.key in found.book.trusted, "nobody who is trusted is turned away meanwhile"
        assert await pins(db) == []
        await found.state.reload(db.writing)  # as after every write that failed
        assert found.state.seq >= int(time.time() - 60) << 20, "no number is given twice"

    async with open_node(home, config_of(home), read_key(home.key)) as node:
        assert not node._opened.unwritten, "there is room again: written at once"
        assert await pins(node.db) == [pin.key]


async def test_what_the_disk_did_not_take_at_the_start_is_written_when_it_does(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        colony = host.node.membership.book.colony
    statements = list((await opened(home)).book.statements().values())
    gone = NodeId(bytes(31) + b"g")
    records = rows.TrustRecords(colony, statements, [], [gone], {})
    home.trust_copy.write_bytes(rows.pack_copy(records))
    async with open_database(home.database) as db:
        with files_may_not_grow(home.path / "colony.db-wal"):
            found = await open_store(home, read_key(home.key), db)
        found.mark.close()
        assert (found.unwritten, gone in found.book.forgotten) == (True, True)
        assert await db.rows("SELECT * FROM forgotten") == []
        writer = Writer(db.writing, db.path, on_rollback=lambda: found.state.reload(db.writing))
        membership = Membership(
            home, read_key(home.key), found.book, writer,
            changed=lambda fresh: None, trouble=pytest.fail, unwritten=True,
        )  # fmt: skip
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(writer.run())
            with files_may_not_grow(home.path / "colony.db-wal"), pytest.raises(Unavailable):
                await membership.settle()
            await membership.settle()
            await writer.close()
        assert [NodeId(key) for (key,) in await db.rows("SELECT key FROM forgotten")] == [gone]


async def test_a_new_database_on_a_disk_that_takes_nothing_is_no_start(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home):
        pass
    for path in home.path.glob("colony.db*"):
        path.unlink()
    async with open_database(home.database) as db:
        with files_may_not_grow(home.path / "colony.db-wal"), pytest.raises(sqlite3.OperationalError):
            await open_store(home, read_key(home.key), db)
        assert await rows.load(db.writing) is None, "it belongs to nothing yet: the next start asks again"


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
