"""One signed text for all: whose word it may be, which version is in force, and who runs which."""

from __future__ import annotations

from typing import Any

import pytest

from maw.core.authority import FREEZING, ORDER, dismissal_statement, grant_statement
from maw.core.drafted import compare
from maw.core.identity import Signer
from maw.core.policy import (
    CURRENT,
    LATE_MS,
    MAX_POLICY_BYTES,
    NEVER,
    NONE,
    OLD,
    POLICY,
    UNHEARD,
    UNKNOWN,
    check_policy,
    in_order,
    is_late,
    policy_fields,
    policy_statement,
    read_policy,
    standing,
)
from maw.core.ruling import READERS, Ruling, rule
from maw.core.statement import MAX_STATEMENT, Statement, found, sign_statement
from maw.errors import BadInput, ProtocolViolation, Refused
from tests.unit.core.builders import COLONY, signer

FOUNDER, ROOT, OPERATOR, OTHER, STRANGER = (signer(n) for n in range(1, 6))
FOUNDING = found(FOUNDER, "c", bytes(16), 1, ROOT.node)


def say(by: Signer, version: int, text: str = "be kind", at: int = 10) -> Statement:
    return policy_statement(by, COLONY, version, text, at)


def judged(*statements: Statement) -> Ruling:
    pairs = [(one, READERS[one.type](one) if one.type in READERS else None) for one in statements]
    ruling, backwards = rule(pairs, {}), rule(pairs[::-1], {})
    assert ruling.policies == backwards.policies, "the order does not matter"
    return ruling


def versions(*statements: Statement) -> list[int]:
    return [one.version for one in judged(FOUNDING, *statements).policies]


def test_the_highest_counts_and_of_one_version_the_later() -> None:
    assert versions(say(FOUNDER, 1), say(FOUNDER, 3, at=5), say(FOUNDER, 2)) == [3, 2, 1]
    first, second = say(FOUNDER, 1, "a", 10), say(FOUNDER, 1, "b", 11)
    assert [one.text for one in judged(FOUNDING, first, second).policies] == ["b", "a"]


def test_only_who_may_order_everybody_says_it() -> None:
    may = grant_statement(FOUNDER, COLONY, OPERATOR.node, "o", [ORDER], None, [], 2)
    here = grant_statement(FOUNDER, COLONY, OPERATOR.node, "o", [ORDER], None, [ROOT.node], 2)
    cold = grant_statement(FOUNDER, COLONY, OPERATOR.node, "o", [FREEZING], None, [], 2)
    brief = grant_statement(FOUNDER, COLONY, OPERATOR.node, "o", [ORDER], 9, [], 2)
    word = say(OPERATOR, 7)
    assert versions(may, word) == [7]
    for grant in (here, cold, brief):
        assert versions(say(FOUNDER, 1), grant, word) == [1]
    assert versions(say(STRANGER, 9)) == []
    assert judged(FOUNDING, may, word).counts(word, read_policy(word))


def test_who_is_dismissed_says_none_but_what_stands() -> None:
    may = grant_statement(FOUNDER, COLONY, OPERATOR.node, "o", [ORDER], None, [], 2)
    before, after = say(OPERATOR, 2), say(OPERATOR, 900_000)
    gone = dismissal_statement(FOUNDER, COLONY, OPERATOR.node, [may.id], [before.id], 20)
    assert versions(say(FOUNDER, 1), may, before, after) == [900_000, 2, 1]
    assert versions(say(FOUNDER, 1), may, before, after, gone) == [2, 1]


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"version": 1}, {"version": 0, "text": "x"}, {"version": True, "text": "x"}, {"version": 1, "text": " "},
        {"version": 1_000_001, "text": "x"}, {"version": 1, "text": "x" * (MAX_POLICY_BYTES + 1)},
        {"version": 1, "text": b"x"}, {"version": 1, "text": "a\0b"},
    ],
)  # fmt: skip
def test_what_is_malformed_is_nobodys_word(fields: dict[str, object]) -> None:
    with pytest.raises(ProtocolViolation):
        read_policy(sign_statement(FOUNDER, POLICY, COLONY, 1, fields))


def test_the_largest_fits_a_statement() -> None:
    text = "ö" * (MAX_POLICY_BYTES // 2)
    check_policy(text)
    assert len(say(FOUNDER, 1_000_000, text).wire) < MAX_STATEMENT
    for wrong in ("", text + "x", "\ud800"):
        with pytest.raises(BadInput):
            check_policy(wrong)


def test_who_runs_which_and_who_is_late() -> None:
    policies = in_order(read_policy(say(FOUNDER, n, at=n)) for n in (1, 2))
    new, old = policies[0].mark, policies[1].mark
    assert standing(new, 5, policies) == (CURRENT, 2)
    assert standing(old, 5, policies) == (OLD, 1)
    assert standing(bytes(16), 5, policies) == (UNKNOWN, None)
    assert standing(None, 5, policies) == (NONE, None)
    assert standing(new, None, policies) == (NEVER, None)
    assert standing(None, None, policies, own=False) == (UNHEARD, None), "its host says it later"
    assert standing(old, 5, policies, own=False) == (OLD, 1)
    since, now = 1_000, 1_001 + LATE_MS
    assert is_late(OLD, since, since + 1, now) and is_late(NONE, since, since + 1, now)
    assert not is_late(OLD, since, since, now), "its next pulse takes it along"
    assert not is_late(OLD, since, since + 1, now - 1), "give it time"
    assert not is_late(CURRENT, since, since + 1, now) and not is_late(NEVER, since, None, now)


def test_nothing_else_is_signed_than_the_text_that_was_given() -> None:
    fields = policy_fields(4, "be kind")
    about: dict[str, Any] = {"drafted": POLICY, "colony": COLONY, "at_ms": 10, "now_ms": 10}
    assert compare(POLICY, {"text": "be kind"}, fields=fields, **about) == ["version 4 of the policy"]
    for other in ({**fields, "text": "be cruel"}, {**fields, "version": "4"}, {**fields, "more": 1}):
        with pytest.raises(Refused, match="nothing was signed"):
            compare(POLICY, {"text": "be kind"}, fields=other, **about)
