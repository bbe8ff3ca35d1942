"""What is known of agents beside their rows: what their cards say of them, what they may here, their groups."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import aiosqlite

from maw.core.groups import Member, is_in
from maw.core.identity import short_key
from maw.core.lineage import Born, parse_born
from maw.core.presence import Presence, Seen
from maw.core.profile import Profile
from maw.errors import BadInput

if TYPE_CHECKING:
    from maw.store.state import AgentRow, NodeRow, State

SET_PRESENCE: Final = "INSERT OR REPLACE INTO presence VALUES (?, ?, ?, ?, ?)"
SET_PROFILE: Final = "INSERT OR REPLACE INTO profiles VALUES (?, ?, ?, ?, ?, ?)"


def profile_row(agent: int, profile: Profile) -> tuple[Any, ...]:
    born = None if profile.born is None else profile.born.text()
    return (agent, profile.about, profile.of, profile.pulse_s, json.dumps(profile.roles), born)


async def read_people(conn: aiosqlite.Connection, agents: Mapping[int, AgentRow]) -> None:
    """Into the rows. ValueError: what the file says is damaged."""
    for n, about, of, pulse_s, roles, born in await conn.execute_fetchall("SELECT * FROM profiles"):
        if (row := agents.get(n)) is not None:
            row.profile = Profile(about, of, pulse_s, tuple(json.loads(roles)), _born(born))
    for n, active, pulsed, down, policy in await conn.execute_fetchall("SELECT * FROM presence"):
        if (row := agents.get(n)) is not None:
            row.seen = Seen(active, pulsed, bool(down), policy)
    for (n,) in await conn.execute_fetchall("SELECT agent FROM rights WHERE crowd"):
        if (row := agents.get(n)) is not None:
            row.crowd = True


def _born(text: str | None) -> Born | None:
    """Raises ValueError."""
    try:
        return None if text is None else parse_born(text)
    except BadInput as error:
        raise ValueError(error.message) from None


async def set_crowd(conn: aiosqlite.Connection, agent: int, may: bool) -> None:
    """Whether a local agent may speak to many at once."""
    await conn.execute("INSERT OR REPLACE INTO rights (agent, crowd) VALUES (?, ?)", (agent, may))


def seen_of(row: AgentRow) -> Seen:
    """As its host last said, by what it said of it and by its messages."""
    active = max(row.seen.active or 0, row.last_said or 0)
    return row.seen._replace(active=active or None)


def take_presence(state: State, node: NodeRow, said: Presence, at_ms: int) -> dict[int, Seen]:
    """Into the rows of ``node``'s agents, by number; nothing was seen later than ``at_ms``, when it was said. An agent
    that is not known is passed over."""
    found: dict[int, Seen] = {}
    for agent, told in said.agents:
        if (row := state.agents.get((node.n, agent))) is None:
            continue
        active = max(row.seen.active or 0, min(told.active or 0, at_ms))
        pulsed = max(row.seen.pulsed or 0, min(told.pulsed or 0, at_ms))
        row.seen = found[row.n] = Seen(
            active or None, pulsed or None, told.down, told.policy or row.seen.policy
        )
    return found


def presence_row(agent: int, seen: Seen) -> tuple[Any, ...]:
    return (agent, *seen)


def member_of(row: AgentRow, node: NodeRow) -> Member:
    """An agent of ``node`` as groups see it."""
    profile = row.profile
    hosts = (node.name, f"{node.name}~{short_key(node.key)}") if node.name else (short_key(node.key),)
    return Member(row.name, row.role, profile.roles, profile.of is not None, hosts)


def members_here(state: State, group: str, me: NodeRow) -> list[AgentRow]:
    """The agents of this host for whom ``role:NAME`` or ``host:NAME`` stands."""
    return [row for row in state.local.values() if is_in(group, member_of(row, me))]
