"""What is known of agents beside their rows: what their cards say of them, what they may here, their groups."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import aiosqlite

from maw.core.groups import Member, is_in
from maw.core.identity import short_key
from maw.core.profile import Profile

if TYPE_CHECKING:
    from maw.store.state import AgentRow, NodeRow, State

SET_PROFILE: Final = "INSERT OR REPLACE INTO profiles VALUES (?, ?, ?, ?, ?)"


def profile_row(agent: int, profile: Profile) -> tuple[Any, ...]:
    return (agent, profile.about, profile.of, profile.pulse_s, json.dumps(profile.roles))


async def read_people(conn: aiosqlite.Connection, agents: Mapping[int, AgentRow]) -> None:
    """Into the rows. ValueError: what the file says is damaged."""
    for n, about, of, pulse_s, roles in await conn.execute_fetchall("SELECT * FROM profiles"):
        if (row := agents.get(n)) is not None:
            row.profile = Profile(about, of, pulse_s, tuple(json.loads(roles)))
    for (n,) in await conn.execute_fetchall("SELECT agent FROM rights WHERE crowd"):
        if (row := agents.get(n)) is not None:
            row.crowd = True


async def set_crowd(conn: aiosqlite.Connection, agent: int, may: bool) -> None:
    """Whether a local agent may speak to many at once."""
    await conn.execute("INSERT OR REPLACE INTO rights (agent, crowd) VALUES (?, ?)", (agent, may))


def member_of(row: AgentRow, node: NodeRow) -> Member:
    """An agent of ``node`` as groups see it."""
    profile = row.profile
    hosts = (node.name, f"{node.name}~{short_key(node.key)}") if node.name else (short_key(node.key),)
    return Member(row.name, row.role, profile.roles, profile.of is not None, hosts)


def members_here(state: State, group: str, me: NodeRow) -> list[AgentRow]:
    """The agents of this host for whom ``role:NAME`` or ``host:NAME`` stands."""
    return [row for row in state.local.values() if is_in(group, member_of(row, me))]
