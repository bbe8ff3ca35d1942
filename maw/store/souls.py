"""Souls of agents: which entry says which version of whose. The words stay in the entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from maw.core.clock import shown_time
from maw.core.colony import Said
from maw.core.entry import Entry, hash_payload, unpack_payload
from maw.core.souls import Soul
from maw.store.asides import Withheld
from maw.store.rows import Insert

if TYPE_CHECKING:
    from maw.store.database import Database
    from maw.store.fold import Fold
    from maw.store.state import NodeRow

SOULS: Final = Insert("souls", ("place", "node", "agent", "epoch", "seq", "at"), verb="INSERT OR REPLACE")
"""``node``: the number of whose log it is; ``agent``: its id; ``at``: when it was said, ms."""
SOUL: Final = "INSERT OR IGNORE INTO souls (place, node, agent, epoch, seq, at) VALUES (?, ?, ?, ?, ?, ?)"
_OF: Final = """SELECT s.place, s.node, s.epoch, s.seq, s.at, e.payload, e.header FROM souls s
    JOIN entries e ON e.place = s.place WHERE s.agent = ? AND s.node IN ({}) AND e.payload IS NOT NULL
    ORDER BY s.epoch DESC, s.seq DESC"""
_MOST: Final = 200
"""Versions that are read of one agent: what its host does not drop fills no memory of another's."""


class Version(NamedTuple):
    """One version of a soul as it is held."""

    place: int
    node: int
    epoch: int
    seq: int
    at: int
    payload: bytes
    header: bytes

    def read(self) -> str:
        """The text. Raises ValueError when it is damaged."""
        if hash_payload(self.payload) not in self.header:
            raise ValueError("it is not what was written")
        return Soul.read(unpack_payload(self.payload)).text


def fold_soul(fold: Fold, entry: Entry, place: int, node: NodeRow, soul: Soul) -> None:
    """Versions are ordered by where they stand when they are read, so it does not matter which came first."""
    who = Said(soul.agent, "", "", "", soul.text, ())
    if fold.withhold is not None and (why := fold.withhold(entry, who)) is not None:
        raise Withheld(why)
    at = shown_time(entry.hlc, fold.now_ms).ms
    fold.changes.souls.append((place, node.n, soul.agent, entry.epoch, entry.seq, at))


async def versions(db: Database, nodes: Sequence[int], agent: bytes) -> list[Version]:
    """What is held of an agent's soul, the latest first. ``nodes``: numbers of its host, and of the keys that its host
    had before, the present one first: what that says comes before all that the others said."""
    marks = ", ".join("?" * len(nodes))
    rows = await db.rows(f"{_OF.format(marks)} LIMIT ?", (agent, *nodes, _MOST))
    found = [Version(*row) for row in rows]
    return sorted(found, key=lambda one: nodes.index(one.node))
