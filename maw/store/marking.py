"""What became of messages in the mailboxes of this host's agents: delivered, read, acknowledged. It only rises."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final

import aiosqlite

from maw.core.identity import NodeId
from maw.core.states import MARKS, rank_of
from maw.store.schema import SEQ_BITS
from maw.store.state import State

CHUNK: Final = 500

_HELD: Final = """SELECT b.seq, b.delivered, b.read, b.acked, b.why, m.place FROM mailbox b
    JOIN messages m ON m.seq = b.seq WHERE b.agent = ? AND b.seq IN ({})"""
_RAISE: Final = """UPDATE mailbox SET via = CASE WHEN delivered IS NULL THEN ? ELSE via END,
    delivered = coalesce(delivered, ?), read = coalesce(read, ?), acked = coalesce(acked, ?)
    WHERE agent = ? AND seq = ?"""
_TELL: Final = "INSERT OR REPLACE INTO untold VALUES (?, ?, ?)"
_FAIL: Final = """UPDATE mailbox SET failed = ?, failed_at = ? WHERE agent = ? AND seq = ?
    AND delivered IS NULL AND read IS NULL AND acked IS NULL AND failed IS NOT ?"""
_NAMED: Final = ("direct", "mention")
"""Why a message is in a mailbox whose author is told of it: of a group's nobody is, or each would be told by all."""
_UNREAD: Final = "SELECT seq FROM mailbox WHERE agent = ? AND acked IS NULL"


async def raise_to(
    conn: aiosqlite.Connection,
    rows: State,
    me: NodeId,
    agent: int,
    seqs: Iterable[int],
    state: str,
    at: int,
    via: str | None = None,
) -> tuple[list[int], list[int]]:
    """Note within a transaction that these messages reached ``state``, one of MARKS, for this agent at ``at`` (ms).

    Returns the seqs for which that is new, and those that had come so far before; what is not in the agent's mailbox
    is in neither. Authors elsewhere are to be told.
    """
    rank = MARKS.index(state) + 1
    fresh: list[int] = []
    before: list[int] = []
    told: list[tuple[int, int, int]] = []
    for seq, *marks, why, place in await _held(conn, agent, seqs):
        if rank_of(*marks) >= rank:
            before.append(seq)
            continue
        fresh.append(seq)
        if why in _NAMED and not _is_ours(rows, me, place):
            told.append((agent, seq, rank))
    times = [at if rank > step else None for step in range(len(MARKS))]
    await conn.executemany(_RAISE, [(via, *times, agent, seq) for seq in fresh])
    await conn.executemany(_TELL, told)
    return fresh, before


async def fail(
    conn: aiosqlite.Connection,
    rows: State,
    me: NodeId,
    agent: int,
    seqs: Iterable[int],
    why: str,
    at: int,
) -> list[int]:
    """Note why these could not be put in front of this agent now; of what was once, nothing is noted. Returns the seqs
    of which that is new."""
    fresh: list[int] = []
    for seq, *_, named, place in await _held(conn, agent, seqs):
        done = await conn.execute(_FAIL, (why, at, agent, seq, why))
        if done.rowcount > 0:
            fresh.append(seq)
            if named in _NAMED and not _is_ours(rows, me, place):
                await conn.execute(_TELL, (agent, seq, 0))
    return fresh


async def _held(conn: aiosqlite.Connection, agent: int, seqs: Iterable[int]) -> list[Any]:
    found: list[Any] = []
    for some in _chunks(sorted(set(seqs))):
        found += await conn.execute_fetchall(_HELD.format(", ".join("?" * len(some))), (agent, *some))
    return found


def _is_ours(rows: State, me: NodeId, place: int) -> bool:
    """Whether its author's host is this one: then there is nobody to tell."""
    log = rows.log_at.get(place >> SEQ_BITS)
    author = me if log is None else rows.node_at[log.node].key
    return author == me or author in rows.former_me


async def unread(conn: aiosqlite.Connection, agent: int) -> list[int]:
    """The seqs of all that this agent has not acknowledged."""
    return [seq for (seq,) in await conn.execute_fetchall(_UNREAD, (agent,))]


def _chunks(seqs: Sequence[int]) -> Iterable[list[int]]:
    rest = iter(seqs)
    while some := list(islice(rest, CHUNK)):
        yield some
