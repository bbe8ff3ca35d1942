"""Whose mailbox on this host a message goes into, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import aiosqlite

from maw.core.colony import GROUPS, Said
from maw.core.identity import NodeId
from maw.core.rooms import is_member, stored_said
from maw.store.opened import key_at
from maw.store.people import members_here
from maw.store.rooms import has_left
from maw.store.state import AgentRow, NodeRow, State
from maw.store.travelling import hosts_called, is_here, ours

DIRECT: Final = "direct"
MENTION: Final = "mention"
GROUP: Final = "group"
WATCHED: Final = "watched"

_REFILL_PAGE: Final = 200
_DIRECTS: Final = f"""SELECT m.seq, e.header, e.payload, {key_at("m.place")}
    FROM messages m JOIN entries e ON e.place = m.place WHERE m.direct = 1
    AND m.channel IS NULL AND m.seq > ? ORDER BY m.seq LIMIT ?"""  # noqa: S608


def delivery(state: State, me: NodeRow, sender: AgentRow, said: Said, seq: int) -> list[tuple[int, int, str]]:
    """Rows for the mailboxes of this host's agents. Nobody finds his own words there."""
    found: list[tuple[int, int, str]] = []
    if said.channel is None:
        for recipient in said.to:
            if is_here(state, me.key, recipient.node, recipient.agent):
                row = state.agents.get((me.n, recipient.agent))
                if row and row.uid is not None and not row.gone:
                    found.append((row.n, seq, DIRECT))
        return found
    for word in sorted(said.mentions, key=GROUPS.__contains__):  # who is named too is told of by name
        why = GROUP if word in GROUPS else MENTION
        found += [(row.n, seq, why) for row in local_by(state, me, word) if row.n != sender.n]
    for group in said.groups:
        rows = members_here(state, group, me)
        found += [(row.n, seq, GROUP) for row in rows if row.n != sender.n]
    return [row for row in found if may_get(state, me, said, row[0])] if said.to else found


def may_get(state: State, me: NodeRow, said: Said, agent: int) -> bool:
    """Whether an agent of this host is among those for whom a post is: in a private channel only who is in it
    and has not left."""
    if not said.to:
        return True
    row, channel = state.agent_at[agent], state.channels.get(said.channel or "")
    if channel is not None and has_left(state, channel.n, row.id):
        return False
    return is_member(said.to, ours(state, me.key, row.id), row.id)


def local_by(state: State, me: NodeRow, word: str) -> list[AgentRow]:
    if word in GROUPS:
        return [row for row in state.local.values() if row.role in GROUPS[word]]
    name, _, host = word.partition("@")
    row = state.local.get(name)
    if row is None or (host and host != me.name and host not in hosts_called(state, me.key, row)):
        return []
    return [row]


async def refill_directs(conn: aiosqlite.Connection, state: State, me: NodeId, agent: AgentRow) -> None:
    """Direct messages that came back before the agent they are for: only after a lost database."""
    after = 0
    while page := list(await conn.execute_fetchall(_DIRECTS, (after, _REFILL_PAGE))):
        after = page[-1][0]
        rows = [(agent.n, seq, DIRECT) for seq, *row in page if _is_for(row, state, me, agent.id)]
        await conn.executemany("INSERT OR IGNORE INTO mailbox (agent, seq, why) VALUES (?, ?, ?)", rows)


def _is_for(row: Sequence[bytes | None], state: State, me: NodeId, agent: bytes) -> bool:
    """Whether this direct message is for our ``agent``; one that cannot be read is for nobody."""
    try:
        said = stored_said(*row, direct=True)
    except Exception:  # readers show it as damaged; here it keeps nobody from his other messages
        return False
    return any(to.agent == agent and is_here(state, me, to.node, agent) for to in said.to)
