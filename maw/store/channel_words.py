"""What nodes say of channels beside making them: what they are for, that they are archived; who watches one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiosqlite

from maw.core.colony import NewChannel

if TYPE_CHECKING:
    from maw.store.state import ChannelRow, State

SET_WORD: Final = "INSERT OR REPLACE INTO channel_words VALUES (?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class ChannelWord:
    """The latest that one node said; the times are hlcs, 0: it said nothing of it."""

    about: str = ""
    about_at: int = 0
    archived: bool = False
    archived_at: int = 0

    def with_said(self, said: NewChannel, hlc: int) -> ChannelWord:
        word = self
        if said.about is not None and self.about_at < hlc:
            word = ChannelWord(said.about, hlc, word.archived, word.archived_at)
        if said.archived is not None and self.archived_at < hlc:
            word = ChannelWord(word.about, word.about_at, said.archived, hlc)
        return word

    def row(self, about: tuple[int, int]) -> tuple[Any, ...]:
        return (*about, self.about, self.about_at, self.archived, self.archived_at)


NOTHING: Final = ChannelWord()


def about_of(state: State, channel: ChannelRow, node: int) -> str:
    """What a channel is for: as the node that made it says, else as ``node`` does; of a private one as its maker's last
    word has it, whichever key he has by now."""
    if (room := state.rooms.get(channel.n)) is not None:
        return room.word.about
    for n in (channel.maker, node):
        if n is not None and (word := state.channel_words.get((channel.n, n), NOTHING)).about_at:
            return word.about
    return ""


def is_archived(state: State, channel: ChannelRow, node: int) -> bool:
    """Whether nobody of ``node`` is to post there any more: the node that made it says so, or ``node`` itself; of a
    private one its maker alone, as ``about_of``."""
    if (room := state.rooms.get(channel.n)) is not None:
        return room.word.archived
    return any(
        state.channel_words.get((channel.n, n), NOTHING).archived
        for n in (channel.maker, node)
        if n is not None
    )


def watched_by(state: State, channel: int, author: int, known: Iterator[int]) -> list[int]:
    """The agents of this host that watch a channel and do not get its message anyhow (``known``), nor wrote it."""
    others = {author, *known}
    return [n for n in state.watchers.get(channel, ()) if n not in others and not state.agent_at[n].gone]


async def read_channels(conn: aiosqlite.Connection, state: State) -> None:
    """Into an empty state."""
    for channel, node, about, about_at, archived, archived_at in await conn.execute_fetchall(
        "SELECT * FROM channel_words"
    ):
        word = ChannelWord(str(about), int(about_at), bool(archived), int(archived_at))
        state.channel_words[channel, node] = word
    for channel, agent, wakes in await conn.execute_fetchall("SELECT channel, agent, wakes FROM watches"):
        if agent in state.agent_at:  # else the row is damaged
            state.watchers.setdefault(channel, {})[agent] = bool(wakes)


async def set_watch(conn: aiosqlite.Connection, channel: int, agent: int, wakes: bool | None) -> None:
    """``wakes`` None: it watches no more."""
    await conn.execute("DELETE FROM watches WHERE channel = ? AND agent = ?", (channel, agent))
    if wakes is not None:
        await conn.execute("INSERT INTO watches VALUES (?, ?, ?)", (channel, agent, wakes))
