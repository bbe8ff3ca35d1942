"""An agent on each node that reads what its replica made visible, by cursor, and forgets nothing it saw.

It lives outside the daemon: crashes and restored databases do not touch it, and its cursor goes on.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from maw.core.entry import Entry
from tests.simulation.disk import Rows
from tests.simulation.trace import Violation

if TYPE_CHECKING:
    from tests.simulation.node import SimNode

POLL_S: Final = 0.7
PAGE: Final = 20


class Reader:
    """``seen``: how often each entry was delivered, by the id it had first; ``order``: in which order, first times
    only."""

    def __init__(self, node: SimNode) -> None:
        self._node = node
        self.cursor = 0
        self.seen: Counter[bytes] = Counter()
        self.order: list[Entry] = []
        self._due: set[bytes] = set()

    def expect(self, ids: list[bytes]) -> None:
        """These were acknowledged on this node: whoever reads from now on sees them."""
        self._due.update(ids)

    def database_replaced(self) -> None:
        """What was acknowledged before may be gone from here until others give it back."""
        self._due.clear()

    def poll(self) -> None:
        """Reads to the end, page by page, as an agent that asks for more until nothing comes."""
        if not self._node.serves_readers:
            return
        if self.cursor > self._node.disk.rows.seq:
            self.cursor = 0  # the daemon refuses a cursor beyond all it ever showed, and says to begin anew
        while page := self.page(self._node.disk.rows, self.cursor):
            for seq, entry in page:
                self.cursor = seq
                first = self._node.around.root(entry.id)
                if not self.seen[first]:
                    self.order.append(entry)
                self.seen[first] += 1
        missing = [entry_id for entry_id in self._due if not self.seen[entry_id]]
        self._due.clear()
        if missing:
            raise Violation(
                "stale", f"n{self._node.index} does not show {len(missing)} entries it acknowledged"
            )

    def page(self, rows: Rows, cursor: int) -> list[tuple[int, Entry]]:
        """(new cursor, entry) of what comes next."""
        return rows.page(cursor, PAGE)
