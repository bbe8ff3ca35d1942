"""What a node says its agents came to, and that the order in which it comes does not matter."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maw.core.ledger import MAX_ROWS, Account, ledger_content, read_ledger
from maw.core.spending import MAX_COUNT, NOTHING, Counts, greater
from maw.store import costs
from maw.store.costs import SET_LEDGER, beyond, ledger_row

ONE = Account(20_000, bytes(16), 7, "opus", Counts(runs=1, usd=12_300))
ACCOUNTS = st.builds(
    Account,
    st.integers(0, 2),
    st.sampled_from([bytes(16), b"\x01" * 16]),
    st.integers(0, 1),
    st.sampled_from(["", "opus"]),
    st.builds(Counts, **{name: st.integers(0, 9) for name in Counts._fields}),
)


def taken(accounts: list[Account], step: int | None = None) -> set[Any]:
    """As the table has it; with ``step`` accounts in an entry, no more than there may be."""
    names = ", ".join(Counts._fields)
    conn = sqlite3.connect(":memory:")
    conn.execute(
        f"CREATE TABLE ledger (day, node, agent, life, model, {names}, said,"
        " PRIMARY KEY (day, node, agent, life, model))"
    )
    for at in range(0, len(accounts), step or len(accounts)) if accounts else ():
        some = accounts[at : at + (step or len(accounts))]
        conn.executemany(SET_LEDGER, [ledger_row(1, one) for one in some])
        for day in {one.day for one in some} if step else ():
            conn.execute(*beyond(day, 1))
    found = set(conn.execute(f"SELECT day, agent, life, model, {names} FROM ledger"))
    conn.close()
    return found


@settings(max_examples=50, deadline=None)
@given(st.lists(ACCOUNTS, max_size=8), st.randoms(use_true_random=False))
def test_neither_order_nor_what_comes_twice_matters(accounts: list[Account], random: Any) -> None:
    shuffled = [*accounts, *accounts[::2]]
    random.shuffle(shuffled)
    assert taken(shuffled) == taken(accounts)
    best: dict[Any, Counts] = {}
    for one in accounts:
        best[one[:4]] = greater(best.get(one[:4], NOTHING), one.counts)
    assert taken(accounts) == {(*key, *counts) for key, counts in best.items()}


@settings(max_examples=100, deadline=None)
@given(
    st.lists(ACCOUNTS, max_size=20), st.integers(1, 4), st.integers(1, 4), st.randoms(use_true_random=False)
)
def test_of_too_many_every_host_keeps_the_same(
    accounts: list[Account], step: int, other: int, random: Any
) -> None:
    shuffled = [*accounts, *accounts[::2]]
    random.shuffle(shuffled)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "MAX_ROWS_A_DAY", 2)
        kept = taken(accounts, step)
        assert taken(shuffled, other) == kept
    whole = taken(accounts)
    assert kept <= whole
    for day in {one.day for one in accounts}:
        of_day = [row for row in whole if row[0] == day]
        assert len([row for row in kept if row[0] == day]) == min(len(of_day), 2)


def test_what_is_said_is_read() -> None:
    said = msgpack.unpackb(msgpack.packb(ledger_content([ONE])))
    assert read_ledger(said) == [ONE]
    said["rows"][0] += ["of a later version"]
    said["rows"][0][4] += [17]
    assert read_ledger(said) == [ONE]


@pytest.mark.parametrize(
    "rows",
    [
        None, {}, [1], [[]], [[b"short", 1, 1, "", [0] * 12]], [[bytes(16), -1, 1, "", [0] * 12]],
        [[bytes(16), True, 1, "", [0] * 12]], [[bytes(16), 1, 1 << 53, "", [0] * 12]],
        [[bytes(16), 1, 1, "x" * 65, [0] * 12]], [[bytes(16), 1, 1, b"", [0] * 12]],
        [[bytes(16), 1, 1, "", [0] * 11]], [[bytes(16), 1, 1, "", [0] * 65]],
        [[bytes(16), 1, 1, "", [*[0] * 11, MAX_COUNT + 1]]], [[bytes(16), 1, 1, "", [*[0] * 11, -1]]],
        [[bytes(16), 1, 1, "", [*[0] * 11, 0.5]]], [[*ONE[:4], list(ONE.counts)]] * (MAX_ROWS + 1),
    ],
)  # fmt: skip
def test_what_no_maw_says_is_refused(rows: object) -> None:
    wrong = [] if rows is None else rows
    with pytest.raises(ValueError, match=r"rows|model|row|counter"):
        read_ledger({} if rows is None else {"rows": wrong})
