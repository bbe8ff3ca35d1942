"""Every hash, chain, signature and count of a database, recomputed. It only reads.

Bounded pages through a connection of its own, each in its own snapshot: a daemon may write meanwhile. What it
adds after the start is not looked at: logs are checked up to the heads found at the start, and what is visible
up to the seq found then. A page that SQLite cannot give is read again row by row, for the places of a log are
known without it: one damaged page costs its own rows, not the rest.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from maw.core.entry import Entry
from maw.core.identity import NodeId, short_key
from maw.core.soundness import Damage, Judged, LogName, Part, Row, judge
from maw.core.statement import read_statement
from maw.errors import ProtocolViolation
from maw.store.copying import Progress, quiet
from maw.store.derived import Derived
from maw.store.redacting import COVERING
from maw.store.schema import SEQ_BITS

PAGE: Final = 256
THREADS: Final = 4
MAX_TOLD: Final = 1_000
INTEGRITY_LINES: Final = 50
SQL_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError, OverflowError)
"""What reading a damaged file raises: a flipped type makes bytes a text that is none."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written. ``what``: one stable word, ``where``: which row or table,
    ``text``: a sentence. ``peers``: it is mended entry by entry while the daemon runs, from what others hold or from
    what is here; else the file is written anew."""

    what: str
    where: str
    text: str
    peers: bool = False


@dataclass(slots=True)
class Report:
    """What was looked at, and what was wrong with it. ``findings`` and ``damages`` end at MAX_TOLD;
    ``wrong`` counts all."""

    entries: int = 0
    logs: int = 0
    messages: int = 0
    statements: int = 0
    wrong: int = 0
    unsigned: int = 0
    """Entries vouched for by their chain whose own signature does not hold: their author's fault, no damage."""
    newest: dict[NodeId, tuple[int, int]] = field(default_factory=dict)
    """The newest (epoch, seq) held of each node."""
    findings: list[Finding] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not self.wrong

    @property
    def structural(self) -> bool:
        """Whether more is wrong than single entries: then the file is to be written anew."""
        return any(not finding.peers for finding in self.findings)

    def tell(self, finding: Finding) -> None:
        self.wrong += 1
        if len(self.findings) < MAX_TOLD:
            self.findings.append(finding)


class StoredLog(NamedTuple):
    """A row of ``logs``, with whose it is."""

    l: int  # noqa: E741 - the column's name
    author: NodeId
    epoch: int
    seq: int
    id: bytes


def verify_database(
    conn: sqlite3.Connection,
    *,
    me: NodeId | None = None,
    signatures: bool = True,
    progress: Progress = quiet,
) -> Report:
    """Checks all of it; raises nothing for what is wrong with the file. ``me``: whose database it is.

    Without ``signatures`` each log's last one is checked, which by the chain stands for those before it.
    """
    report = Report()
    _structure(conn, report)
    # what is visible is bounded before the heads are read: every message up to that bound has its entry below a head
    derived = Derived(
        conn, me, lambda what, where, text: report.tell(Finding(what, where, text)),
        lambda entry, text: _damaged(report, Damage(*entry.position, Part.MESSAGE, text, entry.id)),
    )  # fmt: skip
    try:
        logs, colony = stored_logs(conn), _meta(conn, "colony")
    except SQL_ERRORS as error:
        report.tell(Finding("unreadable", "logs", f"which logs there are cannot be read: {error}"))
        return report
    if not isinstance(colony, bytes):
        report.tell(Finding("unreadable", "meta", "it does not say which Colony this is"))
        return report
    total = sum(max(0, log.seq) for log in logs)
    with ThreadPoolExecutor(THREADS) as pool:
        checks: list[Future[int]] = []
        for log in logs:
            log = _bounded(conn, log, report)
            report.logs += 1
            report.newest[log.author] = max(report.newest.get(log.author, (0, 0)), (log.epoch, log.seq))
            for rows, judged in judged_pages(conn, log, colony, report):
                report.entries += len(rows)
                _note(report, judged)
                for damage in judged.damages:
                    derived.damaged(log.l, damage.seq)
                derived.page(log.l, judged.entries)
                if signatures:
                    checks.append(pool.submit(_unsigned, judged.entries))
                while len(checks) > 4 * THREADS:  # what waits holds its entries in memory
                    report.unsigned += checks.pop(0).result()
                progress(report.entries, total)
        report.unsigned += sum(check.result() for check in checks)
    derived.end()
    report.messages = derived.messages
    _statements(conn, report)
    return report


def _note(report: Report, judged: Judged) -> None:
    for damage in judged.damages:
        _damaged(report, damage)


def _damaged(report: Report, damage: Damage) -> None:
    where = place_text(damage.author, damage.epoch, damage.seq)
    report.tell(Finding(damage.part.value, where, damage.text, peers=True))
    if len(report.damages) < MAX_TOLD:
        report.damages.append(damage)


def place_text(author: NodeId, epoch: int, seq: int) -> str:
    return f"{short_key(author)} epoch {epoch} seq {seq}"


def _unsigned(entries: Sequence[Entry]) -> int:
    """How many signatures do not hold. Runs in a thread: PyNaCl lets go of the interpreter's lock."""
    return sum(not entry.signature_holds() for entry in entries)


# -- structure -----------------------------------------------------------------------------------------


def _structure(conn: sqlite3.Connection, report: Report) -> None:
    try:
        for (line,) in conn.execute(f"PRAGMA integrity_check({INTEGRITY_LINES})"):
            if line != "ok":
                text = " ".join(str(line).split())
                report.tell(Finding("structure", "database", f"SQLite says: {text}"))
    except SQL_ERRORS as error:
        report.tell(Finding("structure", "database", f"SQLite cannot check it: {error}"))


def _meta(conn: sqlite3.Connection, key: str) -> object:
    row = conn.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return row[0] if row else None


# -- entries -------------------------------------------------------------------------------------------


def stored_logs(conn: sqlite3.Connection) -> list[StoredLog]:
    """Every log the database says it holds, by number. Raises sqlite3.DatabaseError where one has none."""
    sql = "SELECT l.l, n.key, l.epoch, l.seq, l.id FROM logs l JOIN nodes n ON n.n = l.node ORDER BY l.l"
    found = [StoredLog(l, NodeId(key), *rest) for l, key, *rest in conn.execute(sql)]  # noqa: E741
    if not all(type(log.l) is type(log.epoch) is type(log.seq) is int for log in found):
        # a flipped bit in the table's declaration: the number is the row's own, and not written in it
        raise sqlite3.DatabaseError("a log has no number")
    return found


def _bounded(conn: sqlite3.Connection, log: StoredLog, report: Report) -> StoredLog:
    """A flipped bit in a head's seq must not have us look for a million million entries."""
    low, high = log.l << SEQ_BITS, (log.l + 1) << SEQ_BITS
    try:
        sql = "SELECT max(place) FROM entries WHERE place > ? AND place < ?"
        (place,) = conn.execute(sql, (low, high)).fetchone()
    except SQL_ERRORS:  # of a file that cannot be read here the pages tell, one by one
        return log
    last = (place or low) - low
    if log.seq <= last + PAGE:
        return log
    where = place_text(log.author, log.epoch, log.seq)
    report.tell(Finding("head", where, f"this log says it ends at {log.seq}, its entries end at {last}"))
    return log._replace(seq=last)


def judged_pages(
    conn: sqlite3.Connection, log: StoredLog, colony: bytes, report: Report
) -> Iterator[tuple[list[Row], Judged]]:
    """A log page by page, ascending, each judged with the entry after it as its witness."""
    name = LogName(colony, log.author, log.epoch)
    for first in range(1, log.seq + 1, PAGE):
        last = min(first + PAGE - 1, log.seq)
        rows = read_rows(conn, log.l, first, min(last + 1, log.seq))
        if last == log.seq:
            yield rows, _judge_end(name, log, rows, report)
            continue
        witness = judge(name, rows[-1:], None, signatures=False)
        yield rows[:-1], judge(name, rows[:-1], witness.first, signatures=False)


def _judge_end(name: LogName, log: StoredLog, rows: Sequence[Row], report: Report) -> Judged:
    """The last page, which the head vouches for. The head is a row too, and may be what is damaged: an entry whose
    signature holds is believed before it."""
    judged = judge(name, rows, log.id, signatures=False)
    if judged.damages and judged.damages[-1].seq == log.seq and judged.damages[-1].part is Part.HEADER:
        by_itself = judge(name, rows, None, signatures=False)
        if not by_itself.damages or by_itself.damages[-1].seq != log.seq:
            where = place_text(log.author, log.epoch, log.seq)
            report.tell(Finding("head", where, "the head of this log is not the id of its last entry"))
            return by_itself
    return judged


def read_rows(conn: sqlite3.Connection, log: int, first: int, last: int) -> list[Row]:
    """The rows of one log from ``first`` to ``last``, one for each place, whatever the file can give."""
    base = log << SEQ_BITS
    columns = f"header, signature, payload, 0, {_dropped(conn)}"
    sql = f"SELECT place, {columns} FROM entries e WHERE place BETWEEN ? AND ?"  # noqa: S608
    found: dict[int, Row] = {}
    try:
        for place, *rest in conn.execute(sql, (base | first, base | last)):
            found[place - base] = Row(place - base, *rest)
    except SQL_ERRORS:
        for seq in range(first, last + 1):
            found[seq] = _read_row(conn, base, seq, columns)
    return [found.get(seq) or Row(seq, None) for seq in range(first, last + 1)]


def _dropped(conn: sqlite3.Connection) -> str:
    """SQL: whether a rule dropped the payload of an entry, or it came without one and is asked for: neither is damage.
    A database from before there were rules has none, and the list of tables may be what is damaged."""
    try:
        conn.execute("SELECT 1 FROM redactions, missing LIMIT 0")
    except SQL_ERRORS:
        return "0"
    missing = "SELECT 1 FROM missing WHERE place = e.place"
    return f"payload IS NULL AND (EXISTS ({COVERING.format(*['e.place'] * 3)}) OR EXISTS ({missing}))"


def _read_row(conn: sqlite3.Connection, base: int, seq: int, columns: str) -> Row:
    sql = f"SELECT {columns} FROM entries e WHERE place = ?"  # noqa: S608
    try:
        row = conn.execute(sql, (base | seq,)).fetchone()
    except SQL_ERRORS:
        return Row(seq, None, unreadable=True)
    return Row(seq, *row) if row else Row(seq, None)


# -- statements ----------------------------------------------------------------------------------------


def _statements(conn: sqlite3.Connection, report: Report) -> None:
    try:
        rows = conn.execute("SELECT id, wire FROM statements").fetchall()
    except SQL_ERRORS as error:
        report.tell(Finding("unreadable", "statements", f"words on trust cannot be read: {error}"))
        return
    for statement_id, wire in rows:
        report.statements += 1
        shown = statement_id.hex()[:12] if isinstance(statement_id, bytes) else "?"
        try:
            statement = read_statement(wire)
        except (ProtocolViolation, TypeError) as error:
            report.tell(Finding("statement", shown, f"it does not prove itself: {error}"))
            continue
        if statement.id != statement_id:
            report.tell(Finding("statement", shown, "it is kept under another's id"))
