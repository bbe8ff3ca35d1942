"""Taking words back: by whom they are, by who administers their host, or by time.

A rule is an entry in our own log, so it goes where the words went and stays on record. What is ours alone to rule
over is what this node's agents said (maw.core.redaction.may_redact).
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from maw.core.colony import MAX_KEEP_DAYS
from maw.core.entry import Kind, Position
from maw.core.message_ids import message_id
from maw.core.redaction import MAX_RANGES, MAX_REASON, REDACTED, RETENTION, Redaction, as_ranges
from maw.core.text import check_message
from maw.errors import Ambiguous, BadInput, NotFound, Refused
from maw.node.authoring import Authoring, wall_clock_ms
from maw.node.channels import Channels
from maw.node.directory import Directory
from maw.node.presenting import Json, Presenter
from maw.node.store import Store
from maw.node.talking import Talking
from maw.node.visible import Visible
from maw.store.editing import places_of
from maw.store.pages import Shown
from maw.store.redacting import drop_due
from maw.store.schema import SEQ_BITS
from maw.store.shrinking import give_back, worth_shrinking
from maw.store.state import AgentRow, ChannelRow

log = logging.getLogger(__name__)

DAY_MS: Final = 86_400_000
RETENTION_EVERY_S: Final = 60
SHRINK_EVERY_S: Final = 2
STEPS_A_SECOND: Final = 8
EXPIRED_A_STEP: Final = 500

_EXPIRED: Final = """SELECT m.seq, m.place, m.said, e.payload IS NULL
    FROM messages m JOIN entries e ON e.place = m.place WHERE m.channel = ? AND m.seq > ? ORDER BY m.seq LIMIT ?"""
_ON_RECORD: Final = """SELECT 1 FROM redactions d LEFT JOIN entries e ON e.place = d.rule
    WHERE d.first <= ? AND d.last >= ? AND d.first > (? >> 40) << 40 AND (d.rule < 0 OR e.place IS NOT NULL) LIMIT 1"""


class Redacting:
    """``redact`` and ``retain`` are for people; ``keep`` runs once a second and does what is left to do."""

    def __init__(
        self,
        store: Store,
        authoring: Authoring,
        directory: Directory,
        presenter: Presenter,
        talking: Talking,
        channels: Channels,
        visible: Visible,
    ) -> None:
        self._visible = visible
        self._store = store
        self.authoring = authoring
        self._directory = directory
        self._presenter = presenter
        self._talking = talking
        self._channels = channels
        self._looked_at: dict[int, int] = {}
        """channel -> the seq up to which everything of ours that is too old was dropped."""
        self._seconds = 0
        self._scrubbed = 0
        self._shrinking = True

    # -- by people --------------------------------------------------------------------------------

    async def redact(
        self, agent: AgentRow | None, refs: Sequence[str], reason: str | None, *, is_admin: bool
    ) -> Json:
        """Drop the text of these messages, and versions of souls, everywhere. All or none: NotFound, Refused, BadInput
        say which stands in the way. Durable here when it returns; the other hosts follow as they hear of it."""
        reason = _checked(reason)
        souls = {ref: found for ref in refs if (found := await self._soul(ref, agent, is_admin=is_admin))}
        rows = [await self._ours(ref, agent, is_admin=is_admin) for ref in refs if ref not in souls]
        wanted = {self._presenter.position(row): row for row in rows}
        fresh = [
            position for position, row in wanted.items()
            if row.gone is None or not await self._is_on_record(row.place)
        ]  # fmt: skip
        by = self._directory.address(agent) if agent else self._host()
        edits = await self._edits_of([wanted[position].place for position in fresh])
        fresh += souls.values()
        await self._say([*fresh, *edits], REDACTED, by, reason=reason)
        return {
            "redacted": [message_id(position) for position in fresh],
            "already": [message_id(position) for position in wanted if position not in fresh],
        }

    async def _edits_of(self, places: Sequence[int]) -> list[Position]:
        """Where the edits of what stands at these places are: their words go with it."""
        logs = self._store.state.log_at
        return [
            Position(self._store.me, logs[place >> SEQ_BITS].epoch, place & ((1 << SEQ_BITS) - 1))
            for place in await places_of(self._store.db, places)
        ]

    async def _is_on_record(self, place: int) -> bool:
        """Whether a rule that covers it is told to others: a restored database may know one whose entry is gone."""
        return bool(await self._store.db.rows(_ON_RECORD, (place, place, place)))

    async def _soul(self, ref: str, agent: AgentRow | None, *, is_admin: bool) -> Position | None:
        """Where the version of a soul stands that this is the id of; None where it is of none. Refused: another's."""
        if ref.isdecimal():
            return None
        try:
            position = self._directory.position(ref)
        except (NotFound, Ambiguous, BadInput):
            return None
        place = self._store.state.logs[position.author, position.epoch].place(position.seq)
        rows = await self._store.db.rows("SELECT agent FROM souls WHERE place = ?", (place,))
        if not rows:
            return None
        if position.author != self._store.me:
            raise Refused(
                f"the soul {ref} was said on another host: only that host can redact it",
                code="not_ours",
                hint="ask whoever administers that host, or an operator who may redact",
            )
        if not is_admin and (agent is None or agent.id != rows[0][0]):
            raise Refused(
                f"the soul {ref} is another's", code="not_yours", hint="ask who administers this host"
            )
        return position

    async def _ours(self, ref: str, agent: AgentRow | None, *, is_admin: bool) -> Shown:
        row = await self._talking.find(ref, agent.id if agent else None, all_of_ours=is_admin)
        position = self._presenter.position(row)
        author = self._store.state.agent_at[row.agent]
        if position.author != self._store.me:
            whose = self._directory.address(author)
            raise Refused(
                f"message {message_id(position)} was said on another host: only that host can redact it",
                code="not_ours",
                hint=f"ask @{whose}, or whoever administers that host",
            )
        if not is_admin and (agent is None or agent.n != author.n):
            raise Refused(
                f"message {message_id(position)} is {self._directory.address(author)}'s",
                code="not_yours",
                hint=f"say --as {author.name}, or ask who administers this host",
            )
        return row

    async def _say(
        self,
        places: Sequence[Position],
        why: str,
        by: str,
        *,
        reason: str | None = None,
        days: int | None = None,
    ) -> None:
        by_epoch: defaultdict[int, list[int]] = defaultdict(list)
        for position in places:
            by_epoch[position.epoch].append(position.seq)
        for epoch, seqs in sorted(by_epoch.items()):
            ranges = as_ranges(seqs)
            for at in range(0, len(ranges), MAX_RANGES):
                some = tuple(ranges[at : at + MAX_RANGES])
                rule = Redaction(self._store.me, epoch, some, why, by, reason, days)
                await self.authoring.say(Kind.REDACT, rule.content())

    def _host(self) -> str:
        """Who rules when no agent speaks: a host's administrator."""
        return ""

    async def retain(self, agent: AgentRow | None, name: str, days: int, *, is_admin: bool) -> Json:
        """For how long ``name``'s messages are kept; 0 is for ever. From the node that made the channel it counts for
        everybody's messages, from another one for those of its own agents. BadInput, NotFound, Refused."""
        if not 0 <= days <= MAX_KEEP_DAYS:
            raise BadInput(f"days: a whole number from 0 (for ever) to {MAX_KEEP_DAYS}")
        row = self._directory.channel(name, None if agent is None else agent.id)
        told = await self._channels.retain(agent, row, days, is_admin=is_admin)
        self._looked_at.pop(row.n, None)
        self._seconds = 0
        return told

    # -- at leisure -------------------------------------------------------------------------------

    async def keep(self) -> None:
        """A second's share of what is left. Raises MawError when the disk does not take it."""
        if self.authoring.read_only:
            return
        for _ in range(STEPS_A_SECOND):
            if self._store.state.due:
                await self._store.writer.submit(
                    lambda conn: drop_due(conn, self._store.state),
                    lambda _: self._visible.advance(self._store.state.seq),
                )
        if self._seconds % RETENTION_EVERY_S == 0:
            for channel in list(self._store.state.channels.values()):
                await self._expire(channel)
        self._seconds += 1
        if self._store.state.dropped != self._scrubbed:
            self._scrubbed = self._store.state.dropped
            self._shrinking = True
            self._store.writer.scrub()
        elif self._shrinking and self._seconds % SHRINK_EVERY_S == 0:
            self._shrinking = await worth_shrinking(self._store.db)
            if self._shrinking:
                await self._store.writer.submit(give_back)
                self._store.writer.scrub()

    async def _expire(self, channel: ChannelRow) -> None:
        """Drop what this node's agents said in ``channel`` longer ago than the rule allows."""
        own = self._store.state.nodes.get(self._store.me)
        days = self._store.state.keep_days(channel, own.n) if own else None
        if days is None:
            return
        before = wall_clock_ms() - days * DAY_MS
        while True:
            after = self._looked_at.get(channel.n, 0)
            rows = await self._store.db.rows(_EXPIRED, (channel.n, after, EXPIRED_A_STEP))
            old: list[Position] = []
            places: list[int] = []
            for seq, place, said, gone in rows:
                log_row = self._store.state.log_at[place >> SEQ_BITS]
                if self._store.state.node_at[log_row.node].key == self._store.me:
                    if said >= before:
                        break
                    if not gone:
                        old.append(Position(self._store.me, log_row.epoch, place & ((1 << SEQ_BITS) - 1)))
                        places.append(place)
                after = seq
            await self._say([*old, *await self._edits_of(places)], RETENTION, "", days=days)
            self._looked_at[channel.n] = after
            if len(rows) < EXPIRED_A_STEP or after != rows[-1][0]:
                return
            await asyncio.sleep(0)


def _checked(reason: str | None) -> str | None:
    if reason is None or not reason.strip():
        return None
    check_message(reason)
    if len(reason) > MAX_REASON:
        raise BadInput(f"the reason has {len(reason)} characters; at most {MAX_REASON}", code="too_large")
    return reason.strip()
