"""Bounded pages of what is visible: always by index, always by seq, each in one snapshot.

Each function returns rows of ``Shown`` columns; turning them into what people see is the node's work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from maw.store.database import Database
from maw.store.editing import LAST, Edited, edited
from maw.store.expiring import ALIVE, EXPIRED
from maw.store.opened import key_at
from maw.store.redacting import COVERING

_RULE: Final = COVERING.format(*["m.place"] * 3)
_GONE: Final = f"""SELECT json_array(why, by, reason, days, at, json((SELECT json_group_array(l.agent)
    FROM local_agents l WHERE EXISTS (SELECT 1 FROM mailbox b WHERE b.agent = l.agent AND b.seq = m.seq)
    OR EXISTS (SELECT 1 FROM gone_readers g WHERE g.agent = l.agent AND g.seq = m.seq)))) FROM ({_RULE})"""  # noqa: S608
MESSAGE: Final = ("seq", "place", "direct", "channel", "agent", "said", "received", "suspect", "reply")
"""The columns of ``messages``; ``Shown`` begins with them."""
_COLUMNS: Final = (
    f"{', '.join(f'm.{name}' for name in MESSAGE)}, e.payload, e.header, e.shown,"
    f" CASE WHEN e.payload IS NULL THEN ({_GONE}) END, {LAST}, {key_at('m.place')}"
)
_FROM: Final = "messages m LEFT JOIN entries e ON e.place = m.place"
"""A message whose entry is damaged beyond reading is on its page all the same, as damaged."""


_PLACES_AT_ONCE: Final = 500


class Shown(NamedTuple):
    """One visible message as it is stored; ``header`` is its entry's, which tells the payload's hash, ``shown`` where
    its entry is shown: here, or a row is damaged; ``why`` only in mailboxes."""

    seq: int
    place: int
    direct: int
    channel: int | None
    agent: int
    said: int
    received: int
    suspect: int
    reply: str | None
    payload: bytes | None = None
    header: bytes | None = None
    shown: int | None = None
    gone: str | None = None
    """The rule that dropped its payload: JSON [why, by, reason, days, at, agents here who have it in their mailbox, or
    could read it in a private channel]."""
    edit: Edited | None = None
    """The last edit of it."""
    key: bytes | None = None
    """The content key of a sealed one."""
    why: str | None = None
    delivered: int | None = None
    read: int | None = None
    """In mailboxes too: when it was put in front of the agent, and when he was handed all of it."""


_EDIT: Final = Shown._fields.index("edit")


async def _shown(db: Database, sql: str, parameters: Sequence[Any]) -> list[Shown]:
    rows = await db.rows(sql, parameters)
    if all(row[_EDIT] is None for row in rows):
        return [_typed(Shown(*row)) for row in rows]
    edits = await edited(db, [row[_EDIT] for row in rows if row[_EDIT] is not None])
    return [_typed(Shown(*row)._replace(edit=edits.get(row[_EDIT]))) for row in rows]


def _typed(row: Shown) -> Shown:
    """A flipped bit makes a text of a number, or nothing: then the row says nothing, which is told as damage."""
    if (
        type(row.place) is type(row.agent) is type(row.said) is type(row.received) is int
        and (row.channel is None or type(row.channel) is int)
        and (row.reply is None or type(row.reply) is str)
    ):
        return row
    return Shown(row.seq, 0, 0, None, 0, 0, 0, 0, None, None)


async def in_channel(
    db: Database, channel: int, *, after: int | None, before: int | None, limit: int
) -> list[Shown]:
    """Ascending. ``after``: the oldest above it; else the latest (below ``before``)."""
    if after is not None:
        sql = f"SELECT {_COLUMNS} FROM {_FROM} WHERE m.channel = ? AND m.seq > ? ORDER BY m.seq LIMIT ?"  # noqa: S608
        return await _shown(db, sql, (channel, after, limit))
    top = _top(before)
    sql = f"SELECT {_COLUMNS} FROM {_FROM} WHERE m.channel = ? AND m.seq < ? ORDER BY m.seq DESC LIMIT ?"  # noqa: S608
    return (await _shown(db, sql, (channel, top, limit)))[::-1]


async def since(db: Database, after: int, limit: int) -> list[Shown]:
    """Everything visible above ``after``, direct messages too."""
    sql = f"SELECT {_COLUMNS} FROM {_FROM} WHERE m.seq > ? ORDER BY m.seq LIMIT ?"  # noqa: S608
    return await _shown(db, sql, (after, limit))


async def mentioning(
    db: Database, words: list[str], *, after: int | None, limit: int, before: int | None = None
) -> list[Shown]:
    """Messages that mention any of ``words``, each once: a bounded index lookup a word, then merged. Without ``after``
    the latest (below ``before``)."""
    way, bound = ("ASC", ">") if after is not None else ("DESC", "<")
    few = f"SELECT seq FROM mentions WHERE word = ? AND seq {bound} ? ORDER BY seq {way} LIMIT ?"  # noqa: S608
    one = f"SELECT * FROM ({few})"  # noqa: S608
    start = after if after is not None else _top(before)
    seqs = " UNION ".join([one] * len(words)) + f" ORDER BY 1 {way} LIMIT ?"
    sql = f"""SELECT {_COLUMNS} FROM ({seqs}) w JOIN messages m ON m.seq = w.seq
        LEFT JOIN entries e ON e.place = m.place ORDER BY m.seq"""  # noqa: S608
    parameters: list[Any] = []
    for word in words:
        parameters += (word, start, limit)
    return await _shown(db, sql, (*parameters, limit))


async def unread(
    db: Database, agent: int, *, after: int, limit: int, expired: bool = False, before: int | None = None
) -> list[Shown]:
    """What is not acknowledged in one agent's mailbox, oldest first, and has not expired; or (``expired``) has. With
    ``before`` the latest below it."""
    which = EXPIRED if expired else ALIVE
    sql = f"""SELECT {_COLUMNS}, b.why, b.delivered, b.read FROM mailbox b JOIN messages m ON m.seq = b.seq
        LEFT JOIN entries e ON e.place = m.place
        WHERE b.agent = ? AND b.acked IS NULL AND b.seq > ? AND b.seq < ? AND {which}
        ORDER BY b.seq {"ASC" if before is None else "DESC"} LIMIT ?"""  # noqa: S608
    found = await _shown(db, sql, (agent, after, _top(before), limit))
    return found if before is None else found[::-1]


async def unannounced(db: Database, agent: int, *, after: int, limit: int) -> list[Shown]:
    """What was neither put in front of this agent nor acknowledged, oldest first."""
    sql = f"""SELECT {_COLUMNS}, b.why FROM mailbox b JOIN messages m ON m.seq = b.seq
        LEFT JOIN entries e ON e.place = m.place
        WHERE b.agent = ? AND b.acked IS NULL AND b.delivered IS NULL AND b.seq > ? AND {ALIVE}
        ORDER BY b.seq LIMIT ?"""  # noqa: S608
    return await _shown(db, sql, (agent, after, limit))


async def unannounced_among(db: Database, agent: int, seqs: Sequence[int]) -> list[Shown]:
    """Of these few messages those that still are, oldest first."""
    sql = f"""SELECT {_COLUMNS}, b.why FROM mailbox b JOIN messages m ON m.seq = b.seq
        LEFT JOIN entries e ON e.place = m.place
        WHERE b.agent = ? AND b.acked IS NULL AND b.delivered IS NULL AND b.seq IN ({_marks(seqs)}) AND {ALIVE}
        ORDER BY b.seq"""  # noqa: S608
    return await _shown(db, sql, (agent, *seqs))


async def still_unannounced(db: Database, agent: int, seqs: Sequence[int]) -> list[int]:
    """Of these messages those that still are."""
    sql = f"""SELECT seq FROM mailbox b WHERE agent = ? AND acked IS NULL AND delivered IS NULL
        AND seq IN ({_marks(seqs)}) AND {ALIVE}"""  # noqa: S608
    return [seq for (seq,) in await db.rows(sql, (agent, *seqs))]


async def unannounced_floor(db: Database, agent: int, newest: int) -> int | None:
    """The seq from which on there are so many of the newest; None where there are fewer."""
    sql = """SELECT seq FROM mailbox WHERE agent = ? AND acked IS NULL AND delivered IS NULL
        ORDER BY seq DESC LIMIT 1 OFFSET ?"""
    found = await db.rows(sql, (agent, newest - 1))
    return found[0][0] if found else None


async def count_unannounced(db: Database, agent: int, *, below: int) -> int:
    sql = f"""SELECT count(*) FROM mailbox b
        WHERE agent = ? AND acked IS NULL AND delivered IS NULL AND seq < ? AND {ALIVE}"""  # noqa: S608
    return int((await db.rows(sql, (agent, below)))[0][0])


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


async def mailbox(db: Database, agent: int, *, after: int, limit: int) -> list[Shown]:
    """An agent's mailbox, read or not."""
    sql = f"""SELECT {_COLUMNS}, b.why, b.delivered, b.read FROM mailbox b JOIN messages m ON m.seq = b.seq
        LEFT JOIN entries e ON e.place = m.place WHERE b.agent = ? AND b.seq > ? ORDER BY b.seq LIMIT ?"""  # noqa: S608
    return await _shown(db, sql, (agent, after, limit))


async def sent_by(
    db: Database, agent: int, limit: int, *, after: int | None = None, before: int | None = None
) -> list[Shown]:
    """What a local agent sent, oldest first: the oldest above ``after``, else the latest (below ``before``)."""
    way, bound = ("ASC", ">") if after is not None else ("DESC", "<")
    sql = f"""SELECT {_COLUMNS} FROM outbox o JOIN messages m ON m.seq = o.seq
        LEFT JOIN entries e ON e.place = m.place WHERE o.agent = ? AND o.seq {bound} ?
        ORDER BY o.seq {way} LIMIT ?"""  # noqa: S608
    start = after if after is not None else _top(before)
    found = await _shown(db, sql, (agent, start, limit))
    return found if after is not None else found[::-1]


def _top(before: int | None) -> int:
    return 1 << 62 if before is None else before


async def at_seq(db: Database, seq: int) -> Shown | None:
    sql = f"SELECT {_COLUMNS} FROM {_FROM} WHERE m.seq = ?"  # noqa: S608
    found = await _shown(db, sql, (seq,))
    return found[0] if found else None


async def among(db: Database, seqs: Sequence[int]) -> list[Shown]:
    """Those of these few messages that are there, ascending."""
    sql = f"SELECT {_COLUMNS} FROM {_FROM} WHERE m.seq IN ({_marks(seqs)}) ORDER BY m.seq"  # noqa: S608
    return await _shown(db, sql, tuple(seqs))


async def said_at(db: Database, seqs: Sequence[int]) -> dict[int, int]:
    """When these messages were said, ms since 1970; without those that are not there."""
    found = await db.rows(f"SELECT seq, said FROM messages WHERE seq IN ({_marks(seqs)})", seqs)  # noqa: S608
    return {seq: said for seq, said in found if type(said) is int}


async def at_place(db: Database, place: int) -> Shown | None:
    sql = f"SELECT {_COLUMNS} FROM {_FROM} WHERE m.seq = (SELECT shown FROM entries WHERE place = ?)"  # noqa: S608
    found = await _shown(db, sql, (place,))
    return found[0] if found else None


async def answers(db: Database, ids: Sequence[str], limit: int) -> list[Shown]:
    """The oldest that answer any of these few."""
    sql = f"SELECT {_COLUMNS} FROM {_FROM} WHERE m.reply IN ({_marks(ids)}) ORDER BY m.seq LIMIT ?"  # noqa: S608
    return await _shown(db, sql, (*ids, limit))


async def count_replies(db: Database, message_id: str) -> int:
    """Posts for all that answer it."""
    sql = "SELECT count(*) FROM messages WHERE reply = ? AND NOT direct"
    ((count,),) = await db.rows(sql, (message_id,))
    return int(count)


async def replies(
    db: Database, message_id: str, limit: int, *, after: int = 0, direct: bool = False
) -> list[Shown]:
    """What answers it; with ``direct`` only what is not for all."""
    which = "AND m.direct" if direct else ""
    sql = f"SELECT {_COLUMNS} FROM {_FROM} WHERE m.reply = ? AND m.seq > ? {which} ORDER BY m.seq LIMIT ?"  # noqa: S608
    return await _shown(db, sql, (message_id, after, limit))


async def places(db: Database, seqs: Sequence[int]) -> list[int]:
    """Where the entries of these messages are, in the same order."""
    found: dict[int, int] = {}
    for at in range(0, len(seqs), _PLACES_AT_ONCE):
        some = seqs[at : at + _PLACES_AT_ONCE]
        sql = f"SELECT seq, place FROM messages WHERE seq IN ({', '.join('?' * len(some))})"  # noqa: S608
        found.update(await db.rows(sql, some))
    return [found[seq] for seq in seqs if seq in found]


async def marks(db: Database, agent: int, seq: int) -> tuple[int | None, int | None] | None:
    """When a message was delivered to this agent, and when it was read; None when it is not for him."""
    rows = await db.rows("SELECT delivered, read FROM mailbox WHERE agent = ? AND seq = ?", (agent, seq))
    return rows[0] if rows else None


async def in_mailbox(db: Database, agent: int, seqs: Sequence[int]) -> set[int]:
    """Those of these messages that are in an agent's mailbox."""
    sql = f"SELECT seq FROM mailbox WHERE agent = ? AND seq IN ({_marks(seqs)})"  # noqa: S608
    return {seq for (seq,) in await db.rows(sql, (agent, *seqs))}


async def unread_count(db: Database, agent: int) -> int:
    """Unacknowledged messages of one local agent."""
    sql = f"SELECT count(*) FROM mailbox b WHERE agent = ? AND acked IS NULL AND {ALIVE}"  # noqa: S608
    ((count,),) = await db.rows(sql, (agent,))
    return int(count)


async def expired_count(db: Database, agent: int) -> int:
    """Messages of one local agent that expired before it acknowledged them."""
    sql = """SELECT count(*) FROM expiring x JOIN mailbox b ON b.seq = x.seq
        WHERE b.agent = ? AND b.acked IS NULL AND x.at <= (julianday('now') - 2440587.5) * 86400000"""
    ((count,),) = await db.rows(sql, (agent,))
    return int(count)


async def last_seen(db: Database) -> dict[int, int]:
    """By local agent: the newest message of its mailbox that was put in front of it, or that it acknowledged."""
    sql = """SELECT l.agent, (SELECT b.seq FROM mailbox b WHERE b.agent = l.agent
        AND (b.delivered IS NOT NULL OR b.acked IS NOT NULL) ORDER BY b.seq DESC LIMIT 1) AS newest
        FROM local_agents l WHERE newest IS NOT NULL"""
    return dict(await db.rows(sql))


async def unread_counts(db: Database) -> dict[int, int]:
    """Unacknowledged messages by local agent."""
    sql = f"SELECT agent, count(*) FROM mailbox b WHERE acked IS NULL AND {ALIVE} GROUP BY agent"  # noqa: S608
    return dict(await db.rows(sql))
