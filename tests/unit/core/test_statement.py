from __future__ import annotations

import msgpack
import pytest

from maw.core.identity import DOMAIN_ENTRY
from maw.core.statement import (
    MAX_STATEMENT,
    NO_COLONY,
    admit,
    colony_id,
    found,
    read_admission,
    read_statement,
    sign_statement,
)
from maw.errors import ProtocolViolation
from tests.unit.core.builders import COLONY, signer

ONE, TWO = signer(1), signer(2)
BODY = [1, "admit", COLONY, ONE.node, 5, {}]


def signed(body: object, *, domain: bytes = b"maw-statement-v1\0") -> bytes:
    raw: bytes = msgpack.packb(body)
    packed: bytes = msgpack.packb([raw, ONE.sign(domain, raw)])
    return packed


def test_a_statement_reads_back_as_it_was_signed() -> None:
    word = admit(ONE, COLONY, TWO.node, "two", ["10.0.0.2:6290"], True, 5)
    assert read_statement(word.wire) == word
    admission = read_admission(word)
    assert (admission.issuer, admission.subject, admission.name) == (ONE.node, TWO.node, "two")
    assert admission.addresses == ("10.0.0.2:6290",)
    assert admission.introducer


def test_the_colony_is_its_founding_statement() -> None:
    one, other = found(ONE, "a", bytes(16), 5), found(ONE, "a", b"n" * 16, 5)
    assert one.colony == NO_COLONY
    assert colony_id(one) != colony_id(other)
    assert colony_id(read_statement(one.wire)) == colony_id(one)


def test_types_not_known_here_are_read_all_the_same() -> None:
    assert read_statement(signed([1, "of-the-future", COLONY, ONE.node, 5, {"x": [1]}])).fields == {"x": [1]}


@pytest.mark.parametrize(
    "body",
    [
        [2, *BODY[1:]],
        [1, b"admit", *BODY[2:]],
        [1, "admit", b"short", *BODY[3:]],
        [1, "admit", COLONY, b"k" * 31, 5, {}],
        [*BODY[:4], -1, {}],
        [*BODY[:4], 2**63, {}],
        [*BODY[:4], True, {}],
        [*BODY[:5], []],
        [*BODY[:5], {b"key": 1}],
        [*BODY[:5], {1: 1}],
        BODY[:5],
        [*BODY, 1],
        7,
        "text",
        None,
    ],
    ids=repr,
)
def test_a_malformed_statement_is_refused(body: object) -> None:
    with pytest.raises(ProtocolViolation):
        read_statement(signed(body))


@pytest.mark.parametrize(
    "wire", [b"", b"\xc1", b"\x93\x01\x02\x03", b"\x01", b"\x92\x01\x02", bytes(MAX_STATEMENT + 1)]
)
def test_garbage_is_refused(wire: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        read_statement(wire)


def test_a_signature_by_another_or_for_another_purpose_is_refused() -> None:
    word = admit(ONE, COLONY, TWO.node, "two", [], False, 5)
    body, _ = msgpack.unpackb(word.wire)
    for signature in (TWO.sign(b"maw-statement-v1\0", body), ONE.sign(DOMAIN_ENTRY, body), b"", "no"):
        with pytest.raises(ProtocolViolation) as caught:
            read_statement(msgpack.packb([body, signature]))
        assert caught.value.code == "forged"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"key": b"k" * 31, "name": "n", "addresses": []},
        {"key": b"k" * 32, "name": 5, "addresses": []},
        {"key": b"k" * 32, "name": "n" * 65, "addresses": []},
        {"key": b"k" * 32, "name": "n", "addresses": "10.0.0.1"},
        {"key": b"k" * 32, "name": "n", "addresses": [5]},
        {"key": b"k" * 32, "name": "n", "addresses": ["a" * 261]},
        {"key": b"k" * 32, "name": "n", "addresses": ["a"] * 17},
    ],
    ids=repr,
)
def test_an_admit_with_wrong_fields_admits_nobody(fields: dict[str, object]) -> None:
    with pytest.raises(ProtocolViolation):
        read_admission(sign_statement(ONE, "admit", COLONY, 5, fields))
