"""Reading logs back for those who follow us, and for proofs of forks. Bounded reads only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from maw.core.entry import START, Entry, Position, decode
from maw.core.identity import NodeId
from maw.core.log import Heads, cut_at_signature
from maw.store.database import Database
from maw.store.schema import SEQ_BITS
from maw.store.state import LogRow, State

ROWS_A_READ: Final = 1024
ROWS_AT_ONCE: Final = (32, 128)
"""At first, and then: each may be 96 KiB, and each handful costs a way to the database's thread and back."""
READ_BYTES: Final = 64 * 1024
"""About so much where nobody says how much."""


class LogRead(NamedTuple):
    """``entries`` end in a signature that holds; ``forked`` is our run where a shown head contradicts it."""

    entries: list[Entry]
    forked: list[Entry]


async def read_after(
    db: Database, state: State, author: NodeId, heads: Heads, limit: int = READ_BYTES
) -> LogRead:
    """What comes after ``heads`` of this author's logs, epochs in order, about ``limit`` bytes.

    A head that is not what we hold at its place is answered with our run from there.
    """
    found: list[Entry] = []
    size = 0
    for row in _logs_of(state, author):
        after = heads.get(row.epoch, START)
        if after.seq and after.seq <= row.head.seq:
            ours = await _range(db, row, after.seq, 1)
            if not ours or ours[0].id != after.id:
                return LogRead([], list(await _signed_run(db, row, after.seq)))
        if after.seq >= row.head.seq:
            continue
        run = await _signed_run(db, row, after.seq + 1, limit - size)
        found += run
        size += sum(entry.size for entry in run)
        if size >= limit or (run and run[-1].seq < row.head.seq):
            break
    return LogRead(found, [])


async def run_from(db: Database, state: State, author: NodeId, epoch: int, seq: int) -> list[Entry]:
    """Our run from ``seq`` to a signature that holds; empty when we do not hold that far."""
    row = state.logs.get((author, epoch))
    return [] if row is None or row.head.seq < seq else list(await _signed_run(db, row, seq))


async def entry_at(db: Database, state: State, position: Position) -> Entry | None:
    """The entry that stands there; None when nothing does. Raises LinkError when it is damaged."""
    row = state.logs.get((position.author, position.epoch))
    if row is None or not 0 < position.seq <= row.head.seq:
        return None
    found = await _range(db, row, position.seq, 1)
    return found[0] if found and found[0].seq == position.seq else None


async def all_of(db: Database, state: State, author: NodeId) -> list[Entry]:
    """Every entry of one author, oldest first. For the few entries of a node that never linked."""
    found: list[Entry] = []
    for row in _logs_of(state, author):
        at = 0
        while page := await _range(db, row, at + 1, ROWS_A_READ):
            found += page
            at = page[-1].seq
    return found


def _logs_of(state: State, author: NodeId) -> list[LogRow]:
    rows = [row for (node, _), row in state.logs.items() if node == author and row.head.seq]
    return sorted(rows, key=lambda row: row.epoch)


async def _signed_run(db: Database, row: LogRow, start: int, limit: int = READ_BYTES) -> Sequence[Entry]:
    """From ``start``, up to a verified signature, looking further when ``limit`` bytes have none."""
    run: list[Entry] = []
    while True:
        page = await _range(db, row, start + len(run), ROWS_A_READ, limit)
        run += page
        signed = cut_at_signature(run)
        if signed or not page:
            return signed


async def _range(db: Database, row: LogRow, start: int, count: int, limit: int = READ_BYTES) -> list[Entry]:
    """Up to ``count`` entries from ``start``, and not much more than ``limit`` bytes: at most ROWS_AT_ONCE rows
    are in memory that are not wanted."""
    top = (row.l + 1) << SEQ_BITS
    sql = (
        "SELECT header, signature, payload FROM entries WHERE place >= ? AND place < ? ORDER BY place LIMIT ?"
    )
    found: list[Entry] = []
    size = 0
    rows_at_once, later = ROWS_AT_ONCE
    asked = (row.place(start), top, _page(row, start, count))
    async with db.reading() as conn, conn.execute(sql, asked) as cursor:
        while size < limit and (rows := await cursor.fetchmany(rows_at_once)):
            for header, signature, payload in rows:
                entry = decode(header, signature, payload)
                found.append(entry)
                size += entry.size
                if size >= limit:
                    break
            rows_at_once = later
    return found


def _page(row: LogRow, start: int, count: int) -> int:
    return max(1, min(count, row.head.seq - start + 1))
