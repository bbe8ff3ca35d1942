"""Branches that come back after their log was settled without them; as ``maw.store.late``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from maw.core.entry import Entry, Head, Kind, unpack_payload
from maw.core.forks import adoptions
from maw.core.identity import NodeId
from maw.core.log import Adoption
from tests.simulation.disk import Rows, page_of

Again = set[tuple[int, bytes]]


class Late(NamedTuple):
    """``lost``: of a branch of ours, what was never published again; ``head`` is adopted."""

    head: Head
    lost: list[Entry]


def adoption_of(rows: Rows, author: NodeId, epoch: int) -> Adoption | None:
    for by in reversed(rows.epochs(author)):
        if by > epoch and (said := adoptions(rows.logs[author, by][0]).get(epoch)) is not None:
            return said
    return None


def runs_through(rows: Rows, author: NodeId, epoch: int, head: Head) -> bool | None:
    log = rows.logs.get((author, epoch), [])
    return None if len(log) < head.seq else not head.seq or log[head.seq - 1].id == head.id


def said_again(rows: Rows, author: NodeId, epoch: int) -> tuple[Again, bool]:
    """What later epochs publish again; and whether one that does so is not here as far."""
    found: Again = set()
    in_part = False
    for later in [at for at in rows.epochs(author) if at > epoch]:
        log = rows.logs[author, later]
        adoption = adoptions(log[0]).get(epoch)
        if adoption is None:
            continue
        in_part = in_part or len(log) < adoption.again
        for entry in log[1 : adoption.again]:
            was = unpack_payload(entry.payload or b"").get("was")
            if was is not None:
                found.add((was[1], was[2]))
    return found, in_part


def lacking(run: Iterable[Entry], again: Again) -> bool:
    return any(one.kind == Kind.POST and (one.seq, one.id) not in again for one in run)


def unsaid(rows: Rows, author: NodeId, epoch: int, since: int, page: int) -> Sequence[Entry]:
    """Of the branch held here from ``since`` on, the first run with messages that were not published again."""
    again, _ = said_again(rows, author, epoch)
    log = rows.logs[author, epoch]
    at = since
    while at <= len(log):
        run = page_of(log, at - 1, page)
        if lacking(run, again):
            return run
        at = run[-1].seq + 1
    return ()


def came_late(rows: Rows, me: NodeId, epoch: int, run: Sequence[Entry]) -> Late | None:
    """Whether ``run``, of our own log, is of a branch that was not adopted and says what was never said again."""
    adoption = adoption_of(rows, me, epoch)
    if adoption is None or runs_through(rows, me, epoch, adoption.head) is not True:
        return None
    log = rows.logs.get((me, epoch), [])
    ours = {entry.seq: entry.id for entry in log[max(0, run[0].seq - 2) :]}
    parted = next((one for one in run if ours.get(one.seq) != one.id), None)
    if parted is None:
        return None
    before = log[-1].id if parted.seq == len(log) + 1 else ours.get(parted.seq - 1)
    if parted.seq > adoption.head.seq and before == parted.prev:
        return None
    again, in_part = said_again(rows, me, epoch)
    lost = [one for one in run if one.seq >= parted.seq and (one.seq, one.id) not in again]
    return None if in_part or not lacking(lost, again) else Late(adoption.head, lost)
