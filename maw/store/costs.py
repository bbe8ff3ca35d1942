"""What agents cost: finished runs by their ids, and the counters of each agent, day, life and model (``ledger``).

An agent is named by its node's number and its own id, not by its row: what a host says of its agents may come before
their cards. Rows of our own node are counted up by ``count``; those that come in entries are taken by ``SET_LEDGER``,
the greater of each number, whose they are. ``said``: an entry of ours has said all of the row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

import aiosqlite

from maw.core.ledger import MAX_ROWS_A_DAY, Account
from maw.core.spending import MAX_COUNT, UNITS, Counts, Run, Spent
from maw.store.database import Database

_COUNTERS: Final = Counts._fields
_KEY: Final = ("day", "node", "agent", "life", "model")
_SUMS: Final = ", ".join(f"SUM({name})" for name in _COUNTERS)
_NAMES: Final = ", ".join((*_KEY, *_COUNTERS))
_MARKS: Final = ", ".join("?" * (len(_KEY) + len(_COUNTERS)))
_ADD: Final = f"""INSERT INTO ledger ({_NAMES}, said) VALUES ({_MARKS}, 0)
    ON CONFLICT (day, node, agent, life, model) DO UPDATE SET
    {", ".join(f"{name} = {name} + excluded.{name}" for name in _COUNTERS)}, said = 0"""  # noqa: S608 - columns' names
SET_LEDGER: Final = f"""INSERT INTO ledger ({_NAMES}, said) VALUES ({_MARKS}, 1)
    ON CONFLICT (day, node, agent, life, model) DO UPDATE SET
    said = {" AND ".join(f"{name} <= excluded.{name}" for name in _COUNTERS)},
    {", ".join(f"{name} = max({name}, excluded.{name})" for name in _COUNTERS)}"""  # noqa: S608
_MOST: Final = """DELETE FROM ledger WHERE day = ?1 AND node = ?2 AND (agent, life, model) >=
    (SELECT agent, life, model FROM ledger WHERE day = ?1 AND node = ?2
    ORDER BY agent, life, model LIMIT 1 OFFSET ?3)"""
RUNS_KEPT_MS: Final = 31 * 86_400_000
"""For so long a run that is told again is known again."""


class Line(NamedTuple):
    """Of one agent, day and model: of all its lives."""

    day: int
    node: int
    agent: bytes
    model: str
    counts: Counts


class OfDay(NamedTuple):
    """What was counted on a day: of our own agents, by their node's number and id; of other nodes, by number."""

    ours: dict[tuple[int, bytes], Counts]
    others: dict[int, Counts]


def ledger_row(node: int, account: Account) -> tuple[Any, ...]:
    return (account.day, node, account.agent, account.life, account.model, *account.counts)


async def count(conn: aiosqlite.Connection, node: int, accounts: Iterable[Account]) -> None:
    """Adds to what stands there."""
    await conn.executemany(_ADD, [ledger_row(node, one) for one in accounts])


async def take_run(
    conn: aiosqlite.Connection, node: int, agent: bytes, run: Run, life: int, day: int, at: int
) -> bool:
    """False when it was told before: then nothing is counted."""
    sql = "INSERT OR IGNORE INTO runs (agent, run, at) VALUES (?, ?, ?)"
    if (await conn.execute(sql, (agent, run.id, at))).rowcount == 0:
        return False
    await count(conn, node, [Account(day, agent, life, run.model, run.counts)])
    return True


def beyond(day: int, node: int) -> tuple[str, tuple[int, int, int]]:
    """What takes away the rows of another host that are more than it may have of a day: those whose agent, life and
    model come last. So every host keeps the same ones, in whatever order they came."""
    return _MOST, (day, node, MAX_ROWS_A_DAY)


async def of_day(conn: aiosqlite.Connection, day: int, ours: Collection[int]) -> OfDay:
    """``ours``: this node's numbers. In SQL alone but for our own agents: others may have said much."""
    marks = ", ".join("?" * len(ours))
    mine = f"SELECT node, agent, {_SUMS} FROM ledger WHERE day = ? AND node IN ({marks}) GROUP BY node, agent"  # noqa: S608
    others = f"SELECT node, {_SUMS} FROM ledger WHERE day = ? AND node NOT IN ({marks}) GROUP BY node"  # noqa: S608
    found = await conn.execute_fetchall(mine, (day, *ours))
    rest = await conn.execute_fetchall(others, (day, *ours))
    return OfDay(
        {(node, agent): _counts(counts) for node, agent, *counts in found},
        {node: _counts(counts) for node, *counts in rest},
    )


async def lines(db: Database, since: int, until: int, nodes: Sequence[int] | None, limit: int) -> list[Line]:
    """Of the days from ``since`` to ``until``, both included, the newest first; of these ``nodes`` (None: of all)."""
    where = "" if nodes is None else f" AND node IN ({', '.join('?' * len(nodes))})"
    sql = f"""SELECT day, node, agent, CAST(model AS BLOB), {_SUMS} FROM ledger WHERE day BETWEEN ? AND ?{where}
        GROUP BY day, node, agent, model ORDER BY day DESC, node, agent, model LIMIT ?"""  # noqa: S608
    rows = await db.rows(sql, (since, until, *(nodes or ()), limit))
    return [
        Line(day, node, agent, _text(model), _counts(counts)) for day, node, agent, model, *counts in rows
    ]


def _text(value: bytes) -> str:
    """As it lies on the disk: it may be damaged."""
    return value.decode("utf-8", "replace")


def _counts(sums: Sequence[Any]) -> Counts:
    """What a flipped bit made of a number counts as what SQLite takes it for."""
    return Counts(*(one if type(one) is int else int(one or 0) for one in sums))


async def unsaid(db: Database, node: int, limit: int) -> list[Account]:
    """Rows of ours that no entry has said yet; without what is damaged, which nobody could read."""
    sql = f"""SELECT day, agent, life, CAST(model AS BLOB), {", ".join(_COUNTERS)} FROM ledger
        WHERE said = 0 AND node = ? ORDER BY day, agent, life, model LIMIT ?"""  # noqa: S608
    rows = await db.rows(sql, (node, limit))
    return [
        Account(day, agent, life, _text(model), Counts(*counts))
        for day, agent, life, model, *counts in rows
        if all(type(one) is int and 0 <= one <= MAX_COUNT for one in counts) and type(life) is int
    ]


async def forget(conn: aiosqlite.Connection, oldest_day: int, now_ms: int) -> None:
    """Days before ``oldest_day``, and runs that nobody tells again."""
    for table in ("ledger", "resumed", "cap_told"):
        await conn.execute(f"DELETE FROM {table} WHERE day < ?", (oldest_day,))  # noqa: S608
    await conn.execute("DELETE FROM runs WHERE at < ?", (now_ms - RUNS_KEPT_MS,))


# -- what humans and caps settle ------------------------------------------------------------------------


async def resumed(conn: aiosqlite.Connection, day: int) -> dict[bytes, Spent]:
    """By agent (empty: the host): what it had spent when a human last resumed it that day."""
    sql = "SELECT agent, usd, tokens, runner_ms, unpriced, untold FROM resumed WHERE day = ?"
    return {
        agent: Spent(*spent)
        for agent, *spent in await conn.execute_fetchall(sql, (day,))
        if type(agent) is bytes and all(type(one) is int for one in spent)
    }


async def resume(conn: aiosqlite.Connection, day: int, agent: bytes, spent: Spent, at: int, who: str) -> None:
    await conn.execute(
        "INSERT OR REPLACE INTO resumed VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (day, agent, *spent, at, who)
    )


async def caps(conn: aiosqlite.Connection) -> tuple[dict[tuple[bytes, str], int], int]:
    """Set by command: by agent (empty: the host) and unit; and how many are left out, for they are damaged."""
    sql = "SELECT agent, CAST(unit AS BLOB), amount FROM caps"
    rows = list(await conn.execute_fetchall(sql))
    units = {unit.encode(): unit for unit in UNITS}
    found = {
        (agent, units[unit]): amount
        for agent, unit, amount in rows
        if type(agent) is bytes and unit in units and type(amount) is int
    }
    return found, len(rows) - len(found)


async def set_cap(conn: aiosqlite.Connection, agent: bytes, unit: str, amount: int | None) -> None:
    """None: there is none any more."""
    await conn.execute("DELETE FROM caps WHERE agent = ? AND unit = ?", (agent, unit))
    if amount is not None:
        await conn.execute("INSERT INTO caps VALUES (?, ?, ?)", (agent, unit, amount))


async def told(conn: aiosqlite.Connection, day: int) -> set[str]:
    """Of which caps a human was told that day."""
    sql = "SELECT CAST(cap AS BLOB) FROM cap_told WHERE day = ?"
    return {_text(cap) for (cap,) in await conn.execute_fetchall(sql, (day,))}


async def tell_again(conn: aiosqlite.Connection, day: int, caps: Iterable[str]) -> None:
    await conn.executemany("DELETE FROM cap_told WHERE day = ? AND cap = ?", [(day, cap) for cap in caps])


async def note_told(conn: aiosqlite.Connection, day: int, caps: Iterable[str]) -> None:
    await conn.executemany("INSERT OR IGNORE INTO cap_told VALUES (?, ?)", [(day, cap) for cap in caps])
