"""Pending authors are carried for others, on a quota charged to who admitted them."""

from __future__ import annotations

from maw.core.carrying import CARRIED_AUTHORS, CARRIED_ENTRIES, carried
from maw.core.entry import Head
from maw.core.held import HeldLogs
from maw.core.identity import NodeId
from maw.core.members import ADMITTED, Member
from tests.unit.core.builders import chain, signer

FRIEND, OTHER, STRANGER, NEWCOMER, LATER = (signer(n).node for n in range(1, 6))
LOG = chain(signer(4), 3)


def member(key: NodeId, *vouchers: NodeId) -> Member:
    return Member(key, "n", (), ADMITTED, vouchers)


TRUSTED = {key: member(key) for key in (FRIEND, OTHER)}


def held(**logs: int) -> HeldLogs:
    names = {"newcomer": NEWCOMER, "later": LATER}
    return HeldLogs({names[name]: {1: Head(seq, LOG[0].id)} for name, seq in logs.items()})


def test_who_was_admitted_by_somebody_trusted_is_carried() -> None:
    pending = {NEWCOMER: member(NEWCOMER, FRIEND), LATER: member(LATER, STRANGER)}
    assert carried(TRUSTED, pending, held()) == [NEWCOMER]


def test_what_all_of_them_said_is_charged_to_the_first_who_admitted_them() -> None:
    pending = {NEWCOMER: member(NEWCOMER, FRIEND, OTHER), LATER: member(LATER, FRIEND)}
    assert set(carried(TRUSTED, pending, held(newcomer=1_000, later=CARRIED_ENTRIES - 1_001))) == set(pending)
    assert not carried(TRUSTED, pending, held(newcomer=1_000, later=CARRIED_ENTRIES - 1_000))


def test_one_who_admits_without_end_costs_others_nothing() -> None:
    flood = {signer(n).node: member(signer(n).node, FRIEND) for n in range(100, 250)}
    pending = {**flood, NEWCOMER: member(NEWCOMER, FRIEND), LATER: member(LATER, OTHER)}
    found = carried(TRUSTED, pending, held(newcomer=1))
    assert len(found) == CARRIED_AUTHORS + 1
    assert NEWCOMER in found, "whose log is here already is not dropped for a new one"
    assert LATER in found
