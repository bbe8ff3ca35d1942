"""What belongs together: a message with what it answers and what answers it; asks that wait for an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import aiosqlite

from maw.core.asks import MINE, OF_ME, is_open_to, open_for
from maw.core.rooms import is_member
from maw.errors import NotFound
from maw.node.authoring import wall_clock_ms
from maw.node.directory import Directory
from maw.node.presenting import Json, Presenter
from maw.node.store import Store
from maw.node.talking import Talking
from maw.node.upcoming import Upcoming
from maw.store import asks as rows
from maw.store import pages
from maw.store.pages import Shown
from maw.store.state import AgentRow

PATH: Final = 20
"""So many of the messages above one in its thread are shown; the root is looked for that far up."""
COUNTED_AT_ONCE: Final = 200
SHOWN: Final = 100
"""Answers, and answers to these, that are shown with a message."""


class Conversing:
    """``newest``: the newest seq that is visible."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        presenter: Presenter,
        talking: Talking,
        newest: Callable[[], int],
    ) -> None:
        self._store = store
        self._directory = directory
        self._presenter = presenter
        self._talking = talking
        self._upcoming = Upcoming(newest)

    # -- threads ------------------------------------------------------------------------------------

    async def around(self, message: Json, agent_key: bytes | None) -> Json:
        """``root`` (its id), ``path`` (what it answers, from the root on), ``replies`` (how many answer it) and
        ``thread``: the answers and theirs, each with its ``depth``, in the order in which a thread is read."""
        path = await self._path(message["reply_to"], agent_key)
        return {
            "root": path[0]["id"] if path else message["id"],
            "path": path,
            "replies": await self._replies(message, agent_key),
            "thread": await self._below(message["id"], agent_key),
        }

    async def _replies(self, message: Json, agent_key: bytes | None) -> int:
        """How many answers there are; of those that are not for all (asked of what is not itself) only the ones that
        this agent may read."""
        count = await pages.count_replies(self._store.db, message["id"])
        if message["kind"] == "direct" or message["to"]:
            after, see = 0, self._presenter
            while rows := await pages.replies(
                self._store.db, message["id"], COUNTED_AT_ONCE, after=after, direct=True
            ):
                count += sum(see.may_read(row, see.said(row), agent_key) for row in rows)
                after = rows[-1].seq
        return count

    async def _path(self, ref: str | None, agent_key: bytes | None) -> list[Json]:
        found: list[Json] = []
        seen: set[str] = set()
        while ref is not None and ref not in seen and len(found) < PATH:
            seen.add(ref)  # who writes entries by hand could answer himself
            try:
                row = await self._talking.find(ref, agent_key)
            except NotFound:
                break
            found.append(self._presenter.message(row))
            ref = row.reply
        return found[::-1]

    async def _below(self, top: str, agent_key: bytes | None) -> list[Json]:
        """Level by level, until there are enough; then each below what it answers."""
        below: dict[str, list[Json]] = {}
        level, left, seen = [top], SHOWN, {top}
        while level and left > 0:
            found = await pages.answers(self._store.db, level, left)
            left -= len(found)
            level = []
            for item in self._presenter.readable(found, agent_key):
                if item["id"] not in seen:
                    seen.add(item["id"])
                    below.setdefault(item["reply_to"], []).append(item)
                    level.append(item["id"])
        return _in_order(below, top)

    async def page(
        self, ref: str, agent_key: bytes | None, *, after: int, limit: int
    ) -> tuple[list[Json], int | None]:
        """The answers to one message that this agent may read, each with how many it has; and where to go on, None
        where there are no more."""
        row = await self._talking.find(ref, agent_key)
        found = await pages.replies(self._store.db, self._presenter.id(row), limit, after=after)
        items = self._presenter.readable(found, agent_key)
        for item in items:
            item["replies"] = await self._replies(item, agent_key)
        return items, found[-1].seq if len(found) == limit else None

    # -- asks ---------------------------------------------------------------------------------------

    async def asks(self, agent: AgentRow, whose: str | None, *, overdue: bool) -> list[Json]:
        """Open asks, oldest first: by this agent, with ``waits_for``, and of it. An expired one is none."""
        found: list[Json] = []
        if whose in (None, OF_ME):
            found += await self._of(agent)
        if whose in (None, MINE):
            found += await self._by(agent)
        found = [item for item in found if not item.get("expired") and (item.get("overdue") or not overdue)]
        return sorted(found, key=lambda item: item["seq"])

    async def overdue(self, agent: AgentRow) -> int:
        """How many asks of this agent wait for his answer although their time has passed."""
        late = await rows.late_of(self._store.db, agent.n, wall_clock_ms())
        if not late:
            return 0
        return sum(not item.get("expired") for item in await self._open_to(agent, late))

    async def _of(self, agent: AgentRow) -> list[Json]:
        return await self._open_to(agent, await rows.asked_of(self._store.db, agent.n))

    async def _open_to(self, agent: AgentRow, seqs: Sequence[int]) -> list[Json]:
        messages = await self._rows(seqs)
        answered = await self._answered(messages)
        found = []
        for row in messages:
            message = self._presenter.message(self._presenter.as_for(row, agent.id))
            why = next((why for n, why in await rows.addressed(self._store.db, row.seq) if n == agent.n), "")
            if is_open_to(agent.n, row.agent, answered[message["id"]], by_group=why == "group"):
                found.append({**message, "whose": OF_ME, "waits_for": [self._directory.address(agent)]})
        return found

    async def _by(self, agent: AgentRow) -> list[Json]:
        messages = await self._rows(await rows.asked_by(self._store.db, agent.n))
        answered = await self._answered(messages)
        found = []
        for row in messages:
            message = self._presenter.message(row)
            left = open_for(self._named(row), row.agent, answered[message["id"]])
            if left is None or left:
                waits = [self._directory.address(self._store.state.agent_at[n]) for n in left or ()]
                found.append({**message, "whose": MINE, "waits_for": waits})
        return found

    def _named(self, row: Shown) -> list[int]:
        said, state = self._presenter.said(row), self._store.state
        if said.channel is not None:
            called = [(one, state.node_at[one.node].key) for one in self._directory.mentioned(said.mentions)]
            return [one.n for one, host in called if not said.to or is_member(said.to, (host,), one.id)]
        nodes = {to.node: state.nodes[to.node].n for to in said.to if to.node in state.nodes}
        keys = [(nodes[to.node], to.agent) for to in said.to if to.node in nodes]
        return [state.agents[key].n for key in keys if key in state.agents]

    async def _rows(self, seqs: Sequence[int]) -> list[Shown]:
        return await pages.among(self._store.db, seqs)

    async def _answered(self, messages: Sequence[Shown]) -> dict[str, set[int]]:
        return await rows.repliers(self._store.db, [self._presenter.id(row) for row in messages])

    async def remind(self) -> None:
        """Who has not answered an ask in time hears of it once more. To be called once a second. Raises MawError
        when the disk does not take it; then it is still due."""
        now = wall_clock_ms()
        if not self._upcoming.may_be(now):
            return
        upcoming = await rows.upcoming(self._store.db)
        self._upcoming.first(upcoming[0][1] if upcoming else None)
        seqs = [seq for seq, due in upcoming if due <= now]
        if not seqs:
            return
        messages = await self._rows(seqs)
        answered = await self._answered(messages)
        whom: list[tuple[int, int]] = []
        for row in messages:
            replied = answered[self._presenter.id(row)]
            for n, why in await rows.addressed(self._store.db, row.seq):
                if is_open_to(n, row.agent, replied, by_group=why == "group"):
                    whom.append((n, row.seq))

        async def write(conn: aiosqlite.Connection) -> None:
            await rows.remind(conn, seqs, whom)

        def after(_: None) -> None:
            for n, seq in whom:
                self._store.state.late_mail.setdefault(n, []).append(seq)

        await self._store.writer.submit(write, after)


def _in_order(below: dict[str, list[Json]], top: str) -> list[Json]:
    """Each answer right below what it answers, with how deep it stands: 1 for what answers ``top``. Without
    recursion: a thread may be deep."""
    found: list[Json] = []
    stack = [(1, item) for item in reversed(below.get(top, []))]
    while stack:
        depth, item = stack.pop()
        found.append({**item, "depth": depth})
        stack += [(depth + 1, one) for one in reversed(below.get(item["id"], []))]
    return found
