"""The Colony's caps: what all agents together may spend a day, said by operators.

    cap   {"unit": "usd"|"tokens"|"runner_s", "amount": whole number or nil, "lifts": [statement id, …]}

The amount is in millionths of a dollar, tokens, or milliseconds. A cap is in force until another names it among those
it lifts; one without an amount does only that. Of several in force for a unit the lowest holds. So it does not matter
in which order they arrive, and no clock, nor an old copy, lifts one. Who may freeze everybody may say it: the right
``freeze``, not over some hosts alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from maw.core.authority import raw_list
from maw.core.identity import ID_BYTES, NodeId, Signer
from maw.core.spending import MAX_COUNT, UNITS
from maw.core.statement import Statement, sign_statement
from maw.errors import ProtocolViolation

CAP: Final = "cap"
MAX_LIFTS: Final = 200


@dataclass(frozen=True, slots=True)
class ColonyCap:
    """``amount`` None: it only lifts."""

    id: bytes
    issuer: NodeId
    unit: str
    amount: int | None
    lifts: frozenset[bytes]
    at_ms: int


def cap_fields(unit: str, amount: int | None, lifts: Iterable[bytes]) -> dict[str, Any]:
    """What is signed."""
    return {"unit": unit, "amount": amount, "lifts": sorted(lifts)[:MAX_LIFTS]}


def cap_statement(
    issuer: Signer, colony: bytes, unit: str, amount: int | None, lifts: Iterable[bytes], at_ms: int
) -> Statement:
    return sign_statement(issuer, CAP, colony, at_ms, cap_fields(unit, amount, lifts))


def read_cap(statement: Statement) -> ColonyCap:
    """Raises ProtocolViolation: a cap of nobody knows how much must not look like none."""
    unit, amount = statement.fields.get("unit"), statement.fields.get("amount")
    if unit not in UNITS:
        raise _bad("it is of nothing that is capped")
    if amount is not None and (type(amount) is not int or not 0 <= amount <= MAX_COUNT):
        raise _bad("its amount is no whole number that can be")
    lifts = frozenset(raw_list(statement.fields, "lifts", ID_BYTES, MAX_LIFTS))
    return ColonyCap(statement.id, statement.issuer, unit, amount, lifts, statement.at_ms)


def in_force(caps: Iterable[ColonyCap], may: Callable[[ColonyCap], bool]) -> tuple[ColonyCap, ...]:
    """Those by whom ``may`` say so that no other of those lifts, the earliest first."""
    counting = [one for one in caps if may(one)]
    lifted = {lifted for one in counting for lifted in one.lifts if lifted != one.id}
    return tuple(
        sorted((one for one in counting if one.id not in lifted), key=lambda one: (one.at_ms, one.id))
    )


def _bad(what: str) -> ProtocolViolation:
    return ProtocolViolation(f"a cap is malformed: {what}", code="bad_statement")
