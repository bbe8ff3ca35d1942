from __future__ import annotations

import random

import pytest

from maw.core.entry import START
from maw.core.held import LIVE_EPOCHS, HeldLogs
from maw.core.log import Heads, closed_digest
from tests.unit.core.builders import chain, signer

ONE, TWO = signer(1), signer(2)


def test_only_advance_moves_heads() -> None:
    held = HeldLogs({})
    log = chain(ONE, 3)
    assert held.head(ONE.node, 1) == START
    held.advance(log[:2])
    assert held.head(ONE.node, 1) == log[1].head
    held.advance([log[2], *chain(TWO, 1)])
    assert held.head(ONE.node, 1) == log[2].head
    assert set(held.authors()) == {ONE.node, TWO.node}
    assert held.total() == 4


def test_the_latest_epochs_are_live() -> None:
    held = HeldLogs({})
    for epoch in (9, 2, 5, 7, 3, 11):
        held.advance(chain(ONE, 1, epoch=epoch))
    assert held.live_epochs(ONE.node) == [2, 3, 5, 7, 9, 11][-LIVE_EPOCHS:]
    assert held.live_epochs(TWO.node) == []


def test_what_is_kept_of_older_epochs_is_what_they_are() -> None:
    held = HeldLogs({})
    rng = random.Random(7)
    tops: dict[int, int] = {}
    for _ in range(300):
        epoch = rng.randint(1, 20)
        run = chain(ONE, tops.get(epoch, 0) + rng.randint(1, 2), epoch=epoch)
        if rng.random() < 0.1 and len(run) > 1:
            held.put_back(ONE.node, epoch, run[-2].head)
            tops[epoch] = len(run) - 1
        else:
            held.advance(run)
            tops[epoch] = len(run)
        below = rng.randint(1, 21)
        assert held.closed_digest(ONE.node, below) == closed_digest(held.of(ONE.node), below)
        assert held.live_epochs(ONE.node) == sorted(tops)[-LIVE_EPOCHS:]
    held.cut({ONE.node: {3: chain(ONE, 1, epoch=3)[0].head}})
    assert held.closed_digest(ONE.node, 9) == closed_digest(held.of(ONE.node), 9)
    assert held.live_epochs(ONE.node) == [3]


def test_the_digest_of_older_epochs_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An author may have thousands of epochs, and every Have to every link says it."""
    worked_out = []

    def count(heads: Heads, below: int) -> bytes:
        worked_out.append(below)
        return closed_digest(heads, below)

    monkeypatch.setattr("maw.core.held.closed_digest", count)
    held = HeldLogs({})
    held.advance(entry for epoch in range(1, 30) for entry in chain(ONE, 1, epoch=epoch))
    log = chain(ONE, 20, epoch=29)
    for entry in log[1:]:
        held.advance([entry])
        held.closed_digest(ONE.node, 26)
        held.closed_digest(ONE.node, 25)
    assert worked_out == [26, 25]
