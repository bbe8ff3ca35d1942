"""Receipts for authors without a link: gathered, said together, kept when they cannot be said."""

from __future__ import annotations

from typing import Any

from maw.core.colony import HeldHere
from maw.core.entry import Kind
from maw.core.identity import NodeId
from maw.errors import Unavailable
from maw.node.far_receipts import LOOKS, FarReceipts
from maw.store.fold import Fold
from maw.store.state import State
from tests.unit.store.opened import Author

ME, NEAR, FAR, OTHER = (Author(n).node for n in (9, 1, 2, 3))


class Said:
    """Stands in for Authoring; ``full`` refuses."""

    def __init__(self) -> None:
        self.held: list[tuple[tuple[NodeId, int, int], ...]] = []
        self.full = False

    async def say(self, kind: Kind, content: Any) -> None:
        if self.full:
            raise Unavailable("full")
        assert kind == Kind.RECEIPT
        self.held.append(HeldHere.read(content).held)


class Board:
    def linked(self, peer: NodeId) -> bool:
        return peer == NEAR


def delivered(**at: tuple[NodeId, int, int]) -> Fold:
    fold = Fold(State(), ME, 0)
    fold.delivered = {node: (epoch, seq) for node, epoch, seq in at.values()}
    return fold


def made() -> tuple[FarReceipts, Said]:
    said = Said()
    return FarReceipts(ME, said, Board()), said  # type: ignore[arg-type]


async def test_only_who_is_not_linked_and_the_newest_of_each() -> None:
    receipts, said = made()
    receipts.received(delivered(a=(FAR, 5, 9), b=(NEAR, 5, 9), c=(ME, 5, 9)))
    receipts.received(delivered(a=(FAR, 5, 7), b=(OTHER, 1, 1)))
    await receipts.save()
    await receipts.save()
    assert said.held == [tuple(sorted(((FAR, 5, 9), (OTHER, 1, 1))))]


async def test_what_could_not_be_said_is_said_later() -> None:
    receipts, said = made()
    receipts.received(delivered(a=(FAR, 5, 9)))
    said.full = True
    await receipts.save()
    said.full = False
    receipts.received(delivered(a=(FAR, 6, 1)))
    await receipts.save()
    assert said.held == [((FAR, 6, 1),)]


async def test_nothing_to_say_says_nothing() -> None:
    receipts, said = made()
    await receipts.save()
    assert said.held == []


async def test_more_than_one_entry_holds_are_said_in_turn() -> None:
    receipts, said = made()
    many = {f"n{n}": (NodeId(n.to_bytes(32, "big")), 1, n + 1) for n in range(1500)}
    receipts.received(delivered(**many))
    await receipts.save()
    await receipts.save()
    assert sorted(item for held in said.held for item in held) == sorted(many.values())


class Changing:
    def __init__(self, *near: NodeId) -> None:
        self.near = set(near)

    def linked(self, peer: NodeId) -> bool:
        return peer in self.near


async def test_a_link_that_ends_and_stays_away_leaves_a_receipt_behind() -> None:
    said, board = Said(), Changing(NEAR, OTHER)
    receipts = FarReceipts(ME, said, board)  # type: ignore[arg-type]
    receipts.received(delivered(a=(NEAR, 5, 9), b=(OTHER, 1, 1)))
    for gone in (NEAR, OTHER):
        board.near.discard(gone)
        receipts.link_changed(gone)
    board.near.add(OTHER)
    receipts.link_changed(OTHER)
    await receipts.save()
    assert said.held == [], "a link that broke may be back at once"
    for _ in range(LOOKS):
        await receipts.save()
    assert said.held == [((NEAR, 5, 9),)], "and of the one that is back its first Have says it"
    for _ in range(LOOKS):
        await receipts.save()
    assert len(said.held) == 1
