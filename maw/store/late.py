"""Branches that come back after their log was settled without them: what they say that was never said again.

An author adopts the branch he is shown, or his own when nobody shows another. A host that was away may hold a third,
with messages that he acknowledged once: it does not let go of those before they stand in a later epoch of his.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from maw.core.colony import read_was
from maw.core.entry import Entry, Head, Position, unpack_payload
from maw.core.forks import adoptions
from maw.core.identity import NodeId
from maw.store.database import Database
from maw.store.forks import adoption_of, runs_through
from maw.store.logs import entry_at, run_from
from maw.store.opened import SAID
from maw.store.state import LogRow, State

_PAGE: Final = 500
_PAYLOADS: Final = "SELECT place, payload FROM entries WHERE place > ? AND place <= ? ORDER BY place LIMIT ?"

Again = set[tuple[int, bytes]]
"""Entries of an epoch, by seq and id, that later ones publish again."""


class Late(NamedTuple):
    """``lost``: of a branch of ours, what was never published again; ``head`` is adopted, ``keep`` where both part."""

    head: Head
    keep: Head
    lost: list[Entry]


class _Told(NamedTuple):
    """What later epochs publish again. ``redacted``: some of it was taken away meanwhile, and must not come back;
    ``in_part``: one that does so is not here as far."""

    again: Again
    redacted: bool
    in_part: bool


async def said_again(db: Database, state: State, author: NodeId, epoch: int) -> Again | None:
    """None when it cannot be told: some of it was redacted meanwhile, and must not come back, or is not here yet."""
    told = await _told(db, state, author, epoch)
    return None if told.redacted or told.in_part else told.again


async def _told(db: Database, state: State, author: NodeId, epoch: int) -> _Told:
    found: Again = set()
    redacted = in_part = False
    for later in [at for who, at in state.logs if who == author and at > epoch]:
        first = await entry_at(db, state, Position(author, later, 1))
        adoption = adoptions(first).get(epoch) if first is not None else None
        if adoption is None:
            continue
        row = state.logs[author, later]
        in_part = in_part or row.head.seq < adoption.again
        redacted = not await _gather(db, row, adoption.again, found) or redacted
    return _Told(found, redacted, in_part)


async def _gather(db: Database, row: LogRow, again: int, found: Again) -> bool:
    at, end = row.place(2), row.place(again)
    while page := await db.rows(_PAYLOADS, (at, end, _PAGE)):
        for _, payload in page:
            if payload is None:
                return False
            was = _was(payload)
            if was is not None:
                found.add(was[1:])
        at = page[-1][0]
    return True


def _was(payload: bytes) -> tuple[int, int, bytes] | None:
    try:
        return read_was(unpack_payload(payload))
    except ValueError:  # set aside where it is folded
        return None


def _lacking(run: Iterable[Entry], again: Again) -> bool:
    messages = (entry for entry in run if entry.kind in SAID and entry.payload is not None)
    return any((entry.seq, entry.id) not in again for entry in messages)


async def unsaid(db: Database, state: State, author: NodeId, epoch: int, since: int) -> Sequence[Entry]:
    """Of the branch held here from ``since`` on, the first run with messages that its author has not published
    again, as far as is known here; empty when there is none."""
    again, redacted, _ = await _told(db, state, author, epoch)
    at = since
    while not redacted and (run := await run_from(db, state, author, epoch, at)):
        if _lacking(run, again):
            return run
        at = run[-1].seq + 1
    return []


async def is_unsaid(db: Database, state: State, author: NodeId, epoch: int, run: Sequence[Entry]) -> bool:
    """Whether this run, of a branch that was let go of, has messages that its author has not published again."""
    again, redacted, _ = await _told(db, state, author, epoch)
    return not redacted and _lacking(run, again)


async def came_late(db: Database, state: State, me: NodeId, epoch: int, run: Sequence[Entry]) -> Late | None:
    """Whether ``run``, of our own log, is of a branch that was not adopted and says what was never said again."""
    adoption = await adoption_of(db, state, me, epoch)
    if adoption is None or await runs_through(db, state, me, epoch, adoption.head) is not True:
        return None
    ours = {entry.seq: entry.id for entry in await run_from(db, state, me, epoch, max(1, run[0].seq - 1))}
    held = state.head(me, epoch)
    parted = next((one for one in run if ours.get(one.seq) != one.id), None)
    if parted is None or (parted.seq > adoption.head.seq and _follows(ours, held, parted)):
        return None  # ours, or what goes on from it
    again = await said_again(db, state, me, epoch)
    if again is None:
        return None
    lost = [one for one in run if one.seq >= parted.seq and (one.seq, one.id) not in again]
    if not _lacking(lost, again):
        return None
    return Late(adoption.head, Head(min(parted.seq - 1, held.seq), parted.prev), lost)


def _follows(ours: dict[int, bytes], held: Head, entry: Entry) -> bool:
    before = held.id if entry.seq == held.seq + 1 else ours.get(entry.seq - 1)
    return before == entry.prev
