"""Faults nobody thought of: whatever an entry does to the fold or to SQLite, it alone is set aside."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maw.core.colony import Recipient, Said
from maw.core.entry import SALT_BYTES, Kind
from maw.store import delivering
from maw.store import fold as fold_module
from maw.store import fold as folding
from maw.store.asides import UnfoldableError
from maw.store.careful import take_carefully
from maw.store.checks import recount
from maw.store.delivering import refill_directs
from maw.store.fold import Fold
from maw.store.state import State
from tests.unit.store.opened import NOW_MS, Author, Store, open_store
from tests.unit.store.test_fold import ME, settle_here

BAD = "the bad one"
FAULTS = [
    RecursionError("deep"),
    OverflowError("wide"),
    AttributeError("no such thing"),
    AssertionError(),
    UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    IndexError("beyond"),
    ZeroDivisionError("nothing"),
]


def raising(error: Exception, real: Callable[..., Any]) -> Callable[..., Any]:
    """Reads like ``real``, but for messages that say BAD."""

    def read(content: Any, **more: Any) -> Any:
        if content.get("text") == BAD:
            raise error
        return real(content, **more)

    return read


async def texts(store: Store) -> list[str]:
    found = await store.db.rows(
        "SELECT e.payload FROM messages m JOIN entries e ON e.place = m.place ORDER BY m.seq"
    )
    return [msgpack.unpackb(payload[SALT_BYTES:])["text"] for (payload,) in found]


async def sound(store: Store) -> None:
    """What is in memory is what is on the disk, and what is counted is there."""
    fresh = State()
    await fresh.reload(store.db.writing)
    assert fresh == store.state
    assert await recount(store.db.writing, store.state) == []


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
async def test_whatever_reading_raises_only_that_entry_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(Said, "read", raising(error, Said.read))
    async with open_store(tmp_path / "c.db") as store:
        neo = Author(1)
        fold = await store.fold(ME, [neo.post("one"), neo.post(BAD), neo.post("two")])
        (aside,) = fold.set_aside
        assert aside.id.endswith("-2")
        assert type(error).__name__ in aside.why or isinstance(error, ValueError)
        assert await texts(store) == ["one", "two"]
        assert store.state.seq == 2, "no number was used up"
        assert store.state.head(neo.node, neo.epoch).seq == 3, "the log goes on"
        await sound(store)


async def test_a_fault_halfway_leaves_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = delivering.delivery

    def delivery(state: Any, me: Any, sender: Any, said: Said, seq: int) -> Any:
        found = real(state, me, sender, said, seq)
        if said.text == BAD:
            raise RuntimeError("behind the last row")
        return found

    monkeypatch.setattr(folding, "delivery", delivery)
    async with open_store(tmp_path / "c.db") as store:
        arthur = await settle_here(store, "arthur")
        neo = Author(1)
        fold = await store.fold(ME, [neo.post(BAD, ["arthur"]), neo.post("good", ["arthur"])])
        assert [item.why for item in fold.set_aside] == ["RuntimeError: behind the last row"]
        assert await store.db.rows("SELECT agent, seq FROM mailbox") == [(arthur.n, 1)]
        assert await texts(store) == ["good"]
        await sound(store)


async def test_no_memory_is_not_the_entrys_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Said, "read", raising(MemoryError(), Said.read))
    async with open_store(tmp_path / "c.db") as store:
        neo = Author(1)
        with pytest.raises(MemoryError):
            await store.fold(ME, [neo.post(BAD)])
        assert await store.db.rows("SELECT * FROM entries") == []


def binding(odd: object) -> Callable[[Fold, Any, int, Said], int]:
    """Folds messages, and binds ``odd`` for those that say BAD."""
    real = Fold.take_message

    def message(self: Fold, entry: Any, place: int, said: Said) -> int:
        seq = real(self, entry, place, said)
        if said.text == BAD:
            rows = self.changes.messages
            rows[-1] = (*rows[-1][:-1], odd)
        return seq

    return message


ODD = [1 << 70, "\ud800", {"no": "such type"}, object()]


@pytest.mark.parametrize("odd", ODD, ids=["too wide", "half a surrogate pair", "a map", "an object"])
async def test_rows_that_sqlite_refuses_are_found_and_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: object
) -> None:
    monkeypatch.setattr(Fold, "take_message", binding(odd))
    async with open_store(tmp_path / "c.db") as store:
        neo, trinity = Author(1), Author(2)
        entries = [neo.post("one"), neo.post(BAD), trinity.post("two"), neo.post(BAD), neo.post("three")]
        with pytest.raises(UnfoldableError):
            await store.fold(ME, entries)
        await sound(store)

        async def write(conn: Any) -> list[Fold]:
            return await take_carefully(
                conn, entries, lambda: Fold(store.state, ME.node, NOW_MS), lambda: store.state.reload(conn)
            )

        folds = await store.writer.submit(write)
        assert [item.id[-2:] for fold in folds for item in fold.set_aside] == ["-2", "-3"]
        assert await texts(store) == ["one", "two", "three"]
        assert len(await store.db.rows("SELECT * FROM entries")) == 5
        await sound(store)
        assert not store.troubles, "that was not the disk"


@pytest.mark.parametrize(
    "error",
    [sqlite3.OperationalError("database or disk is full"), sqlite3.DatabaseError("malformed"), MemoryError()],
)
async def test_the_disks_faults_are_nobodys_payload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fail(*_: Any) -> None:
        raise error

    async with open_store(tmp_path / "c.db") as store:
        fold = Fold(store.state, ME.node, NOW_MS)
        monkeypatch.setattr(fold_module, "execute_all", fail)
        with pytest.raises(type(error)):
            await fold.write(store.db.writing)


async def _overwrite(seq: int, payload: bytes | None, conn: Any) -> None:
    await conn.execute(
        "UPDATE entries SET payload = ? WHERE place = (SELECT place FROM messages WHERE seq = ?)",
        (payload, seq),
    )


async def test_directs_that_cannot_be_read_keep_nobody_from_his_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "_REFILL_PAGE", 3)
    async with open_store(tmp_path / "c.db") as store:
        me = Author(9)
        me.signer, me.node = ME, ME.node
        neo = Author(1)
        to = [Recipient(ME.node, b"arthur".ljust(16, b"\0"), "arthur", "mbp")]
        await store.fold(ME, [neo.direct(f"{n}", to) for n in range(10)])
        for place, odd in ((2, None), (3, b"x"), (4, bytes(16) + b"\x91" * 2000)):
            await store.writer.submit(partial(_overwrite, place, odd))
        agent = await settle_here(store, "arthur")

        async def refill(conn: Any) -> None:
            await refill_directs(conn, store.state, ME.node, agent)

        await store.writer.submit(refill)
        assert [seq for (seq,) in await store.db.rows("SELECT seq FROM mailbox ORDER BY seq")] == [
            1, 5, 6, 7, 8, 9, 10,
        ]  # fmt: skip


scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=20)
    | st.binary(max_size=40) | st.sampled_from(["general", "arthur", "agents", "a" * 33, "\x00", "post", ""])
    | st.binary(min_size=16, max_size=16) | st.binary(min_size=32, max_size=32)
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
KEYS = ("agent", "name", "role", "known", "text", "mentions", "channel", "to", "reply", "id", "gone", "by",
        "addresses", "version", "held")  # fmt: skip
GOOD: dict[str, Any] = {
    "agent": b"a" * 16, "name": "eve", "role": "agent", "known": "uid", "text": "hi", "mentions": ["arthur"],
    "channel": "general", "to": [[ME.node, b"arthur".ljust(16, b"\0"), "arthur", "mbp"]], "id": b"a" * 16,
    "by": "eve@evil", "addresses": ["10.0.0.1:1"], "version": "1", "held": [[ME.node, 1, 1]],
}  # fmt: skip
changed = st.dictionaries(st.sampled_from(KEYS), values, max_size=2).map(lambda odd: {**GOOD, **odd})
payloads = st.one_of(
    changed.map(msgpack.packb),
    values.map(msgpack.packb),
    st.binary(max_size=60),
    st.integers(1, 90_000).map(lambda depth: b"\x91" * depth),
    st.integers(1, 3_000).map(lambda depth: b"\x81\xa1a" * depth + b"\x00"),
    st.sampled_from([bytes([0xDF, *[255] * 4]), bytes([0xDD, *[255] * 4]), bytes([0xC6, *[255] * 4])]),
    st.just(bytes([0xC7, 12, 255, *[255] * 12])),  # a time beyond all calendars
)  # fmt: skip
kinds = st.sampled_from([int(kind) for kind in Kind] + [0, 99, (1 << 62) - 1])


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(kinds, payloads), min_size=1, max_size=12))
def test_any_payload_through_fold_and_sqlite(said: list[tuple[int, bytes]]) -> None:
    async def run(path: Path) -> None:
        async with open_store(path) as store:
            await settle_here(store, "arthur")
            eve = Author(5)
            entries = [eve.say(kind, None, payload=bytes(SALT_BYTES) + odd) for kind, odd in said]
            await store.fold(ME, [*entries, eve.post("still there", ["arthur"])])
            assert (await texts(store))[-1] == "still there"
            assert store.state.head(eve.node, eve.epoch).seq == len(said) + 1
            await sound(store)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder) / "c.db"))
