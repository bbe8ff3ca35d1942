"""Private channels: their ids, what is said of them, and how a post in one is read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from maw.core.colony import Recipient, Said
from maw.core.entry import Kind, pack_content, unpack_content
from maw.core.identity import NodeId
from maw.core.names import check_channel, is_private
from maw.core.rooms import RoomWord, is_member, read_said, room_id
from maw.errors import BadInput

MAKER, OTHER = NodeId(b"m" * 32), NodeId(b"o" * 32)
AGENT, NONCE = b"a" * 16, b"n" * 16
NEO = Recipient(OTHER, b"b" * 16, "neo", "oracle")
WORD = RoomWord(AGENT, MAKER, NONCE, "plans", "arthur@mbp", (NEO,), "what to do", True, 7)


def test_an_id_is_of_one_maker_and_name() -> None:
    assert WORD.id == "plans~f3d3v3vu23e2", "written down in docs/protocol.md"
    others = [
        room_id("plans", OTHER, AGENT, NONCE),
        room_id("plans", MAKER, NEO.agent, NONCE),
        room_id("plans", MAKER, AGENT, bytes(16)),
        room_id("plan", MAKER, AGENT, NONCE),
    ]
    assert len({WORD.id, *others}) == 5
    assert is_private(WORD.id) and not is_private("plans")


def test_what_is_said_of_one() -> None:
    assert RoomWord.read(unpack_content(pack_content(WORD.content()))) == WORD
    over = RoomWord(AGENT, MAKER, NONCE, "plans", "arthur@mbp", ())
    assert RoomWord.read(unpack_content(pack_content(over.content()))) == over
    told = WORD.told()
    assert (told.name, told.about, told.archived, told.keep_days) == (WORD.id, "what to do", True, 7)


@pytest.mark.parametrize(
    "change",
    [
        {"members": None},
        {"members": [[OTHER, b"b" * 16, "neo"]]},
        {"members": [list(NEO)] * 65},
        {"maker": b"short"},
        {"nonce": "n" * 16},
        {"name": WORD.id},
        {"by": "somebody"},
    ],
)
def test_what_is_malformed_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        RoomWord.read(WORD.content() | change)


def test_a_post_in_one_is_for_who_is_in_it() -> None:
    said = Said(AGENT, "arthur", "agent", "uid", "hello", (), channel=WORD.id, to=(NEO,))
    content = unpack_content(pack_content({"kind": Kind.POST, **said.content()}))
    assert read_said(Kind.POST, content, sealed=True) == said
    with pytest.raises(ValueError, match="channel"):
        read_said(Kind.POST, content, sealed=False)
    for name in ("general", "plans~", "plans~SHOUTED23456", None):
        with pytest.raises(ValueError, match="private channel"):
            read_said(Kind.POST, content | {"channel": name}, sealed=True)
    with pytest.raises(ValueError, match="private channel"):
        read_said(Kind.CHANNEL, content, sealed=True)


def test_a_public_post_is_for_nobody_in_particular() -> None:
    said = Said(AGENT, "arthur", "agent", "uid", "hello", (), channel="general")
    assert "to" not in said.content()
    assert read_said(Kind.POST, {**said.content(), "to": [list(NEO)]}, sealed=False) == said


def test_members_go_by_node_and_agent() -> None:
    assert is_member((NEO,), (MAKER, OTHER), NEO.agent)
    assert not is_member((NEO,), (MAKER,), NEO.agent)
    assert not is_member((NEO,), (OTHER,), AGENT)


def test_how_people_call_a_channel() -> None:
    assert check_channel("plans") == "plans"
    assert check_channel("Plans~F3D") == "plans~f3d"
    for word in ("plans~", "plans~!", "~abc", "plans~a~b", "plans~0189"):
        with pytest.raises(BadInput):
            check_channel(word)


def test_only_the_makers_word_counts_and_that_of_who_took_its_place() -> None:
    heir, later = NodeId(b"h" * 32), NodeId(b"l" * 32)
    heirs = {MAKER: heir, heir: later, later: MAKER}
    assert [WORD.check(one, heirs) for one in (MAKER, heir, later)] == [0, 1, 2]
    for author, known in ((OTHER, heirs), (heir, {}), (OTHER, {MAKER: MAKER})):
        with pytest.raises(ValueError, match="only its maker"):
            WORD.check(author, known)
    with pytest.raises(ValueError, match="is called general"):
        replace(WORD, name="general").check(MAKER, {})
