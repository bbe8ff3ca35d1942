"""Private channels: what their makers say of them, and whose posts there count.

A post that comes before it is known that its author is in the channel (his log and the maker's have no common order) is
held back, and looked into again when the maker has said more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import aiosqlite

from maw.core.colony import Said
from maw.core.entry import Entry, pack_content, unpack_content
from maw.core.identity import NodeId
from maw.core.rooms import RoomWord, is_member
from maw.store.asides import Withheld
from maw.store.travelling import homes_of, is_here

if TYPE_CHECKING:
    from maw.store.fold import Fold
    from maw.store.state import NodeRow, State

NO_MEMBER: Final = "private channel: its author is not known to be in it"
SET_ROOM: Final = "INSERT OR REPLACE INTO rooms VALUES (?, ?, ?, ?, ?)"
ADD_GUEST: Final = "INSERT OR IGNORE INTO room_guests (channel, agent) VALUES (?, ?)"
_LEAVE: Final = "UPDATE room_guests SET gone = ? WHERE channel = ? AND agent = ?"


Standing = tuple[tuple[int, int, int], tuple[NodeId, bytes, bytes]]
"""Whose word and where, as ``fold_room`` compares them; and the channel's origin."""


class RoomRow(NamedTuple):
    """What the maker said last: where in which node's log, and what."""

    node: int
    epoch: int
    seq: int
    word: RoomWord

    def row(self, channel: int) -> tuple[Any, ...]:
        return (channel, self.node, self.epoch, self.seq, pack_content(self.word.content()))


async def read_rooms(conn: aiosqlite.Connection, state: State) -> None:
    """Into an empty state. ValueError: what the file says is damaged."""
    sql = "SELECT channel, node, epoch, seq, word FROM rooms"
    for channel, node, epoch, seq, word in await conn.execute_fetchall(sql):
        if channel in state.channel_at:  # else the row is damaged
            state.rooms[channel] = RoomRow(node, epoch, seq, RoomWord.read(unpack_content(word)))
    for channel, agent, gone in await conn.execute_fetchall("SELECT channel, agent, gone FROM room_guests"):
        state.guests.setdefault(channel, {})[agent] = bool(gone)


def rooms_of(conn: sqlite3.Connection, heirs: Mapping[NodeId, NodeId]) -> dict[str, Standing]:
    """Of a database that nobody uses: by id where the word stands that counts, and whose it is. A row that
    is damaged, or nobody's word, is as good as none."""
    found = {}
    sql = """SELECT c.name, n.key, r.epoch, r.seq, r.word FROM rooms r JOIN channels c ON c.n = r.channel
        JOIN nodes n ON n.n = r.node"""
    for name, key, epoch, seq, stored in conn.execute(sql).fetchall():
        try:
            word = RoomWord.read(unpack_content(stored))
            at = (word.check(NodeId(key), heirs), epoch, seq)
        except (ValueError, TypeError, KeyError):
            continue
        if word.id == name:
            found[name] = at, word.origin
    return found


def keys_of(state: State, node: NodeId) -> list[NodeId]:
    """A node's key, and those it took the place of."""
    keys, replaced = [node], {new: old for old, new in state.replaced_by.items()}
    while (old := replaced.get(keys[-1])) is not None and old not in keys:
        keys.append(old)
    return keys


def is_in(state: State, channel: int, nodes: Iterable[NodeId], agent: bytes) -> bool:
    """Whether an agent of the node with these keys is in this private channel, as its maker said last."""
    room = state.rooms.get(channel)
    return room is not None and is_member(room.word.members, nodes, agent)


def has_left(state: State, channel: int, agent: bytes) -> bool:
    """Whether this agent of ours does not want to hear of a private channel any more."""
    return state.guests.get(channel, {}).get(agent, False)


async def set_left(conn: aiosqlite.Connection, channel: int, agent: bytes, left: bool) -> None:
    await conn.execute(_LEAVE, (left, channel, agent))


def guests_of(word: RoomWord, ours: Collection[NodeId]) -> list[bytes]:
    """The ids of its members that are agents of the host with these keys."""
    return [one.agent for one in word.members if one.node in ours]


def fold_room(fold: Fold, entry: Entry, word: RoomWord) -> None:
    """The last that its maker said by (epoch, seq) counts; of his heir any beats all of a key before it. Raises
    ValueError, Withheld."""
    state = fold.state
    generation = word.check(entry.author, state.replaced_by)
    if fold.withhold is not None and (why := fold.withhold(entry, None)) is not None:
        raise Withheld(why)
    node, known = fold.node(entry.author), state.channels.get(word.id)
    before = None if known is None else state.rooms.get(known.n)
    if before is not None and before.word.origin != word.origin:
        raise ValueError("another private channel here has this id")
    guests = [one.agent for one in word.members if is_here(state, fold.me, one.node, one.agent)]
    if before is None and not guests:
        return  # nobody of this host is in it, or ever was
    if before is None or _stands_at(state, before) < (generation, entry.epoch, entry.seq):
        fold.take_channel(entry, node, word.told())
        _set_room(fold, entry, node, word)
    channel = state.channels[word.id].n
    for agent in guests:
        if agent not in state.guests.setdefault(channel, {}):
            state.guests[channel][agent] = False
            fold.changes.guests.append((channel, agent))


def _stands_at(state: State, row: RoomRow) -> tuple[int, int, int]:
    try:
        generation = row.word.check(state.node_at[row.node].key, state.replaced_by)
    except ValueError:  # nobody's word (any more)
        generation = -1
    return (generation, row.epoch, row.seq)


def _set_room(fold: Fold, entry: Entry, node: NodeRow, word: RoomWord) -> None:
    channel, state = fold.state.channels[word.id], fold.state
    room = RoomRow(node.n, entry.epoch, entry.seq, word)
    state.rooms[channel.n] = fold.changes.rooms[channel.n] = room


def refuse_stranger(fold: Fold, entry: Entry, said: Said) -> None:
    """Raises Withheld where who posts in a private channel is not known to be in it."""
    channel = fold.state.channels.get(said.channel or "")
    nodes = (*keys_of(fold.state, entry.author), *homes_of(fold.state, entry.author, said.agent))
    if channel is None or not is_in(fold.state, channel.n, nodes, said.agent):
        raise Withheld(NO_MEMBER)
