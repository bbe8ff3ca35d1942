"""An operator's signature on a message: what it covers, and that nothing else passes for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgpack
import pytest

from maw.core.colony import Said
from maw.core.identity import NodeId, Signer
from maw.core.word import DOMAIN_WORD, OperatorWord, read_word, sign_word, word_of

COLONY, OTHER = bytes(32), b"o" * 32
KEY = Signer(b"k" * 32)
NODE, ELSEWHERE = Signer(b"n" * 32).node, Signer(b"e" * 32).node
NONCE = b"0123456789abcdef"


def signed(text: str = "stop", is_order: bool = True) -> OperatorWord:
    return sign_word(KEY, COLONY, NODE, 1000, NONCE, is_order, ("#general",), text)


def said(word: Any, text: str = "stop", channel: str = "general") -> Said:
    return Said(b"a" * 16, "neo", "agent", "uid", text, (), None, channel, word=word)


def test_a_word_holds_where_it_was_meant_to_stand() -> None:
    assert word_of(said(signed().content()), COLONY, NODE) == signed()


@pytest.mark.parametrize(
    ("text", "channel", "colony", "author"),
    [
        ("go on", "general", COLONY, NODE),
        ("stop", "noise", COLONY, NODE),
        ("stop", "general", OTHER, NODE),
        ("stop", "general", COLONY, ELSEWHERE),
    ],
    ids=["another text", "another channel", "another Colony", "another node's log"],
)
def test_it_is_nobodys_anywhere_else(text: str, channel: str, colony: bytes, author: NodeId) -> None:
    assert word_of(said(signed().content(), text, channel), colony, author) is None


@pytest.mark.parametrize(
    "change",
    [
        {"is_order": False}, {"at_ms": 1001}, {"nonce": b"f" * 16}, {"key": ELSEWHERE},
        {"signature": b"s" * 64}, {"targets": ("#noise",)},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_nothing_of_it_can_be_changed(change: dict[str, Any]) -> None:
    assert word_of(said(replace(signed(), **change).content()), COLONY, NODE) is None


def test_it_covers_the_intent_and_without_one_signs_what_older_versions_sign() -> None:
    inform = sign_word(KEY, COLONY, NODE, 1000, NONCE, False, ("#general",), "stop", "inform")
    plain = said(inform.content())
    assert word_of(plain._replace(intent="inform"), COLONY, NODE) == inform
    assert word_of(plain, COLONY, NODE) is None, "the intent was taken away"
    assert word_of(said(signed().content())._replace(intent="inform"), COLONY, NODE) is None, "one was added"
    seven = msgpack.packb([COLONY, NODE, 1000, NONCE, True, ["#general"], "stop"])
    assert signed().signature == KEY.sign(DOMAIN_WORD, seven)


@pytest.mark.parametrize(
    "value",
    [
        None, [], "stop", [1, 2, 3, 4, 5, 6], [*signed().content(), 0], [b"k", *signed().content()[1:]],
        [*signed().content()[:4], [], b"s" * 64], [*signed().content()[:4], ["#x"] * 65, b"s" * 64],
        [*signed().content()[:4], [7], b"s" * 64], [*signed().content()[:5], b"short"],
    ],
    ids=range(10),
)  # fmt: skip
def test_what_is_malformed_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="malformed"):
        read_word(value)


def test_a_message_without_a_word_is_nobodys() -> None:
    assert word_of(said(None), COLONY, NODE) is None
    assert word_of(said("operator"), COLONY, NODE) is None
