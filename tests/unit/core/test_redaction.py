"""Rules that drop payloads: what is read of them, and whom they may speak of."""

from __future__ import annotations

from typing import Any

import pytest

from maw.core.entry import START, Entry, Kind, make, pack_payload, unpack_payload
from maw.core.redaction import (
    MAX_RANGES,
    REDACTED,
    RETENTION,
    Range,
    Redaction,
    as_ranges,
    droppable,
    may_lack_payload,
    may_redact,
)
from tests.unit.core.builders import COLONY, chain, signer

ONE, OTHER = signer(1), signer(2)
RULE = Redaction(ONE.node, 5, ((1, 1), (3, 9)), REDACTED, "neo@mbp", "a secret")


def entry(rule: Redaction, *, seq: int = 10, epoch: int = 5) -> Entry:
    head = chain(ONE, seq - 1, epoch=epoch)[-1].head if seq > 1 else START
    return make(ONE, COLONY, epoch, head, 1, Kind.REDACT, pack_payload(bytes(16), rule.content()))


@pytest.mark.parametrize("rule", [RULE, Redaction(ONE.node, 5, ((2, 2),), RETENTION, "", days=7)])
def test_a_rule_reads_back_as_it_was_said(rule: Redaction) -> None:
    said = entry(rule)
    assert Redaction.read(unpack_payload(said.payload or b"")) == rule


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("author", b"short"),
        ("author", None),
        ("epoch", -1),
        ("epoch", True),
        ("why", "because"),
        ("by", "Neo\x1b[31m"),
        ("by", None),
        ("reason", ""),
        ("reason", "x" * 201),
        ("days", 0),
        ("days", "7"),
        ("seqs", []),
        ("seqs", None),
        ("seqs", [[1]]),
        ("seqs", [[0, 1]]),
        ("seqs", [[2, 1]]),
        ("seqs", [[1, 3], [3, 4]]),
        ("seqs", [[5, 6], [1, 2]]),
        ("seqs", [[1, True]]),
        ("seqs", [[1, 1 << 62]]),
        ("seqs", [[n, n] for n in range(1, MAX_RANGES + 2)]),
    ],
)
def test_what_is_malformed_is_no_rule(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Redaction.read({**RULE.content(), key: value})


def test_a_node_rules_over_what_it_said_itself_and_said_already() -> None:
    def rule(author: Any = ONE, epoch: int = 5, ranges: tuple[Range, ...] = ((1, 9),)) -> Redaction:
        return Redaction(author.node, epoch, ranges, REDACTED, "")

    assert may_redact(entry(rule()), rule())
    assert may_redact(entry(rule(epoch=4, ranges=((1, 1000),))), rule(epoch=4, ranges=((1, 1000),)))
    assert not may_redact(entry(rule()), rule(author=OTHER))
    assert not may_redact(entry(rule()), rule(ranges=((1, 10),)))
    assert not may_redact(entry(rule()), rule(epoch=6))


def test_only_messages_and_edits_of_them_are_dropped() -> None:
    dropped = {Kind.POST, Kind.DIRECT, Kind.EDIT, Kind.PRIVATE, Kind.SOUL}
    assert {kind for kind in Kind if droppable(kind)} == dropped
    assert {kind for kind in Kind if may_lack_payload(kind)} == dropped
    assert may_lack_payload(max(Kind) + 1), "a later version knows whether it can be dropped"
    assert not droppable(max(Kind) + 1)


def test_ranges_are_the_fewest_that_hold_exactly_these() -> None:
    assert as_ranges([]) == []
    assert as_ranges([7, 3, 1, 2, 9, 8, 2]) == [(1, 3), (7, 9)]
