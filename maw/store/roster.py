"""The rows of the roster: plans, panes, conversations. Few, and read once, when the node starts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import aiosqlite

from maw.core.roster import Place, Plan


class Conversation(NamedTuple):
    """What an agent's program calls its session; ``pid`` is the program's own, 0 where it is not known. ``transcript``
    is the file it is kept in, or ""; ``at`` in ms since 1970."""

    session: str
    pid: int
    boot: str
    transcript: str
    at: int


@dataclass(slots=True)
class Listed:
    """One agent's row, by the agent's number."""

    plan: Plan
    report: dict[str, Any]


class Rows(NamedTuple):
    """All there is, by the agent's number. Panes of an earlier boot are left out: they name nobody."""

    listed: dict[int, Listed]
    panes: dict[int, tuple[int, Place]]
    """With the uid that each counts for."""
    conversations: dict[int, Conversation]


async def read_rows(conn: aiosqlite.Connection, boot: str) -> Rows:
    """ValueError, KeyError, TypeError: a row that no maw wrote."""
    listed = {
        agent: Listed(Plan().changed(json.loads(plan)), json.loads(report))
        for agent, plan, report in await conn.execute_fetchall("SELECT agent, plan, report FROM roster")
    }
    sql = "SELECT agent, uid, socket, server, pane FROM panes WHERE boot = ?"
    panes = {agent: (uid, Place(*place)) for agent, uid, *place in await conn.execute_fetchall(sql, (boot,))}
    sql = "SELECT agent, session, pid, boot, transcript, at FROM conversations"
    held = {agent: Conversation(*rest) for agent, *rest in await conn.execute_fetchall(sql)}
    return Rows(listed, panes, held)


async def write_plan(conn: aiosqlite.Connection, agent: int, plan: Plan) -> None:
    """Its report stays."""
    sql = "INSERT INTO roster VALUES (?, ?, '{}') ON CONFLICT (agent) DO UPDATE SET plan = excluded.plan"
    await conn.execute(sql, (agent, json.dumps(plan.as_json())))


async def write_report(conn: aiosqlite.Connection, agent: int, report: dict[str, Any]) -> None:
    """Of an agent that is in the roster; else nothing."""
    await conn.execute("UPDATE roster SET report = ? WHERE agent = ?", (json.dumps(report), agent))


async def write_pane(conn: aiosqlite.Connection, agent: int, uid: int, place: Place, boot: str) -> None:
    """It is this agent's only pane from now on, and no other agent's."""
    await conn.execute("INSERT OR REPLACE INTO panes VALUES (?, ?, ?, ?, ?, ?)", (agent, uid, *place, boot))


async def write_conversation(conn: aiosqlite.Connection, agent: int, held: Conversation) -> None:
    await conn.execute("INSERT OR REPLACE INTO conversations VALUES (?, ?, ?, ?, ?, ?)", (agent, *held))


async def drop_pane(conn: aiosqlite.Connection, agent: int) -> None:
    await conn.execute("DELETE FROM panes WHERE agent = ?", (agent,))


async def drop_all(conn: aiosqlite.Connection, agent: int) -> None:
    for table in ("roster", "panes", "conversations"):
        await conn.execute(f"DELETE FROM {table} WHERE agent = ?", (agent,))  # noqa: S608 - fixed words
