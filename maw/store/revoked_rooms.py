"""Private channels after a revocation: what the key said of one above its cut counts no more, and what was said before
it (by the same key, or one it took the place of) does again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Final

import aiosqlite

from maw.core.entry import Entry, Kind, decode
from maw.core.identity import NodeId
from maw.core.rooms import RoomWord
from maw.core.sealing import words_of
from maw.store.rooms import SET_ROOM, RoomRow

if TYPE_CHECKING:
    from maw.store.state import State

_PAGE: Final = 500
_OPENED: Final = """SELECT e.place, e.header, e.signature, e.payload, o.key FROM opened o
    JOIN entries e ON e.place = o.place WHERE o.place > ? AND e.shown IS NULL AND e.payload IS NOT NULL
    AND o.place NOT IN (SELECT place FROM withheld) AND o.place NOT IN (SELECT place FROM set_aside)
    ORDER BY o.place LIMIT ?"""


async def unsay_rooms(
    conn: aiosqlite.Connection, state: State, author: NodeId, cut: Mapping[int, int], why: str, now_ms: int
) -> None:
    """Within a transaction. ``cut``: epoch -> last seq that counts; what is above it is withheld for ``why``."""

    def is_beyond(key: NodeId, epoch: int, seq: int) -> bool:
        return key == author and seq > cut.get(epoch, 0)

    unsaid = {
        n for n, row in state.rooms.items() if is_beyond(state.node_at[row.node].key, row.epoch, row.seq)
    }
    if not unsaid:
        return
    best: dict[int, tuple[tuple[int, int, int], RoomRow]] = {}
    beyond: list[int] = []
    async for place, entry, word in _words(conn):
        channel = state.channels.get(word.id)
        if is_beyond(entry.author, entry.epoch, entry.seq):
            beyond.append(place)
            continue
        if channel is None or channel.n not in unsaid or state.rooms[channel.n].word.origin != word.origin:
            continue
        try:
            at = (word.check(entry.author, state.replaced_by), entry.epoch, entry.seq)
        except ValueError:
            continue
        if channel.n not in best or best[channel.n][0] < at:
            row = RoomRow(state.nodes[entry.author].n, entry.epoch, entry.seq, word)
            best[channel.n] = at, row
    for n in unsaid:
        if n in best:
            state.rooms[n] = best[n][1]
            await conn.execute(SET_ROOM, best[n][1].row(n))
        else:  # nobody said anything of it that counts
            del state.rooms[n]
            await conn.execute("DELETE FROM rooms WHERE channel = ?", (n,))
    kept = "INSERT OR REPLACE INTO withheld VALUES (?, ?, ?)"
    await conn.executemany(kept, [(place, why, now_ms) for place in beyond])


async def _words(conn: aiosqlite.Connection) -> AsyncIterator[tuple[int, Entry, RoomWord]]:
    """All that is held of what makers said of private channels."""
    after = 0
    while page := list(await conn.execute_fetchall(_OPENED, (after, _PAGE))):
        after = page[-1][0]
        for place, header, signature, payload, key in page:
            try:
                entry = decode(header, signature, payload)
                kind, content = words_of(entry, key)
                if kind == Kind.CHANNEL:
                    yield place, entry, RoomWord.read(content)
            except (ValueError, TypeError, KeyError):  # damaged: the scrubber tells
                continue
