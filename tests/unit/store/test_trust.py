"""What must survive of trust, in the database and in the copy beside the key."""

from __future__ import annotations

from pathlib import Path

import msgpack
import pytest

from maw.core.identity import Signer
from maw.core.members import INVITED, Pin
from maw.core.pairing import Invite, Use
from maw.core.statement import admit, colony_id, found
from maw.errors import BadConfig, ProtocolViolation
from maw.store import trust
from maw.store.trust import TrustRecords
from tests.unit.store.opened import Author, open_store

OPERATOR = Signer(b"o" * 32)
FOUND = found(OPERATOR, "here", b"n" * 16, 1)
COLONY = colony_id(FOUND)
PEER, OTHER = Author(1).node, Author(2).node
PIN = Pin(PEER, "mbp", ("10.0.0.1:6290", "[fd00::1]:6290"), INVITED, True, 5)


def records() -> TrustRecords:
    return TrustRecords(COLONY, [FOUND, admit(OPERATOR, COLONY, PEER, "mbp", (), True, 2)], [PIN], [OTHER])


async def test_what_was_kept_is_read_back(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        conn = store.db.writing
        assert await trust.load(conn) is None, "no Colony yet"
        kept = records()
        await trust.set_meta(conn, "colony", COLONY)
        await trust.add_statements(conn, kept.statements, 1)
        await trust.add_statements(conn, kept.statements, 2)
        await trust.set_pin(conn, PIN)
        await trust.forget(conn, OTHER, 3)
        read = await trust.load(conn)
        assert read is not None
        assert (read.colony, read.pins, read.forgotten) == (COLONY, [PIN], [OTHER])
        assert {item.id for item in read.statements} == {item.id for item in kept.statements}


async def test_forgetting_ends_the_pin_and_pinning_ends_the_forgetting(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        conn = store.db.writing
        await trust.set_meta(conn, "colony", COLONY)
        await trust.set_pin(conn, PIN)
        await trust.forget(conn, PEER, 1)
        read = await trust.load(conn)
        assert read is not None
        assert (read.pins, read.forgotten) == ([], [PEER])
        await trust.set_pin(conn, PIN)
        read = await trust.load(conn)
        assert read is not None
        assert (read.pins, read.forgotten) == ([PIN], [])


async def test_invites_are_read_back_whole(tmp_path: Path) -> None:
    invite = Invite(
        b"s" * 16, 1234.5, 3, (Use(PEER, "mbp", 7.25),), only_for=OTHER, confirm=True,
        confirmed=(PEER, OTHER), introducer=True,
    )  # fmt: skip
    plain = Invite(b"t" * 16, 99.0)
    async with open_store(tmp_path / "c.db") as store:
        for item in (invite, plain, invite):
            await trust.save_invite(store.db.writing, item)
        found = trust.read_invites(await store.db.rows("SELECT record FROM invites ORDER BY expires"))
        assert found == [plain, invite]


async def test_joins_begin_and_end(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        await trust.save_join(store.db.writing, b"i" * 16, "line", 1)
        await trust.save_join(store.db.writing, b"i" * 16, "line", 2)
        assert await store.db.rows("SELECT line, at FROM joins") == [("line", 2)]
        await trust.end_join(store.db.writing, b"i" * 16)
        assert await store.db.rows("SELECT * FROM joins") == []


async def test_a_statement_that_was_tampered_with_in_the_database_is_noticed(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        conn = store.db.writing
        await trust.set_meta(conn, "colony", COLONY)
        await trust.add_statements(conn, [FOUND], 1)
        wire = FOUND.wire[:-1] + bytes([FOUND.wire[-1] ^ 1])
        await conn.execute("UPDATE statements SET wire = ?", (wire,))
        with pytest.raises(ProtocolViolation):
            await trust.load(conn)


def test_the_copy_holds_everything() -> None:
    read = trust.unpack_copy(trust.pack_copy(records()), "trust.copy")
    assert read == records()


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", b"\x90", trust.pack_copy(records())[:-3], msgpack.packb([3, COLONY, [], [], []]),
     msgpack.packb([1, COLONY, [b"forged"], [], []]), msgpack.packb([1, COLONY, [], [[1]], []]),
     msgpack.packb([1, COLONY, [], 5, []])],
)  # fmt: skip
def test_a_damaged_copy_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(BadConfig) as no:
        trust.unpack_copy(data, "/home/me/trust.copy")
    assert "/home/me/trust.copy" in no.value.message
    assert no.value.hint
