"""Redactions in a database that nobody uses: taken over from the one it replaces, found again in its own entries,
and carried out. Neither a restored backup nor a file that was written anew brings a dropped text back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, Final

from maw.core.clock import wall_ms
from maw.core.entry import START, Entry, Kind, decode, unpack_payload
from maw.core.identity import NodeId
from maw.core.redaction import RETENTION, Redaction, droppable, may_redact
from maw.errors import ProtocolViolation
from maw.store.schema import SEQ_BITS

PAGE: Final = 500
_LOW: Final = (1 << SEQ_BITS) - 1
_RULES: Final = """SELECT d.first, d.last, r.rule, r.why, r.by, r.reason, r.days, r.at FROM redactions d
    JOIN rules r ON r.rule = d.rule"""

Log = tuple[NodeId, int]
"""Author and epoch."""


class Rerule:
    """``conn``: the database that is to keep the rules, with a transaction open."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
        self._nodes = {NodeId(key): n for n, key in conn.execute("SELECT n, key FROM nodes")}
        rows = conn.execute(
            "SELECT l.l, n.key, l.epoch, l.seq FROM logs l JOIN nodes n ON n.n = l.node"
        ).fetchall()
        self._logs: dict[Log, int] = {(NodeId(key), epoch): l for l, key, epoch, _ in rows}  # noqa: E741
        self._heads: dict[int, int] = {l: seq for l, _, _, seq in rows}  # noqa: E741

    def take_over(self, old: sqlite3.Connection) -> int:
        """The rules of another database of this node; how many. Raises what reading a damaged file raises."""
        if not old.execute("SELECT 1 FROM sqlite_master WHERE name = 'redactions'").fetchone():
            return 0
        sql = "SELECT l.l, n.key, l.epoch FROM logs l JOIN nodes n ON n.n = l.node"
        names: dict[int, Log] = {l: (NodeId(key), epoch) for l, key, epoch in old.execute(sql)}  # noqa: E741
        count = 0
        for first, last, rule, *said in old.execute(_RULES).fetchall():
            log = names.get(first >> SEQ_BITS)
            saying = names.get(rule >> SEQ_BITS) if rule > 0 else None
            if log is None or (rule > 0 and saying is None):
                continue
            number = rule if saying is None else self._number(saying) << SEQ_BITS | rule & _LOW
            self._keep(number, said, log, first & _LOW, last & _LOW)
            count += 1
        return count

    def find(self) -> None:
        """The rules that its entries say, where the tables do not; without what speaks of no log that is here."""
        conn = self._conn
        conn.execute(
            "DELETE FROM rules WHERE rule < 0 AND rule IN"
            " (SELECT rule FROM redactions WHERE first >> ? NOT IN (SELECT l FROM logs))",
            (SEQ_BITS,),
        )  # what operators stated is taken in again from the statements
        conn.execute("DELETE FROM redactions WHERE first >> ? NOT IN (SELECT l FROM logs)", (SEQ_BITS,))
        for place, entry in self._entries(Kind.REDACT):
            try:
                rule = Redaction.read(unpack_payload(entry.payload or b""))
            except (ValueError, TypeError):
                continue
            if not may_redact(entry, rule):
                continue
            said = (rule.why, rule.by, rule.reason, rule.days, wall_ms(entry.hlc))
            for first, last in rule.ranges:
                self._keep(place, said, (rule.author, rule.epoch), first, last)

    def carry_out(self) -> int:
        """Drop what the rules cover; how many payloads."""
        dropped = 0
        for first, last, _, why, _, _, _, at in self._conn.execute(_RULES).fetchall():
            sql = """SELECT place, header, signature, shown FROM entries
                WHERE place BETWEEN ? AND ? AND payload IS NOT NULL"""
            for place, header, signature, seq in self._conn.execute(sql, (first, last)).fetchall():
                if droppable(decode(header, signature).kind):
                    self._drop(place, seq, why, at)
                    dropped += 1
        return dropped

    def _drop(self, place: int, seq: int | None, why: str, at: int) -> None:
        conn = self._conn
        conn.execute("UPDATE entries SET payload = NULL WHERE place = ?", (place,))
        for table in ("missing", "set_aside", "withheld"):
            conn.execute(f"DELETE FROM {table} WHERE place = ?", (place,))  # noqa: S608 - a word above
        if seq is None:
            return
        conn.execute("DELETE FROM mentions WHERE seq = ?", (seq,))
        conn.execute("UPDATE idempotency SET request = randomblob(16) WHERE seq = ?", (seq,))
        if why == RETENTION:
            conn.execute("UPDATE mailbox SET acked = ? WHERE acked IS NULL AND seq = ?", (at, seq))

    def _keep(self, rule: int, said: Any, log: Log, first: int, last: int) -> None:
        number = self._number(log)
        base = number << SEQ_BITS
        self._conn.execute("INSERT OR IGNORE INTO rules VALUES (?, ?, ?, ?, ?, ?)", (rule, *said))
        ahead = 1 if last > self._heads[number] else None
        row = (base | first, rule, base | last, ahead)
        self._conn.execute("INSERT OR IGNORE INTO redactions VALUES (?, ?, ?, NULL, ?)", row)
        self._conn.execute("DELETE FROM missing WHERE place BETWEEN ? AND ?", (base | first, base | last))

    def _number(self, log: Log) -> int:
        """Of a log; one that is not here yet gets its row, so that the rule waits for it."""
        if log not in self._logs:
            author, epoch = log
            if author not in self._nodes:
                self._nodes[author] = max(self._nodes.values(), default=0) + 1
                self._conn.execute("INSERT INTO nodes (n, key) VALUES (?, ?)", (self._nodes[author], author))
            number = self._logs[log] = max(self._heads, default=0) + 1
            self._heads[number] = 0
            row = (number, self._nodes[author], epoch, *START, 0)
            self._conn.execute("INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?)", row)
        return self._logs[log]

    def _entries(self, kind: int) -> Iterator[tuple[int, Entry]]:
        """What is of this kind among what is no shown message."""
        sql = """SELECT place, header, signature, payload FROM entries
            WHERE place > ? AND shown IS NULL AND payload IS NOT NULL ORDER BY place LIMIT ?"""
        after = 0
        while page := self._conn.execute(sql, (after, PAGE)).fetchall():
            for place, header, signature, payload in page:
                try:
                    entry = decode(header, signature, payload)
                except ProtocolViolation:
                    continue
                if entry.kind == kind:
                    yield place, entry
            after = page[-1][0]
