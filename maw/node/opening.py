"""Everything a node must know before it runs, read from its directory and checked.

Where the database and the key beside it disagree, the key's side wins: trust comes back from its copy, the
log goes on in a new epoch, and cursors start where no old one can skip anything.
"""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
import time
from dataclasses import dataclass
from typing import Final

import aiosqlite

from maw.config import load_peers
from maw.core.clock import HybridClock
from maw.core.entry import decode
from maw.core.identity import NodeId, Signer, key_text
from maw.core.trust import TrustBook
from maw.errors import BadConfig
from maw.node.authoring import wall_clock_ms
from maw.node.home import HighWaterMark, NodeHome
from maw.node.instance import cursors_may_be_ahead, take_fingerprint, why_new_epoch
from maw.store import trust as rows
from maw.store.catching_up import catch_up
from maw.store.checks import recount
from maw.store.database import Database
from maw.store.state import State

log = logging.getLogger(__name__)

SEQ_JUMP_BITS: Final = 20
_TAKES_NOTHING: Final = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC}
"""Extended result codes of SQLite: https://sqlite.org/rescode.html"""


@dataclass(slots=True)
class Opened:
    """What was found. ``notes``: what a human should hear of. ``unwritten``: the disk took nothing, so some of it is in
    memory alone yet."""

    state: State
    book: TrustBook
    clock: HybridClock
    mark: HighWaterMark
    fingerprint: str
    new_epoch: str | None
    recovery: bytes | None
    instance: bytes
    notes: list[str]
    unwritten: bool


async def open_store(home: NodeHome, signer: Signer, db: Database) -> Opened:
    """Reads and checks. Raises BadConfig when there is no Colony to belong to."""
    conn = db.writing
    state = State(owner_uid=os.getuid())
    await state.reload(conn)
    _refuse_another_key(state, signer.node, home)
    notes: list[str] = []
    await conn.execute("BEGIN IMMEDIATE")
    records, lost = await _records(home, db, notes)
    notes += [f"a count had drifted and was mended: {text}" for text in await recount(conn, state)]
    mark = HighWaterMark(home.mark)
    clock = HybridClock(await _last_hlc(db, state, signer.node))
    fingerprint = take_fingerprint(home.database)
    epoch, head = state.newest_epoch(signer.node)
    why = why_new_epoch(
        last=(epoch, head) if epoch else None,
        stored=await rows.get_meta(conn, "fingerprint"),
        now=fingerprint,
        mark=mark.read(),
        clock_fell=clock.has_fallen(wall_clock_ms()),
        lost=lost,
    )
    if mark.damaged:
        notes.append(f"{home.mark} is damaged and was passed over: a new epoch begins")
        why = why or "the mark beside the key is damaged"
    older = why is not None and why.startswith("the database")
    await _catch_up(home, conn, records, older, notes)
    if why is not None and cursors_may_be_ahead(why):
        if not why.startswith("the machine was booted"):  # that is no news
            notes.append(f"a new epoch begins: {why}")
        # cursors from before may stand anywhere below: starting above them all repeats, and never skips
        state.start_at(int(time.time()) << SEQ_JUMP_BITS)
        await rows.set_meta(conn, "seq", state.seq)
    unwritten = not await _committed(conn, may_wait=not lost)
    recovery = await rows.get_meta(conn, "recovery")
    if recovery is not None:
        records.recoveries[signer.node] = recovery  # of our own nobody tells us
    book = TrustBook(
        signer.node, records.colony, records.statements, records.pins, records.forgotten, records.recoveries,
        records.heard,
    )  # fmt: skip
    return Opened(
        state, book, clock, mark, fingerprint.text(), why, recovery, secrets.token_bytes(16), notes, unwritten
    )  # fmt: skip


def takes_nothing(error: BaseException) -> bool:
    """Whether it was the disk that took no more, and not what lies on it that is at fault."""
    return getattr(error, "sqlite_errorcode", None) in _TAKES_NOTHING


async def _committed(conn: aiosqlite.Connection, *, may_wait: bool) -> bool:
    """A disk with no byte left keeps nobody from reading: what was to be written is in memory, and False."""
    try:
        await conn.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if not (may_wait and takes_nothing(error)):
            raise
        log.warning("what the start found is written when the disk takes it again: %s", error)
        if conn.in_transaction:
            await conn.execute("ROLLBACK")
        return False
    return True


async def _records(home: NodeHome, db: Database, notes: list[str]) -> tuple[rows.TrustRecords, bool]:
    """What the database knows of trust; when it knows nothing, what is left elsewhere, and True."""
    conn = db.writing
    records = await rows.load(conn)
    if records is not None:
        return records, False
    if home.trust_copy.exists():
        records = rows.unpack_copy(home.trust_copy.read_bytes(), str(home.trust_copy))
        notes.append("the database was new: trust was taken from its copy, messages come back from the peers")
    else:
        records = _by_hand(home)
        notes.append("the database was new, and trust lost: both come back from the peers in peers.toml")
    await rows.set_meta(conn, "colony", records.colony)
    await rows.set_meta(conn, "linked", 1)
    await rows.add_records(conn, records, wall_clock_ms())
    return records, True


def _by_hand(home: NodeHome) -> rows.TrustRecords:
    """With nothing left but the key: who the owner says it belongs to. Raises BadConfig when he says nothing."""
    colony = load_peers(home.peers).colony
    if colony is None:
        raise BadConfig(
            f"{home.database} belongs to no Colony, and {home.trust_copy} is not there",
            code="no_colony",
            hint="`maw restore` from a backup; or name the Colony and a peer in peers.toml (`maw status` and `maw key`"
            " there show them: [colony] id, [[peer]] name, key, addresses), and all comes back from it; or make a new"
            " node with `maw init` in an empty directory",
        )
    return rows.TrustRecords(colony, [], [], [])


def _refuse_another_key(state: State, me: NodeId, home: NodeHome) -> None:
    """The agents of this host belong to its key: under another they would speak as somebody else, in silence."""
    owners = {state.node_at[row.node].key for row in state.agent_at.values() if row.uid is not None}
    if owners - {me}:
        raise BadConfig(
            f"{home.database} belongs to node {key_text(min(owners - {me}))}, and {home.key} holds another key",
            code="other_key",
            hint="put that node's key back from a backup; where it is lost: `maw key rotate --recovery FILE --old KEY`;"
            " or make a new node with `maw init` in an empty directory. Where the key is the right one, the database is"
            " damaged: `maw verify --repair`",
        )


async def _catch_up(
    home: NodeHome, conn: aiosqlite.Connection, records: rows.TrustRecords, older: bool, notes: list[str]
) -> None:
    """A backup must not undo a revocation: what the copy beside the key knows beyond it is taken over."""
    try:
        copy = rows.unpack_copy(home.trust_copy.read_bytes(), str(home.trust_copy))
    except FileNotFoundError:
        return
    except BadConfig as error:
        notes.append(f"{error.message}: it is written anew from the database")
        return
    if added := await catch_up(conn, records, copy, wall_clock_ms(), older=older):
        notes.append(
            f"{added} words on trust that are newer than the database were taken from {home.trust_copy}"
        )


async def _last_hlc(db: Database, state: State, me: NodeId) -> int:
    epoch, head = state.newest_epoch(me)
    if not epoch:
        return 0
    place = state.logs[me, epoch].place(head.seq)
    sql = "SELECT header, signature FROM entries WHERE place = ?"
    found = list(await db.writing.execute_fetchall(sql, (place,)))
    return decode(*found[0]).hlc if found else 0
