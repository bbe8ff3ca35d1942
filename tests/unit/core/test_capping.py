"""The Colony's caps: which are in force, and what none can be."""

from __future__ import annotations

import itertools

import pytest

from maw.core.capping import CAP, ColonyCap, cap_fields, cap_statement, in_force, read_cap
from maw.core.identity import Signer
from maw.core.spending import UNITS, must_say, parse_amount
from maw.core.statement import colony_id, found, read_statement, sign_statement
from maw.core.trust import TrustBook
from maw.errors import ProtocolViolation

FOUNDER, OTHER, ME = (Signer(bytes([n]) * 32) for n in (1, 2, 3))
FOUNDING = found(FOUNDER, "c", bytes(16), 1, ME.node)
COLONY = colony_id(FOUNDING)


def test_a_cap_holds_until_another_lifts_it_in_any_order() -> None:
    first = ColonyCap(b"1", FOUNDER.node, "usd", 50, frozenset(), 9)
    second = ColonyCap(b"2", FOUNDER.node, "usd", 80, frozenset({b"1"}), 5)
    foreign = ColonyCap(b"3", OTHER.node, "usd", 1, frozenset({b"2"}), 7)
    both = ColonyCap(b"4", FOUNDER.node, "tokens", 7, frozenset(), 6)
    for order in itertools.permutations([first, second, foreign, both]):
        assert in_force(order, lambda one: one.issuer == FOUNDER.node) == (second, both)
    assert in_force([first], lambda one: True) == (first,)
    own = ColonyCap(b"5", FOUNDER.node, "usd", 1, frozenset({b"5"}), 6)
    assert in_force([own], lambda one: True) == (own,), "nothing lifts itself"


def test_it_is_the_founders_to_say_and_nobodys_without_the_right() -> None:
    said = cap_statement(FOUNDER, COLONY, "usd", 50_000_000, [], 10)
    foreign = cap_statement(OTHER, COLONY, "usd", 1, [said.id], 11)
    lifting = cap_statement(FOUNDER, COLONY, "usd", None, [said.id], 12)
    book = TrustBook(ME.node, COLONY, [FOUNDING, said, foreign])
    assert [one.amount for one in book.ruling.caps] == [50_000_000]
    assert book.ruling.counts(said, book.said_by(said.id))
    assert not book.ruling.counts(foreign, book.said_by(foreign.id))
    book = TrustBook(ME.node, COLONY, [lifting, FOUNDING, said])
    assert [one.amount for one in book.ruling.caps] == [None]
    assert not book.ruling.counts(said, book.said_by(said.id))


def test_it_is_read_as_it_was_said() -> None:
    said = read_statement(cap_statement(FOUNDER, COLONY, "tokens", 7, [b"\x01" * 32], 10).wire)
    assert read_cap(said) == ColonyCap(said.id, FOUNDER.node, "tokens", 7, frozenset({b"\x01" * 32}), 10)


@pytest.mark.parametrize(
    "wrong",
    [
        {"unit": "euro"}, {"unit": None}, {"amount": -1}, {"amount": 1 << 40}, {"amount": True}, {"amount": 0.5},
        {"lifts": [b"short"]}, {"lifts": None}, {"lifts": [b"\x01" * 32] * 201},
    ],
)  # fmt: skip
def test_what_is_no_cap_is_refused(wrong: dict[str, object]) -> None:
    fields = {**cap_fields("usd", 5, []), **wrong}
    with pytest.raises(ProtocolViolation):
        read_cap(sign_statement(FOUNDER, CAP, COLONY, 10, fields))


def test_amounts_as_people_write_them() -> None:
    assert parse_amount("usd", "$50/day") == 50_000_000
    assert parse_amount("tokens", "1_000,000/d") == 1_000_000
    assert parse_amount("runner_s", "1.5") == 1500
    assert [parse_amount(unit, "off") for unit in UNITS] == [None, None, None]
    for unit, text in (
        ("usd", "much"),
        ("tokens", "1.5"),
        ("tokens", "-1"),
        ("runner_s", ""),
        ("tokens", "²"),
    ):
        with pytest.raises(ValueError, match="must be"):
            parse_amount(unit, text)


def test_all_that_hosts_keep_to_themselves_is_never_more_than_what_is_left() -> None:
    assert not must_say(0, 100, 4), "there is nothing to say"
    assert not must_say(12, 100, 4)
    assert must_say(13, 100, 4)
    assert must_say(1, -5, 4)
    for hosts in (1, 2, 30):
        quiet = max(amount for amount in range(100) if not must_say(amount, 100, hosts))
        assert quiet * hosts <= 100
