"""Whose logs are carried for others although their authors are not trusted here yet.

A pending author was admitted by somebody we trust, and accepted by nobody here. Its log is followed, kept and passed
on, since those who do trust it may be reachable only through us; what it says is not shown here before it is accepted.
What that costs is charged to who admitted it: the first of its vouchers whom we trust.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from maw.core.held import HeldLogs
from maw.core.identity import NodeId
from maw.core.members import Member

CARRIED_AUTHORS: Final = 32
CARRIED_ENTRIES: Final = 2_000
"""Of all pending authors that one node admitted: so many are followed, until so many of their entries are held."""


def carried(
    trusted: Mapping[NodeId, Member], pending: Mapping[NodeId, Member], held: HeldLogs
) -> list[NodeId]:
    """The pending authors to follow. Those whose log is held already come first, so that none is dropped for a new
    one."""
    charged = {
        key: voucher
        for key, member in pending.items()
        if (voucher := next((one for one in member.vouched_by if one in trusted), None)) is not None
    }
    spent: Counter[NodeId] = Counter()
    for key, voucher in charged.items():
        spent[voucher] += sum(head.seq for head in held.of(key).values())
    authors: Counter[NodeId] = Counter()
    found: list[NodeId] = []
    for key in sorted(charged, key=lambda one: (not held.of(one), one)):
        voucher = charged[key]
        authors[voucher] += 1
        if authors[voucher] <= CARRIED_AUTHORS and spent[voucher] < CARRIED_ENTRIES:
            found.append(key)
    return found
