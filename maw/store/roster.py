"""The rows of the roster: plans, panes, conversations. Few, and read once, when the node starts."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple

import aiosqlite

from maw.core.roster import KINDS, OnHang, Place, Plan
from maw.store.spoiled import SPOILED, json_of, text_of, whole


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
    damaged: list[str]
    """What of it is left out, for it is not as it was written."""


async def read_rows(conn: aiosqlite.Connection, boot: str) -> Rows:
    found = Rows({}, {}, {}, [])
    for agent, plan, report in await conn.execute_fetchall(_LISTED):
        try:
            found.listed[agent] = Listed(_plan(plan), {})
        except SPOILED:
            found.damaged.append(f"how agent {agent} is run")
            continue
        try:
            found.listed[agent].report = dict(json_of(report).items())
        except SPOILED:
            found.damaged.append(f"what was last seen of agent {agent}")
    for agent, uid, socket, server, pane in await conn.execute_fetchall(_PANES, (boot,)):
        try:
            whole(uid, server)
            found.panes[agent] = (uid, Place(text_of(socket), server, text_of(pane)))
        except SPOILED:
            found.damaged.append(f"the pane of agent {agent}")
    for agent, session, pid, began, transcript, at in await conn.execute_fetchall(_HELD):
        try:
            whole(pid, at)
            held = Conversation(text_of(session), pid, text_of(began), text_of(transcript), at)
            found.conversations[agent] = held
        except SPOILED:
            found.damaged.append(f"the conversation of agent {agent}")
    return found


_LISTED: Final = "SELECT agent, CAST(plan AS BLOB), CAST(report AS BLOB) FROM roster"
_PANES: Final = """SELECT agent, uid, CAST(socket AS BLOB), server, CAST(pane AS BLOB) FROM panes
    WHERE boot = ?"""
_HELD: Final = """SELECT agent, CAST(session AS BLOB), pid, CAST(boot AS BLOB), CAST(transcript AS BLOB), at
    FROM conversations"""


def _plan(written: bytes) -> Plan:
    """Raises SPOILED."""
    plan = Plan().changed(json_of(written))
    for one in fields(plan):
        value, usual = getattr(plan, one.name), one.default
        as_usual = isinstance(value, str) if isinstance(usual, str) else type(value) is type(usual)
        if not as_usual or (isinstance(value, tuple) and not all(isinstance(item, str) for item in value)):
            raise ValueError(f"{one.name} is {value!r}")
    OnHang(plan.hang)
    if plan.kind not in KINDS:
        raise ValueError(f"there is no kind {plan.kind}")
    return plan


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
