"""Messages as somebody may read them: a page at a time, behind a cursor; and waiting for more."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from maw.api.backend import Json, Page, Speaker
from maw.api.service.speakers import Speakers
from maw.core.colony import GROUPS
from maw.core.effects import Alert
from maw.core.names import is_private, parse_address, parse_group
from maw.core.states import REPLICATED
from maw.errors import BadInput
from maw.node.presenting import iso
from maw.node.talking import need_agent
from maw.store import changed, pages
from maw.store.people import member_of
from maw.store.state import AgentRow

_RUN: Final = os.urandom(4).hex()
"""Of this process: what is counted begins anew with the next."""
ROOM_PAGES: Final = 100
"""Of a private channel, looked at for one answer."""
_STREAM_SCAN: Final = 500
"""Rows looked at for one stream page: direct messages of others are passed over, but not without end."""


class Reading(Speakers):
    def _check_cursor(self, after_seq: int | None) -> None:
        """A cursor beyond all that was ever visible is another replica's: waiting for it would skip messages."""
        # a page may show what was committed this instant, before ``visible`` has heard of it: the writer's own
        # count is never behind
        newest = max(self._node.visible.seq, self._node.state.seq)
        if after_seq is not None and after_seq > newest:
            raise BadInput(
                f"after_seq: {after_seq} is beyond this replica's newest, {newest}",
                code="cursor_ahead",
                hint="a cursor belongs to the replica that gave it (X-Maw-Replica); begin at 0 or without one",
            )

    async def wait_visible(self, after_seq: int, timeout: float) -> int:
        return await self._node.visible.wait(after_seq, timeout)

    async def wait_reached(self, message_id: str, timeout: float, state: str = REPLICATED) -> Json:
        row = await self._node.talking.any(message_id)
        return await self._node.tracing.wait(row, timeout, state)

    def let_go(self, speaker: Speaker, seconds: float) -> None:
        who = speaker.agent or ("somebody without a token" if speaker.uid is None else f"uid {speaker.uid}")
        text = (
            f"a stream for {who} took no message for {seconds:g} s and was ended: its program hangs, or is too slow."
            " Nothing is lost, it goes on where it was when it asks again"
        )
        self._node.alerts.raise_alert(Alert("slow_reader", who, text))

    async def channels(self, speaker: Speaker) -> list[Json]:
        agent = self._agent(speaker)
        node = self._node
        public = [name for name in node.state.channels if not is_private(name)]
        own = [row.name for row in node.directory.rooms_of(speaker.agent_key)]
        return [node.channels.json(name, agent) for name in sorted([*public, *own])]

    async def channel_page(
        self, speaker: Speaker, channel: str, *, after_seq: int | None, before_seq: int | None, limit: int
    ) -> Page:
        self._check_cursor(after_seq)
        seen = self._node.visible.seq
        row = self._node.directory.channel(channel, speaker.agent_key)
        if is_private(row.name) and after_seq is None:
            found = await self._room_back(row.n, before_seq, limit, speaker.agent_key)
            return _page(found, seen, after_seq, limit)
        rows = await pages.in_channel(self._node.db, row.n, after=after_seq, before=before_seq, limit=limit)
        if is_private(row.name):  # what was said before one came is not for him
            found = self._node.presenter.readable(rows, speaker.agent_key)
            more = rows[-1].seq if len(rows) == limit else None
            page = _page(found, seen, after_seq, limit)
            return page if more is None else page._replace(next_seq=more)
        return _page([self._node.presenter.message(item) for item in rows], seen, after_seq, limit)

    async def _room_back(
        self, n: int, before_seq: int | None, limit: int, agent_key: bytes | None
    ) -> list[Json]:
        """The latest of a private channel that are for him: past what was said while he was not in it."""
        found: list[Json] = []
        for _ in range(ROOM_PAGES):
            rows = await pages.in_channel(self._node.db, n, after=None, before=before_seq, limit=limit)
            found = [*self._node.presenter.readable(rows, agent_key), *found]
            if len(rows) < limit or len(found) >= limit:
                break
            before_seq = rows[0].seq
        return found[-limit:]

    async def mentions_page(
        self,
        speaker: Speaker,
        user: str,
        *,
        after_seq: int | None,
        limit: int,
        before_seq: int | None = None,
    ) -> Page:
        self._check_cursor(after_seq)
        seen = self._node.visible.seq
        words = self._words(user)
        rows = await pages.mentioning(self._node.db, words, after=after_seq, before=before_seq, limit=limit)
        return _page([self._node.presenter.message(item) for item in rows], seen, after_seq, limit)

    def _words(self, user: str) -> list[str]:
        """How ``user`` may have been mentioned: by name, with its host, or in a group; or the group that it is."""
        if (group := parse_group(user)) is not None:
            return [group]
        wanted = parse_address(user)
        if wanted.name in GROUPS:
            return [wanted.name]
        directory = self._node.directory
        rows = directory.agents_called(wanted.name, wanted.host)
        if not rows:
            directory.find_agent(user)  # says what is near
        words = {wanted.name: None}
        for row in rows:
            words |= dict.fromkeys((*directory.addresses(row), *self._groups_of(row)))
        return list(words)

    def _groups_of(self, row: AgentRow) -> list[str]:
        return member_of(row, self._node.state.node_at[row.node]).groups

    async def inbox_page(
        self,
        speaker: Speaker,
        *,
        after_seq: int,
        limit: int,
        expired: bool = False,
        before_seq: int | None = None,
    ) -> Page:
        self._check_cursor(after_seq)
        agent = need_agent(self._agent(speaker))
        seen = self._node.visible.seq
        over = await pages.expired_count(self._node.db, agent.n)
        late = await self._node.conversing.overdue(agent)
        rows = await pages.unread(
            self._node.db, agent.n, after=after_seq, before=before_seq, limit=limit, expired=expired
        )
        presenter = self._node.presenter
        items = [presenter.message(presenter.as_for(item, agent.id)) for item in rows]
        self._node.orders.handed(agent, items)
        return _page(items, seen, after_seq, limit)._replace(expired=over, overdue=late)

    async def orders(self, speaker: Speaker, *, limit: int) -> list[Json]:
        return await self._node.orders.listing(speaker.agent_key, limit)

    async def order(self, speaker: Speaker, ref: str) -> Json:
        return await self._node.orders.one(ref, speaker.agent_key)

    async def stream_page(
        self,
        speaker: Speaker,
        *,
        after_seq: int,
        channel: str | None,
        user: str | None,
        limit: int,
        changes: bool = False,
    ) -> Page:
        self._check_cursor(after_seq)
        seen = self._node.visible.seq
        scan, mailbox = _STREAM_SCAN, None
        if user is not None:
            agent = self._own(speaker, user)
            mailbox = agent.n
            rows = await pages.mailbox(self._node.db, agent.n, after=after_seq, limit=limit)
            scan = limit
        elif channel is not None:
            row = self._node.directory.channel(channel, speaker.agent_key)
            channel = row.name
            rows = await pages.in_channel(self._node.db, row.n, after=after_seq, before=None, limit=limit)
            scan = limit
        else:
            rows = await pages.since(self._node.db, after_seq, min(limit, scan))
            scan = min(limit, scan)
        items = self._node.presenter.readable(rows, speaker.agent_key)
        if user is not None:
            self._node.orders.handed(agent, items)
        next_seq = rows[-1].seq if len(rows) == scan else max(after_seq, seen, rows[-1].seq if rows else 0)
        if not changes or self._node.state.last_change <= after_seq:
            return Page(items, next_seq)
        # read after the messages: whatever changed up to the last of them is durable by now
        told = await changed.since(self._node.db, after_seq, next_seq, limit)
        if len(told) == limit:
            next_seq = told[-1][0]
            items = [item for item in items if item["seq"] <= next_seq]
        found = await self._as_now(speaker, told, channel, mailbox)
        return Page(items, next_seq, changes=found)

    async def _as_now(
        self, speaker: Speaker, told: Sequence[tuple[int, int]], channel: str | None, mailbox: int | None
    ) -> list[tuple[int, Json]]:
        """The messages of these changes (number, seq) that the speaker may read, as they are now."""
        if not told:
            return []
        seqs = [seq for _, seq in told]
        rows = await pages.among(self._node.db, seqs)
        if mailbox is not None:
            own = await pages.in_mailbox(self._node.db, mailbox, seqs)
            rows = [row for row in rows if row.seq in own]
        readable = self._node.presenter.readable(rows, speaker.agent_key)
        by_seq = {item["seq"]: item for item in readable if channel in (None, item["channel"])}
        return [(n, by_seq[seq]) for n, seq in told if seq in by_seq and _is_other(by_seq[seq])]

    def _own(self, speaker: Speaker, user: str) -> AgentRow:
        agent = need_agent(self._agent(speaker))
        wanted = self._node.directory.find_agent(user)
        if wanted.n != agent.n:
            raise BadInput(
                "user: a stream for a user shows that user's mailbox, so only its own", code="not_yours"
            )
        return agent

    async def sent(
        self,
        speaker: Speaker,
        *,
        limit: int,
        after_seq: int | None = None,
        before_seq: int | None = None,
    ) -> list[Json]:
        self._check_cursor(after_seq)
        agent = need_agent(self._agent(speaker))
        return await self._node.tracing.sent(agent, limit, after=after_seq, before=before_seq)

    def version(self) -> str:
        return f"{_RUN}-{self._node.writer.changes:x}"

    async def trace(self, speaker: Speaker, ref: str) -> Json:
        row = await self._node.talking.find(ref, speaker.agent_key)
        return await self._node.tracing.trace(row, speaker.agent_key, is_admin=speaker.is_admin)

    async def message(self, speaker: Speaker, ref: str) -> Json:
        node = self._node
        row = await node.talking.find(ref, speaker.agent_key)
        shown = node.presenter.message(row)
        shown |= await node.conversing.around(shown, speaker.agent_key)
        agent = self._agent(speaker)
        if agent is not None and (marks := await pages.marks(node.db, agent.n, row.seq)) is not None:
            shown |= {"delivered_at": iso(marks[0]), "read_at": iso(marks[1])}
        if node.presenter.position(row).author == node.me:
            knows_all = speaker.is_admin or node.tracing.is_authors(row, speaker.agent_key)
            receipt = await node.tracing.receipt(row, hosts_only=not knows_all)
            shown |= {"state": receipt["state"], "recipients": receipt["recipients"]}
        return shown


def _is_other(message: Json) -> bool:
    """An edit may be another agent's than who said it: then it changed nothing."""
    return "redacted" in message or "edited_at" in message


def _page(items: list[Json], seen: int, after: int | None, limit: int) -> Page:
    """``seen`` was read before the rows were: nothing above it can have been passed over."""
    if len(items) == limit:
        return Page(items, items[-1]["seq"])
    return Page(items, max(after or 0, seen, items[-1]["seq"] if items else 0))
