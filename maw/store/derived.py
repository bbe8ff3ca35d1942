"""What was made of the entries, against the entries: messages, mentions, what was sent, counts.

Sums over many rows are compared as sums of hashes, so that neither order nor memory matters.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, Final

from maw.core.clock import shown_time
from maw.core.colony import Said
from maw.core.entry import Entry, decode, unpack_payload
from maw.core.identity import NodeId, short_key
from maw.core.rooms import read_said
from maw.core.sealing import words_of
from maw.errors import ProtocolViolation
from maw.store.attached import has_attached
from maw.store.attached import rows as attached_rows
from maw.store.callings import Callings
from maw.store.former import former_keys
from maw.store.opened import SAID, has_opened, key_at
from maw.store.pages import MESSAGE, Shown
from maw.store.replacing import WAS
from maw.store.schema import SEQ_BITS

PAGE: Final = 2_000
_SUM: Final = (1 << 64) - 1
_SQL_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError, OverflowError)

Tell = Callable[[str, str, str], None]
"""What is wrong, where, and a sentence."""
Remake = Callable[[Entry, str], None]
"""An entry whose message is to be made again, and what is wrong with it."""

_REMADE: Final = ("place", "direct", "channel", "agent")
"""Columns that are made again from the entry while the daemon runs."""


class Derived:
    """Takes the sound entries page by page, then ``end`` compares the sums. It tells what is wrong."""

    def __init__(self, conn: sqlite3.Connection, me: NodeId | None, tell: Tell, remake: Remake) -> None:
        self._conn = conn
        self._me = me
        self._ours = {me, *former_keys(conn, me)}
        self._tell = tell
        self._remake = remake
        self.messages = 0
        self._mentions = self._sent = 0
        self._whole = True
        self._unknown: set[int] = set()
        """Seqs of messages whose entries are damaged: what they mention cannot be said."""
        self._channels: dict[int, str] = {}
        self._agents: dict[int, tuple[NodeId, bytes]] = {}
        self._top = 0
        self._named: dict[NodeId, str] = {}
        self._heard = Callings()
        self._torn: set[int] = set()
        self._files = has_attached(conn)
        self._key = key_at("e.place") if has_opened(conn) else "NULL"
        self._authors: dict[int, NodeId] = {}
        """Of each log; ``_torn``: the logs in which something is damaged."""
        try:
            self._read()
        except _SQL_ERRORS as error:
            self._broken("channels, agents", error)

    def _read(self) -> None:
        conn = self._conn
        (self._top,) = conn.execute("SELECT coalesce(max(seq), 0) FROM messages").fetchone()
        self._channels = dict(conn.execute("SELECT n, name FROM channels"))
        self._named = {NodeId(key): name for key, name in conn.execute("SELECT key, name FROM nodes")}
        sql = "SELECT a.n, n.key, a.id FROM agents a JOIN nodes n ON n.n = a.node"
        self._agents = {n: (NodeId(key), agent_id) for n, key, agent_id in conn.execute(sql)}

    def _broken(self, where: str, error: Exception) -> None:
        self._whole = False
        self._tell("unreadable", where, f"it cannot be read: {error}")

    def page(self, log: int, entries: Sequence[Entry]) -> None:
        """Sound entries of one log, ascending."""
        for entry in entries:
            self._authors[log] = entry.author
            self._heard.hear(entry)
        said = [entry for entry in entries if entry.kind in SAID]
        if not said:
            return
        base = log << SEQ_BITS
        first, last = base | said[0].seq, base | said[-1].seq
        sql = f"""SELECT e.place, e.shown, {self._key}, {", ".join("m." + name for name in MESSAGE)}
            FROM entries e LEFT JOIN messages m ON m.seq = e.shown
            WHERE e.place BETWEEN ? AND ? AND e.shown IS NOT NULL"""  # noqa: S608 - columns' names
        try:
            rows = {place: rest for place, *rest in self._conn.execute(sql, (first, last))}
        except _SQL_ERRORS as error:
            self._broken("messages", error)
            return
        for entry in said:
            shown, key, *row = rows.get(base | entry.seq, (None, None))
            if shown is not None:
                self._message(entry, base | entry.seq, shown, key, row)

    def damaged(self, log: int, seq: int) -> None:
        """An entry that is not sound: what was made of it is left out of the sums."""
        self._torn.add(log)
        try:
            sql = "SELECT shown FROM entries WHERE place = ?"
            row = self._conn.execute(sql, (log << SEQ_BITS | seq,)).fetchone()
        except _SQL_ERRORS:
            row = None
        if row is None:
            self._whole = False
        elif type(row[0]) is int:
            self._unknown.add(row[0])

    def _message(self, entry: Entry, place: int, shown: Any, key: Any, row: Sequence[Any]) -> None:
        if type(shown) is not int or shown > self._top:
            if type(shown) is not int:
                self._tell("message", f"place {place}", "where it is shown is no number")
            return  # it became visible after the start
        if shown in self._unknown:
            return
        self.messages += 1
        if row[0] is None:
            self._tell("message", f"seq {shown}", "it is held and not among the messages")
            return
        stored = Shown(*row)
        if entry.payload is None:  # redacted: its row stays, and that it was sent from here
            if entry.author in self._ours:
                self._sent = (self._sent + _hash(stored.agent, shown)) & _SUM
            return
        try:
            kind, content = words_of(entry, key)
            said = read_said(kind, content, sealed=key is not None)
        except (ValueError, TypeError, KeyError):
            self._tell("message", f"seq {shown}", "it is shown and says nothing that can be shown")
            return
        again = WAS in (entry.payload or b"") and "was" in unpack_payload(entry.payload or b"")
        if (wrong := self._differs(entry, place, said, stored, again)) is not None:
            if wrong in _REMADE:
                self._remake(entry, f"its {wrong} is not what the entry says")
            else:
                self._tell("message", f"seq {shown}", f"its {wrong} is not what the entry says")
        if self._files and self._misfiled(entry, shown, said):
            self._tell("attached", f"seq {shown}", "its files are not noted as the entry names them")
        if said.channel is not None and not said.to:
            for word in dict.fromkeys(said.mentions):
                self._mentions = (self._mentions + _hash(word, shown)) & _SUM
        if entry.author in self._ours:
            self._sent = (self._sent + _hash(stored.agent, shown)) & _SUM

    def _misfiled(self, entry: Entry, shown: int, said: Said) -> bool:
        """What drops files believes these rows. Of others' messages a version that knew no files noted none."""
        if not said.files:
            return False
        found = self._conn.execute(
            "SELECT seq, n, hash FROM attached WHERE seq = ? ORDER BY n", (shown,)
        ).fetchall()
        return found != attached_rows(shown, said.files) and bool(found or entry.author in self._ours)

    def _differs(self, entry: Entry, place: int, said: Said, row: Shown, again: bool) -> str | None:
        """The first column of a message that is not what the entry makes of it. One that its author published
        ``again`` keeps the time of the first; replies follow what they reply to."""
        if type(row.received) is not int:
            return "received"
        time = shown_time(entry.hlc, row.received)
        channel = None if row.channel is None else self._channels.get(row.channel, "")
        wrong = {
            "place": row.place != place,
            "direct": bool(row.direct) != (said.channel is None or bool(said.to)),
            "channel": channel != said.channel,
            "agent": not self._is_by(row.agent, entry.author, said.agent),
            "said": row.said != time.ms and not again,
            "suspect": bool(row.suspect) != time.suspect and not again,
            "reply": (row.reply is None) != (said.reply_to is None),
        }
        return next((name for name, is_wrong in wrong.items() if is_wrong), None)

    def _is_by(self, agent: int, author: NodeId, agent_id: bytes) -> bool:
        """Agents of this node went over to its new key when that was rotated; what they had said stays."""
        node, held = self._agents.get(agent, (None, b""))
        return held == agent_id and (node == author or (node == self._me and author in self._ours))

    # -- sums -------------------------------------------------------------------------------------------

    def end(self) -> None:
        """Compares what many rows come to; where something could not be read, only what holds without it."""
        self._names()
        sums = (("mentions", self._mentions_sum), ("outbox", self._sent_sum)) if self._whole else ()
        for where, check in (
            ("messages", self._all_backed),
            *sums,
            ("mailbox", self._mailboxes),
            ("channels", self._counts),
        ):
            try:
                check()
            except _SQL_ERRORS as error:
                self._broken(where, error)

    def _names(self) -> None:
        """Nodes, by what they called themselves; not those of which an entry is missing that may have said it."""
        unsure = {self._authors.get(log) for log in self._torn}
        if None in unsure:
            return
        for node, names in self._heard.names.items():
            if node in self._named and node not in unsure and self._named[node] not in names:
                self._tell("node", short_key(node), "it never called itself what it is called here")

    def _all_backed(self) -> None:
        sql = """SELECT m.seq, e.shown, m.place FROM messages m LEFT JOIN entries e ON e.place = m.place
            WHERE m.seq > ? AND m.seq <= ? ORDER BY m.seq LIMIT ?"""
        after = 0
        while page := self._conn.execute(sql, (after, self._top, PAGE)).fetchall():
            for seq, shown, place in page:
                if seq != shown and self._whole:
                    self._unbacked(seq, shown, place)
            after = page[-1][0]

    def _unbacked(self, seq: int, shown: object, place: object) -> None:
        sql = "SELECT header, signature, payload FROM entries WHERE place = ?"
        row = self._conn.execute(sql, (place,)).fetchone()
        other = "SELECT 1 FROM messages WHERE seq = ? AND place = ?"
        if row is None or self._conn.execute(other, (shown, place)).fetchone():
            self._tell("message", f"seq {seq}", "no entry says that it is shown there")
            return
        try:
            self._remake(decode(*row), f"it is shown at {seq} and says {shown}")
        except ProtocolViolation:
            self._tell("message", f"seq {seq}", "no entry says that it is shown there")

    def _mentions_sum(self) -> None:
        sql = """SELECT word, seq FROM mentions WHERE (word, seq) > (?, ?) AND seq <= ?
            ORDER BY word, seq LIMIT ?"""
        found = self._sum(sql, "")
        if found != self._mentions:
            self._tell("mentions", "mentions", "they are not what the messages say")

    def _sent_sum(self) -> None:
        if self._me is None:
            return
        sql = """SELECT agent, seq FROM outbox WHERE (agent, seq) > (?, ?) AND seq <= ?
            ORDER BY agent, seq LIMIT ?"""
        found = self._sum(sql, -1)
        if found != self._sent:
            self._tell("outbox", "outbox", "what was sent from here is not what this node's own log says")

    def _sum(self, sql: str, start: Any) -> int:
        rows = _walk(self._conn, sql, (start, 0), self._top)
        known = ((what, seq) for what, seq in rows if seq not in self._unknown and not _is_group(what))
        return sum(_hash(what, seq) for what, seq in known) & _SUM

    def _mailboxes(self) -> None:
        sql = """SELECT count(*) FROM mailbox b LEFT JOIN messages m ON m.seq = b.seq
            LEFT JOIN local_agents l ON l.agent = b.agent WHERE m.seq IS NULL OR l.agent IS NULL"""
        (lost,) = self._conn.execute(sql).fetchone()
        if lost:
            self._tell("mailbox", "mailbox", f"{lost} rows are of no message, or of no agent of this host")

    def _counts(self) -> None:
        sql = """SELECT c.name, c.messages, c.last_seq, coalesce(f.messages, 0), coalesce(f.last, 0)
            FROM channels c LEFT JOIN (SELECT channel, count(*) messages, max(seq) last FROM messages
                WHERE channel IS NOT NULL GROUP BY channel) f ON f.channel = c.n"""
        for name, messages, last, real, real_last in self._conn.execute(sql).fetchall():
            if (messages, last) != (real, real_last):
                self._tell("count", f"#{name}", f"it counts {messages} messages, there are {real}")
        sql = """SELECT (SELECT value FROM meta WHERE key = 'messages'), (SELECT value FROM meta WHERE key = 'seq'),
            count(*), coalesce(max(seq), 0) FROM messages"""
        counted, seq, real, top = self._conn.execute(sql).fetchone()
        if (counted or 0) != real or (seq or 0) < top:
            self._tell(
                "count", "meta", f"{counted} messages up to {seq} are counted, there are {real} up to {top}"
            )


def _is_group(word: object) -> bool:
    """A version that does not know groups noted none of those that it took in: they are no part of the sum."""
    return type(word) is str and ":" in word


def _walk(conn: sqlite3.Connection, sql: str, start: tuple[Any, int], top: int) -> Iterator[tuple[Any, int]]:
    at = start
    while page := conn.execute(sql, (*at, top, PAGE)).fetchall():
        yield from page
        at = page[-1]


def _hash(what: object, seq: object) -> int:
    return int.from_bytes(blake2b(f"{what}\0{seq}".encode(), digest_size=8).digest(), "big")
