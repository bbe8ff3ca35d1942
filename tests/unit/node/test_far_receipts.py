"""Receipts for authors without a link: gathered, said together, kept when they cannot be said."""

from __future__ import annotations

from typing import Any

from maw.core.colony import HeldHere
from maw.core.entry import Kind
from maw.core.identity import NodeId
from maw.errors import Unavailable
from maw.node.far_receipts import FarReceipts
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
