"""Pages of what is visible: bounded, ascending, from any cursor without gap or repeat."""

from __future__ import annotations

from pathlib import Path

from maw.core.colony import Said
from maw.core.entry import unpack_payload
from maw.core.identity import Signer
from maw.core.message_ids import message_id
from maw.store import pages
from maw.store.pages import Shown
from tests.unit.store.opened import Author, Store, open_store
from tests.unit.store.test_fold import here, settle_here

ME = Signer(b"m" * 32)


def texts(rows: list[Shown]) -> list[str]:
    return [
        Said.read(unpack_payload(row.payload), direct=bool(row.direct)).text for row in rows if row.payload
    ]


async def talk(store: Store) -> Author:
    neo = Author(1)
    await store.fold(
        ME,
        [
            neo.post(f"{n}", [word for word, each in (("bot", 2), ("all", 3)) if n % each == 0],
                     "ops" if n % 5 == 0 else "general")
            for n in range(1, 21)
        ],
    )  # fmt: skip
    return neo


async def test_a_channel_forwards_backwards_and_the_latest(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        await talk(store)
        ops, general = store.state.channels["ops"].n, store.state.channels["general"].n
        assert texts(await pages.in_channel(store.db, ops, after=0, before=None, limit=9)) == [
            "5", "10", "15", "20"
        ]  # fmt: skip
        assert texts(await pages.in_channel(store.db, ops, after=5, before=None, limit=2)) == ["10", "15"]
        assert texts(await pages.in_channel(store.db, ops, after=None, before=None, limit=2)) == ["15", "20"]
        assert texts(await pages.in_channel(store.db, ops, after=None, before=15, limit=9)) == ["5", "10"]
        seen: list[str] = []
        after = 0
        while page := await pages.in_channel(store.db, general, after=after, before=None, limit=3):
            seen += texts(page)
            after = page[-1].seq
        assert seen == [str(n) for n in range(1, 21) if n % 5]


async def test_everything_since(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        await talk(store)
        assert texts(await pages.since(store.db, 17, 2)) == ["18", "19"]
        assert await pages.since(store.db, 20, 5) == []
        assert await pages.since(store.db, 1 << 60, 5) == []


async def test_mentions_of_any_of_several_words_each_once(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        await talk(store)
        both = [str(n) for n in range(1, 21) if n % 2 == 0 or n % 3 == 0]
        assert texts(await pages.mentioning(store.db, ["bot", "all"], after=0, limit=50)) == both
        assert texts(await pages.mentioning(store.db, ["bot", "all"], after=6, limit=3)) == ["8", "9", "10"]
        assert texts(await pages.mentioning(store.db, ["bot", "all"], after=None, limit=3)) == both[-3:]
        assert await pages.mentioning(store.db, ["bo"], after=0, limit=50) == []


async def test_mailbox_unread_and_counts(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as plain:
        store = here(plain)
        bot = await settle_here(store, "bot")
        await store.fold(store.mine.signer, [])
        neo = Author(1)
        await store.fold(store.mine.signer, [neo.post(f"{n}", ["bot"]) for n in range(6)])
        rows = await pages.unread(store.db, bot.n, after=0, limit=4)
        assert texts(rows) == ["0", "1", "2", "3"]
        assert {row.why for row in rows} == {"mention"}
        await store.db.writing.execute("UPDATE mailbox SET acked = 1 WHERE seq <= ?", (rows[1].seq,))
        assert texts(await pages.unread(store.db, bot.n, after=0, limit=2)) == ["2", "3"]
        assert texts(await pages.mailbox(store.db, bot.n, after=0, limit=2)) == ["0", "1"]
        assert await pages.unread_counts(store.db) == {bot.n: 4}


async def test_sent_replies_and_single_messages(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as plain:
        store = here(plain)
        bot = await settle_here(store, "bot")
        store.mine.agent_id = bot.id
        first = store.mine.post("question")
        await store.fold(store.mine.signer, [first, store.mine.post("more")])
        neo = Author(1)
        answer = neo.post("answer", reply_to=message_id(first.position))
        await store.fold(store.mine.signer, [answer])
        assert texts(await pages.sent_by(store.db, bot.n, 5)) == ["question", "more"]
        assert texts(await pages.sent_by(store.db, bot.n, 1)) == ["more"]
        assert texts(await pages.replies(store.db, message_id(first.position), 5)) == ["answer"]
        row = await pages.at_seq(store.db, 1)
        assert row is not None
        assert texts([row]) == ["question"]
        assert await pages.at_place(store.db, row.place) == row
        assert await pages.at_seq(store.db, 99) is None
        assert await pages.at_place(store.db, 12345) is None


async def test_reading_mentions_is_an_index_lookup(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        await talk(store)
        few = "SELECT seq FROM mentions WHERE word = 'bot' AND seq > 0 ORDER BY seq LIMIT 5"
        plan = str(await store.db.rows(f"EXPLAIN QUERY PLAN {few}"))
        assert "SEARCH mentions USING PRIMARY KEY" in plan
        assert "SCAN" not in plan
