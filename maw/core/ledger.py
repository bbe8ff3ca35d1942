"""What a node says its agents came to: entries of kind 16, so that every host can tell what the Colony costs.

    {"rows": [[agent id, day, life, model, [counters]], …]}

A row is all that this life of the host's database counted of the agent on that day: a later one replaces an earlier,
so that one that is lost costs nothing. Which of two is later needs no order: counters only grow, see
``maw/core/spending.py``.
Counters that a later version adds stand at the end of the list, and are passed over by who does not know them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from maw.core.content import Content
from maw.core.spending import MAX_COUNT, MAX_MODEL, Counts

MAX_ROWS: Final = 300
"""Of one entry: 50 KB at the most."""
MAX_ROWS_A_DAY: Final = 2_000
"""Of one node and day: agents times lives times models. Of more, those that come first by agent, life and model are
kept, and what the others say is not counted."""
MAX_DAY: Final = 100_000
MAX_LIFE: Final = (1 << 53) - 1
MAX_COUNTERS: Final = 64
_AGENT_BYTES: Final = 16


class Account(NamedTuple):
    """What one life of a host's database counted of one agent, day and model (empty where none is known)."""

    day: int
    agent: bytes
    life: int
    model: str
    counts: Counts


def ledger_content(accounts: Iterable[Account]) -> dict[str, Any]:
    return {"rows": [[one.agent, one.day, one.life, one.model, list(one.counts)] for one in accounts]}


def read_ledger(content: Content) -> list[Account]:
    """Raises ValueError."""
    value = content.get("rows")
    if type(value) is not list or len(value) > MAX_ROWS:
        raise ValueError(f"rows is no list of at most {MAX_ROWS}")
    return [_read_row(item) for item in value]


def _read_row(item: object) -> Account:
    if type(item) is not list or len(item) < 5:
        raise ValueError("rows holds something that is no row")
    agent, day, life, model, counts = item[:5]
    if type(agent) is not bytes or len(agent) != _AGENT_BYTES:
        raise ValueError("rows holds something that is no agent")
    for number, most in ((day, MAX_DAY), (life, MAX_LIFE)):
        if type(number) is not int or not 0 <= number <= most:
            raise ValueError("rows holds something that is no day, or no life")
    if type(model) is not str or len(model) > MAX_MODEL:
        raise ValueError(f"a model is no text of at most {MAX_MODEL} characters")
    known = len(Counts._fields)
    if type(counts) is not list or not known <= len(counts) <= MAX_COUNTERS:
        raise ValueError("a row does not have all counters")
    for count in counts[:known]:
        if type(count) is not int or not 0 <= count <= MAX_COUNT:
            raise ValueError("a counter is no whole number that can be")
    return Account(day, agent, life, model, Counts(*counts[:known]))
