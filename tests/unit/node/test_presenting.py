"""Message objects: every field true, and nobody shown what is not for him."""

from __future__ import annotations

from typing import Any

import pytest

from maw.core.colony import Recipient, Said
from maw.core.entry import Position, pack_payload
from maw.core.message_ids import message_id
from maw.core.trust import TrustBook
from maw.node.directory import Directory
from maw.node.likenesses import Likenesses
from maw.node.presenting import Presenter, iso
from maw.node.spoken import OperatorsWord
from maw.store.pages import Shown
from maw.store.state import AgentRow, ChannelRow, LogRow, NodeRow, State
from tests.unit.store.opened import Author

ME, MBP = Author(9).node, Author(1).node
COLONY = bytes(32)
BOT, ARTHUR = b"b" * 16, b"a" * 16
SAID = Said(ARTHUR, "arthur", "agent", "uid", "hi @bot", ("bot",), "k7q2mx-1-1", "general")


def world(damaged: list[int] | None = None) -> Presenter:
    state = State()
    state.add_node(NodeRow(1, ME, "here"))
    state.add_node(NodeRow(2, MBP, "mbp"))
    state.add_log(MBP, LogRow(3, 2, 77))
    state.add_channel(ChannelRow(1, "general", 0, ""))
    state.add_channel(ChannelRow(2, "plans", 0, ""))
    state.add_agent(AgentRow(1, 1, BOT, "bot", "agent", 0, uid=1000))
    state.add_agent(AgentRow(2, 2, ARTHUR, "arthur", "agent", 0))
    word = OperatorsWord(ME, state, lambda: TrustBook(ME, COLONY))
    likenesses = Likenesses(ME, state, lambda: TrustBook(ME, COLONY).ruling.authority)
    tell = (lambda place: None) if damaged is None else damaged.append
    return Presenter(ME, state, Directory(ME, state, lambda: {MBP}), word, likenesses, tell)


def row(said: Said, agent: int = 2) -> Shown:
    payload = pack_payload(bytes(16), said.content())
    direct = int(said.channel is None)
    return Shown(
        17, (3 << 40) | 42, direct, None if direct else 1, agent, 1000, 61_001, 0, said.reply_to, payload
    )


def test_a_post() -> None:
    assert world().message(row(SAID)) == {
        "id": message_id(Position(MBP, 77, 42)), "seq": 17, "kind": "post", "channel": "general", "to": [],
        "author": "arthur@mbp", "author_name": "arthur", "host": "mbp", "role": "agent", "known_by": "uid",
        "text": "hi @bot", "mentions": ["bot"], "created_at": "1970-01-01T00:00:01.000Z",
        "received_at": "1970-01-01T00:01:01.001Z", "reply_to": "k7q2mx-1-1", "clock_suspect": False,
        "disputed": False, "operator": None, "order": False, "intent": "chat",
        "of": None, "looks_like": None,
    }  # fmt: skip


def test_a_direct_message_says_to_whom_and_a_mailbox_why() -> None:
    said = SAID._replace(channel=None, to=(Recipient(ME, BOT, "bot", "here"),))
    shown = world().message(row(said)._replace(why="direct"))
    assert (shown["kind"], shown["channel"], shown["to"], shown["why"]) == (
        "direct", None, ["bot@here"], "direct"
    )  # fmt: skip


def test_who_may_read_what() -> None:
    presenter = world()
    direct = SAID._replace(channel=None, to=(Recipient(ME, BOT, "bot", "here"),))
    elsewhere = direct._replace(to=(Recipient(MBP, BOT, "bot", "mbp"),))
    own = direct._replace(agent=BOT, to=(Recipient(MBP, ARTHUR, "arthur", "mbp"),))
    assert presenter.may_read(row(SAID), SAID, None), "posts are for all"
    for said, agent, key, may in (
        (direct, 2, BOT, True), (direct, 2, None, False), (direct, 2, b"x" * 16, False),
        (direct, 2, ARTHUR, False), (elsewhere, 2, BOT, False), (own, 1, BOT, True), (own, 1, ARTHUR, False),
    ):  # fmt: skip
        assert presenter.may_read(row(said, agent), said, key) is may, (said, agent, key)
    rows = [row(SAID), row(direct), row(elsewhere)]
    assert [item["kind"] for item in presenter.readable(rows, BOT)] == ["post", "direct"]
    assert [item["kind"] for item in presenter.readable(rows, None)] == ["post"]


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, None),
        (0, "1970-01-01T00:00:00.000Z"),
        (1_795_247_999_123, "2026-11-21T07:59:59.123Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ((1 << 48) - 1, "9999-12-31T23:59:59.999Z"),
        (1 << 62, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_times_as_iso(ms: int | None, text: str | None) -> None:
    assert iso(ms) == text


@pytest.mark.parametrize(
    "change",
    [
        {"agent": 1},
        {"agent": 99},
        {"channel": 2},
        {"channel": 99},
        {"shown": 18},
        {"place": 9 << 40},
        {"direct": 1},
    ],
)
def test_a_row_that_says_something_else_than_its_entry_is_damaged(change: dict[str, Any]) -> None:
    seen: list[int] = []
    presenter = world(seen)
    shown = presenter.message(row(SAID)._replace(shown=17)._replace(**change))
    assert "damaged on this disk" in shown["text"]
    assert seen == [change.get("place", (3 << 40) | 42)]
