"""Edits of messages: which entry edits which, and what a message says by the last of them.

A row for each edit; a message without one costs its reader one look into an index. The words stay in the entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import aiosqlite

from maw.core.editing import Edit
from maw.core.entry import hash_payload
from maw.core.sealing import stored_words
from maw.store.database import Database
from maw.store.opened import key_at
from maw.store.rows import Insert
from maw.store.state import AgentRow, State

EDITS: Final = Insert(
    "edits", ("target", "epoch", "seq", "place", "agent", "at", "room"), verb="INSERT OR REPLACE"
)
"""``target``: the place of what is edited; ``epoch``, ``seq``, ``place``: of the entry that does; ``agent``: who by his
id; ``at``: when, in ms; ``room``: the private channel of which it says that the message stands there."""
_SEALED: Final = "EXISTS (SELECT 1 FROM opened o WHERE o.place = {}.place)"
_COUNTS: Final = f"""d.agent = (SELECT a.id FROM agents a WHERE a.n = m.agent)
    AND d.room IS (CASE WHEN m.direct THEN m.channel END)
    AND ({_SEALED.format("d")}) = ({_SEALED.format("m")})"""  # noqa: S608
"""Of an edit ``d`` of what stands where ``m`` does. Asked when it is read, so that it does not matter what came first;
an open edit of sealed words, or a sealed one of open words, would have replicas show different things."""
LAST: Final = f"""(SELECT d.place FROM edits d WHERE d.target = m.place AND {_COUNTS}
    ORDER BY d.epoch DESC, d.seq DESC LIMIT 1)"""  # noqa: S608
"""Of a row ``m`` of messages: the place of the edit that counts."""
_KEY: Final = key_at("d.place")
_THESE: Final = f"""SELECT d.place, e.payload, e.header, d.at, {_KEY},
    (SELECT count(*) FROM edits x WHERE x.target = d.target AND x.agent = d.agent AND x.room IS d.room
        AND ({_SEALED.format("x")}) = ({_SEALED.format("d")}))
    FROM edits d JOIN entries e ON e.place = d.place WHERE d.place IN ({{}})"""  # noqa: S608
_OF: Final = f"""SELECT d.place, e.payload, e.header, d.at, {_KEY} FROM messages m JOIN edits d ON d.target = m.place
    JOIN entries e ON e.place = d.place WHERE m.seq = ? AND {_COUNTS}
    ORDER BY d.epoch, d.seq LIMIT ?"""  # noqa: S608
_PLACES: Final = "SELECT place FROM edits WHERE target IN ({})"
_SHOWN: Final = f"""SELECT m.seq, m.agent FROM messages m JOIN edits d ON d.target = m.place
    WHERE d.place = ? AND m.direct = 0 AND {_COUNTS}"""  # noqa: S608
_DELIVER: Final = "INSERT OR IGNORE INTO mailbox (agent, seq, why) VALUES (?, ?, 'mention')"
_AT_ONCE: Final = 500


class Edited(NamedTuple):
    """The edit that counts: its entry's payload and header, when it was made (ms), and how often it was edited."""

    payload: bytes | None
    header: bytes
    at: int
    key: bytes | None
    """Its content key where it is sealed."""
    times: int

    def read(self) -> Edit:
        """Raises ValueError when it is damaged."""
        return _read(self.payload, self.header, self.key)


class Version(NamedTuple):
    """One edit of a message."""

    place: int
    payload: bytes | None
    header: bytes
    at: int
    key: bytes | None

    def read(self) -> Edit:
        """Raises ValueError when it is damaged."""
        return _read(self.payload, self.header, self.key)


def _read(payload: bytes | None, header: bytes, key: bytes | None) -> Edit:
    if payload is None or hash_payload(payload) not in header:
        raise ValueError("its edit is not what was written")
    return Edit.read(stored_words(header, payload, key))


async def edited(db: Database, places: Sequence[int]) -> dict[int, Edited]:
    """These edits, by place."""
    found: dict[int, Edited] = {}
    for at in range(0, len(places), _AT_ONCE):
        some = places[at : at + _AT_ONCE]
        for place, *rest in await db.rows(_THESE.format(", ".join("?" * len(some))), some):
            found[place] = Edited(*rest)
    return found


async def versions(db: Database, seq: int, limit: int) -> list[Version]:
    """The edits of the message at ``seq``, first to last."""
    return [Version(*row) for row in await db.rows(_OF, (seq, limit))]


async def places_of(db: Database, targets: Sequence[int]) -> list[int]:
    """Where the edits of what stands at these places are."""
    found: list[int] = []
    for at in range(0, len(targets), _AT_ONCE):
        some = targets[at : at + _AT_ONCE]
        found += [place for (place,) in await db.rows(_PLACES.format(", ".join("?" * len(some))), some)]
    return found


async def deliver(conn: aiosqlite.Connection, state: State, place: int, agents: Iterable[AgentRow]) -> None:
    """Within a transaction: these agents of this host are mentioned by the edit at ``place``. Each gets the message
    once; of those who had it nothing changes."""
    for seq, author in await conn.execute_fetchall(_SHOWN, (place,)):
        for agent in agents:
            if agent.n != author and (await conn.execute(_DELIVER, (agent.n, seq))).rowcount > 0:
                state.late_mail.setdefault(agent.n, []).append(seq)


async def edits_of(conn: aiosqlite.Connection, target: int) -> list[tuple[int, tuple[str, ...]]]:
    """The places of the edits of what stands at ``target``, and whom each mentions."""
    sql = f"""SELECT d.place, e.header, e.payload, {_KEY} FROM edits d JOIN entries e ON e.place = d.place
        WHERE d.target = ?"""  # noqa: S608
    found: list[tuple[int, tuple[str, ...]]] = []
    for place, header, payload, key in await conn.execute_fetchall(sql, (target,)):
        if payload is not None:
            found.append((place, _mentions(header, payload, key)))
    return found


def _mentions(header: bytes, payload: bytes, key: bytes | None) -> tuple[str, ...]:
    try:
        return Edit.read(stored_words(header, payload, key)).mentions
    except (ValueError, TypeError):
        return ()


async def forget(conn: aiosqlite.Connection, places: Iterable[int]) -> None:
    """Edits whose entries, or whose words, are gone."""
    await conn.executemany("DELETE FROM edits WHERE place = ?", [(place,) for place in places])
