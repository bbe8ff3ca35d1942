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


LOOKS: Final = 15
"""So many times (seconds) ``save`` looks whether a link that ended is back."""


class FarReceipts:
    """Gathers; ``save`` writes the entry."""

    def __init__(self, me: NodeId, authoring: Authoring, board: Switchboard) -> None:
        self._me = me
        self.authoring = authoring
        self._board = board
        self._due: dict[NodeId, tuple[int, int]] = {}
        self._near: dict[NodeId, tuple[int, int]] = {}
        self._left: dict[NodeId, int] = {}

    def received(self, fold: Fold) -> None:
        for author, (epoch, seq) in fold.delivered.items():
            log = fold.state.logs.get((author, epoch))
            if log is not None and log.whole is not None:
                seq = min(seq, log.whole.seq)  # a receipt is for payloads too
            reached = (epoch, seq)
            if seq and author != self._me:
                kept = self._near if self._board.linked(author) else self._due
                kept[author] = max(reached, kept.get(author, (0, 0)))

    def link_changed(self, author: NodeId) -> None:
        """A link that ends may take along the Have that was the receipt of what was delivered last."""
        if self._board.linked(author):
            self._left.pop(author, None)
        elif author in self._near:
            self._left[author] = 0

    async def save(self) -> None:
        for author in self._still_gone():
            reached = self._near.pop(author)
            self._due[author] = max(reached, self._due.get(author, (0, 0)))
        if not self._due:
            return
        due = dict(sorted(self._due.items())[:MAX_HELD])
        self._due = {author: reached for author, reached in self._due.items() if author not in due}
        held = HeldHere(tuple((author, epoch, seq) for author, (epoch, seq) in due.items()))
        try:
            await self.authoring.say(Kind.RECEIPT, held.content())
        except MawError:
            self._due = {**due, **self._due}  # the disk is full: it is said when it is not

    def _still_gone(self) -> list[NodeId]:
        """Whose link ended and did not come back for some seconds: a broken link is back by then, and its first
        Have says everything."""
        gone = [author for author, looks in self._left.items() if looks >= LOOKS]
        self._left = {author: looks + 1 for author, looks in self._left.items() if looks < LOOKS}
        return gone
