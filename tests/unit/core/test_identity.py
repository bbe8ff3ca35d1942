from __future__ import annotations

import base64
import os

import pytest

from maw.core.identity import (
    DOMAIN_ENTRY,
    DOMAIN_LINK,
    OPERATOR_NEW,
    Signer,
    key_text,
    parse_key,
    short_key,
    verify,
)
from maw.errors import BadInput
from tests.unit.core.builders import signer


def test_a_signature_holds_for_its_node_its_domain_and_its_data_only() -> None:
    one, other = signer(1), signer(2)
    signature = one.sign(DOMAIN_ENTRY, b"data")
    assert verify(one.node, DOMAIN_ENTRY, b"data", signature)
    assert not verify(other.node, DOMAIN_ENTRY, b"data", signature)
    assert not verify(one.node, DOMAIN_LINK, b"data", signature)
    assert not verify(one.node, DOMAIN_ENTRY, b"date", signature)
    assert not verify(one.node, DOMAIN_ENTRY, b"data", signature[:-1])
    assert not verify(one.node[:-1], DOMAIN_ENTRY, b"data", signature)
    assert not verify(bytes(32), DOMAIN_ENTRY, b"data", bytes(64))


def test_a_key_survives_being_written_and_read_in_any_case_with_white_space() -> None:
    node = signer(7).node
    text = key_text(node)
    assert text.startswith("mk1")
    assert len(text) == 59
    assert parse_key(f"  {text}\n") == node
    assert text[3:].startswith(short_key(node))


def test_every_single_mistyped_character_is_noticed() -> None:
    text = key_text(signer(7).node)
    for at in range(3, len(text)):
        wrong = text[:at] + ("a" if text[at] != "a" else "b") + text[at + 1 :]
        with pytest.raises(BadInput):
            parse_key(wrong)


@pytest.mark.parametrize(
    "text", ["", "mk1", "mk1é", "mk1abc", "mk1" + "a" * 56, key_text(bytes(32))[:-1], "mk2abc"]
)
def test_what_is_no_key_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_key(text)
    assert caught.value.code == "bad_key"
    assert caught.value.hint


@pytest.mark.parametrize("text", ["abc", "mk1" + "a" * 56, key_text(bytes(32))[:-1]])
def test_an_operators_key_is_printed_by_another_command(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_key(text, printed_by=OPERATOR_NEW)
    assert "`maw operator new`" in caught.value.hint
    assert "maw key" not in caught.value.hint


def test_a_wireguard_key_is_told_apart() -> None:
    with pytest.raises(BadInput) as caught:
        parse_key(base64.b64encode(os.urandom(32)).decode())
    assert "WireGuard" in caught.value.hint


def test_a_seed_of_another_length_is_refused_and_a_signer_shows_no_secret() -> None:
    with pytest.raises(BadInput):
        Signer(bytes(31))
    assert bytes([3] * 32).hex() not in repr(signer(3))
    assert signer(3).seed == bytes([3] * 32)
