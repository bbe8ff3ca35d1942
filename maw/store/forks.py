"""What the disk knows of forks: where a shown run parts from ours, proofs, and the author's word on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import aiosqlite
import msgpack

from maw.core.entry import START, Entry, Head, Position, decode
from maw.core.forks import Parting, adoptions, compact, ladder, where_they_part
from maw.core.frames import Proof
from maw.core.identity import NodeId
from maw.core.log import Adoption
from maw.store.database import Database
from maw.store.fold import Fold
from maw.store.logs import entry_at, run_from
from maw.store.schema import SEQ_BITS
from maw.store.state import LogRow, State


async def find_parting(
    db: Database, state: State, author: NodeId, epoch: int, run: Sequence[Entry]
) -> Parting | None:
    """Where ``run`` (not empty, checked) contradicts what is stored; None when it does not."""
    ours = await run_from(db, state, author, epoch, run[0].seq)
    found = where_they_part(ours, run)
    if found is None:
        return None
    since, exact = found
    adoption = await adoption_of(db, state, author, epoch)
    settled = adoption is not None and await runs_through(db, state, author, epoch, adoption.head) is True
    return Parting(author, epoch, since, exact, tuple(run[since - run[0].seq :]), adoption, settled)


async def make_proof(db: Database, state: State, found: Parting) -> Proof | None:
    """Our run and the other, from where they differ; None when ours has gone meanwhile."""
    ours = compact(await run_from(db, state, found.author, found.epoch, found.since))
    other = compact(found.run)
    return Proof(found.author, found.epoch, ours, other) if ours and other else None


async def adoption_of(db: Database, state: State, author: NodeId, epoch: int) -> Adoption | None:
    """Which branch of this epoch its author adopted, by the latest word held here."""
    later = sorted(
        (at for who, at in state.logs if who == author and at > epoch and state.head(who, at).seq),
        reverse=True,
    )
    for by in later:
        first = await entry_at(db, state, Position(author, by, 1))
        if first is not None and (said := adoptions(first).get(epoch)) is not None:
            return said
    return None


_OPENS: Final = """SELECT header, signature, payload FROM entries
    WHERE place IN (SELECT (l << ?) + 1 FROM logs) AND instr(payload, ?) > 0"""


async def all_adoptions(db: Database) -> list[tuple[NodeId, dict[int, Adoption]]]:
    """What each open that is held here says of forked epochs."""
    found = await db.rows(_OPENS, (SEQ_BITS, b"adopts"))
    opens = [decode(*row) for row in found]
    return [(entry.author, said) for entry in opens if (said := adoptions(entry))]


async def runs_through(db: Database, state: State, author: NodeId, epoch: int, head: Head) -> bool | None:
    """Whether our chain has ``head`` in it; None when it does not reach so far."""
    if state.head(author, epoch).seq < head.seq:
        return None
    found = await entry_at(db, state, Position(author, epoch, head.seq))
    return found is not None and found.id == head.id


async def own_ladder(db: Database, state: State, author: NodeId, epoch: int) -> list[Head]:
    """Heads of ours to show in a Locate."""
    found: list[Head] = []
    for seq in ladder(state.head(author, epoch).seq):
        entry = await entry_at(db, state, Position(author, epoch, seq))
        if entry is not None:
            found.append(entry.head)
    return found


async def branch_after(
    db: Database, state: State, author: NodeId, epoch: int, heads: Iterable[Head]
) -> list[Entry]:
    """Our run after the highest of ``heads`` that we hold too; from the start when we hold none."""
    common = START
    for head in sorted(heads, reverse=True):
        if await runs_through(db, state, author, epoch, head) is True:
            common = head
            break
    return await run_from(db, state, author, epoch, common.seq + 1)


async def note_dispute(conn: aiosqlite.Connection, fold: Fold, proof: Proof, now_ms: int) -> LogRow:
    """Within a transaction. The log's row is made where nothing of it is held yet."""
    log = fold.log(proof.author, proof.epoch)
    log.disputed = proof.one[0].seq
    await fold.write(conn)
    packed = msgpack.packb([[entry.wire() for entry in run] for run in (proof.one, proof.other)])
    sql = "INSERT OR REPLACE INTO forks VALUES (?, ?, ?, ?)"
    await conn.execute(sql, (log.node, log.epoch, packed, now_ms))
    await conn.execute("UPDATE logs SET disputed = ? WHERE l = ?", (log.disputed, log.l))
    return log


async def end_dispute(conn: aiosqlite.Connection, state: State, author: NodeId, epoch: int) -> None:
    """Within a transaction; harmless when there is none."""
    if (log := state.logs.get((author, epoch))) is None:
        return
    log.disputed = 0
    await conn.execute("UPDATE logs SET disputed = 0 WHERE l = ?", (log.l,))
    await conn.execute("DELETE FROM forks WHERE node = ? AND epoch = ?", (log.node, epoch))


async def proofs(db: Database, state: State) -> list[Proof]:
    """Of all disputes that go on."""
    found: list[Proof] = []
    for node, epoch, packed in await db.rows("SELECT node, epoch, proof FROM forks ORDER BY at"):
        row = state.node_at[node]
        if state.logs[row.key, epoch].disputed:
            one, other = (
                compact([decode(*wire) for wire in run]) for run in msgpack.unpackb(packed, use_list=True)
            )
            found.append(Proof(row.key, epoch, one, other))
    return found
