"""A new database beside a damaged one: every row that can be read and proves itself comes over, in its place.

Own entries that no peer has yet are what must not be lost, so nothing is thrown away for its neighbours' sake: each
entry is read and judged alone, and where the way to it is gone, it is looked for in every page of the file. Whose a
log is, its entries' signatures say; the tables that name it are only asked where they agree. What others read
(messages, mentions, what was sent, counts) is made again from the entries and keeps its seq, so that cursors go on.
Entries that are damaged are left out, to be fetched from peers.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from maw.core.entry import Entry, decode
from maw.core.identity import NodeId
from maw.core.soundness import LogName, Row, judge
from maw.core.statement import read_statement
from maw.errors import ProtocolViolation, Unavailable
from maw.store.carving import carve
from maw.store.copying import Progress, quiet
from maw.store.database import open_database
from maw.store.rederiving import Rederiving
from maw.store.reruling import Rerule
from maw.store.schema import MIGRATIONS, SEQ_BITS
from maw.store.verifying import PAGE, SQL_ERRORS, read_rows

_OWN_WAY: Final = ("entries", "logs", "nodes", "sqlite_sequence")
_OF_NODES: Final = (
    "agents",
    "answers",
    "heeded",
    "retention",
    "channel_words",
    "receipts",
    "forks",
    "seal_keys",
    "rooms",
    "ledger",
    "souls",
    "travels",
)
_OF_AGENTS: Final = (
    "local_agents", "mailbox", "wakes", "dnd", "outbox", "progress", "untold", "roster", "panes", "conversations",
    "vitals", "rhythm", "profiles", "rights", "asks", "watches", "presence",
    "gone_readers",
)  # fmt: skip
_SAMPLE: Final = 64
_LOW: Final = (1 << SEQ_BITS) - 1


@dataclass(slots=True)
class Salvaged:
    """What came over. ``lost``: places that have to come from peers; ``torn``: tables of which a part could not be
    read, and how many of their rows could."""

    entries: int = 0
    messages: int = 0
    lost: list[tuple[NodeId, int, int]] = field(default_factory=list)
    torn: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Log:
    l: int  # noqa: E741 - the column's name
    author: NodeId
    epoch: int
    seq: int
    id: bytes | None
    disputed: int = 0


def salvage(source: Path, target: Path, me: NodeId, colony: bytes, progress: Progress = quiet) -> Salvaged:
    """Fills the new file ``target`` with what ``source`` still gives. ``colony``: where this node belongs, as the
    copy beside the key says. Raises Unavailable when nothing can be made of it; the source is not changed."""
    done = Salvaged()
    asyncio.run(_make(target))
    try:
        with closing(_torn(source)) as old, closing(sqlite3.connect(target, isolation_level=None)) as new:
            # it is synced as a whole before it takes the other's place
            new.execute("PRAGMA synchronous = OFF")
            new.execute("BEGIN")
            _plain_tables(old, new, done)
            _proven_statements(new, done)
            new.execute("INSERT OR REPLACE INTO meta VALUES ('colony', ?)", (colony,))
            _carve(source, new, colony)
            _nodes_and_entries(old, new, colony, done, progress)
            _others_agents(new, me, done)
            if not done.entries and not _tables(old):
                raise _nothing(source)
            new.execute("DROP TABLE temp.carved")
            _rules(new, done)
            done.messages = Rederiving(new, me, done.torn, source.stat().st_uid).run(done.lost)
            # the file is another one: the log goes on in a new epoch, and seq above every cursor
            new.execute("DELETE FROM meta WHERE key IN ('fingerprint', 'search')")
            new.execute("COMMIT")
            new.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise Unavailable(
            f"{source} could not be saved to {target}: {error}",
            code="not_saved",
            hint="restore a backup: `maw backup --list`, `maw restore`",
        ) from None
    return done


def _nothing(source: Path) -> Unavailable:
    return Unavailable(
        f"nothing of {source} can be read",
        code="not_saved",
        hint="restore a backup: `maw backup --list`, `maw restore`. Without one: move the file away with its -wal"
        " and -shm, and start; trust is in trust.copy, messages come back from the peers",
    )


async def _make(target: Path) -> None:
    async with open_database(target):
        pass


def _torn(source: Path) -> sqlite3.Connection:
    """Read-only, and content with a list of tables that is damaged: those it does not know are torn. Where it cannot
    be read at all, an empty one takes its place: then there is what is found by looking through the pages."""
    conn = sqlite3.connect(f"file:{quote(str(source))}?mode=ro", uri=True, isolation_level=None)
    try:
        conn.execute("PRAGMA writable_schema = ON")  # else one flipped letter hides every table
        conn.execute("PRAGMA query_only = ON")
        conn.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except SQL_ERRORS:
        conn.close()
        return sqlite3.connect(":memory:", isolation_level=None)
    return conn


def _tables(conn: sqlite3.Connection) -> int:
    try:
        (count,) = conn.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()
    except SQL_ERRORS:  # counted is not read: what `_torn` could do once may fail now
        return 0
    return int(count)


# -- rows as they are ------------------------------------------------------------------------------------


def _plain_tables(old: sqlite3.Connection, new: sqlite3.Connection, done: Salvaged) -> None:
    sql = "SELECT name FROM sqlite_master WHERE type = 'table'"
    for (table,) in new.execute(sql).fetchall():
        if table not in _OWN_WAY:
            _copy_table(old, new, table, done)


def _copy_table(old: sqlite3.Connection, new: sqlite3.Connection, table: str, done: Salvaged) -> None:
    """From both ends until a page cannot be read: what lies between is lost."""
    there = {row[1] for row in _rows(old, f"PRAGMA table_info({table})") if row is not None}
    names = [row[1] for row in new.execute(f"PRAGMA table_info({table})") if row[1] in there]
    if not names:
        if not _is_older(old):  # from before there was such a table; else the list of tables is torn
            done.torn[table] = 0
        return
    keys = [row[1:3] for row in new.execute(f"PRAGMA table_info({table})") if row[5]]
    # a number that is the row's own place is not written in the row: where a bit of the table's declaration has flipped
    # it would read as nothing, or be looked for in another index; and what others say of it would be of somebody else
    own = keys[0][0] if len(keys) == 1 and keys[0][1] == "INTEGER" else None
    numbered = [names.index(key) for key, _ in keys if key in names]
    columns, marks = ", ".join(names), ", ".join("?" * len(names))
    wanted = ", ".join("rowid" if name == own else name for name in names)
    source = f"{table} NOT INDEXED" if own else table
    by = ["rowid"] if own or not keys else [name for name, _ in keys]
    count = 0
    for way in ("ASC", "DESC"):
        order = ", ".join(f"{key} {way}" for key in by)
        whole = True
        reading = _rows(old, f"SELECT {wanted} FROM {source} ORDER BY {order}")  # noqa: S608 - names of ours
        for row in reading:
            if row is None:
                whole = False
                break
            if any(row[at] is None for at in numbered):  # it would be given a number that others go by
                whole = False
                continue
            try:
                put = new.execute(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})", row)  # noqa: S608
                count += put.rowcount
            except (sqlite3.Error, OverflowError):
                whole = False  # what a flipped bit made of a value does not fit
        if whole:
            return
        done.torn[table] = count


def _is_older(old: sqlite3.Connection) -> bool:
    """Whether an earlier maw wrote it, as far as it says so."""
    try:
        (version,) = old.execute("PRAGMA user_version").fetchone()
    except SQL_ERRORS:
        return False
    return 0 < int(version) < len(MIGRATIONS)


def _rules(new: sqlite3.Connection, done: Salvaged) -> None:
    """No text that was redacted comes back with what was found in the file."""
    if done.torn.keys() & {"rules", "redactions"}:
        new.execute("DELETE FROM rules WHERE rule < 0")  # statements say them again, whole
    rules = Rerule(new)
    rules.find()
    rules.carry_out()


def _proven_statements(new: sqlite3.Connection, done: Salvaged) -> None:
    """A word on trust that does not prove itself would keep the node from starting; the copy beside the key has it."""
    rows = new.execute("SELECT id, wire FROM statements").fetchall()
    for statement_id, wire in rows:
        try:
            proven = read_statement(wire).id == statement_id
        except (ProtocolViolation, TypeError):
            proven = False
        if not proven:
            new.execute("DELETE FROM statements WHERE id = ?", (statement_id,))
            done.torn["statements"] = done.torn.get("statements", len(rows)) - 1


def _rows(conn: sqlite3.Connection, sql: str) -> Iterator[tuple[Any, ...] | None]:
    """The rows, and None where no more can be read."""
    try:
        yield from conn.execute(sql)
    except SQL_ERRORS:
        yield None


# -- logs ------------------------------------------------------------------------------------------------


def _carve(source: Path, new: sqlite3.Connection, colony: bytes) -> None:
    """Entries wherever they lie in the file, each proved by its own signature: for places that cannot be read."""
    new.execute("CREATE TEMP TABLE carved (place INTEGER PRIMARY KEY, header, signature, payload, shown)")
    for row in carve(source):
        try:
            entry = decode(row.header, row.signature, row.payload)
        except ProtocolViolation:
            continue
        if entry.colony == colony and entry.seq == row.place & _LOW and entry.signature_holds():
            new.execute("INSERT OR IGNORE INTO carved VALUES (?, ?, ?, ?, ?)", row)


def _read(old: sqlite3.Connection, new: sqlite3.Connection, number: int, first: int, last: int) -> list[Row]:
    """The rows of one log; what the database does not give, from wherever else in the file it was found."""
    base = number << SEQ_BITS
    sql = "SELECT header, signature, payload FROM carved WHERE place = ?"
    rows = read_rows(old, number, first, last)
    for at, row in enumerate(rows):
        if row.header is None and (other := new.execute(sql, (base | row.seq,)).fetchone()) is not None:
            rows[at] = Row(row.seq, *other)
    return rows


def _nodes_and_entries(
    old: sqlite3.Connection, new: sqlite3.Connection, colony: bytes, done: Salvaged, progress: Progress
) -> None:
    _copy_table(old, new, "nodes", done)
    _unknown_agents(new, done)
    logs = list(_logs(old, new))
    numbers = {key: n for n, key in new.execute("SELECT n, key FROM nodes")}
    total = sum(log.seq for log in logs)
    for log in logs:
        if log.author not in numbers:  # a node whose row was damaged gets one of its own
            (top,) = new.execute("SELECT coalesce(max(n), 0) FROM nodes").fetchone()
            new.execute("INSERT INTO nodes (n, key) VALUES (?, ?)", (top + 1, log.author))
            numbers[log.author] = top + 1
        head = _log(old, new, log, colony, done)
        row = (log.l, numbers[log.author], log.epoch, log.seq, head, log.disputed)
        if head is not None:
            new.execute("INSERT OR REPLACE INTO logs VALUES (?, ?, ?, ?, ?, ?)", row)
        progress(done.entries + len(done.lost), total)


def _unknown_agents(new: sqlite3.Connection, done: Salvaged) -> None:
    """Rows go by the numbers of nodes and agents. Those whose number is not known any more go, before it is another's,
    which must get nobody's token, mail or pane with it. Agents and mail are made again from the entries."""
    for table, sql in (
        *((table, f"DELETE FROM {table} WHERE node NOT IN (SELECT n FROM nodes)") for table in _OF_NODES),  # noqa: S608
        *((table, f"DELETE FROM {table} WHERE agent NOT IN (SELECT n FROM agents)") for table in _OF_AGENTS),  # noqa: S608
    ):
        _note_gone(new, done, table, new.execute(sql).rowcount)


def _others_agents(new: sqlite3.Connection, me: NodeId, done: Salvaged) -> None:
    """What speaks on this host belongs to its key: a flipped bit makes nobody else's agent ours."""
    ours = "SELECT a.n FROM agents a JOIN nodes n ON n.n = a.node WHERE n.key = ?"
    gone = new.execute(f"DELETE FROM local_agents WHERE agent NOT IN ({ours})", (me,)).rowcount  # noqa: S608
    _note_gone(new, done, "local_agents", gone)


def _note_gone(new: sqlite3.Connection, done: Salvaged, table: str, gone: int) -> None:
    if gone:
        (left,) = new.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - names of ours
        done.torn[table] = left


def _logs(old: sqlite3.Connection, new: sqlite3.Connection) -> Iterator[_Log]:
    """Every log of which there is an entry, by what its entries say; its row is asked for the head."""
    keys = {n: NodeId(key) for n, key in new.execute("SELECT n, key FROM nodes")}
    told: dict[int, tuple[Any, ...]] = {}
    for row in _rows(old, "SELECT rowid, node, epoch, seq, id, disputed FROM logs NOT INDEXED"):
        if row is not None and all(type(value) is int for value in row[:4]):
            told[row[0]] = row
    numbers = (
        set(told)
        | _numbers(old)
        | {n for (n,) in new.execute("SELECT DISTINCT place >> ? FROM carved", (SEQ_BITS,))}
    )
    for number in sorted(numbers):
        last = _last(old, new, number)
        names = Counter(
            (entry.author, entry.epoch)
            for row in _read(old, new, number, 1, min(last, _SAMPLE))
            + _read(old, new, number, max(1, last - 8), last)
            if (entry := _entry(row.header, row.signature)) is not None and entry.signature_holds()
        )
        row = told.get(number)
        if not names:
            continue
        (author, epoch), _ = names.most_common(1)[0]
        agrees = row is not None and (keys.get(row[1]), row[2]) == (author, epoch)
        if row is not None and agrees and type(row[4]) is bytes and last <= row[3] <= last + PAGE:
            yield _Log(number, author, epoch, row[3], row[4], 1 if row[5] else 0)
        else:
            yield _Log(number, author, epoch, last, None, 1 if row and row[5] == 1 else 0)


def _numbers(old: sqlite3.Connection) -> set[int]:
    """The logs of which there are entries, by stepping over each."""
    found: set[int] = set()
    at = 0
    while True:
        try:
            row = old.execute(
                "SELECT place FROM entries WHERE place > ? ORDER BY place LIMIT 1", (at,)
            ).fetchone()
        except SQL_ERRORS:
            return found
        if row is None:
            return found
        found.add(row[0] >> SEQ_BITS)
        at = ((row[0] >> SEQ_BITS) + 1 << SEQ_BITS) - 1


def _last(old: sqlite3.Connection, new: sqlite3.Connection, number: int) -> int:
    """The highest seq of a log that can be reached."""
    low, high = number << SEQ_BITS, (number + 1) << SEQ_BITS
    found = [low]
    for conn, table in ((old, "entries"), (new, "carved")):
        sql = f"SELECT max(place) FROM {table} WHERE place > {low} AND place < {high}"  # noqa: S608
        found += [row[0] for row in _rows(conn, sql) if row is not None and row[0] is not None]
    return max(found) - low


def _entry(header: object, signature: object) -> Entry | None:
    try:
        return decode(header, signature)
    except ProtocolViolation:
        return None


def _log(
    old: sqlite3.Connection, new: sqlite3.Connection, log: _Log, colony: bytes, done: Salvaged
) -> bytes | None:
    """Takes one log over; the id of its head. A tail that nobody vouches for ends where the last signature holds."""
    name = LogName(colony, log.author, log.epoch)
    vouched = log.id
    head = log.id
    for first in range(log.seq - (log.seq - 1) % PAGE, 0, -PAGE):
        last = min(first + PAGE - 1, log.seq)
        judged = judge(name, _read(old, new, log.l, first, last), vouched, signatures=False)
        damages = judged.damages
        if head is None and judged.entries:
            head, log.seq = judged.entries[-1].id, judged.entries[-1].seq
            damages = [one for one in damages if one.seq < log.seq]
        if head is not None:
            done.lost += [(one.author, one.epoch, one.seq) for one in damages]
        vouched = judged.first
        shown = _shown(new, "carved", log.l, first, last) | _shown(old, "entries", log.l, first, last)
        for entry in judged.entries:
            place = log.l << SEQ_BITS | entry.seq
            row = (place, entry.header, entry.signature, entry.payload, shown.get(place))
            new.execute(f"INSERT OR REPLACE INTO entries ({_ENTRY}) VALUES (?, ?, ?, ?, ?)", row)  # noqa: S608
            done.entries += 1
    return head


_ENTRY: Final = "place, header, signature, payload, shown"


def _shown(conn: sqlite3.Connection, table: str, number: int, first: int, last: int) -> dict[int, int]:
    """Where these entries are shown, as far as that can be read."""
    base = number << SEQ_BITS
    sql = f"SELECT place, shown FROM {table} WHERE typeof(shown) = 'integer' AND place "  # noqa: S608
    found: dict[int, int] = {}
    for row in _rows(conn, f"{sql} BETWEEN {base | first} AND {base | last}"):
        if row is None:
            break
        found[row[0]] = row[1]
    else:
        return found
    for seq in range(first, last + 1):
        found |= {row[0]: row[1] for row in _rows(conn, f"{sql} = {base | seq}") if row is not None}
    return found
