"""The tables, and how an older database becomes a newer one. Migrations only go forward.

``place`` names an entry by one integer, log << 40 | seq, so that a log's entries lie together in key order
and need no second index. ``messages.seq`` is this replica's own count of what became visible: what every
cursor is made of. Texts stay in the entry's payload; a message row points there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import aiosqlite

from maw.core.clock import wall_ms
from maw.core.colony import NewChannel, Open
from maw.core.entry import Kind, decode, unpack_payload
from maw.errors import BadConfig, ProtocolViolation

SEQ_BITS: Final = 40

_FIRST: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE nodes (n INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, name TEXT NOT NULL DEFAULT '',
    addresses TEXT NOT NULL DEFAULT '[]', version TEXT NOT NULL DEFAULT '', seen INTEGER);
CREATE TABLE logs (l INTEGER PRIMARY KEY, node INTEGER NOT NULL, epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL, id BLOB NOT NULL, disputed INTEGER NOT NULL DEFAULT 0, UNIQUE (node, epoch));
CREATE TABLE entries (place INTEGER PRIMARY KEY, header BLOB NOT NULL, signature BLOB NOT NULL, payload BLOB,
    shown INTEGER);
CREATE TABLE messages (seq INTEGER PRIMARY KEY, place INTEGER NOT NULL, direct INTEGER NOT NULL,
    channel INTEGER, agent INTEGER NOT NULL, said INTEGER NOT NULL, received INTEGER NOT NULL,
    suspect INTEGER NOT NULL, reply TEXT);
CREATE INDEX messages_by_channel ON messages (channel, seq) WHERE channel IS NOT NULL;
CREATE INDEX messages_by_reply ON messages (reply, seq) WHERE reply IS NOT NULL;
CREATE TABLE channels (n INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created INTEGER NOT NULL,
    by TEXT NOT NULL, messages INTEGER NOT NULL DEFAULT 0, last_seq INTEGER NOT NULL DEFAULT 0);
CREATE TABLE agents (n INTEGER PRIMARY KEY, node INTEGER NOT NULL, id BLOB NOT NULL, name TEXT NOT NULL,
    role TEXT NOT NULL, created INTEGER NOT NULL, gone INTEGER NOT NULL DEFAULT 0, last_said INTEGER,
    UNIQUE (node, id));
CREATE TABLE local_agents (agent INTEGER PRIMARY KEY, uid INTEGER NOT NULL, token_hash BLOB,
    since_seq INTEGER NOT NULL);
CREATE TABLE mentions (word TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (word, seq)) WITHOUT ROWID;
CREATE TABLE mailbox (agent INTEGER NOT NULL, seq INTEGER NOT NULL, why TEXT NOT NULL, acked INTEGER,
    PRIMARY KEY (agent, seq)) WITHOUT ROWID;
CREATE INDEX mailbox_unread ON mailbox (agent, seq) WHERE acked IS NULL;
CREATE TABLE outbox (agent INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (agent, seq)) WITHOUT ROWID;
CREATE TABLE receipts (node INTEGER NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
    at INTEGER NOT NULL, PRIMARY KEY (node, epoch)) WITHOUT ROWID;
CREATE TABLE idempotency (key TEXT NOT NULL, agent INTEGER NOT NULL, request BLOB NOT NULL,
    seq INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (key, agent)) WITHOUT ROWID;
CREATE TABLE statements (id BLOB PRIMARY KEY, wire BLOB NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE pins (key BLOB PRIMARY KEY, name TEXT NOT NULL, addresses TEXT NOT NULL, how TEXT NOT NULL,
    introducer INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE forgotten (key BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE invites (id BLOB PRIMARY KEY, record BLOB NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE joins (id BLOB PRIMARY KEY, line TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE set_aside (place INTEGER PRIMARY KEY, why TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE forks (node INTEGER NOT NULL, epoch INTEGER NOT NULL, proof BLOB NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (node, epoch)) WITHOUT ROWID;
CREATE TABLE alerts (kind TEXT NOT NULL, subject TEXT NOT NULL, text TEXT NOT NULL, count INTEGER NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (kind, subject)) WITHOUT ROWID;
"""


async def _create(conn: aiosqlite.Connection) -> None:
    for statement in _FIRST.split(";"):
        if statement.strip():
            await conn.execute(statement)


async def _keep_word(conn: aiosqlite.Connection) -> None:
    """Entries that are held and not shown; recovery keys by their hash; who keeps to which statement or order."""
    for statement in (
        "CREATE TABLE withheld (place INTEGER PRIMARY KEY, why TEXT NOT NULL, at INTEGER NOT NULL)",
        "ALTER TABLE nodes ADD COLUMN recovery BLOB",
        "CREATE TABLE heeded (statement BLOB NOT NULL, node INTEGER NOT NULL, at INTEGER NOT NULL,"
        " PRIMARY KEY (statement, node)) WITHOUT ROWID",
        "CREATE TABLE orders (nonce BLOB PRIMARY KEY, seq INTEGER NOT NULL, key BLOB NOT NULL,"
        " is_order INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE INDEX orders_by_seq ON orders (seq)",
        "CREATE TABLE answers (nonce BLOB NOT NULL, node INTEGER NOT NULL, agent BLOB NOT NULL, state TEXT NOT NULL,"
        " note TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (nonce, node, agent)) WITHOUT ROWID",
    ):
        await conn.execute(statement)
    opened = "SELECT l.node, e.payload FROM logs l JOIN entries e ON e.place = (l.l << 40) + 1 ORDER BY l.epoch DESC"
    for node, payload in list(await conn.execute_fetchall(opened)):
        if (recovery := _recovery_of(payload)) is not None:
            await conn.execute("UPDATE nodes SET recovery = ? WHERE n = ?", (recovery, node))


def _recovery_of(payload: bytes | None) -> bytes | None:
    try:
        return Open.read(unpack_payload(payload or b"")).recovery
    except (ValueError, TypeError):
        return None


async def _let_go(conn: aiosqlite.Connection) -> None:
    """Rules that drop payloads, payloads that are missing without one, and for how long channels keep messages."""
    for statement in (
        # a rule by the place of its entry; what it covers, from place to place. due: where dropping goes on;
        # ahead: it speaks of entries that were not here yet
        "CREATE TABLE rules (rule INTEGER PRIMARY KEY, why TEXT NOT NULL, by TEXT NOT NULL, reason TEXT, days INTEGER,"
        " at INTEGER NOT NULL)",
        "CREATE TABLE redactions (first INTEGER NOT NULL, rule INTEGER NOT NULL, last INTEGER NOT NULL, due INTEGER,"
        " ahead INTEGER, PRIMARY KEY (first, rule)) WITHOUT ROWID",
        "CREATE INDEX redactions_due ON redactions (due) WHERE due IS NOT NULL",
        "CREATE INDEX redactions_ahead ON redactions (first) WHERE ahead IS NOT NULL",
        "CREATE TABLE missing (place INTEGER PRIMARY KEY)",
        "ALTER TABLE channels ADD COLUMN maker INTEGER",
        "CREATE TABLE retention (channel INTEGER NOT NULL, node INTEGER NOT NULL, days INTEGER NOT NULL,"
        " at INTEGER NOT NULL, PRIMARY KEY (channel, node)) WITHOUT ROWID",
    ):
        await conn.execute(statement)
    await _find_makers(conn)


async def _find_makers(conn: aiosqlite.Connection) -> None:
    """Whose entry made each channel: what is no message is little, and looked through once."""
    channels = {
        (name, created, by): n
        for n, name, created, by in await conn.execute_fetchall("SELECT n, name, created, by FROM channels")
        if by
    }
    sql = """SELECT l.node, e.header, e.signature, e.payload FROM entries e JOIN logs l ON l.l = e.place >> 40
        WHERE e.shown IS NULL AND e.payload IS NOT NULL"""
    async with conn.execute(sql) as rows:
        async for node, header, signature, payload in rows:
            try:
                entry = decode(header, signature)
                made = NewChannel.read(unpack_payload(payload)) if entry.kind == Kind.CHANNEL else None
            except (ValueError, TypeError, ProtocolViolation):
                continue
            n = channels.get((made.name, wall_ms(entry.hlc), made.by)) if made else None
            if n is not None:
                await conn.execute("UPDATE channels SET maker = ? WHERE n = ?", (node, n))


async def _words_of_each_key(conn: aiosqlite.Connection) -> None:
    """A nonce is its key's alone: nobody uses one up for another."""
    for statement in (
        "CREATE TABLE words (key BLOB NOT NULL, nonce BLOB NOT NULL, seq INTEGER NOT NULL, is_order INTEGER NOT NULL,"
        " PRIMARY KEY (key, nonce)) WITHOUT ROWID",
        "INSERT INTO words SELECT key, nonce, seq, is_order FROM orders",
        "DROP TABLE orders",
        "ALTER TABLE words RENAME TO orders",
        "CREATE INDEX orders_by_seq ON orders (seq)",
    ):
        await conn.execute(statement)


async def _know_recoveries(conn: aiosqlite.Connection) -> None:
    """What is known of each node's recovery key, which is not always what its log said first (``nodes.recovery``)."""
    await conn.execute("CREATE TABLE recoveries (key BLOB PRIMARY KEY, hash BLOB NOT NULL) WITHOUT ROWID")
    await conn.execute("INSERT INTO recoveries SELECT key, recovery FROM nodes WHERE recovery IS NOT NULL")


async def _mark_early_answers(conn: aiosqlite.Connection) -> None:
    """Answers to orders that nobody knows here are told apart, for only so many are kept."""
    for statement in (
        "ALTER TABLE answers ADD COLUMN early INTEGER NOT NULL DEFAULT 0",
        "UPDATE answers SET early = 1 WHERE nonce NOT IN (SELECT nonce FROM orders)",
        "CREATE INDEX answers_early ON answers (node, at) WHERE early",
    ):
        await conn.execute(statement)


async def _keep_vitals(conn: aiosqlite.Connection) -> None:
    """What the processes of each agent of this host take, hour by hour."""
    await conn.execute(
        "CREATE TABLE vitals (agent INTEGER NOT NULL, hour INTEGER NOT NULL, started INTEGER NOT NULL,"
        " low INTEGER NOT NULL, high INTEGER NOT NULL, PRIMARY KEY (agent, hour)) WITHOUT ROWID"
    )


async def _mark_mailboxes(conn: aiosqlite.Connection) -> None:
    """Of each message for an agent here: when it was put in front of him and by what, and when he was handed all."""
    for column in ("delivered INTEGER", "via TEXT", "read INTEGER"):
        await conn.execute(f"ALTER TABLE mailbox ADD COLUMN {column}")


async def _keep_roster(conn: aiosqlite.Connection) -> None:
    """How this host's agents are run and what was last seen of them; which tmux pane is whose; which conversation."""
    for statement in (
        "CREATE TABLE roster (agent INTEGER PRIMARY KEY, plan TEXT NOT NULL, report TEXT NOT NULL)",
        # a pane's number is its server's alone, and a server's pid is one boot's
        "CREATE TABLE panes (agent INTEGER PRIMARY KEY, uid INTEGER NOT NULL, socket TEXT NOT NULL,"
        " server INTEGER NOT NULL, pane TEXT NOT NULL, boot TEXT NOT NULL)",
        "CREATE UNIQUE INDEX panes_by_place ON panes (uid, socket, server, pane)",
        "CREATE TABLE conversations (agent INTEGER PRIMARY KEY, session TEXT NOT NULL, pid INTEGER NOT NULL,"
        " boot TEXT NOT NULL, transcript TEXT NOT NULL, at INTEGER NOT NULL)",
    ):
        await conn.execute(statement)


async def _tell_authors(conn: aiosqlite.Connection) -> None:
    """How far messages got: what authors elsewhere are not told yet, and what is told of what was said here."""
    for statement in (
        "ALTER TABLE mailbox ADD COLUMN failed TEXT",
        "ALTER TABLE mailbox ADD COLUMN failed_at INTEGER",
        "CREATE TABLE untold (agent INTEGER NOT NULL, seq INTEGER NOT NULL, rank INTEGER NOT NULL,"
        " PRIMARY KEY (agent, seq)) WITHOUT ROWID",
        "CREATE TABLE progress (seq INTEGER NOT NULL, agent INTEGER NOT NULL, delivered INTEGER, via TEXT,"
        " read INTEGER, acked INTEGER, failed TEXT, failed_at INTEGER, PRIMARY KEY (seq, agent)) WITHOUT ROWID",
    ):
        await conn.execute(statement)


async def _keep_wakes(conn: aiosqlite.Connection) -> None:
    """Which agent was woken when and for whom; what is held; who is not to be disturbed."""
    for statement in (
        "CREATE TABLE wakes (n INTEGER PRIMARY KEY, agent INTEGER NOT NULL, at INTEGER NOT NULL, via TEXT NOT NULL,"
        " causes TEXT NOT NULL, messages INTEGER NOT NULL)",
        "CREATE INDEX wakes_by_agent ON wakes (agent, n)",
        "CREATE TABLE dnd (agent INTEGER PRIMARY KEY, quiet TEXT NOT NULL)",
    ):
        await conn.execute(statement)


async def _know_people(conn: aiosqlite.Connection) -> None:
    """What agents' cards say of them."""
    await conn.execute(
        "CREATE TABLE profiles (agent INTEGER PRIMARY KEY, about TEXT NOT NULL, of BLOB, pulse_s INTEGER,"
        " roles TEXT NOT NULL)"
    )


async def _let_expire(conn: aiosqlite.Connection) -> None:
    """Until when messages are worth telling, of those whose author said so. settled: nobody needs to look again."""
    for statement in (
        "CREATE TABLE expiring (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, settled INTEGER NOT NULL DEFAULT 0)",
        "CREATE INDEX expiring_next ON expiring (at) WHERE NOT settled",
    ):
        await conn.execute(statement)


async def _note_stale(conn: aiosqlite.Connection) -> None:
    """Messages that are not what they were when the search index took them in, noted whoever does it: taken away, or
    their entry (its payload) or row mended. ``maw/node/indexing.py`` reads it."""
    for statement in (
        "CREATE TABLE stale (seq INTEGER PRIMARY KEY)",
        "CREATE TRIGGER stale_gone AFTER DELETE ON messages BEGIN INSERT OR IGNORE INTO stale VALUES (old.seq); END",
        "CREATE TRIGGER stale_row AFTER UPDATE OF received ON messages"
        " BEGIN INSERT OR IGNORE INTO stale VALUES (new.seq); END",
        "CREATE TRIGGER stale_text AFTER UPDATE OF payload ON entries WHEN new.shown IS NOT NULL"
        " BEGIN INSERT OR IGNORE INTO stale VALUES (new.shown); END",
    ):
        await conn.execute(statement)


async def _keep_rhythm(conn: aiosqlite.Connection) -> None:
    """How many messages each agent said in each hour of the last days."""
    await conn.execute(
        "CREATE TABLE rhythm (agent INTEGER NOT NULL, hour INTEGER NOT NULL, messages INTEGER NOT NULL,"
        " PRIMARY KEY (agent, hour)) WITHOUT ROWID"
    )


async def _keep_rights(conn: aiosqlite.Connection) -> None:
    """What an agent of this host may that others may not: speak to a crowd."""
    await conn.execute("CREATE TABLE rights (agent INTEGER PRIMARY KEY, crowd INTEGER NOT NULL DEFAULT 0)")


async def _keep_edits(conn: aiosqlite.Connection) -> None:
    """Which entry edits which message, by their places."""
    for statement in (
        "CREATE TABLE edits (target INTEGER NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,"
        " place INTEGER NOT NULL, agent BLOB NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (target, epoch, seq))"
        " WITHOUT ROWID",
        "CREATE INDEX edits_by_place ON edits (place)",
        "CREATE TRIGGER stale_edit AFTER INSERT ON edits BEGIN INSERT OR IGNORE INTO stale"
        " SELECT shown FROM entries WHERE place = new.target AND shown IS NOT NULL; END",
        "CREATE TRIGGER stale_unedited AFTER DELETE ON edits BEGIN INSERT OR IGNORE INTO stale"
        " SELECT shown FROM entries WHERE place = old.target AND shown IS NOT NULL; END",
    ):
        await conn.execute(statement)


async def _keep_asks(conn: aiosqlite.Connection) -> None:
    """Messages that ask: by whom, until when. reminded: whoever had to answer was told that it is late."""
    for statement in (
        "CREATE TABLE asks (seq INTEGER PRIMARY KEY, agent INTEGER NOT NULL, due INTEGER,"
        " reminded INTEGER NOT NULL DEFAULT 0)",
        "CREATE INDEX asks_by_agent ON asks (agent, seq)",
        "CREATE INDEX asks_due ON asks (due) WHERE due IS NOT NULL AND NOT reminded",
    ):
        await conn.execute(statement)


async def _describe_channels(conn: aiosqlite.Connection) -> None:
    """What each node says of a channel, with the hlcs of it; and which agents of this host watch one."""
    for statement in (
        "CREATE TABLE channel_words (channel INTEGER NOT NULL, node INTEGER NOT NULL, about TEXT NOT NULL,"
        " about_at INTEGER NOT NULL, archived INTEGER NOT NULL, archived_at INTEGER NOT NULL,"
        " PRIMARY KEY (channel, node)) WITHOUT ROWID",
        "CREATE TABLE watches (channel INTEGER NOT NULL, agent INTEGER NOT NULL, wakes INTEGER NOT NULL,"
        " PRIMARY KEY (channel, agent)) WITHOUT ROWID",
    ):
        await conn.execute(statement)


async def _keep_presence(conn: aiosqlite.Connection) -> None:
    """When each agent last did something and last pulsed, as its host says, and whether its keeper gave it up."""
    await conn.execute(
        "CREATE TABLE presence (agent INTEGER PRIMARY KEY, active INTEGER, pulsed INTEGER, down INTEGER NOT NULL)"
    )


async def _keep_changed(conn: aiosqlite.Connection) -> None:
    """The last change of each message that was edited or taken back, by a number from the count of messages."""
    await conn.execute("CREATE TABLE changed (n INTEGER PRIMARY KEY, seq INTEGER NOT NULL UNIQUE)")


async def _record_refusals(conn: aiosqlite.Connection) -> None:
    """Who was refused what at which door, hour by hour."""
    await conn.execute(
        "CREATE TABLE refusals (hour INTEGER NOT NULL, who TEXT NOT NULL, door TEXT NOT NULL, what TEXT NOT NULL,"
        " code TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, times INTEGER NOT NULL,"
        " PRIMARY KEY (hour, who, door, what, code)) WITHOUT ROWID"
    )


async def _keep_sealed(conn: aiosqlite.Connection) -> None:
    """Content keys of sealed entries that were opened here (they go with the payload that they open), and the sealing
    key that each node named last."""
    for statement in (
        "CREATE TABLE opened (place INTEGER PRIMARY KEY, key BLOB NOT NULL)",
        "CREATE TRIGGER opened_gone AFTER UPDATE OF payload ON entries WHEN new.payload IS NULL"
        " BEGIN DELETE FROM opened WHERE place = new.place; END",
        # sealed for a key of this host's that was deleted, until the sender's host was told
        "CREATE TABLE unopened (place INTEGER PRIMARY KEY, at INTEGER NOT NULL)",
        "CREATE TABLE seal_keys (node INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,"
        " key BLOB NOT NULL)",
    ):
        await conn.execute(statement)


async def _keep_files(conn: aiosqlite.Connection) -> None:
    """Which messages have which files; uploads that nobody has sent yet, with what opens them."""
    for statement in (
        "CREATE TABLE attached (seq INTEGER NOT NULL, n INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (seq, n))"
        " WITHOUT ROWID",
        "CREATE INDEX attached_by_hash ON attached (hash)",
        "CREATE TABLE uploads (hash BLOB PRIMARY KEY, key BLOB NOT NULL, size INTEGER NOT NULL, agent BLOB NOT NULL,"
        " name TEXT NOT NULL, type TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE TRIGGER attached_gone AFTER UPDATE OF payload ON entries"
        " WHEN new.payload IS NULL AND new.shown IS NOT NULL"
        " BEGIN DELETE FROM attached WHERE seq = new.shown; END",
    ):
        await conn.execute(statement)


async def _keep_rooms(conn: aiosqlite.Connection) -> None:
    """What the maker of each private channel said of it last, and where in his log (``node`` is that log's)."""
    await conn.execute(
        "CREATE TABLE rooms (channel INTEGER PRIMARY KEY, node INTEGER NOT NULL, epoch INTEGER NOT NULL,"
        " seq INTEGER NOT NULL, word BLOB NOT NULL)"
    )


async def _tell_rooms_of_edits(conn: aiosqlite.Connection) -> None:
    """The private channel of which an edit says that the message stands there."""
    await conn.execute("ALTER TABLE edits ADD COLUMN room INTEGER")


async def _keep_loose(conn: aiosqlite.Connection) -> None:
    """Blobs that no message names: those whose message was dropped here go at once (0), others after so many looks."""
    for statement in (
        "CREATE TABLE loose (hash BLOB PRIMARY KEY, looks INTEGER NOT NULL) WITHOUT ROWID",
        "DROP TRIGGER attached_gone",
        "CREATE TRIGGER attached_gone AFTER UPDATE OF payload ON entries"
        " WHEN new.payload IS NULL AND new.shown IS NOT NULL"
        " BEGIN INSERT OR REPLACE INTO loose SELECT hash, 0 FROM attached WHERE seq = new.shown;"
        " DELETE FROM attached WHERE seq = new.shown; END",
    ):
        await conn.execute(statement)


async def _keep_guests(conn: aiosqlite.Connection) -> None:
    """Agents of this host that are in a private channel or ever were (``agent``: their ids), and who of them left."""
    await conn.execute(
        "CREATE TABLE room_guests (channel INTEGER NOT NULL, agent BLOB NOT NULL, gone INTEGER NOT NULL DEFAULT 0,"
        " PRIMARY KEY (channel, agent)) WITHOUT ROWID"
    )
    sql = "SELECT a.id FROM local_agents l JOIN agents a ON a.n = l.agent"
    ours = [agent_id for (agent_id,) in await conn.execute_fetchall(sql)]
    for channel, word in list(await conn.execute_fetchall("SELECT channel, word FROM rooms")):
        rows = [(channel, agent_id) for agent_id in ours if agent_id in word]
        await conn.executemany("INSERT INTO room_guests (channel, agent) VALUES (?, ?)", rows)


async def _keep_gone_readers(conn: aiosqlite.Connection) -> None:
    """Agents of this host who could read what stood in a private channel, of messages whose words are gone."""
    for statement in (
        "CREATE TABLE gone_readers (seq INTEGER NOT NULL, agent INTEGER NOT NULL, PRIMARY KEY (seq, agent))"
        " WITHOUT ROWID",
        "CREATE TRIGGER gone_readers_gone AFTER DELETE ON messages"
        " BEGIN DELETE FROM gone_readers WHERE seq = old.seq; END",
    ):
        await conn.execute(statement)


async def _keep_costs(conn: aiosqlite.Connection) -> None:
    """Runs that were told; what each agent's days came to, as each life of its host counted it; caps that were set by
    command, what was spent when somebody resumed, and of which caps a human was told. An empty agent is the host."""
    counters = (
        "wakes", "pulses", "messages", "bytes", "runs", "unpriced", "untold", "runner_ms", "input", "output", "cache",
        "usd",
    )  # fmt: skip
    for statement in (
        "CREATE TABLE runs (agent BLOB NOT NULL, run TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (agent, run))"
        " WITHOUT ROWID",
        "CREATE INDEX runs_by_time ON runs (at)",
        "CREATE TABLE ledger (day INTEGER NOT NULL, node INTEGER NOT NULL, agent BLOB NOT NULL, life INTEGER NOT NULL,"
        f" model TEXT NOT NULL, {', '.join(f'{name} INTEGER NOT NULL' for name in counters)}, said INTEGER NOT NULL,"
        " PRIMARY KEY (day, node, agent, life, model)) WITHOUT ROWID",
        "CREATE INDEX ledger_unsaid ON ledger (node) WHERE said = 0",
        "CREATE TABLE caps (agent BLOB NOT NULL, unit TEXT NOT NULL, amount INTEGER NOT NULL,"
        " PRIMARY KEY (agent, unit)) WITHOUT ROWID",
        "CREATE TABLE resumed (day INTEGER NOT NULL, agent BLOB NOT NULL, usd INTEGER NOT NULL,"
        " tokens INTEGER NOT NULL, runner_ms INTEGER NOT NULL, unpriced INTEGER NOT NULL,"
        " untold INTEGER NOT NULL, at INTEGER NOT NULL,"
        " who TEXT NOT NULL, PRIMARY KEY (day, agent)) WITHOUT ROWID",
        "CREATE TABLE cap_told (day INTEGER NOT NULL, cap TEXT NOT NULL, PRIMARY KEY (day, cap)) WITHOUT ROWID",
        "CREATE INDEX wakes_by_time ON wakes (at)",
    ):
        await conn.execute(statement)


async def _keep_lineage(conn: aiosqlite.Connection) -> None:
    """By whom an agent was made (``lineage.Born.text``), and which births this host has allowed lately."""
    for statement in (
        "ALTER TABLE profiles ADD COLUMN born TEXT",
        "CREATE TABLE births (name TEXT NOT NULL, host TEXT NOT NULL, mother BLOB NOT NULL, at INTEGER NOT NULL,"
        " PRIMARY KEY (name, host, mother)) WITHOUT ROWID",
    ):
        await conn.execute(statement)


async def _keep_souls(conn: aiosqlite.Connection) -> None:
    """Which entry says which version of an agent's soul; the row goes with the words."""
    for statement in (
        "CREATE TABLE souls (place INTEGER PRIMARY KEY, node INTEGER NOT NULL, agent BLOB NOT NULL,"
        " epoch INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL)",
        "CREATE INDEX souls_by_agent ON souls (agent, epoch, seq)",
        "CREATE TRIGGER souls_gone AFTER UPDATE OF payload ON entries WHEN new.payload IS NULL"
        " BEGIN DELETE FROM souls WHERE place = new.place; END",
    ):
        await conn.execute(statement)


async def _note_policies(conn: aiosqlite.Connection) -> None:
    """With which version of the policy each agent pulses, as its host says."""
    await conn.execute("ALTER TABLE presence ADD COLUMN policy BLOB")


async def _keep_travels(conn: aiosqlite.Connection) -> None:
    """Agents that move: what logs say of it, how far those from and to here are, their files; keys that are lent."""
    for statement in (
        "CREATE TABLE travels (node INTEGER NOT NULL, agent BLOB NOT NULL, move BLOB NOT NULL, came INTEGER NOT NULL,"
        " epoch INTEGER NOT NULL, seq INTEGER NOT NULL, other BLOB NOT NULL, PRIMARY KEY (node, agent, move, came))"
        " WITHOUT ROWID",
        "CREATE TABLE moves (move BLOB PRIMARY KEY, leaving INTEGER NOT NULL, node BLOB NOT NULL, agent BLOB NOT NULL,"
        " name TEXT NOT NULL, role TEXT NOT NULL, step TEXT NOT NULL, why TEXT NOT NULL, box BLOB, plan TEXT NOT NULL,"
        " at INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE TABLE move_files (hash BLOB PRIMARY KEY, move BLOB NOT NULL) WITHOUT ROWID",
        # opened here since an agent is leaving or has left: whether it is to be lent was not looked at yet
        "CREATE TABLE to_lend (place INTEGER PRIMARY KEY)",
        # lent to this host, of entries that were not opened with it yet
        "CREATE TABLE borrowed (author BLOB NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, id BLOB NOT NULL,"
        " key BLOB NOT NULL, PRIMARY KEY (author, epoch, seq)) WITHOUT ROWID",
    ):
        await conn.execute(statement)


async def _name_lenders(conn: aiosqlite.Connection) -> None:
    """Who lent a key that waits: each may lend so many. Of what waits already nobody knows it any more."""
    await conn.execute("ALTER TABLE borrowed ADD COLUMN lender BLOB NOT NULL DEFAULT x''")


async def _travels_of_epochs(conn: aiosqlite.Connection) -> None:
    """What a log says of one move in several epochs is kept for each: a revocation may cut off the first of them."""
    await conn.execute("ALTER TABLE travels RENAME TO travels_before")
    await conn.execute(
        "CREATE TABLE travels (node INTEGER NOT NULL, agent BLOB NOT NULL, move BLOB NOT NULL, came INTEGER NOT NULL,"
        " epoch INTEGER NOT NULL, seq INTEGER NOT NULL, other BLOB NOT NULL,"
        " PRIMARY KEY (node, agent, move, came, epoch)) WITHOUT ROWID"
    )
    await conn.execute("INSERT INTO travels SELECT * FROM travels_before")
    await conn.execute("DROP TABLE travels_before")


Migration = Callable[[aiosqlite.Connection], Awaitable[None]]
MIGRATIONS: Final[tuple[Migration, ...]] = (
    _create, _keep_word, _let_go, _words_of_each_key, _know_recoveries, _mark_early_answers, _keep_vitals,
    _mark_mailboxes, _keep_roster, _tell_authors, _keep_wakes, _know_people, _let_expire,
    _note_stale, _keep_rhythm, _keep_rights, _keep_edits, _keep_asks,
    _describe_channels, _keep_presence, _keep_changed, _record_refusals,
    _keep_sealed, _keep_files, _keep_rooms,
    _tell_rooms_of_edits, _keep_loose, _keep_guests, _keep_gone_readers,
    _keep_costs, _keep_lineage,
    _keep_souls, _note_policies,
    _keep_travels, _name_lenders, _travels_of_epochs,
)  # fmt: skip
"""Migration k turns a database of version k into one of version k + 1."""


async def migrate(conn: aiosqlite.Connection, path: str) -> bool:
    """Bring the database up to this version; True when it was new. BadConfig: it is from the future."""
    async with conn.execute("PRAGMA user_version") as cursor:
        row = await cursor.fetchone()
    version = int(row[0]) if row else 0
    if version > len(MIGRATIONS):
        raise BadConfig(
            f"{path} was written by a newer maw (format {version}; this one knows {len(MIGRATIONS)})",
            code="newer_database",
            hint="install the newer maw again; nothing was changed",
        )
    for at in range(version, len(MIGRATIONS)):
        await conn.execute("BEGIN IMMEDIATE")
        try:
            await MIGRATIONS[at](conn)
            await conn.execute(f"PRAGMA user_version = {at + 1}")
            await conn.execute("COMMIT")
        except BaseException:
            if conn.in_transaction:  # a full disk has ended it already, and is what is to be told
                await conn.execute("ROLLBACK")
            raise
    return version == 0
