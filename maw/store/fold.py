"""Folding entries into what people read: rows for messages, mentions, mailboxes, agents, channels.

A ``Fold`` gathers the rows of one job and writes them with few statements. Order of arrival does not matter
for what is visible in the end: a message brings its channel and its agent's name along, and mentions are kept
as written for agents who come later. A payload that cannot be folded is set aside; its entry is held all
the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

import aiosqlite

from maw.core.clock import shown_time, wall_ms
from maw.core.colony import GROUPS, AgentCard, Card, HeldHere, NewChannel, Open, Said
from maw.core.editing import Edit
from maw.core.entry import Entry, Head, Kind, unpack_payload
from maw.core.heeding import Heed
from maw.core.identity import NodeId
from maw.core.intents import ASK
from maw.core.ledger import read_ledger
from maw.core.message_ids import message_id
from maw.core.moving import Moved
from maw.core.once import KEYS_KEPT_MS, MARK_BYTES, request_of
from maw.core.presence import Presence
from maw.core.progress import Progress
from maw.core.redaction import Redaction, droppable, may_redact
from maw.core.seal_keys import SealKey
from maw.core.souls import Soul
from maw.core.word import OperatorWord, read_word, word_of
from maw.store.asides import SetAside, Withheld, named, reason, unread
from maw.store.attached import rows as attached_rows
from maw.store.changed import number
from maw.store.changes import Changes
from maw.store.channel_words import NOTHING, watched_by
from maw.store.costs import beyond, ledger_row
from maw.store.delivering import GROUP, MENTION, WATCHED, delivery, local_by, may_get, refill_directs
from maw.store.editing import deliver, edits_of
from maw.store.mending import write_back
from maw.store.people import take_presence
from maw.store.progress import AHEAD, Claim, claims_of, take
from maw.store.redacting import MAX_AHEAD, Order, apply, recheck
from maw.store.replacing import Seen
from maw.store.rows import Statement, execute_all
from maw.store.sealed import fold_lent, fold_seal_key, fold_sealed
from maw.store.souls import fold_soul
from maw.store.state import AgentRow, ChannelRow, Keep, LogRow, NodeRow, State, next_number
from maw.store.travelling import fold_arrival, fold_moved
from maw.store.writer import Closing

_DROP_EARLY: Final = """DELETE FROM answers WHERE node = ? AND early AND (nonce, agent) IN
    (SELECT nonce, agent FROM answers WHERE node = ? AND early ORDER BY at DESC LIMIT -1 OFFSET ?)"""
_SET_LOCAL: Final = "INSERT OR REPLACE INTO local_agents VALUES (?, ?, ?, ?)"
_FIND_MENTIONS: Final = """INSERT OR IGNORE INTO mailbox (agent, seq, why)
    SELECT ?, seq, ? FROM mentions WHERE word IN (?, ?)"""

_FOLDED: Final = frozenset(
    (
        Kind.OPEN,
        Kind.CARD,
        Kind.AGENT,
        Kind.CHANNEL,
        Kind.RECEIPT,
        Kind.HEED,
        Kind.REDACT,
        Kind.PROGRESS,
        Kind.PRESENCE,
        Kind.EDIT,
        Kind.SEAL_KEY,
        Kind.LEDGER,
        Kind.SOUL,
        Kind.MOVED,
        Kind.LENT,
    )
)

_AT_ONCE: Final = frozenset((Kind.OPEN, Kind.REDACT))
"""What shows nothing: no rule withholds it."""

MAX_AGENTS_OF_A_PEER: Final = 2_000
MAX_CHANNELS_OF_A_PEER: Final = 1_000
"""Agents and channels live in memory, so that no peer may bring them without end; what brings more is set aside.
Channels are counted from the start of the daemon: it is not written down who brought one."""

MAX_STRANGE_WORDS: Final = 10_000
"""Words signed by keys that are no operators' (yet: their appointment may be on its way), since the start. Where words
stand is kept in memory, and anybody can sign as many as he likes."""

MAX_EARLY_ANSWERS: Final = 1_000
"""Answers of one host to orders that are not known here: the newest are kept, for the order may be on its way. Whoever
answers what nobody ordered could fill the disk of others with it."""

MAX_KEPT_OF_A_PEER: Final = 20_000
"""Statements to which one host says that it keeps: twice as many as a book holds."""

Withhold = Callable[[Entry, Said | None], str | None]
"""Why a message is not to be shown for now: it is asked for every message of others."""


T = TypeVar("T")


@dataclass(slots=True)
class Fold:
    """The rows of one job. Create, ``add`` every entry in order, then ``write`` once."""

    state: State
    me: NodeId
    now_ms: int
    withhold: Withhold | None = None
    again: Mapping[bytes, Seen] = field(default_factory=dict)
    """Entries, by id, that publish again what is shown here already (``replacing.seen_before``)."""
    keys: dict[bytes, bytes] = field(default_factory=dict)
    """Content keys of sealed entries, by id, that were opened before."""
    fresh_key: bytes | None = None
    """Of the entry that is added next, which was sealed here."""
    first_seq: int = 0
    set_aside: list[SetAside] = field(default_factory=list)
    reached: list[tuple[NodeId, int, int, NodeId]] = field(default_factory=list)
    """Receipts that came in logs: (author, epoch, seq, held by)."""
    cards: int = 0
    """Nodes that said name or addresses."""
    recoveries: int = 0
    """Nodes whose recovery key we heard of."""
    changed_recoveries: list[NodeId] = field(default_factory=list)
    """Nodes whose log names another than it did before."""
    local_agents: list[AgentRow] = field(default_factory=list)
    """Agents of this host whose owner or token is new."""
    rules: list[Redaction] = field(default_factory=list)
    """What dropped payloads in this job."""
    complete: dict[tuple[NodeId, int], Head | None] = field(default_factory=dict)
    """After ``write``, of the logs where payloads came to be missing or no longer are: see LogRow.whole."""
    dropped_answers: dict[NodeId, int] = field(default_factory=dict)
    """After ``write``: hosts that answer orders nobody knows, and how many of their answers were let go."""
    delivered: dict[NodeId, tuple[int, int]] = field(default_factory=dict)
    """Authors whose messages went into a mailbox here, and (epoch, seq) of the last that did."""
    _early: set[int] = field(default_factory=set)
    """Nodes that answered what is not known."""
    dropped_accounts: dict[NodeId, int] = field(default_factory=dict)
    """After ``write``: hosts that say more of a day than can be, and how many of their accounts were let go."""
    _accounts: set[tuple[int, int]] = field(default_factory=set)
    """Days and nodes of accounts of others."""
    changes: Changes = field(default_factory=Changes)
    _filled: list[Entry] = field(default_factory=list)
    progressed: bool = False
    """After ``write``: messages of ours got further."""
    _claims: list[Claim] = field(default_factory=list)
    _orders: list[Order] = field(default_factory=list)
    _returned: set[int] = field(default_factory=set)
    _mentioned: list[tuple[int, list[AgentRow]]] = field(default_factory=list)
    """By edits: their places, and agents of this host."""
    _late: list[int] = field(default_factory=list)
    """Places of messages that came, or are shown, after what came of their author later: perhaps after edits."""

    def node(self, key: NodeId) -> NodeRow:
        row = self.state.nodes.get(key)
        if row is None:
            row = NodeRow(next_number(self.state.node_at), key)
            self.state.add_node(row)
            self.changes.nodes[row.n] = row
        return row

    def log(self, author: NodeId, epoch: int) -> LogRow:
        row = self.state.logs.get((author, epoch))
        if row is None:
            row = LogRow(next_number(self.state.log_at), self.node(author).n, epoch)
            self.state.add_log(author, row)
        self.changes.logs[row.l] = row
        return row

    def add(self, entry: Entry, said: Said | None = None) -> int | None:
        """Take an entry in; the seq at which it became visible, if it is a message.

        ``said`` spares taking our own payload apart again.
        """
        log = self.log(entry.author, entry.epoch)
        log.head = entry.head
        place = log.place(entry.seq)
        seq = None
        if entry.payload is None or log.ahead:
            entry = self._as_ruled(entry, log)
        try:
            seq = self._fold(entry, place, said)
        except Withheld as rule:
            self.changes.withheld.append((place, rule.why, self.now_ms))
        except MemoryError:
            raise  # says nothing of the entry
        except Exception as error:  # whatever it is: one entry must not stop a log, here and at every start
            self._put_aside(entry, place, reason(error))
        self.changes.entries.append((place, entry.header, entry.signature, entry.payload, seq))
        return seq

    def give_up(self, entry: Entry, why: str) -> None:
        """An entry that is held already and was withheld is not to be looked into again."""
        place = self.state.logs[entry.author, entry.epoch].place(entry.seq)
        self._put_aside(entry, place, why)
        self.changes.released.append((None, place))

    def show(self, entry: Entry) -> None:
        """Fold an entry that is held already and was withheld; where the rule still stands, it stays so."""
        place = self.state.logs[entry.author, entry.epoch].place(entry.seq)
        self._was_late(entry, place)
        try:
            self.changes.released.append((self._fold(entry, place, None), place))
        except Withheld:
            return
        except MemoryError:
            raise
        except Exception as error:
            self._put_aside(entry, place, reason(error))
            self.changes.released.append((None, place))

    def give_back(self, at: tuple[NodeId, int, int]) -> None:
        """A key that was lent is of no use (any more)."""
        self.state.borrowed.pop(at, None)
        self.changes.used.append(at)

    def fill(self, entry: Entry) -> None:
        """The payload of an entry that was held without it: fold it as if it came now."""
        log = self.log(entry.author, entry.epoch)
        place = log.place(entry.seq)
        self._filled.append(entry)
        self._was_late(entry, place)
        try:
            self.changes.released.append((self._fold(entry, place, None), place))
        except Withheld as rule:
            self.changes.withheld.append((place, rule.why, self.now_ms))
        except MemoryError:
            raise
        except Exception as error:
            self._put_aside(entry, place, reason(error))

    def _was_late(self, entry: Entry, place: int) -> None:
        if entry.kind in (Kind.POST, Kind.DIRECT, Kind.PRIVATE):
            self._late.append(place)

    def _as_ruled(self, entry: Entry, log: LogRow) -> Entry:
        """The entry as it is to be held: without payload where a rule came before it. Without payload and rule it
        is missing."""
        ruled = any(first <= entry.seq <= last for first, last in log.ahead)
        if ruled and droppable(entry.kind):
            return replace(entry, payload=None)
        if entry.payload is None and not ruled:
            self.changes.missing.append((log.place(entry.seq),))
            self.complete[entry.author, entry.epoch] = None
        return entry

    def hold(self, entry: Entry, why: str) -> None:
        """Keep the entry and do not look into it: ``why`` is told."""
        log = self.log(entry.author, entry.epoch)
        log.head = entry.head
        if entry.payload is None or log.ahead:
            entry = self._as_ruled(entry, log)
        place = log.place(entry.seq)
        self._put_aside(entry, place, why)
        self.changes.entries.append((place, entry.header, entry.signature, entry.payload, None))

    def _put_aside(self, entry: Entry, place: int, why: str) -> None:
        self.changes.aside.append((place, why, self.now_ms))
        self.set_aside.append(SetAside(message_id(entry.position), why))

    def _fold(self, entry: Entry, place: int, said: Said | None) -> int | None:
        kind = entry.kind
        if entry.payload is None:
            return None
        if kind == Kind.POST or kind == Kind.DIRECT:
            if self.again and (seen := self.stands_already(entry, place)) is not None:
                return seen
            if said is None:
                said = Said.read(unpack_payload(entry.payload), direct=kind == Kind.DIRECT)
                return self.take_message_of_others(entry, place, said)
            return self.take_message(entry, place, said)
        if kind == Kind.PRIVATE:
            return fold_sealed(self, entry, place, said)
        if kind not in _FOLDED:
            raise Withheld(unread(kind))
        if (
            kind not in _AT_ONCE
            and self.withhold is not None
            and (why := self.withhold(entry, None)) is not None
        ):
            raise Withheld(why)
        content = unpack_payload(entry.payload)
        node = self.node(entry.author)
        if kind == Kind.OPEN:
            self._recovery_said(node, Open.read(content).recovery)
        elif kind == Kind.CARD:
            card = Card.read(content)
            self.state.rename_node(node, card.name)
            node.addresses, node.version = card.addresses, card.version
            self.changes.nodes[node.n] = node
            self.cards += 1
        elif kind == Kind.AGENT:
            card_ = AgentCard.read(content)
            agent = self.agent(node, card_.id, card_.name, card_.role, shown_time(entry.hlc, self.now_ms).ms)
            if (
                entry.author == self.me
                and agent.uid is None
                and not self.state.travels.has_left(self.me, card_.id)
            ):
                # our own log comes back to a new database: the agent is ours again, its token is lost
                agent.uid = self.state.owner_uid
                self.local_agents.append(agent)
                self._returned.add(agent.n)
            self.state.rename_agent(agent, card_.name, card_.role, card_.gone)
            if agent.profile != card_.profile:
                agent.profile = self.changes.profiles[agent.n] = card_.profile
            if card_.moved is not None:
                fold_arrival(self, entry, card_)
        elif kind == Kind.CHANNEL:
            self.take_channel(entry, node, NewChannel.read(content))
        elif kind == Kind.HEED:
            self._heed(node, Heed.read(content))
        elif kind == Kind.PROGRESS:
            self._progress(node, place, Progress.read(content))
        elif kind == Kind.REDACT:
            self._redact(entry, place, Redaction.read(content))
        elif kind == Kind.PRESENCE:
            at = shown_time(entry.hlc, self.now_ms).ms
            self.changes.presence |= take_presence(self.state, node, Presence.read(content), at)
        elif kind == Kind.LEDGER:
            accounts = read_ledger(content)
            self.changes.ledger += [ledger_row(node.n, account) for account in accounts]
            if entry.author != self.me:
                self._accounts |= {(account.day, node.n) for account in accounts}
        elif kind == Kind.EDIT:
            self.take_edit(entry, place, Edit.read(content))
        elif kind == Kind.SEAL_KEY:
            fold_seal_key(self, entry, node, SealKey.read(content))
        elif kind == Kind.SOUL:
            fold_soul(self, entry, place, node, Soul.read(content))
        elif kind == Kind.MOVED:
            fold_moved(self, entry, Moved.read(content))
        elif kind == Kind.LENT:
            fold_lent(self, entry)
        else:
            receipt = HeldHere.read(content)
            self.reached += [(author, epoch, seq, entry.author) for author, epoch, seq in receipt.held]
        return None

    def _recovery_said(self, node: NodeRow, recovery: bytes | None) -> None:
        """The first word is kept: a thief's is later."""
        if recovery is None or recovery == node.recovery:
            return
        if node.recovery is not None:
            self.changed_recoveries.append(node.key)
            return
        node.recovery = recovery
        self.changes.nodes[node.n] = node
        self.recoveries += 1

    def _heed(self, node: NodeRow, heed: Heed) -> None:
        room = max(0, MAX_KEPT_OF_A_PEER - self.state.kept_by[node.n])
        keeps = heed.keeps[:room]
        self.state.kept_by[node.n] += len(keeps)
        self.changes.heeded += [(statement, node.n, self.now_ms) for statement in keeps]
        for answer in heed.answers:
            if (node.n, answer.agent) in self.state.agents:  # what nobody could be shown is not kept
                early = not self.state.is_ordered(answer.nonce)
                self.changes.answers.append((answer.nonce, node.n, *answer[1:], self.now_ms, early))
                if early:
                    self._early.add(node.n)

    def _progress(self, node: NodeRow, place: int, progress: Progress) -> None:
        """What is said of our own messages; the rest is others' affair."""
        claims = claims_of(self.state, self.me, node, place, progress, self.now_ms)
        if claims is None:
            raise Withheld(AHEAD)
        self._claims += claims

    def take_channel(self, entry: Entry, node: NodeRow, said: NewChannel) -> None:
        channel = self.channel(node, said.name, said.by, shown_time(entry.hlc, self.now_ms).ms)
        about = (channel.n, node.n)
        before = self.state.keep.get(about)
        if said.keep_days is not None and (before is None or before.at < entry.hlc):
            self.state.keep[about] = self.changes.keep[about] = Keep(said.keep_days, entry.hlc)
        if said.about is not None or said.archived is not None:
            word = self.state.channel_words.get(about, NOTHING).with_said(said, entry.hlc)
            self.state.channel_words[about] = self.changes.channel_words[about] = word

    def _redact(self, entry: Entry, place: int, rule: Redaction) -> None:
        if not may_redact(entry, rule):
            raise ValueError("it would redact what its node has not said")
        log = self.log(rule.author, rule.epoch)
        beyond = sum(last > log.head.seq for _, last in rule.ranges)
        if beyond and beyond + sum(len(row.ahead) for row in self.state.log_at.values()) > MAX_AHEAD:
            raise ValueError(f"more than {MAX_AHEAD} redactions speak of entries that are not here")
        self.take_rule(place, rule, shown_time(entry.hlc, self.now_ms).ms)

    def take_edit(self, entry: Entry, place: int, edit: Edit, room: int | None = None) -> None:
        """``room``: the private channel in which it says that the message stands."""
        who = Said(edit.agent, "", "", "", edit.text, edit.mentions)
        if self.withhold is not None and (why := self.withhold(entry, who)) is not None:
            raise Withheld(why)
        epoch, seq = edit.target(entry)
        target, at = self.log(entry.author, epoch).place(seq), shown_time(entry.hlc, self.now_ms).ms
        self.changes.edits.append((target, entry.epoch, entry.seq, place, edit.agent, at, room))
        self.changes.changed.append((number(self.state), target))
        if called := self._called(edit.mentions):
            self._mentioned.append((place, called))

    def _called(self, mentions: Sequence[str]) -> list[AgentRow]:
        """Who of this host's agents goes by one of these words."""
        me, names = self.node(self.me), [word for word in dict.fromkeys(mentions) if word not in GROUPS]
        return [row for word in names for row in local_by(self.state, me, word)]

    def take_rule(self, number: int, rule: Redaction, at: int) -> None:
        """``write`` carries it out, whoever made it. ``number``: the place of the entry that says it, or what
        ``redacting.stated_number`` gives."""
        self._orders.append(Order(number, self.log(rule.author, rule.epoch), rule, at))
        self.rules.append(rule)
        self.complete[rule.author, rule.epoch] = None

    def agent(self, node: NodeRow, agent_id: bytes, name: str, role: str, at: int) -> AgentRow:
        row = self.state.agents.get((node.n, agent_id))
        if row is None:
            if self.state.agents_of[node.n] >= MAX_AGENTS_OF_A_PEER and node.key != self.me:
                raise ValueError(f"its node has {MAX_AGENTS_OF_A_PEER} agents already")
            row = AgentRow(next_number(self.state.agent_at), node.n, agent_id, name, role, at)
            self.state.add_agent(row)
        self.changes.agents[row.n] = row
        return row

    def channel(self, node: NodeRow, name: str, by: str, at: int) -> ChannelRow:
        """Made by the earliest who said so; by nobody in particular while it was only posted in. ``node``: whose
        entry names it."""
        row = self.state.channels.get(name)
        if row is None:
            if self.state.channels_of[node.n] >= MAX_CHANNELS_OF_A_PEER and node.key != self.me:
                raise ValueError(f"its node has brought {MAX_CHANNELS_OF_A_PEER} channels already")
            self.state.channels_of[node.n] += 1
            row = ChannelRow(next_number(self.state.channel_at), name, at, by, maker=node.n if by else None)
            self.state.add_channel(row)
        elif (not by, at, by, node.key) < (not row.by, row.created, row.by, self._key_of(row.maker)):
            row.created, row.by, row.maker = at, by, node.n if by else None
        self.changes.channels[row.n] = row
        return row

    def _key_of(self, node: int | None) -> bytes:
        return self.state.node_at[node].key if node else b""

    def stands_already(self, entry: Entry, place: int) -> int | None:
        """The seq of what is published again and shown here already."""
        seen = self.again.get(entry.id)
        if seen is None:
            return None
        self.changes.moved.append((place, seen, message_id(entry.position)))
        return seen.seq

    def take_message_of_others(self, entry: Entry, place: int, said: Said) -> int:
        """Or one of our own that comes back to a database that had lost it."""
        seq = self.take_message(entry, place, said)
        if said.once is not None and entry.author == self.me:
            self._answered_before(entry, said, seq)
        return seq

    def take_message(self, entry: Entry, place: int, said: Said) -> int:
        if self.withhold is not None and (why := self.withhold(entry, said)) is not None:
            raise Withheld(why)
        word = read_word(said.word) if said.word is not None else None
        state = self.state
        shown = shown_time(entry.hlc, self.now_ms)
        node = self.node(entry.author)
        agent = self.agent(node, said.agent, said.name, said.role, shown.ms)
        channel = None if said.channel is None else self.channel(node, said.channel, "", shown.ms)
        seq = state.seq + 1
        delivered = delivery(self.state, self.node(self.me), agent, said, seq)
        if channel is not None and channel.n in state.watchers:
            known = (n for n, _, _ in delivered)
            me = self.node(self.me)
            watchers = watched_by(state, channel.n, agent.n, known)
            delivered += [(n, seq, WATCHED) for n in watchers if may_get(state, me, said, n)]
        # what may raise is above: from here on all of the message is taken in, or (above) nothing
        state.seq = seq
        self.first_seq = self.first_seq or seq
        state.messages += 1
        agent.last_said = max(shown.ms, agent.last_said or 0)
        if channel:
            channel.messages += 1
            channel.last_seq = seq
        self.changes.messages.append(
            (seq, place, channel is None or bool(said.to), channel.n if channel else None, agent.n, shown.ms,
             self.now_ms, shown.suspect, said.reply_to)
        )  # fmt: skip
        if word is not None and word.mark not in state.words:
            self._operators_word(word, entry, said, seq)
        if channel and not said.to:
            words = said.mentions + said.groups if said.groups else said.mentions
            self.changes.mentions += [(word, seq) for word in dict.fromkeys(words)]
        if delivered:
            self.changes.mailbox += delivered
            state.mail.update((n, seq) for n, _, _ in delivered)
            self.delivered[entry.author] = (entry.epoch, entry.seq)
        if entry.author == self.me:
            self.changes.outbox.append((agent.n, seq))
        if said.intent == ASK:
            self.changes.asks.append((seq, agent.n, said.due))
        if said.files:
            self.changes.attached += attached_rows(seq, said.files)
        if said.expires is not None and not shown.suspect:
            self.changes.expiring.append((seq, said.expires))
        return seq

    def answered(self, mark: bytes, request: bytes, seq: int, at: int) -> None:
        """The request of this mark led to the message at ``seq``."""
        self.changes.answered.append((mark, 0, request, seq, at))

    def _answered_before(self, entry: Entry, said: Said, seq: int) -> None:
        """Our own word comes back to a database that had lost it, and with it what request it was the answer to."""
        at = min(self.now_ms, wall_ms(entry.hlc))
        if said.once is not None and len(said.once) == MARK_BYTES and at >= self.now_ms - KEYS_KEPT_MS:
            kind = Kind.DIRECT if said.channel is None else Kind.POST
            self.answered(said.once, request_of(kind, said), seq, at)

    def _operators_word(self, word: OperatorWord, entry: Entry, said: Said, seq: int) -> None:
        """The first place at which a word is seen is where it stands; who may speak so is judged when it is shown."""
        state = self.state
        strange = word.key not in state.operators
        if strange and state.strange_words >= MAX_STRANGE_WORDS:
            return
        if word_of(said, entry.colony, entry.author) is not None:
            state.strange_words += strange
            state.words[word.mark] = seq
            self.changes.words.append((word.key, word.nonce, seq, word.is_order))

    async def write(self, conn: aiosqlite.Connection) -> None:
        """All rows, in one visit to the connection. Raises sqlite3.Error when the disk is the trouble, and
        UnfoldableError when the rows are."""
        try:
            await execute_all(conn, self._statements())
            await self._rule(conn)
            for n in self._returned:
                await refill_directs(conn, self.state, self.me, self.state.agent_at[n])
        except Exception as error:
            if (told := named(error)) is error:
                raise
            raise told from error

    async def close(self, conn: aiosqlite.Connection, result: T) -> T | Closing[T]:
        """As ``write``, where nothing of the job comes after it: rows that are all there is go with the COMMIT."""
        if (
            self._filled or self._early or self._accounts or self._orders or self.complete or self._returned
            or self._claims or self._mentioned or self._late
        ):  # fmt: skip
            await self.write(conn)
            return result
        return Closing(result, self._statements(), named)

    def _statements(self) -> list[Statement]:
        return [*self.changes.statements(self.state), *self._local()]

    async def _rule(self, conn: aiosqlite.Connection) -> None:
        """What is seldom: payloads that rules drop, that are missing, or that came after all."""
        if self._filled:
            await write_back(conn, self.state, self._filled)
            for entry in self._filled:
                self.complete[entry.author, entry.epoch] = None
        for n in self._early:
            dropped = await conn.execute(_DROP_EARLY, (n, n, MAX_EARLY_ANSWERS))
            if dropped.rowcount > 0:
                self.dropped_answers[self.state.node_at[n].key] = dropped.rowcount
        for day, n in self._accounts:
            dropped = await conn.execute(*beyond(day, n))
            if dropped.rowcount > 0:
                key = self.state.node_at[n].key
                self.dropped_accounts[key] = self.dropped_accounts.get(key, 0) + dropped.rowcount
        if self._claims:
            moved, absent = await take(conn, self.state, self._claims)
            self.progressed = moved > 0
            rows = [(place, AHEAD, self.now_ms) for place in sorted(absent)]
            await conn.executemany("INSERT OR REPLACE INTO withheld VALUES (?, ?, ?)", rows)
        for place in self._late:
            self._mentioned += [(at, self._called(words)) for at, words in await edits_of(conn, place)]
        for place, agents in self._mentioned:
            await deliver(conn, self.state, place, agents)
        if self._orders:
            await apply(conn, self.state, self._orders)
        if self.complete:
            self.complete = await recheck(conn, self.state, list(self.complete))

    def _local(self) -> Iterator[Statement]:
        """Whose an agent is, and mentions of its name that were here before it. Groups count from now."""
        for agent in self.local_agents:
            yield _SET_LOCAL, (agent.n, agent.uid, agent.token_hash, agent.since_seq)
            names = (agent.name, f"{agent.name}@{self.node(self.me).name}")
            yield _FIND_MENTIONS, (agent.n, MENTION, *names)
            if agent.profile.of is not None:
                called = f"role:{agent.name}"  # @role:NAME of one that is a role is a name for it
                yield _FIND_MENTIONS, (agent.n, GROUP, called, called)
