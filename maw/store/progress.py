"""How far messages got: what this host's agents made of others', until it is told; and what is told of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, Final, NamedTuple

import aiosqlite

from maw.core.entry import Head, Kind, decode, unpack_payload
from maw.core.identity import NodeId
from maw.core.progress import NOBODY, UNOPENED, Group, Mark, Progress, is_for
from maw.core.rooms import stored_said
from maw.core.states import FAILED, MARKS, Reach
from maw.errors import ProtocolViolation
from maw.store.database import Database
from maw.store.opened import key_at
from maw.store.schema import SEQ_BITS
from maw.store.state import AgentRow, LogRow, NodeRow, State
from maw.store.travelling import homes_of

CHUNK: Final = 500
AHEAD: Final = "progress ahead"
"""Why an entry is withheld that speaks of what of our own log is not here: more of it, another branch, a payload. It
may be coming back."""

_MARKS: Final = ", ".join(Reach._fields)
_LOW: Final = (1 << SEQ_BITS) - 1

Told = tuple[int, int, int]
"""Agent, seq and rank, as they stand in ``untold``."""

# -- of others' messages, in mailboxes here --------------------------------------------------------------------

_SAID: Final = (
    "CASE u.rank WHEN 0 THEN failed_at WHEN 1 THEN delivered WHEN 2 THEN read ELSE acked END IS NOT NULL"
)
_DUE: Final = f"""SELECT u.agent, u.seq, u.rank, {_MARKS}, m.place, e.header, e.signature FROM untold u
    JOIN mailbox b ON b.agent = u.agent AND b.seq = u.seq JOIN messages m ON m.seq = u.seq
    JOIN entries e ON e.place = m.place WHERE {_SAID} AND (u.seq, u.agent) > (?, ?)
    ORDER BY u.seq, u.agent LIMIT ?"""  # noqa: S608 - names of columns


async def due(db: Database, state: State, limit: int) -> tuple[dict[Mark, Told], list[int]]:
    """The oldest that their authors are not told yet, and where they stand in ``untold``; and places of entries that
    are damaged: of those nobody is told until they are mended, and they keep no other from being told."""
    found: dict[Mark, Told] = {}
    damaged: list[int] = []
    after = (-1, -1)
    while page := await db.rows(_DUE, (*after, limit)):
        for n, seq, rank, *rest in page:
            after = (seq, n)
            log, agent = state.log_at.get(rest[-3] >> SEQ_BITS), state.agent_at.get(n)
            if log is None or agent is None:
                continue  # its row is damaged
            try:
                mark = _mark(state, log, agent, rank, rest)
            except (ProtocolViolation, TypeError):
                damaged.append(rest[-3])
                continue
            found[mark] = (n, seq, rank)
            if len(found) == limit:
                return found, damaged
        if len(page) < limit:
            break
    return found, damaged


def _mark(state: State, log: LogRow, agent: AgentRow, rank: int, row: Sequence[Any]) -> Mark:
    """Of a row of _DUE, from its marks on. Raises ProtocolViolation, TypeError: its entry is damaged."""
    reach, (place, header, signature) = Reach(*row[:-3]), row[-3:]
    about = (state.node_at[log.node].key, log.epoch, place & _LOW, decode(header, signature).id, agent.id)
    # what was said when it was marked: a message that expired since is acknowledged by nobody
    at = (reach.failed_at, reach.delivered, reach.read, reach.acked)[rank] or 0
    by = (reach.via if rank else reach.failed) or ""
    return Mark(*about, (FAILED, *MARKS)[rank], at, by)


# -- of our own messages, with agents elsewhere ------------------------------------------------------------------


class Claim(NamedTuple):
    """What another host says, in the entry at ``place``, of messages in one of our logs. ``head``: of the branch of
    which it speaks."""

    place: int
    log: LogRow
    head: Head
    node: NodeRow
    agent: AgentRow | None
    """None: whomever of this host it was for, which could not open it."""
    group: Group
    now_ms: int


def claims_of(
    state: State, me: NodeId, node: NodeRow, place: int, progress: Progress, now_ms: int
) -> list[Claim] | None:
    """What of this, which ``node`` says, is about our own messages; None where it speaks of more of our log than is
    here."""
    logs: dict[int, tuple[LogRow, Head]] = {}
    for number, (author, epoch, head) in enumerate(progress.logs):
        if node.key == me or (author != me and author not in state.former_me):
            continue
        log = state.logs.get((author, epoch))
        if log is None or log.head.seq < head.seq:
            return None
        logs[number] = log, head
    return [
        Claim(place, *logs[group.log], node, agent, group, now_ms)
        for group in progress.groups
        if group.log in logs
        and ((agent := state.agents.get((node.n, group.agent))) is not None or _is_unopened(group))
    ]


def _is_unopened(group: Group) -> bool:
    return group.agent == NOBODY and group.state == FAILED


_COLUMNS: Final = ", ".join(f"p.{name}" for name in Reach._fields)
_ROWS: Final = f"""SELECT e.place, e.header, e.payload, {key_at("e.place")}, e.shown, m.direct,
    {_COLUMNS} FROM entries e
    LEFT JOIN messages m ON m.seq = e.shown LEFT JOIN progress p ON p.seq = e.shown AND p.agent = ?
    WHERE e.place IN ({{}})"""  # noqa: S608
_HEAD: Final = "SELECT header, signature FROM entries WHERE place = ?"
_SET: Final = (
    f"INSERT OR REPLACE INTO progress (seq, agent, {_MARKS}) VALUES (?, ?{', ?' * len(Reach._fields)})"  # noqa: S608
)

_SET_FIRST: Final = _SET.replace("INSERT OR REPLACE", "INSERT OR IGNORE")
"""Who opened a message after all is not told that he could not."""


async def take(conn: aiosqlite.Connection, state: State, claims: Iterable[Claim]) -> tuple[int, set[int]]:
    """Write down what of these is said by the host of who got the message, within a transaction; the rest is passed
    over. How many messages came further; and the places of what speaks of things that are not here."""
    moved = 0
    absent: set[int] = set()
    for claim in claims:
        if not await _is_of_our_branch(conn, claim):
            absent.add(claim.place)
            continue
        bare: list[int] = []
        places = [claim.log.place(seq) for seq in claim.group.seqs()]
        rows = await _among(conn, _ROWS, places, claim.agent.n if claim.agent else 0)
        raised: list[tuple[Any, ...]] = []
        lost: list[tuple[Any, ...]] = []
        for place, header, payload, key, shown, direct, *marks in rows:
            if payload is None:
                bare.append(place)
                continue
            told = None if direct is None else _raised(Reach(*marks), claim)
            if claim.agent is None:
                if told is not None and key is not None:
                    lost += [(shown, n, *told) for n in _whom(state, claim.node, (header, payload, key))]
            elif told is not None and _is_theirs(state, claim.agent, (header, payload, key), bool(direct)):
                raised.append((shown, claim.agent.n, *told))
            elif told is not None and state.travels.is_awaited(claim.node.key, claim.agent.id):
                absent.add(
                    claim.place
                )  # it came there, and from where is not known yet: perhaps from whom it was for
        await conn.executemany(_SET, raised)
        await conn.executemany(_SET_FIRST, lost)
        moved += len(raised) + len(lost)
        if bare and await _among(conn, "SELECT 1 FROM missing WHERE place IN ({})", bare):
            absent.add(claim.place)
    return moved, absent


async def _is_of_our_branch(conn: aiosqlite.Connection, claim: Claim) -> bool:
    rows = list(await conn.execute_fetchall(_HEAD, (claim.log.place(claim.head.seq),)))
    return bool(rows) and decode(*rows[0]).id == claim.head.id


async def _among(conn: aiosqlite.Connection, sql: str, places: Sequence[int], *first: int) -> list[Any]:
    found: list[Any] = []
    for at in range(0, len(places), CHUNK):
        some = places[at : at + CHUNK]
        found += await conn.execute_fetchall(sql.format(", ".join("?" * len(some))), (*first, *some))
    return found


def _raised(held: Reach, claim: Claim) -> Reach | None:
    """What is known then; None where that is nothing new."""
    group = claim.group
    told = held.raised(group.state, min(group.at_ms, claim.now_ms), group.by)
    return None if told == held or (group.state == FAILED and held.rank) else told


def _is_theirs(state: State, agent: AgentRow, row: tuple[bytes, bytes, bytes | None], direct: bool) -> bool:
    """Whether the message is for this agent."""
    _, payload, key = row
    if key is None and (agent.id if direct else agent.name.encode()) not in payload:
        return False  # who claims the messages of others makes little work
    try:
        said = stored_said(*row, direct=direct)
    except (ValueError, TypeError):  # it is damaged on this disk
        return False
    host = state.node_at[agent.node]
    homes = homes_of(state, host.key, agent.id)
    names = (host.name, *(state.nodes[key].name for key in homes if key in state.nodes))
    former = (*former_of(state, host.key), *homes)
    return is_for(said, agent.id, host.key, former, agent.name, names)


def _whom(state: State, node: NodeRow, row: tuple[bytes, bytes, bytes | None]) -> list[int]:
    """The agents of this node to whom a sealed message was sent."""
    try:
        to = stored_said(*row, direct=True).to
    except (ValueError, TypeError):  # it is damaged on this disk, or a post
        return []
    hosts = {node.key, *former_of(state, node.key)}
    found = (state.agents.get((node.n, one.agent)) for one in to if one.node in hosts)
    return [agent.n for agent in found if agent is not None]


_UNOPENED: Final = """SELECT u.place, u.at, e.header, e.signature FROM unopened u
    JOIN entries e ON e.place = u.place ORDER BY u.place LIMIT ?"""


async def unopened(db: Database, limit: int) -> dict[Mark, int]:
    """What came sealed for a key that was deleted here, and whose author is not told yet; and its place."""
    found: dict[Mark, int] = {}
    for place, at, header, signature in await db.rows(_UNOPENED, (limit,)):
        with suppress(ProtocolViolation):  # it is damaged, and told when it is mended
            entry = decode(header, signature)
            about = (entry.author, entry.epoch, entry.seq, entry.id, NOBODY, FAILED, at, UNOPENED)
            found[Mark(*about)] = place
    return found


def former_of(state: State, node: NodeId) -> list[NodeId]:
    """The keys that this node's took the place of."""
    return [old for old, heir in state.heirs.items() if heir == node]


_SAID_BY: Final = """SELECT place, header, signature, payload FROM entries
    WHERE place > ? AND place < ? AND shown IS NULL AND payload IS NOT NULL ORDER BY place LIMIT ?"""
_FORGET: Final = "DELETE FROM progress WHERE agent IN (SELECT n FROM agents WHERE node = ?)"


async def untell(
    conn: aiosqlite.Connection, state: State, me: NodeId, author: NodeId, cut: Mapping[int, int], now_ms: int
) -> None:
    """Within a transaction: what a revoked key told above its ``cut`` (epoch -> last seq that counts) was never
    told."""
    node = state.nodes.get(author)
    logs = [row for (key, _), row in state.logs.items() if key == author]
    void = [log for log in logs if await _tells(conn, log, cut.get(log.epoch, 0))]
    if node is None or not void:
        return
    await conn.execute(_FORGET, (node.n,))
    for log in logs:
        beyond = (AHEAD, log.place(cut.get(log.epoch, 0)), (log.l + 1) << SEQ_BITS)
        await conn.execute("DELETE FROM withheld WHERE why = ? AND place > ? AND place < ?", beyond)
        async for place, progress in _told(conn, log.place(0), log.place(cut.get(log.epoch, 0)) + 1):
            await take(conn, state, claims_of(state, me, node, place, progress, now_ms) or ())


async def _tells(conn: aiosqlite.Connection, log: LogRow, above: int) -> bool:
    async with aclosing(_told(conn, log.place(above), (log.l + 1) << SEQ_BITS)) as told:
        return await anext(told, None) is not None


async def _told(
    conn: aiosqlite.Connection, after: int, below: int
) -> AsyncGenerator[tuple[int, Progress], None]:
    """What the entries between these places tell of how far messages got."""
    while page := list(await conn.execute_fetchall(_SAID_BY, (after, below, CHUNK))):
        after = page[-1][0]
        for place, header, signature, payload in page:
            if decode(header, signature).kind == Kind.PROGRESS:
                with suppress(ValueError, TypeError):  # it was set aside, and told nothing
                    yield place, Progress.read(unpack_payload(payload))


async def of_messages(db: Database, seqs: Sequence[int]) -> dict[tuple[int, int], Reach]:
    """By seq and agent, what is known of these messages: of agents elsewhere as it is told, of those of this host as
    it is."""
    found: dict[tuple[int, int], Reach] = {}
    for at in range(0, len(seqs), CHUNK):
        some = seqs[at : at + CHUNK]
        listed = ", ".join("?" * len(some))
        told = f"SELECT seq, agent, {_MARKS} FROM progress WHERE seq IN ({listed})"  # noqa: S608
        here = f"""SELECT b.seq, b.agent, {_MARKS} FROM local_agents l JOIN mailbox b ON b.agent = l.agent
            WHERE b.seq IN ({listed})"""  # noqa: S608
        for sql in (told, here):
            for seq, agent, *marks in await db.rows(sql, some):
                found[seq, agent] = Reach(*marks)
    return found
