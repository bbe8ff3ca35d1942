"""Agents that move: what logs say of it, and how far the moves are in which this host has a part.

The rules are in ``maw/core/moving``. ``travels`` has what anybody said that counts for where agents live; ``moves`` the
moves from and to this host, each a row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import aiosqlite

from maw.core.colony import AgentCard
from maw.core.entry import Entry, pack_content, unpack_content
from maw.core.identity import NodeId
from maw.core.moving import ARRIVED, HANDED, HOME, MOVED, OPEN, READY, Fact, Moved, step_after
from maw.store.rows import Statement

if TYPE_CHECKING:
    from maw.store.fold import Fold
    from maw.store.state import AgentRow, State

MAX_OFFERS_OF_A_PEER: Final = 50
"""Agents that one host offers here at once: each is a row that a human is shown."""
SET_TRAVEL: Final = "INSERT OR REPLACE INTO travels VALUES (?, ?, ?, ?, ?, ?, ?)"
UNSAY: Final = """DELETE FROM travels WHERE node = ? AND agent = ? AND move = ? AND came = ? AND epoch = ?
    AND seq = ?"""
SET_MOVE: Final = "INSERT OR REPLACE INTO moves VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_OF_WHO_LEFT: Final = (
    "local_agents",
    "mailbox",
    "untold",
    "watches",
    "dnd",
    "rights",
    "roster",
    "panes",
    "conversations",
)
"""What is of an agent on this host alone."""


class MoveRow(NamedTuple):
    """A move from here (``leaving``) or to here. ``node``: the other host; ``box``: what it handed over, sealed;
    ``plan``: what was decided here, by whom it is known in ``maw/node/moving``; ``at``: ms, of the last step."""

    move: bytes
    leaving: bool
    node: NodeId
    agent: bytes
    name: str
    role: str
    step: str
    why: str
    box: dict[str, Any] | None
    plan: Mapping[str, Any]
    at: int

    @property
    def is_open(self) -> bool:
        return self.step in OPEN

    @property
    def holds(self) -> bool:
        """Whether nobody may speak or read as the agent here: it is being carried over."""
        return self.step in ((HANDED, READY) if self.leaving else (ARRIVED,))

    def row(self) -> tuple[Any, ...]:
        box = None if self.box is None else pack_content(self.box)
        return (*self[:8], box, json.dumps(self.plan, sort_keys=True), self.at)


async def read_travels(conn: aiosqlite.Connection, state: State) -> None:
    """Into an empty state, of which the nodes are read. ValueError: what the file says is damaged."""
    sql = "SELECT node, agent, move, came, epoch, seq, other FROM travels"
    for node, agent, move, came, epoch, seq, other in await conn.execute_fetchall(sql):
        if (row := state.node_at.get(node)) is not None:  # else the row is damaged
            with suppress(ValueError):  # more than are heard: written by an older version
                state.travels.add(Fact(row.key, agent, move, bool(came), epoch, seq, NodeId(other)))
    sql = "SELECT move, leaving, node, agent, name, role, step, why, box, plan, at FROM moves"
    for found in await conn.execute_fetchall(sql):
        move = MoveRow(*found)
        box = None if found[8] is None else unpack_content(found[8])
        state.moves[move.move] = move._replace(
            leaving=bool(move.leaving), node=NodeId(move.node), box=box, plan=json.loads(found[9])
        )
    sql = "SELECT author, epoch, seq, id, key, lender FROM borrowed"
    for author, epoch, seq, *loan in await conn.execute_fetchall(sql):
        entry, key, lender = loan
        state.borrowed[author, epoch, seq] = entry, key, lender


# -- what follows -----------------------------------------------------------------------------------


def is_here(state: State, me: NodeId, node: NodeId, agent: bytes) -> bool:
    """Whether what is for this agent of that host is for one that lives here, by this host's key or as it came here."""
    if node == me or node in state.former_me:
        return True
    return state.travels.knows(agent) and state.travels.home(node, agent) == me


def ours(state: State, me: NodeId, agent: bytes) -> tuple[NodeId, ...]:
    """The hosts under which an agent of this host is or was known: this one's keys, and those where it lived before."""
    return (me, *state.former_me, *state.travels.former(me, agent))


def homes_of(state: State, node: NodeId, agent: bytes) -> tuple[NodeId, ...]:
    """The hosts, beside its own, where this agent of ``node`` lived before."""
    return state.travels.former(node, agent)


def hosts_called(state: State, me: NodeId, agent: AgentRow) -> Iterator[str]:
    """The names of the hosts where an agent of this host lived before, of those that have no agent of that name now."""
    for key in state.travels.former(me, agent.id):
        node = state.nodes.get(key)
        if node is not None and not has_namesake(state, node.n, agent):
            yield node.name


def has_namesake(state: State, node: int, agent: AgentRow) -> bool:
    """Whether that host has another agent of this one's name: then the old address may mean that one."""
    named = state.agents_named.get(agent.name, {}).values()
    return any(row.node == node and not row.gone and not row.away for row in named)


def is_lending(state: State) -> bool:
    """Whether what is sealed for this host may be for an agent that has left, or is leaving."""
    leaving = (HANDED, READY, MOVED)
    return bool(state.holding) or any(row.leaving and row.step in leaving for row in state.moves.values())


def is_of_here(state: State, me: NodeId, agent: bytes) -> bool:
    """Whether this id is that of an agent of this host, or of one that ended here: only who moved away from here may
    come under an id that is known here."""
    own = state.nodes.get(me)
    known = own is not None and (own.n, agent) in state.agents
    return known and not state.travels.has_left(me, agent)


def why_not_offered(state: State, me: NodeId, offer: MoveRow) -> str | None:
    """What speaks against taking in this agent, by what is known here: an id is public, so an offer proves nothing."""
    if offer.role != "agent":
        return f"it is offered as {offer.role}, and only agents move"
    if is_of_here(state, me, offer.agent):
        return "it has the id of an agent of this host"
    if state.travels.is_full(me, offer.agent):
        return "it has moved from here and to here so often that no more moves of it are heard"
    node = state.nodes.get(offer.node)
    card = None if node is None else state.agents.get((node.n, offer.agent))
    if card is None or card.gone or (card.name, card.role) != (offer.name, offer.role):
        return f"its host has no agent {offer.name} of that id"
    return "it is a role of another agent" if card.profile.of is not None else None


# -- folding ------------------------------------------------------------------------------------------


def note(fold: Fold, fact: Fact) -> None:
    """A word on where an agent lives. Raises ValueError where its log has said more of moves than is heard."""
    state = fold.state
    gone = state.travels.add(fact)
    if gone is None:
        return
    fold.changes.travels.append(fact)
    fold.changes.unheard += gone
    for one in (fact, *gone):
        state.resettle(one.agent, one.node)


def fold_moved(fold: Fold, entry: Entry, said: Moved) -> None:
    """Raises ValueError for an offer or a move too many, or of who is not its host's."""
    own = entry.author == fold.me
    if said.step == MOVED:  # first, as it may be one too many
        note(fold, Fact(entry.author, said.agent, said.move, False, entry.epoch, entry.seq, said.node))
    if own or said.node == fold.me:
        _step(fold, said, entry.author, own=own)
    if said.step == MOVED and own:
        leave(fold, said.agent)


def fold_arrival(fold: Fold, entry: Entry, card: AgentCard) -> None:
    """The card of an agent that came from another host."""
    assert card.moved is not None
    other, move = card.moved
    note(fold, Fact(entry.author, card.id, move, True, entry.epoch, entry.seq, other))
    row = fold.state.moves.get(move)
    if entry.author == fold.me and row is not None and not row.leaving and row.step in (*OPEN, MOVED):
        # said now it follows MOVED; else our own log comes back to an older database, and the mailbox with its directs
        step = ARRIVED if row.step == MOVED else HOME
        set_move(fold, row._replace(step=step, at=fold.now_ms))


def _step(fold: Fold, said: Moved, author: NodeId, *, own: bool) -> None:
    moves = fold.state.moves
    row, other = moves.get(said.move), said.node if own else author
    if row is None:
        leaving = own
    elif row.node != other or row.agent != said.agent:
        return  # of another move of that name
    else:
        leaving = row.leaving
    after = step_after(row.step if row else None, said.step, leaving=leaving, own=own)
    if after is None:
        return
    if row is None:
        _check_room(fold.state, other, own=own)
        row = MoveRow(
            said.move, leaving, other, said.agent, said.name, said.role, after, "", None, {}, fold.now_ms
        )
        if not own and (why := why_not_offered(fold.state, fold.me, row)) is not None:
            raise ValueError(why)
    box = row.box if said.box is None else said.box
    set_move(fold, row._replace(step=after, why=said.why, box=box, at=fold.now_ms))


def _check_room(state: State, node: NodeId, *, own: bool) -> None:
    waiting = sum(row.node == node and not row.leaving and row.is_open for row in state.moves.values())
    if not own and waiting >= MAX_OFFERS_OF_A_PEER:
        raise ValueError(f"its node offers {MAX_OFFERS_OF_A_PEER} agents already")


def set_move(fold: Fold, row: MoveRow) -> None:
    fold.state.moves[row.move] = fold.changes.moves[row.move] = row


def leave(fold: Fold, agent_id: bytes) -> None:
    """The agent is this host's no more: nobody speaks as it here, and its mailbox is where it lives now."""
    state = fold.state
    row = state.agents.get((fold.node(fold.me).n, agent_id))
    if row is None:
        return
    state.disown(row)
    for watching in state.watchers.values():
        watching.pop(row.n, None)
    fold.changes.left.append(row.n)


def _row(fact: Fact, state: State) -> tuple[Any, ...]:
    return (state.nodes[fact.node].n, *fact[1:6])


def statements(
    facts: list[Fact], unheard: list[Fact], moves: Mapping[bytes, MoveRow], left: list[int], state: State
) -> Iterator[Statement]:
    for fact in facts:
        yield SET_TRAVEL, (*_row(fact, state), fact.other)
    for fact in unheard:
        yield UNSAY, _row(fact, state)
    for row in moves.values():
        yield SET_MOVE, row.row()
    for n in left:
        for table in _OF_WHO_LEFT:
            yield f"DELETE FROM {table} WHERE agent = ?", (n,)  # noqa: S608 - names of ours


async def unsay_travels(
    conn: aiosqlite.Connection, state: State, author: NodeId, cut: Mapping[int, int]
) -> None:
    """Within a transaction: what a revoked key said above its cut moved nobody."""
    for fact in state.travels.drop(author, cut):
        await conn.execute(UNSAY, _row(fact, state))
        state.resettle(fact.agent, author)
