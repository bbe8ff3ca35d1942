"""The rules of a chain: what may follow what, and what proves a fork.

An entry is held when it lies on a chain from our head to a verified signature: of a run only the last
signature need be checked, for each id covers the signature before it. A bad signature in the middle
refuses nothing, or validity would depend on how a relay cut its batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from maw.core.entry import START, Entry, Head
from maw.core.identity import NodeId, digest
from maw.errors import ProtocolViolation

_LOG = attrgetter("author", "epoch")

Heads = dict[int, Head]
"""epoch -> the last entry held in it, for one author."""


class Adoption(NamedTuple):
    """An author's word on an epoch that has forked: the branch through ``head`` counts. It is said in the open of
    epoch ``by``, which up to seq ``again`` publishes again what another branch held."""

    head: Head
    by: int
    again: int


class Doubt(ProtocolViolation):
    """A run does not fit what we hold; that alone does not say who is wrong."""


class Gap(Doubt):
    """A run does not begin where our log ends."""

    default_code = "gap"


class Forked(Doubt):
    """A run contradicts what we hold at the same place."""

    default_code = "forked"


def runs(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Consecutive entries of one log, in the order they came."""
    for _, group in groupby(entries, key=_LOG):
        yield list(group)


def unheld(head: Head, run: Sequence[Entry]) -> Sequence[Entry]:
    """``run`` without the front that lies at or below ``head`` (a moved follow may repeat some).

    Raises Forked when the entry at our head's place is another one.
    """
    if not run or run[0].seq > head.seq:
        return run
    skip = head.seq - run[0].seq
    if skip < len(run) and run[skip].id != head.id:
        raise Forked(f"two entries stand at seq {head.seq}")
    return run[skip + 1 :]


def check_run(colony: bytes, head: Head, run: Sequence[Entry]) -> None:
    """``run`` (one author, one epoch, not empty) follows ``head`` and ends in a good signature.

    Raises Gap, Forked or ProtocolViolation; says nothing when all is well.
    """
    seq, last_id = head
    if run[0].seq != seq + 1:
        raise Gap(f"seq {run[0].seq} came where {seq + 1} was due")
    for entry in run:
        if entry.colony != colony:
            raise ProtocolViolation("an entry of another Colony", code="wrong_colony")
        if entry.seq != seq + 1:
            raise ProtocolViolation(f"a run jumps from seq {seq} to {entry.seq}", code="broken_chain")
        if entry.prev != last_id:
            broken = Forked if seq == head.seq and head != START else ProtocolViolation
            raise broken(f"the entry at seq {entry.seq} does not follow the one before", code="broken_chain")
        seq, last_id = entry.seq, entry.id
    if not run[-1].signature_holds():
        raise ProtocolViolation(f"the signature at seq {run[-1].seq} is not its author's", code="forged")


def cut_at_signature(run: Sequence[Entry]) -> Sequence[Entry]:
    """The longest front of ``run`` that ends in a signature which holds; empty when there is none."""
    for end in range(len(run), 0, -1):
        if run[end - 1].signature_holds():
            return run[:end]
    return run[:0]


EPOCH_CHANCE_BITS = 20


def fresh_epoch(newest: int, now_ms: int, chance: int) -> int:
    """The number of an epoch that begins now. Milliseconds, so that it differs from one that was lost and is not
    remembered; above ``newest``, whatever the clock says. Where the clock says too little, ``chance`` (20 random
    bits) keeps two copies of one database from going on with the same number."""
    return now_ms if now_ms > newest else newest + 1 + chance


def closed_digest(heads: Heads, below: int) -> bytes:
    """One digest for all epochs under ``below``: equal on two nodes that hold the same of them."""
    return digest(
        *(
            epoch.to_bytes(8, "big") + heads[epoch].seq.to_bytes(8, "big") + heads[epoch].id
            for epoch in sorted(heads)
            if epoch < below
        )
    )


def head_of(logs: dict[NodeId, Heads], author: NodeId, epoch: int) -> Head:
    return logs.get(author, {}).get(epoch, START)
