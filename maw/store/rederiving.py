"""What people read, made again from the entries of a database that nobody uses: messages, mentions, what was sent,
operators' words, who is called how, all counts; mailboxes where a part of them is lost.

A message keeps its seq, and when it came, where a row or its entry still says so: cursors go on. What was made of
entries that are not here now (damaged, to be fetched from peers) stays as it is.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

from maw.core.clock import ShownTime, shown_time, wall_ms
from maw.core.colony import Recipient, Said
from maw.core.editing import Edit
from maw.core.entry import Entry, Kind, decode, unpack_payload
from maw.core.identity import NodeId
from maw.core.intents import ASK
from maw.core.ledger import read_ledger
from maw.core.moving import fact_of
from maw.core.once import MARK_BYTES, request_of
from maw.core.rooms import RoomWord, read_said, stored_said
from maw.core.seal_keys import SealKey
from maw.core.sealing import words_of
from maw.core.souls import Soul
from maw.core.travels import Travels
from maw.core.word import word_of
from maw.store import attached
from maw.store.callings import Callings
from maw.store.costs import SET_LEDGER, beyond, ledger_row
from maw.store.former import former_keys, replaced_by
from maw.store.opened import key_at
from maw.store.people import SET_PROFILE, profile_row
from maw.store.rooms import ADD_GUEST, NO_MEMBER, SET_ROOM, RoomRow, guests_of, rooms_of
from maw.store.schema import SEQ_BITS
from maw.store.souls import SOUL

PAGE: Final = 500

Place = tuple[NodeId, int, int]
"""Author, epoch, seq."""
_KEY: Final = """INSERT OR REPLACE INTO seal_keys SELECT ?1, ?2, ?3, ?4
    WHERE NOT EXISTS (SELECT 1 FROM seal_keys WHERE node = ?1 AND (epoch, seq) >= (?2, ?3))"""
_TRAVEL: Final = "INSERT OR IGNORE INTO travels VALUES (?, ?, ?, ?, ?, ?, ?)"
Words = tuple[int, dict[str, Any]]
"""Kind and content; of what is sealed, what is within."""


class Rederiving:
    """``run`` does all of it, within the transaction that is open. ``torn``: tables of which rows are lost;
    ``owner_uid``: whose this node's agents are where it is not known any more."""

    def __init__(
        self, conn: sqlite3.Connection, me: NodeId, torn: Collection[str] = (), owner_uid: int = 0
    ) -> None:
        self._conn = conn
        self._me = me
        self._torn = torn
        self._owner_uid = owner_uid
        self._heard = Callings()
        self._made: set[tuple[int, bytes]] = set()
        """Agents of whom there was only a message: they have the name that it says until they say another."""
        self._nodes = {NodeId(key): n for n, key in conn.execute("SELECT n, key FROM nodes")}
        self._channels: dict[str, int] = {name: n for n, name in conn.execute("SELECT n, name FROM channels")}
        sql = "SELECT node, id, n FROM agents"
        self._agents: dict[tuple[int, bytes], int] = {
            (node, agent_id): n for node, agent_id, n in conn.execute(sql)
        }
        self._former = former_keys(conn, me)
        self._heirs = replaced_by(conn, me)
        self._rooms = rooms_of(conn, self._heirs)
        self._top = 0
        self._left = Travels(self._heirs)

    def run(self, absent: Iterable[Place]) -> int:
        """``absent``: places whose entries are to come back. How many messages there are then."""
        self._set_up(absent)
        for entry, place, shown, words in self._entries():
            self._message(entry, place, shown, words)
        self._call()
        if {"mailbox", "local_agents"} & set(self._torn):
            self._deliver()
        self._count()
        self._conn.execute("DROP TABLE temp.was")
        (messages,) = self._conn.execute("SELECT count(*) FROM messages").fetchone()
        return int(messages)

    def _set_up(self, absent: Iterable[Place]) -> None:
        """What was there goes into ``was``; what cannot be made again stays."""
        conn = self._conn
        sql = "SELECT n.key, l.epoch, l.l FROM logs l JOIN nodes n ON n.n = l.node"
        logs = {(NodeId(key), epoch): number for key, epoch, number in conn.execute(sql)}
        conn.execute("CREATE TEMP TABLE absent (place INTEGER PRIMARY KEY)")
        places = [(logs[a, e] << SEQ_BITS | seq,) for a, e, seq in absent if (a, e) in logs]
        conn.executemany("INSERT OR IGNORE INTO absent VALUES (?)", places)
        conn.execute("CREATE TEMP TABLE was (place INTEGER PRIMARY KEY, seq, received, said, suspect, reply)")
        conn.execute(
            "INSERT OR IGNORE INTO was SELECT place, seq, received, said, suspect, reply FROM messages"
        )
        # of a message without its text nothing can be made again: its row stays
        bare = "SELECT place FROM entries WHERE payload IS NULL"
        conn.execute(
            f"DELETE FROM messages WHERE place NOT IN (SELECT place FROM absent) AND place NOT IN ({bare})"  # noqa: S608
        )
        conn.execute(
            "UPDATE entries SET shown = (SELECT m.seq FROM messages m WHERE m.place = entries.place)"
            " WHERE payload IS NULL"
        )
        conn.execute("DROP TABLE absent")
        conn.execute(f"DELETE FROM attached WHERE seq IN (SELECT seq FROM messages WHERE place IN ({bare}))")  # noqa: S608
        for table in ("mentions", "outbox", "orders", "progress", "untold", "expiring", "asks", "attached"):
            conn.execute(f"DELETE FROM {table} WHERE seq NOT IN (SELECT seq FROM messages)")  # noqa: S608
        (self._top,) = conn.execute(
            "SELECT max(coalesce((SELECT max(seq) FROM temp.was), 0), coalesce((SELECT max(shown) FROM entries), 0))"
        ).fetchone()

    def _entries(self) -> Iterator[tuple[Entry, int, Any, Words]]:
        """Messages that were shown, as they themselves or their rows say."""
        sql = f"""SELECT e.place, e.header, e.signature, e.payload, {key_at("e.place")}, coalesce(e.shown, w.seq),
            e.place IN (SELECT place FROM withheld) OR e.place IN (SELECT place FROM set_aside)
            FROM entries e LEFT JOIN temp.was w ON w.place = e.place
            WHERE e.place > ? AND e.payload IS NOT NULL ORDER BY e.place LIMIT ?"""  # noqa: S608
        after = 0
        while page := self._conn.execute(sql, (after, PAGE)).fetchall():
            for place, header, signature, payload, key, shown, hidden in page:
                entry = decode(header, signature, payload)
                self._heard.hear(entry)
                if hidden or (entry.kind == Kind.PRIVATE and key is None):
                    continue
                try:
                    words = words_of(entry, key)
                except (ValueError, TypeError, KeyError):
                    continue
                if entry.kind in (Kind.AGENT, Kind.MOVED):
                    self._travel(entry, words[1])
                if entry.kind == Kind.SEAL_KEY:
                    self._seal_key(entry, words[1])
                if entry.kind == Kind.SOUL:
                    self._soul(entry, place, words[1])
                if entry.kind == Kind.LEDGER:
                    self._ledger(entry, words[1])
                if words[0] == Kind.CHANNEL and key is not None:
                    self._room(entry, words[1])
                if words[0] == Kind.EDIT:
                    self._edit(entry, place, words[1])
                if words[0] in (Kind.POST, Kind.DIRECT) and shown is not None:
                    yield entry, place, shown, words
            after = page[-1][0]

    def _travel(self, entry: Entry, content: dict[str, Any]) -> None:
        """What was said of an agent that moves, where its row is lost."""
        with suppress(ValueError, TypeError):
            if (fact := fact_of(entry, content)) is not None:
                row = (self._nodes[entry.author], fact.agent, fact.move, fact.came, *fact[4:])
                self._left.add(fact)  # in the order of its log: who is too many comes last
                self._conn.execute(_TRAVEL, row)

    def _seal_key(self, entry: Entry, content: dict[str, Any]) -> None:
        """The one that each node named last, where its row is lost."""
        with suppress(ValueError):
            row = (self._nodes.get(entry.author), entry.epoch, entry.seq, SealKey.read(content).key)
            self._conn.execute(_KEY, row)

    def _soul(self, entry: Entry, place: int, content: dict[str, Any]) -> None:
        """A version of an agent's soul, where its row is lost."""
        with suppress(ValueError):
            row = (self._nodes.get(entry.author), Soul.read(content).agent, entry.epoch, entry.seq)
            self._conn.execute(SOUL, (place, *row, entry.hlc >> 16))

    def _ledger(self, entry: Entry, content: dict[str, Any]) -> None:
        """What a host said of its agents' costs, where rows are lost: of what stands there the greater holds."""
        with suppress(ValueError):
            node, accounts = self._nodes[entry.author], read_ledger(content)
            self._conn.executemany(SET_LEDGER, [ledger_row(node, one) for one in accounts])
            if entry.author != self._me:
                for day in {one.day for one in accounts}:
                    self._conn.execute(*beyond(day, node))

    def _room(self, entry: Entry, content: dict[str, Any]) -> None:
        """What the maker of a private channel said last, where its row is lost."""
        try:
            word = RoomWord.read(content)
            at = (word.check(entry.author, self._heirs), entry.epoch, entry.seq)
        except ValueError:
            return
        guests = guests_of(word, {self._me, *self._former})
        before = self._rooms.get(word.id)
        if (before is None and not guests) or (before is not None and before[1] != word.origin):
            return
        channel = self._channel(word.id, entry.hlc >> 16)
        self._conn.executemany(ADD_GUEST, [(channel, agent) for agent in guests])
        if before is None or before[0] < at:
            self._rooms[word.id] = at, word.origin
            row = RoomRow(self._nodes[entry.author], entry.epoch, entry.seq, word)
            self._conn.execute(SET_ROOM, row.row(channel))

    def _edit(self, entry: Entry, place: int, content: dict[str, Any]) -> None:
        """Which message it edits; one that stands there stays."""
        try:
            edit = Edit.read(content)
            epoch, seq = edit.target(entry)
        except (ValueError, TypeError, KeyError):
            return
        room = None
        if edit.channel is not None and entry.kind == Kind.PRIVATE:
            if entry.author != self._me and entry.author not in self._former:
                self._hold_back(place, entry.hlc >> 16)
                return
            room = self._channel(edit.channel, entry.hlc >> 16)
        sql = """INSERT OR IGNORE INTO edits SELECT (l << ?) + ?, ?, ?, ?, ?, ?, ? FROM logs
            WHERE node = ? AND epoch = ?"""
        about = (entry.epoch, entry.seq, place, edit.agent, entry.hlc >> 16, room)
        self._conn.execute(sql, (SEQ_BITS, seq, *about, self._nodes.get(entry.author), epoch))

    def _hold_back(self, place: int, at_ms: int) -> None:
        """Whether who edits in a private channel is in it, the node that runs says: unless it has said so before."""
        sql = "INSERT OR IGNORE INTO withheld SELECT ?1, ?2, ?3 WHERE NOT EXISTS (SELECT 1 FROM edits WHERE place = ?1)"
        self._conn.execute(sql, (place, NO_MEMBER, at_ms))

    def _message(self, entry: Entry, place: int, shown: Any, words: Words) -> None:
        conn = self._conn
        try:
            said = read_said(*words, sealed=entry.kind == Kind.PRIVATE)
            content = unpack_payload(entry.payload or b"")
        except (ValueError, TypeError, KeyError):
            return
        sql = "SELECT received, said, suspect, reply FROM temp.was WHERE place = ?"
        row = conn.execute(sql, (place,)).fetchone() or (None, None, None, None)
        received = row[0] if type(row[0]) is int else entry.hlc >> 16
        time = shown_time(entry.hlc, received)
        if "was" in content and type(row[1]) is int:  # published again: it keeps the time of the first
            time = ShownTime(row[1], bool(row[2]))
        reply = row[3] if said.reply_to is not None and type(row[3]) is str else said.reply_to
        agent = self._agent(entry.author, said, time.ms)
        channel = None if said.channel is None else self._channel(said.channel, time.ms)
        seq = self._free(shown)
        conn.execute(
            "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                seq,
                place,
                channel is None or bool(said.to),
                channel,
                agent,
                time.ms,
                received,
                time.suspect,
                reply,
            ),
        )
        if seq != shown or row[0] is None:
            conn.execute("UPDATE entries SET shown = ? WHERE place = ?", (seq, place))
        if channel is not None and not said.to:
            named = [(word, seq) for word in dict.fromkeys(said.mentions + said.groups)]
            conn.executemany("INSERT OR IGNORE INTO mentions VALUES (?, ?)", named)
        if said.intent == ASK:
            sql = "INSERT OR IGNORE INTO asks (seq, agent, due) VALUES (?, ?, ?)"
            conn.execute(sql, (seq, agent, said.due))
        conn.executemany(attached.INSERT, attached.rows(seq, said.files))
        if said.expires is not None and not time.suspect:
            conn.execute("INSERT OR IGNORE INTO expiring (seq, at) VALUES (?, ?)", (seq, said.expires))
        if entry.author == self._me or entry.author in self._former:
            conn.execute("INSERT OR IGNORE INTO outbox VALUES (?, ?)", (agent, seq))
            if said.once is not None and len(said.once) == MARK_BYTES:  # what request it was the answer to
                conn.execute(
                    "INSERT INTO idempotency VALUES (?, 0, ?, ?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq",
                    (said.once, request_of(Kind(words[0]), said), seq, wall_ms(entry.hlc)),
                )
        word = word_of(said, entry.colony, entry.author)
        if word is not None:  # the first place at which it is shown is its own
            conn.execute(
                "INSERT INTO orders VALUES (?, ?, ?, ?)"
                " ON CONFLICT (key, nonce) DO UPDATE SET seq = min(seq, excluded.seq)",
                (word.key, word.nonce, seq, word.is_order),
            )

    def _call(self) -> None:
        """Nodes and agents by the names they gave themselves, where the row says another, or none is there."""
        conn = self._conn
        for node, card in self._heard.cards.items():
            (name,) = conn.execute("SELECT name FROM nodes WHERE n = ?", (self._nodes[node],)).fetchone()
            if name not in self._heard.names[node]:
                row = (card.name, json.dumps(card.addresses), card.version, self._nodes[node])
                conn.execute("UPDATE nodes SET name = ?, addresses = ?, version = ? WHERE n = ?", row)
        for (node, agent_id), agent in self._heard.agents.items():
            about = (self._nodes[node], agent_id)
            if about not in self._agents:
                self._agents[about] = n = max(self._agents.values(), default=0) + 1
                sql = (
                    "INSERT INTO agents (n, node, id, name, role, created, gone) VALUES (?, ?, ?, ?, ?, 0, ?)"
                )
                conn.execute(sql, (n, *about, agent.name, agent.role, agent.gone))
            elif about in self._made:
                row_ = (agent.name, agent.role, agent.gone, self._agents[about])
                conn.execute("UPDATE agents SET name = ?, role = ?, gone = ? WHERE n = ?", row_)
            if {"agents", "profiles"} & set(self._torn):
                conn.execute(SET_PROFILE, profile_row(self._agents[about], agent.profile))
            left = self._left.has_left(self._me, agent_id)
            if node == self._me and not agent.gone and not left and "local_agents" in self._torn:
                # whose it was is lost, and its token: as when the whole database is
                owner = (self._agents[about], self._owner_uid)
                conn.execute("INSERT OR IGNORE INTO local_agents VALUES (?, ?, NULL, 0)", owner)

    def _deliver(self) -> None:
        """Mailboxes of which rows are lost: what is for an agent of this host is there again, unread."""
        conn = self._conn
        sql = "SELECT a.n, a.name, a.id FROM local_agents l JOIN agents a ON a.n = l.agent WHERE NOT a.gone"
        ours = {agent_id: (n, name) for n, name, agent_id in conn.execute(sql).fetchall()}
        (host,) = conn.execute("SELECT name FROM nodes WHERE key = ?", (self._me,)).fetchone() or ("",)
        for n, name in ours.values():
            conn.execute(
                """INSERT OR IGNORE INTO mailbox (agent, seq, why) SELECT ?, w.seq, 'mention' FROM mentions w
                JOIN messages m ON m.seq = w.seq WHERE w.word IN (?, ?) AND m.agent != ?""",
                (n, name, f"{name}@{host}", n),
            )
        after = 0
        sql = f"""SELECT m.seq, e.header, e.payload, {key_at("m.place")} FROM messages m
            JOIN entries e ON e.place = m.place
            WHERE m.direct = 1 AND m.channel IS NULL AND e.payload IS NOT NULL AND m.seq > ? ORDER BY m.seq LIMIT ?"""  # noqa: S608
        while page := conn.execute(sql, (after, PAGE)).fetchall():
            after = page[-1][0]
            for seq, *row in page:
                to = stored_said(*row, direct=True).to
                mine = [ours[one.agent][0] for one in to if one.agent in ours and self._is_here(one)]
                rows = [(n, seq, "direct") for n in mine]
                conn.executemany("INSERT OR IGNORE INTO mailbox (agent, seq, why) VALUES (?, ?, ?)", rows)

    def _is_here(self, to: Recipient) -> bool:
        return to.node == self._me or self._left.home(to.node, to.agent) == self._me

    def _free(self, shown: Any) -> int:
        """The seq it had, if no other message has it; else one above all."""
        if type(shown) is int and shown > 0:
            taken = self._conn.execute("SELECT 1 FROM messages WHERE seq = ?", (shown,)).fetchone()
            if taken is None:
                return shown
        self._top += 1
        return self._top

    def _agent(self, author: NodeId, said: Said, at_ms: int) -> int:
        about = (self._nodes[author], said.agent)
        if author in self._former and (now := (self._nodes.get(self._me, 0), said.agent)) in self._agents:
            about = now  # it went over to the new key
        if about not in self._agents:
            self._made.add(about)
            self._agents[about] = n = max(self._agents.values(), default=0) + 1
            sql = "INSERT INTO agents (n, node, id, name, role, created) VALUES (?, ?, ?, ?, ?, ?)"
            self._conn.execute(sql, (n, *about, said.name, said.role, at_ms))
        return self._agents[about]

    def _channel(self, name: str, at_ms: int) -> int:
        if name not in self._channels:
            self._channels[name] = n = max(self._channels.values(), default=0) + 1
            sql = "INSERT INTO channels (n, name, created, by) VALUES (?, ?, ?, '')"
            self._conn.execute(sql, (n, name, at_ms))
        return self._channels[name]

    def _count(self) -> None:
        conn = self._conn
        conn.execute("DELETE FROM idempotency WHERE seq NOT IN (SELECT seq FROM messages)")
        conn.execute(
            "DELETE FROM mailbox WHERE seq NOT IN (SELECT seq FROM messages)"
            " OR agent NOT IN (SELECT agent FROM local_agents)"
        )
        conn.execute(
            "UPDATE channels SET messages = (SELECT count(*) FROM messages m WHERE m.channel = channels.n),"
            " last_seq = (SELECT coalesce(max(m.seq), 0) FROM messages m WHERE m.channel = channels.n)"
        )
        conn.execute(
            "INSERT OR REPLACE INTO meta SELECT 'messages', count(*) FROM messages UNION ALL"
            " SELECT 'seq', max(coalesce(max(seq), 0), coalesce((SELECT value FROM meta"
            " WHERE key = 'seq' AND typeof(value) = 'integer'), 0)) FROM messages"
        )
