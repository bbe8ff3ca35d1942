"""What is told of our own messages: taken from whom it may come, kept while what it speaks of is not here; and what is
to be told of others'."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from maw.core.colony import Recipient
from maw.core.entry import Entry, Head, Kind
from maw.core.identity import Signer
from maw.core.progress import Group, Mark, Progress
from maw.core.redaction import REDACTED, Redaction
from maw.core.states import Reach
from maw.store.fold import Fold
from maw.store.marking import raise_to
from maw.store.progress import AHEAD, due, of_messages, untell
from maw.store.replacing import Seen
from maw.store.withholding import release
from tests.unit.store.opened import EPOCH, NOW_MS, Author, Store, open_store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "colony.db") as one:
        yield one


def to(*authors: Author) -> list[Recipient]:
    return [Recipient(one.node, one.agent_id, one.name, "there") for one in authors]


def says(teller: Author, about: Entry, seqs: list[int], state: str = "acked", **more: Any) -> Entry:
    """The teller's host tells of messages of the log of ``about``, which is the head it names."""
    agent, head = more.get("agent", teller.agent_id), more.get("head", about.head)
    group = Group(0, agent, state, 5, "hook", tuple((seq, seq) for seq in seqs))
    return teller.say(Kind.PROGRESS, Progress(((about.author, about.epoch, head),), (group,)).content())


async def told(store: Store) -> dict[int, Reach]:
    """By seq; of which agent does not matter here."""
    rows = await store.db.rows("SELECT seq FROM messages ORDER BY seq")
    return {seq: reach for (seq, _), reach in (await of_messages(store.db, [seq for (seq,) in rows])).items()}


async def withheld(store: Store) -> list[str]:
    return [why for (why,) in await store.db.rows("SELECT why FROM withheld")]


async def look_again(store: Store, me: Signer) -> None:
    async def write(conn: Any) -> None:
        await release(conn, Fold(store.state, me.node, NOW_MS), AHEAD)

    await store.writer.submit(write)


async def test_the_recipients_host_is_believed_and_nobody_else(store: Store) -> None:
    me, arthur, eve = Author(1), Author(2), Author(3)
    one, two = me.direct("one", to(arthur)), me.direct("two", to(arthur))
    await store.fold(me.signer, [arthur.card("arthur"), eve.card("eve"), one, two])
    await store.fold(me.signer, [says(eve, two, [1, 2]), says(eve, two, [1, 2], agent=arthur.agent_id)])
    assert await told(store) == {}
    done = await store.fold(me.signer, [says(arthur, two, [2], "delivered"), says(arthur, two, [2], "read")])
    assert done.progressed
    assert await told(store) == {2: Reach(delivered=5, via="hook", read=5)}
    again = await store.fold(
        me.signer, [says(arthur, two, [2], "delivered"), says(arthur, two, [2], "failed")]
    )
    assert not again.progressed, "what was delivered is never failed"
    assert await withheld(store) == []


async def test_of_anothers_messages_nothing_is_kept(store: Store) -> None:
    me, arthur, neo = Author(1), Author(2), Author(3)
    his = neo.direct("hi", to(arthur))
    await store.fold(me.signer, [arthur.card("arthur"), his, says(arthur, his, [1])])
    assert await store.db.rows("SELECT * FROM progress") == []
    assert await withheld(store) == []


async def test_a_clock_ahead_tells_of_no_time_to_come(store: Store) -> None:
    me, arthur = Author(1), Author(2)
    message = me.direct("hi", to(arthur))
    group = Group(0, arthur.agent_id, "read", 1 << 60, "", ((1, 1),))
    late = arthur.say(Kind.PROGRESS, Progress(((me.node, EPOCH, message.head),), (group,)).content())
    await store.fold(me.signer, [arthur.card("arthur"), message, late])
    assert (await told(store))[1].read == NOW_MS


async def test_what_speaks_of_more_than_is_here_is_looked_into_when_that_came(store: Store) -> None:
    me, arthur = Author(1), Author(2)
    one, two = me.direct("one", to(arthur)), me.direct("two", to(arthur))
    await store.fold(me.signer, [arthur.card("arthur"), one, says(arthur, two, [1, 2])])
    assert (await told(store), await withheld(store)) == ({}, [AHEAD])
    await look_again(store, me.signer)
    assert await withheld(store) == [AHEAD], "it did not come yet"
    await store.fold(me.signer, [two])
    await look_again(store, me.signer)
    assert sorted(await told(store)) == [1, 2]
    assert await withheld(store) == []


async def test_what_is_said_of_another_branch_waits(store: Store) -> None:
    me, arthur = Author(1), Author(2)
    message = me.direct("hi", to(arthur))
    other = says(arthur, message, [1], head=Head(1, b"x" * 32))
    await store.fold(me.signer, [arthur.card("arthur"), message, other])
    for _ in range(2):
        assert (await told(store), await withheld(store)) == ({}, [AHEAD])
        await look_again(store, me.signer)


async def test_a_payload_that_is_missing_is_waited_for_and_one_that_a_rule_dropped_is_not(
    store: Store,
) -> None:
    me, arthur = Author(1), Author(2)
    one, two, three = [me.direct(text, to(arthur)) for text in ("one", "two", "three")]
    rule = me.say(Kind.REDACT, Redaction(me.node, EPOCH, ((3, 3),), REDACTED, "").content())
    bare = replace(one, payload=None)
    await store.fold(me.signer, [arthur.card("arthur"), bare, two, three, rule])
    await store.fold(me.signer, [says(arthur, rule, [1, 2, 3])])
    assert (len(await told(store)), await withheld(store)) == (1, [AHEAD]), "of the second it is told"

    async def fill(conn: Any) -> None:
        fold = Fold(store.state, me.node, NOW_MS)
        fold.fill(one)
        await fold.write(conn)

    await store.writer.submit(fill)
    await look_again(store, me.signer)
    assert (len(await told(store)), await withheld(store)) == (2, [])


async def test_the_heir_of_a_host_speaks_for_what_was_sent_to_it(store: Store) -> None:
    me, arthur, heir = Author(1), Author(2), Author(3)
    heir.agent_id = arthur.agent_id
    message = me.direct("hi", to(arthur))
    await store.fold(
        me.signer, [arthur.card("arthur"), heir.card("arthur"), message, says(heir, message, [1])]
    )
    assert await told(store) == {}
    store.state.heirs = {arthur.node: heir.node}
    await store.fold(me.signer, [says(heir, message, [1])])
    assert (await told(store))[1].state == "acked"


async def test_who_is_named_in_a_post_is_who_is_called_so(store: Store) -> None:
    me, arthur, ford = Author(1), Author(2), Author(3)
    post = me.post("@arthur @agents", ["arthur", "agents"])
    await store.fold(me.signer, [arthur.card("arthur"), ford.card("ford"), post])
    await store.fold(me.signer, [says(arthur, post, [1]), says(ford, post, [1])])
    assert await store.db.rows("SELECT count(*) FROM progress") == [(1,)]


async def test_what_a_revoked_key_told_above_its_cut_was_never_told(store: Store) -> None:
    me, arthur, ford = Author(1), Author(2), Author(3)
    one, two = me.direct("one", to(arthur)), me.direct("two", to(arthur, ford))
    here = [arthur.card("arthur"), ford.card("ford"), one, two]
    said = [says(arthur, two, [1], "read"), says(arthur, two, [1, 2], "acked"), says(ford, two, [2], "read")]
    await store.fold(me.signer, [*here, *said])
    more = me.direct("three", to(arthur))
    await store.fold(me.signer, [says(arthur, more, [3])])
    assert await withheld(store) == [AHEAD]
    states = "SELECT seq, read, acked FROM progress ORDER BY seq, agent"
    assert await store.db.rows(states) == [(1, 5, 5), (2, None, 5), (2, 5, None)]

    async def cut(last: int) -> None:
        def write(conn: Any) -> Any:
            return untell(conn, store.state, me.node, arthur.node, {EPOCH: last}, NOW_MS)

        await store.writer.submit(write)

    await cut(4)
    assert len(await store.db.rows(states)) == 3, "all of it stands"
    await cut(2)
    assert await store.db.rows(states) == [(1, 5, None), (2, 5, None)]
    assert await withheld(store) == []


# -- what is to be told --------------------------------------------------------------------------------------------


async def mailbox(store: Store, me: Author, *entries: Entry) -> int:
    """``me`` has an agent, to whom these go; his number."""
    await store.fold(me.signer, [me.card(me.name), *entries])
    return store.state.local[me.name].n


async def mark(store: Store, me: Author, agent: int, seqs: list[int], state: str, at: int) -> None:
    async def write(conn: Any) -> None:
        await raise_to(conn, store.state, me.node, agent, seqs, state, at, "hook")

    await store.writer.submit(write)


async def waiting(store: Store) -> list[Mark]:
    return list((await due(store.db, store.state, 100))[0])


async def test_what_is_due_is_the_highest_that_was_marked(store: Store) -> None:
    me, neo = Author(1), Author(2)
    first, second = neo.direct("a", to(me)), neo.direct("b", to(me))
    n = await mailbox(store, me, first, second, neo.post("@agents", ["agents"]))
    await mark(store, me, n, [1, 2, 3], "delivered", 5)
    await mark(store, me, n, [2], "read", 7)
    told = (neo.node, EPOCH)
    assert await waiting(store) == [
        Mark(*told, 1, first.id, me.agent_id, "delivered", 5, "hook"),
        Mark(*told, 2, second.id, me.agent_id, "read", 7, "hook"),
    ], "of what went to a group nobody is told"


async def test_an_entry_that_is_damaged_keeps_no_other_from_being_told(store: Store) -> None:
    """However many of them come first."""
    me, neo = Author(1), Author(2)
    sent = [neo.direct(text, to(me)) for text in "abcdef"]
    n = await mailbox(store, me, *sent)
    await mark(store, me, n, [1, 2, 3, 4, 5, 6], "delivered", 5)
    places = [store.state.logs[neo.node, EPOCH].place(seq) for seq in (1, 2, 3, 4)]
    spoil = f"UPDATE entries SET header = x'00' WHERE place IN ({', '.join(map(str, places))})"
    await store.writer.submit(lambda conn: conn.execute(spoil))
    for limit in (1, 2, 3, 100):
        found, damaged = await due(store.db, store.state, limit)
        assert [one.seq for one in found] == [5, 6][:limit]
        assert damaged == places


async def test_what_expired_was_settled_by_nobody(store: Store) -> None:
    """Retention takes a message out of the inbox as an acknowledgement does; its author is not told that."""
    me, neo = Author(1), Author(2)
    n = await mailbox(store, me, neo.direct("a", to(me)))
    await mark(store, me, n, [1], "delivered", 5)
    await store.writer.submit(lambda conn: conn.execute("UPDATE mailbox SET acked = 9"))
    assert [one.state for one in await waiting(store)] == ["delivered"]


async def test_what_rose_while_it_was_told_is_told_again(store: Store) -> None:
    me, neo = Author(1), Author(2)
    n = await mailbox(store, me, neo.direct("a", to(me)))
    await mark(store, me, n, [1], "delivered", 5)
    known = list((await due(store.db, store.state, 100))[0].values())
    await mark(store, me, n, [1], "read", 7)

    async def tell(conn: Any) -> None:
        fold = Fold(store.state, me.node, NOW_MS)
        fold.changes.told += known
        await fold.write(conn)

    await store.writer.submit(tell)
    assert [one.state for one in await waiting(store)] == ["read"]
    known = list((await due(store.db, store.state, 100))[0].values())
    await store.writer.submit(tell)
    assert await waiting(store) == []


async def test_what_is_published_again_is_told_of_again(store: Store) -> None:
    me, neo = Author(1), Author(2)
    old = neo.direct("a", to(me))
    n = await mailbox(store, me, old)
    await mark(store, me, n, [1], "read", 5)
    await store.writer.submit(lambda conn: conn.execute("DELETE FROM untold"))

    async def move(conn: Any) -> None:
        fold = Fold(store.state, me.node, NOW_MS)
        place = store.state.logs[neo.node, EPOCH].place(1)
        fold.changes.moved.append((place, Seen(1, place, "old"), "new"))
        await fold.write(conn)

    await store.writer.submit(move)
    assert [(one.seq, one.state) for one in await waiting(store)] == [(1, "read")]
