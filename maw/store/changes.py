"""The rows of one job, gathered by ``fold``, and the few statements that write them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from maw.core.moving import Fact
from maw.core.presence import Seen as LastSeen
from maw.core.profile import Profile
from maw.store import changed, travelling
from maw.store.asks import ASKS
from maw.store.attached import ATTACHED
from maw.store.channel_words import SET_WORD, ChannelWord
from maw.store.costs import SET_LEDGER
from maw.store.editing import EDITS
from maw.store.expiring import EXPIRING
from maw.store.opened import (
    BORROWED,
    MOVE_KEY,
    OPENED,
    RETURN,
    SET_SEAL_KEY,
    TO_LEND,
    UNOPENED,
)
from maw.store.people import SET_PRESENCE, SET_PROFILE, presence_row, profile_row
from maw.store.replacing import Seen
from maw.store.rooms import ADD_GUEST, SET_ROOM, RoomRow
from maw.store.rows import Insert, Statement
from maw.store.souls import SOULS
from maw.store.state import AgentRow, ChannelRow, Keep, LogRow, NodeRow, SaidKey, State
from maw.store.travelling import MoveRow

Rows = list[Sequence[Any]]

_ENTRIES: Final = Insert("entries", ("place", "header", "signature", "payload", "shown"))
_MESSAGES: Final = Insert(
    "messages", ("seq", "place", "direct", "channel", "agent", "said", "received", "suspect", "reply")
)
_MENTIONS: Final = Insert("mentions", ("word", "seq"))
_MAILBOX: Final = Insert("mailbox", ("agent", "seq", "why"), verb="INSERT OR IGNORE")
_OUTBOX: Final = Insert("outbox", ("agent", "seq"))
_HEEDED: Final = Insert("heeded", ("statement", "node", "at"), verb="INSERT OR IGNORE")
_ANSWERS: Final = Insert(
    "answers", ("nonce", "node", "agent", "state", "note", "at", "early"), verb="INSERT OR REPLACE"
)
_NO_LONGER_EARLY: Final = "UPDATE answers SET early = 0 WHERE nonce = ? AND early"
_ANSWERED: Final = Insert("idempotency", ("key", "agent", "request", "seq", "at"), verb="INSERT OR IGNORE")
"""A row's key is the mark of a request, its agent 0; in rows of a version before the mark, the key as it was sent."""
_WORDS: Final = Insert("orders", ("key", "nonce", "seq", "is_order"), verb="INSERT OR IGNORE")

_SET_COUNTERS: Final = "INSERT OR REPLACE INTO meta VALUES ('seq', ?), ('messages', ?)"
_SET_NODE: Final = "INSERT OR REPLACE INTO nodes VALUES (?, ?, ?, ?, ?, ?, ?)"
_SET_LOG: Final = """INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (l) DO UPDATE SET seq = excluded.seq, id = excluded.id"""
_SET_CHANNEL: Final = """INSERT INTO channels VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (n) DO UPDATE SET messages = excluded.messages, last_seq = excluded.last_seq,
    created = excluded.created, by = excluded.by, maker = excluded.maker"""
_SET_KEEP: Final = "INSERT OR REPLACE INTO retention VALUES (?, ?, ?, ?)"
_MISSING: Final = Insert("missing", ("place",), verb="INSERT OR IGNORE")
_SET_AGENT: Final = "INSERT OR REPLACE INTO agents VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_TOLD: Final = "DELETE FROM untold WHERE agent = ? AND seq = ? AND rank = ?"
"""What rose meanwhile is told next."""
_RETELL: Final = """INSERT OR REPLACE INTO untold SELECT agent, seq,
    CASE WHEN acked IS NOT NULL THEN 3 WHEN read IS NOT NULL THEN 2 ELSE 1 END FROM mailbox
    WHERE delivered IS NOT NULL AND why IN ('direct', 'mention') AND seq = ?"""
"""What was told of it at its former place was told of another branch."""
_SET_ASIDE: Final = "INSERT OR REPLACE INTO set_aside VALUES (?, ?, ?)"
_WITHHOLD: Final = "INSERT OR REPLACE INTO withheld VALUES (?, ?, ?)"


@dataclass(slots=True)
class Changes:
    """What a job adds and changes, table by table."""

    entries: Rows = field(default_factory=list)
    messages: Rows = field(default_factory=list)
    mentions: Rows = field(default_factory=list)
    mailbox: Rows = field(default_factory=list)
    outbox: Rows = field(default_factory=list)
    heeded: Rows = field(default_factory=list)
    answers: Rows = field(default_factory=list)
    words: Rows = field(default_factory=list)
    answered: Rows = field(default_factory=list)
    missing: Rows = field(default_factory=list)
    aside: Rows = field(default_factory=list)
    withheld: Rows = field(default_factory=list)
    released: list[tuple[int | None, int]] = field(default_factory=list)
    """(seq or None, place) of entries that are withheld no longer."""
    opened: Rows = field(default_factory=list)
    unopened: Rows = field(default_factory=list)
    asks: Rows = field(default_factory=list)
    edits: Rows = field(default_factory=list)
    souls: Rows = field(default_factory=list)
    changed: list[tuple[int, int]] = field(default_factory=list)
    """(number, place) of messages that are others than before."""
    attached: Rows = field(default_factory=list)
    expiring: Rows = field(default_factory=list)
    moved: list[tuple[int, Seen, str]] = field(default_factory=list)
    """(new place, what stood for it, new id) of messages that were published again."""
    told: list[tuple[int, int, int]] = field(default_factory=list)
    """(agent, seq, rank) that an entry of ours tells its author of."""
    unopened_told: list[int] = field(default_factory=list)
    """Places of what could not be opened, which an entry of ours tells its author."""
    keep: dict[tuple[int, int], Keep] = field(default_factory=dict)
    channel_words: dict[tuple[int, int], ChannelWord] = field(default_factory=dict)
    nodes: dict[int, NodeRow] = field(default_factory=dict)
    logs: dict[int, LogRow] = field(default_factory=dict)
    channels: dict[int, ChannelRow] = field(default_factory=dict)
    agents: dict[int, AgentRow] = field(default_factory=dict)
    profiles: dict[int, Profile] = field(default_factory=dict)
    presence: dict[int, LastSeen] = field(default_factory=dict)
    ledger: Rows = field(default_factory=list)
    seal_keys: dict[int, SaidKey] = field(default_factory=dict)
    rooms: dict[int, RoomRow] = field(default_factory=dict)
    guests: list[tuple[int, bytes]] = field(default_factory=list)
    travels: list[Fact] = field(default_factory=list)
    unheard: list[Fact] = field(default_factory=list)
    moves: dict[bytes, MoveRow] = field(default_factory=dict)
    left: list[int] = field(default_factory=list)
    """Agents that are no more of this host."""
    borrowed: Rows = field(default_factory=list)
    used: Rows = field(default_factory=list)
    """Places (author, epoch, seq) of which a borrowed key is needed no more."""
    to_lend: Rows = field(default_factory=list)

    def statements(self, state: State) -> Iterator[Statement]:
        """All of them, in an order in which each finds what it builds on. ``state`` has the counters."""
        yield from self._large()
        yield from changed.statements(self.changed)
        if self.messages or self.changed:
            yield _SET_COUNTERS, (state.seq, state.messages)
        yield from self._small()
        yield from travelling.statements(self.travels, self.unheard, self.moves, self.left, state)

    def _large(self) -> Iterator[Statement]:
        """Tables that grow with every message."""
        for insert, rows in (
            (_ENTRIES, self.entries),
            (_MESSAGES, self.messages),
            (_MENTIONS, self.mentions),
            (_MAILBOX, self.mailbox),
            (_OUTBOX, self.outbox),
            (_HEEDED, self.heeded),
            (_ANSWERS, self.answers),
            (_WORDS, self.words),
            (_ANSWERED, self.answered),
            (_MISSING, self.missing),
            (EXPIRING, self.expiring),
            (ASKS, self.asks),
            (EDITS, self.edits),
            (SOULS, self.souls),
            (OPENED, self.opened),
            (UNOPENED, self.unopened),
            (BORROWED, self.borrowed),
            (TO_LEND, self.to_lend),
            (ATTACHED, self.attached),
        ):
            yield from insert.statements(rows)
        for _, nonce, *_ in self.words:
            yield _NO_LONGER_EARLY, (nonce,)

    def _small(self) -> Iterator[Statement]:
        """Who and what there is: a row each of what this job touched."""
        for node in self.nodes.values():
            yield (
                _SET_NODE,
                (
                    node.n, node.key, node.name, json.dumps(node.addresses), node.version, node.seen,
                    node.recovery,
                ),
            )  # fmt: skip
        for log in self.logs.values():
            yield _SET_LOG, (log.l, log.node, log.epoch, *log.head, log.disputed)
        for channel in self.channels.values():
            yield (
                _SET_CHANNEL,
                (
                    channel.n, channel.name, channel.created, channel.by, channel.messages, channel.last_seq,
                    channel.maker,
                ),
            )  # fmt: skip
        for about, keep in self.keep.items():
            yield _SET_KEEP, (*about, *keep)
        for about, word in self.channel_words.items():
            yield SET_WORD, word.row(about)
        for agent in self.agents.values():
            yield (
                _SET_AGENT,
                (
                    agent.n, agent.node, agent.id, agent.name, agent.role, agent.created, agent.gone,
                    agent.last_said,
                ),
            )  # fmt: skip
        for n, profile in self.profiles.items():
            yield SET_PROFILE, profile_row(n, profile)
        for n, last_seen in self.presence.items():
            yield SET_PRESENCE, presence_row(n, last_seen)
        for account in self.ledger:
            yield SET_LEDGER, account
        for n, named in self.seal_keys.items():
            yield SET_SEAL_KEY, (n, *named)
        for n, room in self.rooms.items():
            yield SET_ROOM, room.row(n)
        for guest in self.guests:
            yield ADD_GUEST, guest
        for used in self.used:
            yield RETURN, used
        for aside in self.aside:
            yield _SET_ASIDE, aside
        for withheld in self.withheld:
            yield _WITHHOLD, withheld
        for place, seen, new_id in self.moved:
            yield "UPDATE entries SET shown = NULL WHERE place = ?", (seen.place,)
            yield MOVE_KEY, (place, seen.place)
            yield "UPDATE messages SET place = ? WHERE seq = ?", (place, seen.seq)
            yield "UPDATE OR REPLACE edits SET target = ? WHERE target = ?", (place, seen.place)
            yield "UPDATE messages SET reply = ? WHERE reply = ?", (new_id, seen.old_id)
            yield _RETELL, (seen.seq,)
        for told in self.told:
            yield _TOLD, told
        for place in self.unopened_told:
            yield "DELETE FROM unopened WHERE place = ?", (place,)
        for seq, place in self.released:
            yield "UPDATE entries SET shown = ? WHERE place = ?", (seq, place)
            yield "DELETE FROM withheld WHERE place = ?", (place,)
