from __future__ import annotations

from maw.core.entry import START
from maw.core.held import LIVE_EPOCHS, HeldLogs
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
