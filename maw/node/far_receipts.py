"""Receipts for authors that are not linked to us: their messages reached a mailbox here, and no Have of ours
reaches them. One small entry a second at the most, for all of them together.
"""

from __future__ import annotations

from typing import Final

from maw.core.colony import HeldHere
from maw.core.entry import Kind
from maw.core.identity import NodeId
from maw.errors import MawError
from maw.net.switchboard import Switchboard
from maw.node.authoring import Authoring
from maw.store.fold import Fold

MAX_HELD: Final = 1000
"""Authors an entry may speak of; the rest have their turn a second later."""


class FarReceipts:
    """Gathers; ``save`` writes the entry."""

    def __init__(self, me: NodeId, authoring: Authoring, board: Switchboard) -> None:
        self._me = me
        self.authoring = authoring
        self._board = board
        self._due: dict[NodeId, tuple[int, int]] = {}

    def received(self, fold: Fold) -> None:
        for author, reached in fold.delivered.items():
            if author != self._me and not self._board.linked(author):
                self._due[author] = max(reached, self._due.get(author, (0, 0)))

    async def save(self) -> None:
        if not self._due:
            return
        due = dict(sorted(self._due.items())[:MAX_HELD])
        self._due = {author: reached for author, reached in self._due.items() if author not in due}
        held = HeldHere(tuple((author, epoch, seq) for author, (epoch, seq) in due.items()))
        try:
            await self.authoring.say(Kind.RECEIPT, held.content())
        except MawError:
            self._due = {**due, **self._due}  # the disk is full: it is said when it is not
