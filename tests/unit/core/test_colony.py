"""What payloads mean: each kind there and back, anything malformed a ValueError; message ids."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maw.core.colony import MAX_TEXT_BYTES, AgentCard, Card, HeldHere, NewChannel, Open, Recipient, Said
from maw.core.entry import MAX_COUNT, Position, pack_payload, unpack_payload
from maw.core.identity import NodeId, short_key
from maw.core.message_ids import message_id, parse_message_id
from maw.errors import BadInput

NODE, AGENT = NodeId(b"n" * 32), b"a" * 16
POST = Said(AGENT, "arthur", "agent", "uid", "hi @neo", ("neo",), "k7q2mx-1-1", "general")
DIRECT = Said(AGENT, "arthur", "ape", "token", "hi", (), None, None, (Recipient(NODE, AGENT, "neo", "mbp"),))


def wire(content: Mapping[str, Any]) -> dict[str, Any]:
    """As it comes back from the disk or the wire."""
    return unpack_payload(pack_payload(bytes(16), content))


def test_there_and_back() -> None:
    assert Said.read(wire(POST.content()), direct=False) == POST
    assert Said.read(wire(DIRECT.content()), direct=True) == DIRECT
    for thing in (
        Card("mbp", ("10.0.0.1:6290",), "1.0"), Card("mbp", (), ""),
        AgentCard(AGENT, "neo", "agent"), AgentCard(AGENT, "neo", "ape", True),
        NewChannel("ops", "neo@mbp"), NewChannel("ops", ""), HeldHere(((NODE, 7, 9),)), HeldHere(()),
    ):  # fmt: skip
        assert type(thing).read(wire(thing.content())) == thing


def test_an_intent_is_left_out_where_it_is_chat_and_a_strange_one_is_chat() -> None:
    for said in (POST, DIRECT):
        asked = said._replace(intent="ask")
        assert "intent" not in said.content()
        assert Said.read(wire(asked.content()), direct=said.channel is None) == asked
    strange: Any
    for strange in ("later", "", 5, None, ["ask"], {}, b"ask"):
        assert Said.read({**POST.content(), "intent": strange}, direct=False) == POST


def test_open_says_what_came_before() -> None:
    assert wire(Open((7, 9, b"h" * 32), b"i" * 16, None, "why").content()) == {
        "prev": [7, 9, b"h" * 32], "instance": b"i" * 16, "recovery": None, "why": "why"
    }  # fmt: skip


def broken(content: Mapping[str, Any], **changed: Any) -> dict[str, Any]:
    mixed = {**content, **changed}
    return {key: value for key, value in mixed.items() if value is not ...}


@pytest.mark.parametrize(
    "changed",
    [
        {"agent": ...}, {"agent": b"short"}, {"agent": "text of 16 chars"}, {"name": ""}, {"name": "x" * 33},
        {"role": "operator"}, {"role": None}, {"known": "guess"}, {"text": ...}, {"text": ""},
        {"text": "x" * (MAX_TEXT_BYTES + 1)}, {"text": "€" * (MAX_TEXT_BYTES // 3 + 1)}, {"text": b"bytes"},
        {"mentions": "neo"}, {"mentions": [5]}, {"mentions": [""]}, {"mentions": ["x"] * 65},
        {"mentions": ["x" * 71]}, {"reply": ""}, {"reply": 5}, {"reply": "x" * 65}, {"channel": ...},
        {"channel": ""}, {"channel": "x" * 33}, {"channel": 5},
    ],
    ids=repr,
)  # fmt: skip
def test_a_malformed_post(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Said.read(broken(POST.content(), **changed), direct=False)


GOOD_TO = [NODE, AGENT, "neo", "mbp"]


@pytest.mark.parametrize(
    "to",
    [..., [], [GOOD_TO] * 65, "neo", [5], [GOOD_TO[:3]], [[*GOOD_TO, 1]], [[b"x", *GOOD_TO[1:]]],
     [[NODE, b"x", "neo", "mbp"]], [[NODE, AGENT, "", "mbp"]], [[NODE, AGENT, "neo", 5]]],
    ids=repr,
)  # fmt: skip
def test_a_malformed_recipient(to: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        Said.read(broken(DIRECT.content(), to=to), direct=True)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (Card, {"name": "", "addresses": [], "version": ""}),
        (Card, {"name": "x" * 65, "addresses": [], "version": ""}),
        (Card, {"name": "x", "addresses": ["a"] * 17, "version": ""}),
        (Card, {"name": "x", "addresses": ["a" * 261], "version": ""}),
        (Card, {"name": "x", "addresses": None, "version": ""}),
        (AgentCard, {"id": AGENT, "name": "neo"}),
        (AgentCard, {"id": AGENT, "name": "neo", "role": ["agent"]}),
        (NewChannel, {"name": "", "by": ""}),
        (HeldHere, {}),
        (HeldHere, {"held": [[NODE, 1]]}),
        (HeldHere, {"held": [[NODE, 1, -1]]}),
        (HeldHere, {"held": [[NODE, 1, MAX_COUNT + 1]]}),
        (HeldHere, {"held": [[NODE, True, 1]]}),
        (HeldHere, {"held": [["x" * 32, 1, 1]]}),
        (HeldHere, {"held": [[NODE, 1, 1]] * 1001}),
    ],
)
def test_other_kinds_malformed(kind: Any, content: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        kind.read(content)


def test_unknown_fields_are_passed_over() -> None:
    assert Said.read({**POST.content(), "later": [1, 2]}, direct=False) == Said.read(
        POST.content(), direct=False
    )


@given(st.dictionaries(st.text(max_size=8), st.none() | st.integers() | st.text() | st.binary(), max_size=5))
def test_nothing_but_a_value_error_comes_of_anything(content: dict[str, Any]) -> None:
    for read in (
        lambda c: Said.read(c, direct=False), lambda c: Said.read(c, direct=True),
        Card.read, AgentCard.read, NewChannel.read, HeldHere.read,
    ):  # fmt: skip
        for mixed in (content, {**POST.content(), **content}):
            with contextlib.suppress(ValueError):
                read(mixed)


@given(st.binary(min_size=32, max_size=32), st.integers(1, MAX_COUNT), st.integers(1, MAX_COUNT))
def test_message_ids_are_read_back(author: bytes, epoch: int, seq: int) -> None:
    text = message_id(Position(NodeId(author), epoch, seq))
    assert parse_message_id(text) == parse_message_id(f"  {text.upper()} ") == (short_key(author), epoch, seq)


@given(st.text(max_size=30))
def test_what_is_no_message_id_is_bad_input(text: str) -> None:
    try:
        ref = parse_message_id(text)
    except BadInput as error:
        assert error.hint
    else:
        assert 0 < ref.seq <= MAX_COUNT


@pytest.mark.parametrize(
    "text", ["", "abc", "k7q2mx-1", "k7q2mx-1-0", "k7q2mx-0-1", "k7q2m-1-1", "k7q2mx-1-x", "k1q2mx-1-1",
             "k7q2mx-1-1-1", "k7q2mx-zzzzzzzzzzzzzzzz-1", "k7q2mx-1-²", "k7q2mx--1-1"]
)  # fmt: skip
def test_these_are_none(text: str) -> None:
    with pytest.raises(BadInput):
        parse_message_id(text)
