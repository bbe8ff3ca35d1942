"""Private channels of this host's agents: made, filled and emptied by who made them, posted in by who is in them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

import aiosqlite

from maw.core.colony import GENERAL, MAX_RECIPIENTS, Recipient
from maw.core.entry import Kind
from maw.core.identity import NodeId
from maw.core.names import check_name
from maw.core.profile import check_about
from maw.core.rooms import NONCE_BYTES, RoomWord, is_member
from maw.errors import BadInput, Conflict, NotFound, Refused
from maw.node.authoring import Authoring, wall_clock_ms
from maw.node.directory import Directory
from maw.node.folds import Folds
from maw.node.sealing import Sealing
from maw.node.store import Store
from maw.store.fold import Fold
from maw.store.rooms import NO_MEMBER, RoomRow, set_left
from maw.store.state import AgentRow, ChannelRow, SaidKey
from maw.store.withholding import release


class Rooms:
    def __init__(
        self, store: Store, authoring: Authoring, directory: Directory, sealing: Sealing, folds: Folds
    ) -> None:
        self._store = store
        self._authoring = authoring
        self._directory = directory
        self._sealing = sealing
        self._folds = folds
        self._anew: dict[int, tuple[RoomRow, SaidKey]] = {}
        """By channel: what was said anew, and for which sealing key."""
        self._due = True
        """Posts may be held back whose authors are known to be in their channels by now."""

    # -- what its maker says --------------------------------------------------------------------------

    async def create(self, agent: AgentRow, name: str, about: str, members: Sequence[str]) -> str:
        """The id of a new private channel with these agents in it. BadInput, NotFound, Ambiguous, Conflict."""
        name = check_name(name.lstrip("#"), "channel")
        if name == GENERAL:
            raise BadInput(
                f"#{GENERAL} is for all: no private channel is called so", code="reserved_name",
                hint="choose another name",
            )  # fmt: skip
        word = RoomWord(
            agent.id, self._store.me, os.urandom(NONCE_BYTES), name,
            self._directory.address(agent), self._with((self._directory.recipient(agent),), members),
            check_about(about),
        )  # fmt: skip
        await self._say(word, ())
        return word.id

    async def change_members(
        self, agent: AgentRow, row: ChannelRow, add: Sequence[str], remove: Sequence[str]
    ) -> None:
        """Raises NotFound, BadInput, Refused when it is not this agent's, Conflict."""
        word = self._own(agent, row)
        gone = {
            (one.node, one.agent)
            for one in map(self._directory.recipient, map(self._directory.find_agent, remove))
        }
        if (self._store.me, agent.id) in gone:
            raise _stays(row)
        members = self._as_they_are(word.members)
        if absent := gone - {(one.node, one.agent) for one in members}:
            raise NotFound(f"{len(absent)} of these are not in #{row.name}", code="no_such_agent")
        left = tuple(one for one in members if (one.node, one.agent) not in gone)
        await self._say(replace(word, members=self._with(left, add)), members)

    async def change(
        self,
        agent: AgentRow | None,
        row: ChannelRow,
        *,
        about: str | None = None,
        archived: bool | None = None,
        keep_days: int | None = None,
    ) -> None:
        """What is None stays. Refused: only its maker does so."""
        word = self._own(agent, row)
        said = replace(
            word,
            about=word.about if about is None else check_about(about),
            archived=word.archived if archived is None else archived,
            keep_days=word.keep_days if keep_days is None else keep_days,
        )
        await self._say(said, word.members)

    async def leave(self, agent: AgentRow, name: str, *, back: bool) -> str:
        """This agent of ours wants to hear nothing of it any more, or (``back``) again: the maker is not told. Its id,
        once that is durable. NotFound, Ambiguous; BadInput: who made it."""
        row = self._directory.room_to_leave(name, agent.id)
        state = self._store.state
        room = state.rooms.get(row.n)
        ours = (self._store.me, *state.former_me)
        if room is not None and room.word.agent == agent.id and room.word.maker in ours:
            raise _stays(row)

        async def write(conn: aiosqlite.Connection) -> None:
            await set_left(conn, row.n, agent.id, not back)

        def apply(_: None) -> None:
            state.guests[row.n][agent.id] = not back

        await self._store.writer.submit(write, apply)
        return row.name

    def _own(self, agent: AgentRow | None, row: ChannelRow) -> RoomWord:
        word = self._store.state.rooms[row.n].word
        ours = (self._store.me, *self._store.state.former_me)
        if agent is None or word.maker not in ours or word.agent != agent.id:
            raise Refused(
                f"#{row.name} was made by {word.by}: nobody else changes it",
                code="not_yours",
                hint=f"ask {word.by}; make another one: maw channel create NAME --private",
            )
        return word

    def _with(self, members: tuple[Recipient, ...], add: Sequence[str]) -> tuple[Recipient, ...]:
        more = [self._directory.recipient(self._directory.find_agent(one)) for one in add]
        known = {(one.node, one.agent) for one in members}
        fresh = {(one.node, one.agent): one for one in more if (one.node, one.agent) not in known}
        if len(members) + len(fresh) > MAX_RECIPIENTS:
            raise BadInput(f"at most {MAX_RECIPIENTS} are in a private channel", code="bad_body")
        return (*members, *fresh.values())

    async def _say(self, word: RoomWord, before: Sequence[Recipient]) -> None:
        """To the hosts of who is in it; those of whom nobody is any more are told that it is over for them."""
        word = replace(word, members=self._as_they_are(word.members))
        hosts = self.hosts(word.members)
        left = self.hosts(before) - hosts
        for said, nodes in ((word, hosts), (replace(word, members=(), about=""), left)):
            if not nodes:
                continue
            content, key = self._sealing.seal(Kind.CHANNEL, said.content(), nodes, itself=said is word)

            def local(fold: Fold, key: bytes | None = key if said is word else None) -> None:
                fold.fresh_key = key

            await self._authoring.say(Kind.PRIVATE, content, local=local)
        self._due = True

    async def _say_again(self) -> None:
        """What was said of a channel before this node named its sealing key: who loses his database can open what comes
        back for 30 days, and should find the channels among it."""
        state = self._store.state
        own = state.nodes.get(self._store.me)
        key = None if own is None else state.seal_keys.get(own.n)
        if own is None or key is None or self._authoring.read_only or self._authoring.barred:
            return
        former = {state.nodes[node].n for node in state.former_me if node in state.nodes}
        for n, room in list(state.rooms.items()):
            if self._anew.get(n) == (room, key):
                continue  # once; whatever became of it
            is_older = (room.epoch, room.seq) < (key.epoch, key.seq)
            moved = self._as_they_are(room.word.members) != room.word.members
            if room.word.members and (room.node in former or (room.node == own.n and (is_older or moved))):
                with suppress(
                    Conflict
                ):  # a host has named no key (any more): at the next change, or in a week
                    await self._say(room.word, ())
                    self._anew[n] = (room, key)

    # -- posts ------------------------------------------------------------------------------------------

    def members(self, row: ChannelRow) -> tuple[Recipient, ...]:
        return self._as_they_are(self._store.state.rooms[row.n].word.members)

    def _as_they_are(self, members: Iterable[Recipient]) -> tuple[Recipient, ...]:
        """With the keys that took the place of those under which they came, and where they live now."""
        state = self._store.state
        return tuple(self._now(one, state.travels.home(one.node, one.agent)) for one in members)

    def _now(self, one: Recipient, home: NodeId) -> Recipient:
        if home == one.node or home == self._store.state.heirs.get(one.node):
            return one._replace(node=home)
        row = self._store.state.agents.get((self._store.state.nodes[home].n, one.agent))
        return one._replace(node=home) if row is None else self._directory.recipient(row)

    def hosts(self, members: Iterable[Recipient]) -> set[NodeId]:
        """Those of them that are trusted: of a revoked one nobody is in it any more."""
        return {one.node for one in members if self._directory.counts(one.node)}

    def is_in(self, row: ChannelRow, agent: AgentRow) -> bool:
        """Whether an agent anywhere is in it."""
        return is_member(self.members(row), (self._store.state.node_at[agent.node].key,), agent.id)

    # -- posts that came before their authors were known ---------------------------------------------

    def received(self, fold: Fold) -> None:
        """What came from elsewhere is durable."""
        self._due = self._due or bool(fold.changes.rooms) or bool(fold.changes.travels)

    async def settle(self) -> None:
        """Looks again into what was held back, and says anew what was sealed for older keys. Raises MawError when the
        disk does not take it."""
        await self._say_again()
        if not self._due:
            return
        self._due = False
        after: int | None = 0
        try:
            while after is not None:
                start = after

                async def write(conn: aiosqlite.Connection, start: int = start) -> tuple[int | None, Fold]:
                    fold = self._folds.new(wall_clock_ms())
                    return await release(conn, fold, NO_MEMBER, start), fold

                after, _ = await self._store.writer.submit(write, lambda done: self._folds.took(done[1]))
        except BaseException:
            self._due = True
            raise


def _stays(row: ChannelRow) -> BadInput:
    return BadInput(
        "who made a private channel stays in it",
        code="bad_body",
        hint=f"maw channel archive {row.name} ends it",
    )
