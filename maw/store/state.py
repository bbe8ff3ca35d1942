"""What the writer keeps in memory of the database, so that folding an entry needs no query.

It is changed while a transaction is being prepared and reread whenever one is rolled back; nobody but the
writer's jobs may change it. Everything here is small: nodes, logs, channels, agents, never messages.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import aiosqlite

from maw.core.entry import START, Head, decode
from maw.core.identity import NodeId
from maw.core.log import Heads
from maw.core.presence import NOT_SEEN, Seen
from maw.core.profile import NO_PROFILE, Profile
from maw.core.redaction import Range
from maw.core.travels import Travels
from maw.store.channel_words import ChannelWord, read_channels
from maw.store.people import read_people
from maw.store.rooms import RoomRow, read_rooms
from maw.store.schema import SEQ_BITS
from maw.store.travelling import MoveRow, read_travels

_AGENTS: Final = """
SELECT a.*, l.uid, l.token_hash, coalesce(l.since_seq, 0)
FROM agents a LEFT JOIN local_agents l ON l.agent = a.n ORDER BY a.n
"""


def next_number(table: dict[int, Any]) -> int:
    """The number of a new row: one above the last, which was added last (rows only ever join at the end)."""
    return next(reversed(table), 0) + 1


@dataclass(slots=True)
class NodeRow:
    n: int
    key: NodeId
    name: str = ""
    addresses: tuple[str, ...] = ()
    version: str = ""
    seen: int | None = None
    """When a link to it was last up, ms since 1970."""
    recovery: bytes | None = None
    """The hash of its recovery key, as its log first said it."""


@dataclass(slots=True)
class LogRow:
    l: int  # noqa: E741 - the column's name
    node: int
    epoch: int
    head: Head = START
    disputed: int = 0
    """The first seq at which its branches are known to differ; 0 while there is one branch."""
    whole: Head | None = None
    """The last entry before the first whose payload is missing; None when none is."""
    ahead: list[Range] = field(default_factory=list)
    """What rules dropped before it came."""

    def place(self, seq: int) -> int:
        return (self.l << SEQ_BITS) | seq


class Keep(NamedTuple):
    """For how long a node says a channel is kept; 0 days is for ever. The latest ``at`` (an hlc) counts."""

    days: int
    at: int


class SaidKey(NamedTuple):
    """Where in its log a node named its sealing key, and the key."""

    epoch: int
    seq: int
    key: bytes


@dataclass(slots=True)
class ChannelRow:
    n: int
    name: str
    created: int
    by: str
    messages: int = 0
    last_seq: int = 0
    maker: int | None = None
    """The node whose entry made it."""


@dataclass(slots=True)
class AgentRow:
    """``uid`` is set for agents of this host only."""

    n: int
    node: int
    id: bytes
    name: str
    role: str
    created: int
    gone: bool = False
    last_said: int | None = None
    uid: int | None = None
    token_hash: bytes | None = None
    since_seq: int = 0
    profile: Profile = NO_PROFILE
    crowd: bool = False
    """It may speak to as many as it likes."""
    seen: Seen = NOT_SEEN
    """As its host last said; of a message see ``last_said``."""
    away: bool = False
    """It lives on another host now: see ``travels``."""


_TABLES: Final = (
    "nodes", "node_at", "nodes_named", "logs", "log_at", "channels", "channel_at", "agents", "agent_at",
    "agents_named", "agents_of", "local", "keep", "words", "kept_by", "channel_words", "watchers", "seal_keys", "rooms",
    "guests", "moves", "borrowed",
)  # fmt: skip
"""What ``reload`` replaces."""


@dataclass(slots=True)
class State:
    """The tables in memory. ``seq`` is the newest that is visible."""

    seq: int = 0
    least_seq: int = field(default=0, compare=False)
    """Below it no message is numbered any more, whatever the file says: cursors stand up to there."""
    last_change: int = field(default=0, compare=False)
    """The number of the newest change of a message that was visible before."""
    messages: int = 0
    owner_uid: int = 0
    """Whose an agent of ours is when our own log comes back to a database that had lost it."""
    former_me: frozenset[NodeId] = frozenset()
    """Keys that ours took the place of: what is for them is for us."""
    heirs: Mapping[NodeId, NodeId] = field(default_factory=dict)
    """By key that another took the place of: that one, through any number of rotations."""
    replaced_by: Mapping[NodeId, NodeId] = field(default_factory=dict)
    """The same, each rotation by itself."""
    words: dict[bytes, int] = field(default_factory=dict)
    """Where each operator's word (by its key and nonce) stands first: a copy of it is nobody's word."""
    operators: frozenset[NodeId] = frozenset()
    """Keys that speak as operators, or once did."""
    kept_by: Counter[int] = field(default_factory=Counter)
    """To how many statements each node says that it keeps."""
    strange_words: int = field(default=0, compare=False)
    """Words by other keys that were written down since the start."""
    nodes: dict[NodeId, NodeRow] = field(default_factory=dict)
    node_at: dict[int, NodeRow] = field(default_factory=dict)
    logs: dict[tuple[NodeId, int], LogRow] = field(default_factory=dict)
    log_at: dict[int, LogRow] = field(default_factory=dict)
    channels: dict[str, ChannelRow] = field(default_factory=dict)
    channel_at: dict[int, ChannelRow] = field(default_factory=dict)
    agents: dict[tuple[int, bytes], AgentRow] = field(default_factory=dict)
    agent_at: dict[int, AgentRow] = field(default_factory=dict)
    local: dict[str, AgentRow] = field(default_factory=dict)
    nodes_named: dict[str, dict[int, NodeRow]] = field(default_factory=dict, compare=False)
    agents_named: dict[str, dict[int, AgentRow]] = field(default_factory=dict, compare=False)
    """By name and number, in the order in which they took the name: a post asks for names, and there may be
    thousands. Agents that are gone keep theirs."""
    agents_of: Counter[int] = field(default_factory=Counter)
    """By node."""
    channels_of: Counter[int] = field(default_factory=Counter, compare=False)
    """Channels that a node's entries brought since the start."""
    mail: dict[int, int] = field(default_factory=dict, compare=False)
    """By local agent: the newest seq put into its mailbox since the start. It may be ahead of what is durable."""
    late_mail: dict[int, list[int]] = field(default_factory=dict, compare=False)
    """By local agent: seqs of messages that are to be announced (again) although newer ones were read already."""
    naming: int = field(default=0, compare=False)
    """Counts how often it changed who of this host is called how."""
    keep: dict[tuple[int, int], Keep] = field(default_factory=dict)
    """(channel, node) -> for how long that node says messages are kept there."""
    channel_words: dict[tuple[int, int], ChannelWord] = field(default_factory=dict)
    """(channel, node) -> what that node says of it."""
    watchers: dict[int, dict[int, bool]] = field(default_factory=dict)
    """By channel: the agents of this host that watch it, and whether it wakes them."""
    seal_keys: dict[int, SaidKey] = field(default_factory=dict)
    """By node: the sealing key that it named last."""
    rooms: dict[int, RoomRow] = field(default_factory=dict)
    """Private channels by number: what their makers said last."""
    guests: dict[int, dict[bytes, bool]] = field(default_factory=dict)
    """By private channel: agents of this host, by their ids, that are in it or ever were; and whether they left."""
    travels: Travels = field(default_factory=Travels)
    """What was said of agents that move."""
    moves: dict[bytes, MoveRow] = field(default_factory=dict)
    """Those from here and to here, by their ids."""
    holding: set[bytes] = field(default_factory=set, compare=False)
    """Ids of agents of which all is being gathered to be handed over."""
    borrowed: dict[tuple[NodeId, int, int], tuple[bytes, bytes, bytes]] = field(default_factory=dict)
    """By place: id and content key of entries whose keys were lent to this host, and that it has not opened yet; and
    the key of the node that lent it."""
    halves: Mapping[bytes, tuple[bytes, bytes]] = field(default_factory=dict, compare=False)
    """This host's own sealing keys, private half and public, by their ids."""
    dropped: int = field(default=0, compare=False)
    """Payloads that were dropped since the start."""
    due: bool = False
    """Rules are left that were not carried out."""

    def heads(self) -> dict[NodeId, Heads]:
        """The durable heads by author and epoch, as the core wants them."""
        found: dict[NodeId, Heads] = {}
        for (author, epoch), row in self.logs.items():
            if row.head.seq:
                found.setdefault(author, {})[epoch] = row.head
        return found

    def head(self, author: NodeId, epoch: int) -> Head:
        row = self.logs.get((author, epoch))
        return row.head if row else START

    def newest_epoch(self, author: NodeId) -> tuple[int, Head]:
        """The latest epoch of ``author`` held here and its head; (0, START) when there is none."""
        held = [
            (epoch, row.head) for (node, epoch), row in self.logs.items() if node == author and row.head.seq
        ]
        return max(held, default=(0, START))

    def incomplete(self) -> dict[tuple[NodeId, int], Head]:
        """Logs of which payloads are missing, and up to where they are complete."""
        return {place: row.whole for place, row in self.logs.items() if row.whole is not None}

    def keep_days(self, channel: ChannelRow, node: int) -> int | None:
        """For how long ``node`` is to keep its own messages there: what the channel's maker says or the node itself,
        whichever is shorter; None is for ever. Of a private one its maker's last word alone counts."""
        if (room := self.rooms.get(channel.n)) is not None:
            return room.word.keep_days or None
        said = [
            self.keep[at].days for n in (channel.maker, node) if n and (at := (channel.n, n)) in self.keep
        ]
        return min((days for days in said if days), default=None)

    def is_ordered(self, nonce: bytes) -> bool:
        """Whether this is the nonce of a word by an operator that stands here."""
        return any(key + nonce in self.words for key in self.operators)

    def disputed(self) -> list[tuple[NodeId, int]]:
        return [place for place, row in self.logs.items() if row.disputed]

    def add_node(self, row: NodeRow) -> None:
        self.nodes[row.key] = self.node_at[row.n] = row
        self.nodes_named.setdefault(row.name, {})[row.n] = row

    def rename_node(self, row: NodeRow, name: str) -> None:
        if name != row.name:
            _drop(self.nodes_named, row.name, row.n)
            row.name = name
            self.nodes_named.setdefault(name, {})[row.n] = row

    def add_log(self, author: NodeId, row: LogRow) -> None:
        self.logs[author, row.epoch] = self.log_at[row.l] = row

    def add_channel(self, row: ChannelRow) -> None:
        self.channels[row.name] = self.channel_at[row.n] = row

    def add_agent(self, row: AgentRow) -> None:
        if (row.node, row.id) not in self.agents:
            self.agents_of[row.node] += 1
        self.agents[row.node, row.id] = self.agent_at[row.n] = row
        self.agents_named.setdefault(row.name, {})[row.n] = row
        if self.travels.knows(row.id):
            self.resettle(row.id)
        if row.uid is not None:
            self.naming += 1
            if not row.gone:
                self.local[row.name] = row

    def disown(self, row: AgentRow) -> None:
        """It is no agent of this host any more."""
        if self.local.get(row.name) is row:
            del self.local[row.name]
        row.uid, row.token_hash, row.crowd = None, None, False
        self.naming += 1

    def is_held(self, agent: bytes) -> bool:
        """Whether this agent is being carried from one host to another: nobody speaks or reads as it meanwhile."""
        return agent in self.holding or any(row.holds and row.agent == agent for row in self.moves.values())

    def resettle(self, agent: bytes, *said_by: NodeId) -> None:
        """Something new is known of where this agent lives, or what these hosts said of it counts no more."""
        for key in self.travels.places(agent).union(said_by):
            node = self.nodes.get(key)
            row = None if node is None else self.agents.get((node.n, agent))
            if row is not None:
                row.away = self.travels.home(key, agent) != key

    def rename_agent(self, row: AgentRow, name: str, role: str, gone: bool) -> None:
        if self.local.get(row.name) is row:
            del self.local[row.name]
        if name != row.name:
            _drop(self.agents_named, row.name, row.n)
        row.name, row.role, row.gone = name, role, gone
        self.add_agent(row)

    async def reload(self, conn: aiosqlite.Connection) -> None:
        """Forget everything and read it again, as this connection sees it. In one step: whoever looks while the
        database is read finds what was there before, and never half of it."""
        fresh = State()
        await fresh._read(conn)
        for name in _TABLES:
            table: dict[Any, Any] = getattr(self, name)
            table.clear()
            table.update(getattr(fresh, name))
        self.travels.replace(fresh.travels)
        self.naming += 1
        self.seq, self.messages, self.due = max(fresh.seq, self.least_seq), fresh.messages, fresh.due
        self.last_change = fresh.last_change

    def start_at(self, seq: int) -> None:
        """Numbers go on above ``seq`` from here on, also when the disk does not take that yet."""
        self.seq = self.least_seq = max(self.seq, seq)

    async def _read(self, conn: aiosqlite.Connection) -> None:
        """Into an empty state. ValueError: what the file says of its own tables is damaged."""
        for table, number in (("nodes", "n"), ("logs", "l"), ("channels", "n"), ("agents", "n")):
            strange = f"SELECT 1 FROM {table} NOT INDEXED WHERE {number} IS NOT rowid LIMIT 1"  # noqa: S608
            if list(await conn.execute_fetchall(strange)):
                raise ValueError(f"the rows of {table} have lost their numbers: its declaration is damaged")
        columns = "n, key, name, addresses, version, seen, recovery"
        for n, key, name, addresses, *rest in await conn.execute_fetchall(
            f"SELECT {columns} FROM nodes ORDER BY n"  # noqa: S608 - fixed words
        ):
            self.add_node(NodeRow(n, NodeId(key), name, tuple(json.loads(addresses)), *rest))
        logs = await conn.execute_fetchall("SELECT * FROM logs ORDER BY l")
        for l, node, epoch, seq, head_id, disputed in logs:  # noqa: E741
            self.add_log(self.node_at[node].key, LogRow(l, node, epoch, Head(seq, head_id), disputed))
        await self._read_rules(conn)
        await read_travels(conn, self)
        for row in await conn.execute_fetchall(
            "SELECT n, name, created, by, messages, last_seq, maker FROM channels ORDER BY n"
        ):
            self.add_channel(ChannelRow(*row))
        for row in await conn.execute_fetchall(_AGENTS):
            self.add_agent(AgentRow(*row))
        await read_people(conn, self.agent_at)
        await read_channels(conn, self)
        await read_rooms(conn, self)
        for node, *named in await conn.execute_fetchall("SELECT node, epoch, seq, key FROM seal_keys"):
            self.seal_keys[node] = SaidKey(*named)
        counted = await conn.execute_fetchall("SELECT node, count(*) FROM heeded GROUP BY node")
        for node, count in counted:
            self.kept_by[node] = count
        for key, nonce, seq in await conn.execute_fetchall("SELECT key, nonce, seq FROM orders"):
            self.words[key + nonce] = seq
        for key, value in await conn.execute_fetchall(
            "SELECT key, value FROM meta WHERE key IN ('seq', 'messages')"
        ):
            setattr(self, key, value)
        for (n,) in await conn.execute_fetchall("SELECT coalesce(max(n), 0) FROM changed"):
            self.last_change = n

    async def _read_rules(self, conn: aiosqlite.Connection) -> None:
        low = (1 << SEQ_BITS) - 1
        firsts = """SELECT min(m.place), e.header, e.signature FROM missing m JOIN entries e ON e.place = m.place
            GROUP BY m.place >> 40"""
        for place, header, signature in await conn.execute_fetchall(firsts):
            if (row := self.log_at.get(place >> SEQ_BITS)) is not None:
                row.whole = Head((place & low) - 1, decode(header, signature).prev)
        due = await conn.execute_fetchall("SELECT 1 FROM redactions WHERE due IS NOT NULL LIMIT 1")
        self.due = bool(list(due))
        ahead = "SELECT first, last FROM redactions WHERE ahead IS NOT NULL"
        for first, last in await conn.execute_fetchall(ahead):
            if (row := self.log_at.get(first >> SEQ_BITS)) is not None:  # else the row is damaged
                row.ahead.append((first & low, last & low))
        for channel, node, days, at in await conn.execute_fetchall("SELECT * FROM retention"):
            self.keep[channel, node] = Keep(days, at)


def _drop(named: dict[str, dict[int, Any]], name: str, n: int) -> None:
    rows = named[name]
    del rows[n]
    if not rows:
        del named[name]
