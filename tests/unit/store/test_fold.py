"""What becomes visible of entries: names, mentions, groups, mailboxes; and that nothing malformed stops it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maw.core.colony import HeldHere, NewChannel, Recipient
from maw.core.entry import Entry, Kind
from maw.core.identity import Signer
from maw.core.once import KEYS_KEPT_MS, request_of
from maw.store.checks import recount
from maw.store.fold import Fold
from maw.store.state import AgentRow, State
from tests.unit.store.opened import NOW_MS, Author, Store, open_store

ME = Signer(b"m" * 32)


async def settle_here(store: Store, name: str, role: str = "agent", uid: int = 1000) -> AgentRow:
    """A local agent, made the way People does: claimed within the transaction that folds its card."""
    me = store.mine if isinstance(store, Host) else Author(99)

    async def write(conn: Any) -> AgentRow:
        fold = Fold(store.state, me.node, NOW_MS)
        agent_id = name.encode().ljust(16, b"\0")
        row = fold.agent(fold.node(me.node), agent_id, name, role, NOW_MS)
        row.uid, row.since_seq = uid, store.state.seq
        fold.local_agents.append(row)
        fold.add(me.card(name, role, agent_id))
        await fold.write(conn)
        return row

    return await store.writer.submit(write)


class Host(Store):
    """A store and the author who is this node."""

    mine: Author


def here(store: Store) -> Host:
    store.__class__ = Host
    assert isinstance(store, Host)
    store.mine = Author(99)
    return store


async def unread(store: Store, agent: AgentRow) -> list[tuple[str, str]]:
    """(text, why) of everything in the mailbox, oldest first."""
    from maw.core.colony import Said
    from maw.core.entry import unpack_payload

    found = await store.db.rows(
        "SELECT e.payload, m.direct, b.why FROM mailbox b JOIN messages m ON m.seq = b.seq"
        " JOIN entries e ON e.place = m.place WHERE b.agent = ? ORDER BY b.seq",
        (agent.n,),
    )
    return [
        (Said.read(unpack_payload(payload), direct=bool(direct)).text, why) for payload, direct, why in found
    ]


async def test_a_mention_reaches_the_agent_of_that_name_and_nobody_else(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as plain:
        store = here(plain)
        arthur, art = await settle_here(store, "arthur"), await settle_here(store, "art")
        neo = Author(1)
        await store.fold(store.mine.signer, [neo.post("hi @arthur", ["arthur"])])
        assert await unread(store, arthur) == [("hi @arthur", "mention")]
        assert await unread(store, art) == []


async def test_a_mention_with_a_host_means_the_agent_of_that_host(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as plain:
        store = here(plain)
        arthur = await settle_here(store, "arthur")
        neo = Author(1)
        await store.fold(
            store.mine.signer,
            [
                store.mine.say(Kind.CARD, {"name": "mbp", "addresses": [], "version": "1"}),
                neo.post("here", ["arthur@mbp"]),
                neo.post("elsewhere", ["arthur@other"]),
            ],
        )
        assert await unread(store, arthur) == [("here", "mention")]


async def test_groups_reach_their_roles_from_now_on(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as plain:
        store = here(plain)
        agent, ape = await settle_here(store, "bot"), await settle_here(store, "human", "ape")
        neo = Author(1)
        await store.fold(
            store.mine.signer,
            [neo.post("1", ["agents"]), neo.post("2", ["apes"]), neo.post("3", ["all"])],
        )
        assert await unread(store, agent) == [("1", "group"), ("3", "group")]
        assert await unread(store, ape) == [("2", "group"), ("3", "group")]
        late = await settle_here(store, "late")
        assert await unread(store, late) == []


async def test_a_later_agent_finds_earlier_mentions_of_its_name(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as plain:
        store = here(plain)
        neo = Author(1)
        await store.fold(
            store.mine.signer, [neo.post("are you there?", ["zoe"]), neo.post("not you", ["zo"])]
        )
        zoe = await settle_here(store, "zoe")
        assert await unread(store, zoe) == [("are you there?", "mention")]


async def test_nobody_finds_his_own_words_in_his_mailbox(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as plain:
        store = here(plain)
        bot = await settle_here(store, "bot")
        other = await settle_here(store, "other")
        store.mine.agent_id = bot.id
        await store.fold(store.mine.signer, [store.mine.post("@all @bot listen", ["all", "bot"])])
        assert await unread(store, bot) == []
        assert await unread(store, other) == [("@all @bot listen", "group")]


async def test_a_direct_message_reaches_its_recipients_only(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as plain:
        store = here(plain)
        arthur, ford = await settle_here(store, "arthur"), await settle_here(store, "ford")
        me, neo = store.mine.node, Author(1)
        to_arthur = Recipient(me, arthur.id, "arthur", "mbp")
        elsewhere = Recipient(Author(2).node, ford.id, "ford", "far")
        unknown = Recipient(me, b"?" * 16, "nobody", "mbp")
        await store.fold(
            store.mine.signer,
            [
                neo.direct("for arthur", [to_arthur]),
                neo.direct("twice", [to_arthur, to_arthur]),
                neo.direct("not here", [elsewhere, unknown]),
                neo.direct("not a mention @ford", [to_arthur], mentions=("ford",)),
            ],
        )
        assert [text for text, _ in await unread(store, arthur)] == [
            "for arthur", "twice", "not a mention @ford"
        ]  # fmt: skip
        assert await unread(store, ford) == []


async def test_the_gone_get_nothing_more(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as plain:
        store = here(plain)
        bot = await settle_here(store, "bot")
        await store.fold(store.mine.signer, [store.mine.card("bot", agent_id=bot.id, gone=True)])
        neo = Author(1)
        me = Recipient(store.mine.node, bot.id, "bot", "mbp")
        await store.fold(store.mine.signer, [neo.post("hi", ["bot", "all"]), neo.direct("hi", [me])])
        assert await unread(store, bot) == []


async def test_a_renamed_agent_answers_to_its_new_name(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as plain:
        store = here(plain)
        bot = await settle_here(store, "bot")
        await store.fold(store.mine.signer, [store.mine.card("robot", agent_id=bot.id)])
        neo = Author(1)
        await store.fold(store.mine.signer, [neo.post("old", ["bot"]), neo.post("new", ["robot"])])
        assert await unread(store, bot) == [("new", "mention")]


async def test_a_mention_said_twice_in_one_message_is_one(tmp_path: Path) -> None:
    """Our own clients never do it; a peer's may, and its log must not be stuck for ever."""
    async with open_store(tmp_path / "c.db") as plain:
        store = here(plain)
        bot = await settle_here(store, "bot")
        neo = Author(1)
        await store.fold(store.mine.signer, [neo.post("@bot @bot", ["bot", "bot"]), neo.post("after")])
        assert await unread(store, bot) == [("@bot @bot", "mention")]
        assert store.state.messages == 2


async def test_receipts_and_cards_are_told(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as plain:
        store = here(plain)
        neo = Author(1)
        fold = await store.fold(
            store.mine.signer,
            [
                neo.say(Kind.CARD, {"name": "neo-host", "addresses": ["10.0.0.1:6290"], "version": "1"}),
                neo.say(Kind.RECEIPT, HeldHere(((store.mine.node, 7, 42),)).content()),
            ],
        )
        assert fold.cards == 1
        assert fold.reached == [(store.mine.node, 7, 42, neo.node)]
        assert store.state.nodes[neo.node].name == "neo-host"
        assert store.state.nodes[neo.node].addresses == ("10.0.0.1:6290",)


async def test_delivered_says_what_reached_a_mailbox_here(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as plain:
        store = here(plain)
        await settle_here(store, "bot")
        neo, trinity = Author(1), Author(2)
        fold = await store.fold(
            store.mine.signer,
            [neo.post("@bot", ["bot"]), neo.post("@bot", ["bot"]), neo.post("x"), trinity.post("y")],
        )
        assert fold.delivered == {neo.node: (neo.epoch, 2)}


async def test_a_time_in_2100_is_shown_as_a_quarter_of_an_hour_ahead(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        neo = Author(1)
        said = neo.said("from the future").content()
        far = 4_102_444_800_000 << 16
        await store.fold(ME, [neo.say(Kind.POST, said, hlc=far), neo.say(Kind.POST, said, hlc=(1 << 64) - 1)])
        for shown, suspect in await store.db.rows("SELECT said, suspect FROM messages"):
            assert (shown, suspect) == (NOW_MS + 15 * 60_000, 1)


# -- what is malformed is set aside ------------------------------------------------------------------


BAD: list[tuple[int, Any]] = [
    (Kind.POST, {}),
    (Kind.POST, {"agent": b"short", "name": "n", "role": "agent", "known": "uid", "text": "x"}),
    (Kind.POST, {**Author().said("x").content(), "channel": "c" * 33}),
    (Kind.POST, {**Author().said("x").content(), "channel": 7}),
    (Kind.POST, {**Author().said("x").content(), "text": ""}),
    (Kind.POST, {**Author().said("x").content(), "text": "x" * 65_537}),
    (Kind.POST, {**Author().said("x").content(), "role": "operator"}),
    (Kind.POST, {**Author().said("x").content(), "known": ["uid"]}),
    (Kind.POST, {**Author().said("x").content(), "mentions": "all"}),
    (Kind.POST, {**Author().said("x").content(), "mentions": ["a"] * 65}),
    (Kind.POST, {**Author().said("x").content(), "reply": 5}),
    (Kind.DIRECT, {**Author().said("x", channel=None).content(), "to": []}),
    (Kind.DIRECT, {**Author().said("x", channel=None).content(), "to": [[b"", b"", "", ""]]}),
    (Kind.CARD, {"name": "", "addresses": [], "version": ""}),
    (Kind.CARD, {"name": "x", "addresses": ["a"] * 17, "version": ""}),
    (Kind.AGENT, {"id": b"x" * 16, "name": "n", "role": {}}),
    (Kind.CHANNEL, {"name": None, "by": ""}),
    (Kind.RECEIPT, {"held": [[b"x" * 32, 1 << 63, 0]]}),
    (Kind.RECEIPT, {"held": [[b"x" * 32, True, 0]]}),
]


@pytest.mark.parametrize(("kind", "content"), BAD)
async def test_a_malformed_payload_is_set_aside_and_the_log_goes_on(
    tmp_path: Path, kind: int, content: Any
) -> None:
    async with open_store(tmp_path / "c.db") as store:
        neo = Author(1)
        fold = await store.fold(ME, [neo.say(kind, content), neo.post("after")])
        assert len(fold.set_aside) == 1
        assert fold.set_aside[0].why
        assert (await store.db.rows("SELECT count(*) FROM set_aside"))[0][0] == 1
        assert store.state.messages == 1
        assert store.state.head(neo.node, neo.epoch).seq == 2


@pytest.mark.parametrize(
    "payload",
    [b"", b"short", bytes(16), bytes(16) + b"\xc1", bytes(16) + b"\x91" * 5000, bytes(16) + b"\xa5ab",
     bytes(16) + b"\x81\x01\x02", bytes(16) + b"\x81\xa4text\xa2\xff\xfe", bytes(16) + b"\xd6\xff\xff\xff\xff\xff"],
)  # fmt: skip
async def test_a_payload_that_is_no_map_is_set_aside(tmp_path: Path, payload: bytes) -> None:
    async with open_store(tmp_path / "c.db") as store:
        neo = Author(1)
        fold = await store.fold(ME, [neo.say(Kind.POST, None, payload=payload), neo.post("after")])
        assert len(fold.set_aside) == 1
        assert store.state.messages == 1


async def test_unknown_kinds_are_held_and_not_shown(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        neo = Author(1)
        fold = await store.fold(ME, [neo.say(77, {"x": 1}), neo.say((1 << 62) - 1, {}), neo.post("after")])
        assert not fold.set_aside
        assert store.state.head(neo.node, neo.epoch).seq == 3
        assert store.state.messages == 1


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.text(max_size=40)
    | st.binary(max_size=40) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
_good_said = Author().said("x").content()
_contents = st.one_of(
    st.dictionaries(
        st.sampled_from(
            ["agent", "name", "role", "known", "text", "mentions", "reply", "channel", "to", "held", "id",
             "addresses", "version", "by", "gone"]
        ),
        _values,
        max_size=6,
    ).map(lambda odd: {**_good_said, **odd}),
    st.dictionaries(st.text(max_size=10), _values, max_size=4),
)  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 9), _contents), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_nothing_a_peer_writes_stops_the_fold(
    tmp_path_factory: pytest.TempPathFactory, odd: list[tuple[int, Any]]
) -> None:
    async with open_store(tmp_path_factory.mktemp("fold") / "c.db") as plain:
        store = here(plain)
        bot = await settle_here(store, "bot")
        neo = Author(1)
        entries = [neo.say(kind, content) for kind, content in odd]
        await store.fold(store.mine.signer, [*entries, neo.post("after", ["bot"])])
        assert (await unread(store, bot))[-1] == ("after", "mention")
        fresh = State()
        await fresh.reload(store.db.writing)
        assert fresh == store.state, "memory is what the disk would give"
        assert await recount(store.db.writing, store.state) == []


# -- order of arrival --------------------------------------------------------------------------------


def script() -> tuple[list[Entry], list[Entry]]:
    """Two authors who speak in shared channels, to this host's agents, and of each other."""
    neo, trinity = Author(1), Author(2)
    me = Author(99).node
    bot = Recipient(me, b"bot".ljust(16, b"\0"), "bot", "here")
    one = [
        neo.card("neo"),
        neo.say(Kind.CHANNEL, NewChannel("ops", "neo@one").content()),
        neo.post("1 @bot", ["bot"], "ops"),
        neo.direct("2", [bot]),
        neo.post("3 @all", ["all"]),
        neo.post("4 @zoe", ["zoe"], "ops"),
    ]
    two = [
        trinity.post("5 @zoe @bot", ["zoe", "bot"], "ops"),
        trinity.card("trin", "ape"),
        trinity.say(Kind.CHANNEL, NewChannel("ops", "trin@two").content()),
        trinity.direct("6", [bot]),
        trinity.post("7", (), "third"),
        trinity.card("trin2", "ape"),
    ]
    return one, two


async def visible(store: Store) -> dict[str, Any]:
    """Everything people can see that must not hang on the order of arrival."""
    messages = await store.db.rows(
        "SELECT e.header, m.direct, c.name, m.said, m.suspect, m.reply, a.name, a.role, n.key"
        " FROM messages m JOIN entries e ON e.place = m.place LEFT JOIN channels c ON c.n = m.channel"
        " JOIN agents a ON a.n = m.agent JOIN nodes n ON n.n = a.node"
    )
    boxes = await store.db.rows(
        "SELECT a.name, e.header, b.why FROM mailbox b JOIN messages m ON m.seq = b.seq"
        " JOIN entries e ON e.place = m.place JOIN agents a ON a.n = b.agent"
    )
    words = await store.db.rows(
        "SELECT w.word, e.header FROM mentions w JOIN messages m ON m.seq = w.seq"
        " JOIN entries e ON e.place = m.place"
    )
    channels = await store.db.rows("SELECT name, messages, created, by FROM channels")
    agents = await store.db.rows("SELECT n.key, a.id, a.name, a.role, a.gone, a.last_said"
                                 " FROM agents a JOIN nodes n ON n.n = a.node")  # fmt: skip
    return {
        "messages": sorted(messages, key=repr),
        "mailboxes": sorted(boxes, key=repr),
        "mentions": sorted(words, key=repr),
        "channels": sorted(channels, key=repr),
        "agents": sorted(agents, key=repr),
    }


async def after_order(path: Path, order: Sequence[bool], cuts: Sequence[bool]) -> dict[str, Any]:
    """The visible state when the two logs arrive interleaved so, in batches cut so; zoe comes in the end."""
    one, two = script()
    async with open_store(path) as plain:
        store = here(plain)
        await settle_here(store, "bot")
        batch: list[Entry] = []
        for first, cut in zip(order, cuts, strict=True):
            source = one if (first and one) or not two else two
            batch.append(source.pop(0))
            if cut:
                await store.fold(store.mine.signer, batch)
                batch = []
        await store.fold(store.mine.signer, [*batch, *one, *two])
        await settle_here(store, "zoe")
        return await visible(store)


@given(st.lists(st.booleans(), min_size=12, max_size=12), st.lists(st.booleans(), min_size=12, max_size=12))
@settings(max_examples=25, deadline=None)
async def test_order_of_arrival_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, order: list[bool], cuts: list[bool]
) -> None:
    folder = tmp_path_factory.mktemp("order")
    straight = await after_order(folder / "a.db", [True] * 12, [False] * 12)
    shuffled = await after_order(folder / "b.db", order, cuts)
    assert straight == shuffled
    assert len(straight["messages"]) == 7
    assert len(straight["mailboxes"]) == 7, "bot: five; zoe: two earlier mentions"


async def test_our_own_words_bring_back_what_requests_they_were_the_answers_to(tmp_path: Path) -> None:
    known = "SELECT key, agent, request, seq, at FROM idempotency ORDER BY seq"
    async with open_store(tmp_path / "c.db") as store:
        us, other = Author(1), Author(2)
        said = [us.post("marked", once=b"m" * 16), us.post("no mark"), us.post("too short", once=b"m")]
        await store.fold(us.signer, [*said, other.post("not ours", once=b"x" * 16)])
        request = request_of(Kind.POST, us.said("marked"))
        assert await store.db.rows(known) == [(b"m" * 16, 0, request, 1, NOW_MS)]
        await store.fold(us.signer, [us.post("again", once=b"m" * 16)])
        assert len(await store.db.rows(known)) == 1, "the first is the answer"
    async with open_store(tmp_path / "late.db") as store:
        us = Author(1)
        later = NOW_MS + KEYS_KEPT_MS
        await store.fold(us.signer, [us.post("old", once=b"m" * 16)], now_ms=later + 1)
        await store.fold(us.signer, [us.post("not so old", once=b"n" * 16)], now_ms=later)
        assert [row[0] for row in await store.db.rows(known)] == [b"n" * 16]
