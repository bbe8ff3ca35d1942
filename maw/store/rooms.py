"""Private channels: what their makers say of them, and whose posts there count.

A post that comes before it is known that its author is in the channel (his log and the maker's have no common order) is
held back, and looked into again when the maker has said more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import aiosqlite

from maw.core.colony import Said
from maw.core.entry import Entry, pack_content, unpack_content
from maw.core.identity import NodeId
from maw.core.rooms import RoomWord, is_member
from maw.store.asides import Withheld

if TYPE_CHECKING:
    from maw.store.fold import Fold
    from maw.store.state import State

NO_MEMBER: Final = "private channel: its author is not known to be in it"
SET_ROOM: Final = "INSERT OR REPLACE INTO rooms VALUES (?, ?, ?, ?, ?)"


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


def keys_of(state: State, node: NodeId) -> list[NodeId]:
    """A node's key, and those it took the place of."""
    return [node, *(old for old, heir in state.heirs.items() if heir == node)]


def is_in(state: State, channel: int, nodes: Iterable[NodeId], agent: bytes) -> bool:
    """Whether an agent of the node with these keys is in this private channel, as its maker said last."""
    room = state.rooms.get(channel)
    return room is not None and is_member(room.word.members, nodes, agent)


def fold_room(fold: Fold, entry: Entry, word: RoomWord) -> None:
    """The last that its maker said by (epoch, seq) counts. Raises ValueError, Withheld."""
    state = fold.state
    if word.maker not in keys_of(state, entry.author):
        raise ValueError("only its maker says who is in a private channel")
    if fold.withhold is not None and (why := fold.withhold(entry, None)) is not None:
        raise Withheld(why)
    node, known = fold.node(entry.author), state.channels.get(word.id)
    before = None if known is None else state.rooms.get(known.n)
    if before is None and not any(one.node in (fold.me, *state.former_me) for one in word.members):
        return  # nobody of this host is in it, or ever was
    if before is not None and (before.epoch, before.seq) >= (entry.epoch, entry.seq):
        return
    fold.take_channel(entry, node, word.told())
    channel = state.channels[word.id]
    room = RoomRow(node.n, entry.epoch, entry.seq, word)
    state.rooms[channel.n] = fold.changes.rooms[channel.n] = room


def refuse_stranger(fold: Fold, entry: Entry, said: Said) -> None:
    """Raises Withheld where who posts in a private channel is not known to be in it."""
    channel = fold.state.channels.get(said.channel or "")
    nodes = keys_of(fold.state, entry.author)
    if channel is None or not is_in(fold.state, channel.n, nodes, said.agent):
        raise Withheld(NO_MEMBER)
