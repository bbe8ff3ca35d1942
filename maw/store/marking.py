"""What became of messages in the mailboxes of this host's agents: delivered, read, acknowledged. It only rises."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

import aiosqlite

from maw.core.states import MARKS, rank_of

CHUNK: Final = 500

_HELD: Final = "SELECT seq, delivered, read, acked FROM mailbox WHERE agent = ? AND seq IN ({})"
_RAISE: Final = """UPDATE mailbox SET via = CASE WHEN delivered IS NULL THEN ? ELSE via END,
    delivered = coalesce(delivered, ?), read = coalesce(read, ?), acked = coalesce(acked, ?)
    WHERE agent = ? AND seq = ?"""
_UNREAD: Final = "SELECT seq FROM mailbox WHERE agent = ? AND acked IS NULL"


async def raise_to(
    conn: aiosqlite.Connection, agent: int, seqs: Iterable[int], state: str, at: int, via: str | None = None
) -> tuple[list[int], list[int]]:
    """Note within a transaction that these messages reached ``state``, one of MARKS, for this agent at ``at`` (ms).

    Returns the seqs for which that is new, and those that had come so far before; what is not in the agent's mailbox
    is in neither.
    """
    rank = MARKS.index(state) + 1
    fresh: list[int] = []
    before: list[int] = []
    for some in _chunks(sorted(set(seqs))):
        sql = _HELD.format(", ".join("?" * len(some)))
        for seq, *marks in await conn.execute_fetchall(sql, (agent, *some)):
            (before if rank_of(*marks) >= rank else fresh).append(seq)
    times = [at if rank > step else None for step in range(len(MARKS))]
    await conn.executemany(_RAISE, [(via, *times, agent, seq) for seq in fresh])
    return fresh, before


async def unread(conn: aiosqlite.Connection, agent: int) -> list[int]:
    """The seqs of all that this agent has not acknowledged."""
    return [seq for (seq,) in await conn.execute_fetchall(_UNREAD, (agent,))]


def _chunks(seqs: Sequence[int]) -> Iterable[list[int]]:
    rest = iter(seqs)
    while some := list(islice(rest, CHUNK)):
        yield some
