"""What memory holds of the database: the same as a fresh reading of it, always."""

from __future__ import annotations

import asyncio
from pathlib import Path

from maw.core.entry import START
from maw.core.identity import NodeId, Signer
from maw.store.state import AgentRow, LogRow, NodeRow, State
from tests.unit.store.opened import Author, open_store
from tests.unit.store.test_fold import here, settle_here

ME = Signer(b"m" * 32)


async def test_a_fresh_reading_gives_the_same(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as plain:
        store = here(plain)
        await settle_here(store, "bot")
        neo = Author(1)
        card = neo.say(2, {"name": "one", "addresses": ["1.2.3.4:5"], "version": "1"})
        await store.fold(store.mine.signer, [card, neo.post("hi @bot", ["bot"]), neo.card("robo", "ape")])
        fresh = State()
        await fresh.reload(store.db.writing)
        assert fresh == store.state
        assert fresh.local == {"bot": store.state.local["bot"]}
        await fresh.reload(store.db.writing)
        assert fresh == store.state, "reading twice is reading once"


async def test_whoever_looks_while_it_is_read_again_finds_all_of_it(tmp_path: Path) -> None:
    """A page that was put together meanwhile said of whole messages that they were damaged."""
    async with open_store(tmp_path / "c.db") as plain:
        store = here(plain)
        await settle_here(store, "bot")
        neo = Author(1)
        await store.fold(store.mine.signer, [neo.post("hi @bot", ["bot"]), neo.card("robo", "ape")])
        state = store.state

        def seen() -> tuple[int, ...]:
            counts = (
                len(state.nodes),
                len(state.log_at),
                len(state.channels),
                len(state.agent_at),
                len(state.local),
            )
            return (*counts, state.seq, state.messages)

        before, looks = seen(), 0
        reading = asyncio.create_task(state.reload(store.db.writing))
        while not reading.done():
            assert seen() == before
            looks += 1
            await asyncio.sleep(0)
        assert looks > 1
        assert seen() == before


def test_heads_and_the_newest_epoch() -> None:
    state = State()
    neo = Author(1)
    assert state.newest_epoch(neo.node) == (0, START)
    assert state.head(neo.node, 1) == START
    state.add_node(NodeRow(1, neo.node))
    for number, epoch in enumerate((5, 9, 7), 1):
        head = neo.post(str(epoch)).head
        state.add_log(neo.node, LogRow(number, 1, epoch, head, disputed=epoch == 7))
    state.add_log(neo.node, LogRow(4, 1, 11))
    assert state.newest_epoch(neo.node)[0] == 9, "an epoch of which nothing is held does not count"
    assert set(state.heads()[neo.node]) == {5, 7, 9}
    assert state.disputed() == [(neo.node, 7)]


def test_places_hold_log_and_seq() -> None:
    assert LogRow(3, 1, 1).place(5) == (3 << 40) | 5


def test_renaming_moves_a_local_agent_and_the_gone_are_not_local() -> None:
    state = State()
    one = AgentRow(1, 1, b"1" * 16, "one", "agent", 0, uid=1000)
    other = AgentRow(2, 2, b"2" * 16, "two", "agent", 0)
    state.add_agent(one)
    state.add_agent(other)
    assert state.local == {"one": one}
    state.rename_agent(one, "uno", "ape", False)
    assert state.local == {"uno": one}
    state.rename_agent(other, "uno", "agent", False)
    assert state.local == {"uno": one}, "an agent of another host is none of ours"
    state.rename_agent(one, "uno", "ape", True)
    assert state.local == {}
    assert state.agent_at[1].gone


def test_names_are_found_as_they_are_now() -> None:
    state = State()
    for n, name in ((1, "mbp"), (2, "mbp"), (3, "")):
        state.add_node(NodeRow(n, NodeId(bytes([n]) * 32), name))
    one = AgentRow(1, 1, b"a" * 16, "arthur", "agent", 0)
    two = AgentRow(2, 2, b"b" * 16, "arthur", "agent", 0)
    for row in (one, two):
        state.add_agent(row)
    state.rename_node(state.node_at[2], "home")
    state.rename_node(state.node_at[3], "home")
    state.rename_agent(two, "ford", "agent", gone=True)
    assert {name: sorted(rows) for name, rows in state.nodes_named.items()} == {"mbp": [1], "home": [2, 3]}
    assert {name: sorted(rows) for name, rows in state.agents_named.items()} == {"arthur": [1], "ford": [2]}
    state.rename_agent(one, "ford", "agent", gone=False)
    assert list(state.agents_named) == ["ford"]
