"""Channels: opened, described, archived, and watched by agents of this host."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import aiosqlite

from maw.core.colony import NewChannel, Recipient
from maw.core.entry import Kind
from maw.core.names import check_name, is_private
from maw.core.profile import check_about
from maw.errors import Conflict, Refused
from maw.node.authoring import Authoring
from maw.node.directory import Directory
from maw.node.presenting import Json, iso
from maw.node.rooms import Rooms
from maw.node.store import Store
from maw.store.channel_words import about_of, is_archived, set_watch
from maw.store.state import AgentRow, ChannelRow


class Channels:
    """``may_open`` raises Refused when an agent may not open this channel."""

    def __init__(
        self,
        store: Store,
        authoring: Authoring,
        directory: Directory,
        may_open: Callable[[AgentRow, str], None],
        rooms: Rooms,
    ) -> None:
        self._store = store
        self.authoring = authoring
        self._directory = directory
        self._may_open = may_open
        self._rooms = rooms

    async def create(self, agent: AgentRow, name: str, about: str = "") -> Json:
        channel = check_name(name.lstrip("#"), "channel")
        if channel in self._store.state.channels:
            raise Conflict(f"there is a channel called {channel} already", code="channel_exists")
        self._may_open(agent, channel)
        made = NewChannel(channel, self._directory.address(agent), about=check_about(about) or None)
        await self.authoring.say(Kind.CHANNEL, made.content())
        return self.json(channel, agent)

    async def create_private(self, agent: AgentRow, name: str, about: str, members: Sequence[str]) -> Json:
        self._may_open(agent, check_name(name.lstrip("#"), "channel"))
        return self.json(await self._rooms.create(agent, name, about, members), agent)

    async def change_members(
        self, agent: AgentRow, name: str, add: Sequence[str], remove: Sequence[str]
    ) -> Json:
        """NotFound, Refused: of a private channel, by who made it."""
        row = self._directory.channel(name, agent.id)
        if not is_private(row.name):
            raise Refused(
                f"#{row.name} is for all: nobody is let in or sent away",
                code="not_private",
                hint="make one that is not: maw channel create NAME --private --with @WHO",
            )
        await self._rooms.change_members(agent, row, add, remove)
        return self.json(row.name, agent)

    async def leave(self, agent: AgentRow, name: str, *, back: bool) -> Json:
        """As ``Rooms.leave``."""
        return {"id": await self._rooms.leave(agent, name, back=back), "left": not back}

    def may_rule(self, agent: AgentRow | None, row: ChannelRow, *, is_admin: bool) -> bool:
        """Whether what is said of this channel counts for everybody (it was made here) or for this host's own agents
        alone. Raises Refused when it is not for this speaker to say."""
        made_here = row.maker is not None and row.maker == self._own
        maker = agent is not None and made_here and row.by == self._directory.address(agent)
        if not is_admin and not maker:
            raise Refused(
                f"#{row.name} was made by {row.by or 'nobody in particular'}",
                code="not_yours",
                hint="who made it can say this for everybody, and who administers this host for its own agents",
            )
        return made_here

    async def change(
        self, agent: AgentRow | None, name: str, *, about: str | None, archived: bool | None, is_admin: bool
    ) -> Json:
        """What is None stays. NotFound, BadInput; Refused as ``may_rule``."""
        row = self._directory.channel(name, None if agent is None else agent.id)
        if is_private(row.name):
            await self._rooms.change(agent, row, about=about, archived=archived)
            return {**self.json(row.name, agent), "for": "everybody"}
        made_here = self.may_rule(agent, row, is_admin=is_admin)
        text = None if about is None else check_about(about)
        if text is not None or archived is not None:
            said = NewChannel(row.name, "", about=text, archived=archived)
            await self.authoring.say(Kind.CHANNEL, said.content())
        return {**self.json(row.name, agent), "for": "everybody" if made_here else "this host"}

    async def retain(self, agent: AgentRow | None, row: ChannelRow, days: int, *, is_admin: bool) -> Json:
        """For how long its messages are kept; 0 is for ever. Refused as ``may_rule``."""
        if is_private(row.name):
            await self._rooms.change(agent, row, keep_days=days)
            return {**self.json(row.name, agent), "for": "everybody"}
        made_here = self.may_rule(agent, row, is_admin=is_admin)
        await self.authoring.say(Kind.CHANNEL, NewChannel(row.name, "", days).content())
        return {**self.json(row.name, agent), "for": "everybody" if made_here else "this host"}

    def refuse_archived(self, row: ChannelRow) -> None:
        """Raises Refused where nobody of this host is to post any more."""
        if row.n and is_archived(self._store.state, row, self._own):
            raise Refused(
                f"#{row.name} is archived: nothing is added to it",
                code="archived",
                hint=f"reading goes on; maw channel unarchive {row.name}, by who made it or who administers this host",
            )

    async def watch(self, agent: AgentRow, name: str, wakes: bool | None) -> Json:
        """What is said there from now on is in the agent's inbox; ``wakes``: it wakes the agent too. None: no more.
        Durable once it returns."""
        row = self._directory.channel(name, agent.id)
        if not row.n:  # #general, in which nobody has said a word yet
            await self.authoring.say(Kind.CHANNEL, NewChannel(row.name, "").content())
            row = self._directory.channel(name)
        n = row.n

        async def write(conn: aiosqlite.Connection) -> None:
            await set_watch(conn, n, agent.n, wakes)

        def apply(_: None) -> None:
            watchers = self._store.state.watchers.setdefault(n, {})
            watchers.pop(agent.n, None)
            if wakes is not None:
                watchers[agent.n] = wakes
            if not watchers:
                del self._store.state.watchers[n]

        await self._store.writer.submit(write, apply)
        return self.json(row.name, agent)

    def json(self, name: str, agent: AgentRow | None = None) -> Json:
        """A channel, and whether ``agent`` watches it."""
        state = self._store.state
        row = state.channels[name]
        watching = state.watchers.get(row.n, {}).get(agent.n) if agent is not None else None
        beside: Json = {}
        if is_private(name):
            members = self._rooms.members(row)
            beside = {"private": True, "members": [self._member(one) for one in members]}
        return {
            "id": row.name, "name": row.name, "created_at": iso(row.created), "created_by": row.by,
            "about": about_of(state, row, self._own) or None,
            "archived": is_archived(state, row, self._own),
            "messages": row.messages, "last_seq": row.last_seq, "keep_days": state.keep_days(row, self._own),
            "watched": watching is not None, "wakes": bool(watching),
            **beside,
        }  # fmt: skip

    def _member(self, one: Recipient) -> str:
        """Who he is here, not what the channel's maker calls him: posts are sealed for the host that is meant."""
        node = self._store.state.nodes.get(one.node)
        row = None if node is None else self._store.state.agents.get((node.n, one.agent))
        row = row if row is None else self._directory.now(row)
        if row is None or row.gone or not self._directory.counts(one.node):
            return f"{one.name}@{one.host} [unknown]"
        return self._directory.address(row)

    @property
    def _own(self) -> int:
        """The number of this node's row; 0 where it has said nothing yet."""
        own = self._store.state.nodes.get(self._store.me)
        return own.n if own else 0
