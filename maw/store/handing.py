"""What goes along with an agent that moves: gathered on its old host, put in place on the new one.

Both are jobs of the writer's, so that nothing of the mailbox changes meanwhile. Messages are named by their places in
their authors' logs, for a seq is one replica's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import aiosqlite

from maw.core.colony import Said
from maw.core.editing import Edit
from maw.core.entry import Entry, Kind, Position, decode
from maw.core.handover import Handover, Mail
from maw.core.identity import NodeId
from maw.core.lent import Loan
from maw.core.rooms import RoomWord, read_said, stored_said
from maw.core.sealing import words_of
from maw.errors import ProtocolViolation
from maw.store.channel_words import set_watch
from maw.store.delivering import WATCHED, delivery, may_get
from maw.store.fold import Fold
from maw.store.opened import key_at
from maw.store.schema import SEQ_BITS
from maw.store.sealed import borrow, room_of
from maw.store.state import AgentRow, LogRow, State
from maw.store.travelling import is_here

PAGE: Final = 500
_LOW: Final = (1 << SEQ_BITS) - 1
_MAIL: Final = """SELECT m.place, b.why, b.delivered, b.via, b.read, b.acked, u.rank FROM mailbox b
    JOIN messages m ON m.seq = b.seq LEFT JOIN untold u ON u.agent = b.agent AND u.seq = b.seq
    WHERE b.agent = ? ORDER BY b.seq"""
_OPENED: Final = """SELECT o.place, o.key, e.header, e.signature, e.payload FROM opened o
    JOIN entries e ON e.place = o.place WHERE o.place > ? AND e.payload IS NOT NULL ORDER BY o.place LIMIT ?"""
_THESE: Final = """SELECT o.place, o.key, e.header, e.signature, e.payload FROM to_lend t
    JOIN opened o ON o.place = t.place JOIN entries e ON e.place = o.place
    WHERE e.payload IS NOT NULL ORDER BY o.place LIMIT ?"""
_UNREAD: Final = """SELECT min(place) FROM (SELECT place FROM missing UNION ALL SELECT place FROM withheld)
    WHERE place > ? AND place < ?"""
_ENTRY: Final = "SELECT header, signature, payload, shown FROM entries WHERE place = ?"
_SHOWN: Final = f"""SELECT m.seq, e.header, e.payload, {key_at("e.place")}, m.direct FROM entries e
    JOIN messages m ON m.seq = e.shown WHERE e.place = ?"""  # noqa: S608
_SET_MAIL: Final = """INSERT INTO mailbox (agent, seq, why, delivered, via, read, acked) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (agent, seq) DO UPDATE SET why = excluded.why, delivered = excluded.delivered, via = excluded.via,
    read = excluded.read, acked = excluded.acked"""
_LATER: Final = f"""SELECT e.place, e.shown, e.header, e.payload, {key_at("e.place")}, m.direct, m.agent FROM entries e
    JOIN messages m ON m.seq = e.shown WHERE e.place > ? AND e.place < ? AND e.payload IS NOT NULL
    ORDER BY e.place LIMIT ?"""  # noqa: S608


def position_at(state: State, place: int) -> Position | None:
    log = state.log_at.get(place >> SEQ_BITS)
    return None if log is None else Position(state.node_at[log.node].key, log.epoch, place & _LOW)


# -- from here ----------------------------------------------------------------------------------------


async def gather(conn: aiosqlite.Connection, state: State, me: NodeId, agent: AgentRow) -> Handover:
    """Everything that goes along with an agent of this host, as it stands in this transaction."""
    heads = [await _read_up_to(conn, state, log) for log in state.log_at.values() if log.head.seq]
    mail = []
    for place, *marks in await conn.execute_fetchall(_MAIL, (agent.n,)):
        if (at := position_at(state, place)) is not None:
            mail.append(Mail(at, *marks))
    keys = []
    after = 0
    while page := list(await conn.execute_fetchall(_OPENED, (after, PAGE))):
        after = page[-1][0]
        keys += [loan for _, loan in await loans_for(conn, state, me, {agent.id}, page)]
    watches = [
        (state.channel_at[n].name, wakes)
        for n, watching in state.watchers.items()
        if (wakes := watching.get(agent.n)) is not None and n in state.channel_at
    ]
    return Handover(tuple(heads), tuple(mail), tuple(keys), tuple(watches), None)


async def _read_up_to(conn: aiosqlite.Connection, state: State, log: LogRow) -> Position:
    """How far the log was read here: up to the first entry whose payload is missing, or that is withheld."""
    span = (log.place(0), (log.l + 1) << SEQ_BITS)
    ((first,),) = await conn.execute_fetchall(_UNREAD, span)
    seq = log.head.seq if first is None else min(log.head.seq, (first & _LOW) - 1)
    return Position(state.node_at[log.node].key, log.epoch, seq)


async def to_lend(
    conn: aiosqlite.Connection, state: State, me: NodeId, gone: Iterable[bytes], limit: int
) -> tuple[list[tuple[bytes, Loan]], list[int]]:
    """What was opened here since agents left, and is to be lent for one of them (``gone``, by their ids); and the
    places that were looked at."""
    page = list(await conn.execute_fetchall(_THESE, (limit,)))
    if not page:  # what is left was redacted
        await conn.execute("DELETE FROM to_lend")
    return await loans_for(conn, state, me, set(gone), page), [row[0] for row in page]


async def loans_for(
    conn: aiosqlite.Connection, state: State, me: NodeId, agents: set[bytes], rows: Iterable[Any]
) -> list[tuple[bytes, Loan]]:
    """Of opened entries (place, key, header, signature, payload): by agent, what it said or what is for it."""
    found = []
    for place, key, header, signature, payload in rows:
        try:
            entry = decode(header, signature, payload)
            kind, content = words_of(entry, key)
            whom = await _whom(conn, state, me, entry, kind, content)
        except (ProtocolViolation, ValueError, TypeError, KeyError):  # damaged: the scrubber tells
            continue
        at = position_at(state, place)
        if at is not None:
            found += [(agent, Loan(at, entry.id, key)) for agent in whom & agents]
    return found


async def _whom(
    conn: aiosqlite.Connection, state: State, me: NodeId, entry: Entry, kind: int, content: dict[str, Any]
) -> set[bytes]:
    """The ids of agents that are or were of this host and may read it."""
    ours = {me, *state.former_me}
    if kind == Kind.CHANNEL:
        members = RoomWord.read(content).members
        return {one.agent for one in members if one.node in ours or _was_here(state, me, one.node, one.agent)}
    if kind == Kind.EDIT:
        edit = Edit.read(content)
        to = {one.agent for one in edit.to} if edit.to else await _who_had(conn, state, entry, edit)
        return to | ({edit.agent} if entry.author in ours else set())
    said = read_said(kind, content, sealed=True)
    to = {one.agent for one in said.to if one.node in ours or _was_here(state, me, one.node, one.agent)}
    by = {said.agent} if entry.author in ours or _was_here(state, me, entry.author, said.agent) else set()
    return to | by


def _was_here(state: State, me: NodeId, node: NodeId, agent: bytes) -> bool:
    """Whether an agent of another host lives, or lived, here: it came from there, and went on."""
    return (
        state.travels.knows(agent)
        and me in state.travels.places(agent)
        and node in state.travels.places(agent)
    )


async def _who_had(conn: aiosqlite.Connection, state: State, entry: Entry, edit: Edit) -> set[bytes]:
    """For whom the direct message is that this edits."""
    epoch, seq = edit.target(entry)
    log = state.logs.get((entry.author, epoch))
    if log is None:
        return set()
    sql = f"SELECT e.header, e.payload, {key_at('e.place')} FROM entries e WHERE e.place = ?"  # noqa: S608
    for header, payload, key in await conn.execute_fetchall(sql, (log.place(seq),)):
        if payload is not None and key is not None:
            return {one.agent for one in stored_said(header, payload, key, direct=True).to}
    return set()


# -- to here ------------------------------------------------------------------------------------------


async def open_lent(conn: aiosqlite.Connection, fold: Fold, after: tuple[bytes, int, int] | None) -> Any:
    """A step of what was lent and is here: opened, and folded as if it came now. Returns where to go on, None at the
    end; what is not here yet waits."""
    state = fold.state
    waiting = sorted(at for at in state.borrowed if after is None or at > after)[:PAGE]
    for at in waiting:
        log = state.logs.get((at[0], at[1]))
        rows = () if log is None else await conn.execute_fetchall(_ENTRY, (log.place(at[2]),))
        for header, signature, payload, shown in rows:
            entry = decode(header, signature, payload)
            if payload is None and shown is None and not await _may_come(conn, log, at[2]):
                fold.give_back(at)
            elif payload is not None:
                _open(fold, entry, at, shown)
    await fold.write(conn)
    return waiting[-1] if len(waiting) == PAGE else None


async def _may_come(conn: aiosqlite.Connection, log: LogRow | None, seq: int) -> bool:
    """Whether its payload is missing, and not dropped by a rule."""
    sql = "SELECT 1 FROM missing WHERE place = ?"
    return log is not None and bool(list(await conn.execute_fetchall(sql, (log.place(seq),))))


def _open(fold: Fold, entry: Entry, at: tuple[NodeId, int, int], shown: int | None) -> None:
    loan = fold.state.borrowed[at]
    if loan[0] == entry.id and shown is None:
        fold.show(entry)  # takes the key that was lent
    if at in fold.state.borrowed:
        fold.give_back(at)


async def open_handed(conn: aiosqlite.Connection, fold: Fold, lender: NodeId, loans: Sequence[Loan]) -> None:
    """A step of the keys that came along: what is here is opened, and folded as if it came now. Of the rest only what
    may come yet waits, as far as this lender's may."""
    state, room = fold.state, room_of(fold, lender)
    for loan in loans:
        log = state.logs.get(loan.position[:2])
        rows = () if log is None else await conn.execute_fetchall(_ENTRY, (log.place(loan.position.seq),))
        is_due = not rows
        for header, signature, payload, shown in rows:
            entry = decode(header, signature, payload)
            if payload is not None and shown is None and entry.id == loan.id:
                borrow(fold, lender, loan)
                _open(fold, entry, loan.position, shown)
            elif payload is None and shown is None and entry.id == loan.id:
                is_due = await _may_come(conn, log, loan.position.seq)
        if is_due and room > 0:
            room -= 1
            borrow(fold, lender, loan)
    await fold.write(conn)


async def take_mail(conn: aiosqlite.Connection, state: State, agent: AgentRow, mails: Sequence[Mail]) -> None:
    """A step of the mailbox of an agent that came here, as its old host had it, after what was lent is open. The
    old host may be anybody's: where it names what is not for this agent, that stays away."""
    for mail in mails:
        log = state.logs.get(mail.place[:2])
        rows = () if log is None else await conn.execute_fetchall(_SHOWN, (log.place(mail.place.seq),))
        for shown, *words in rows:
            if _is_for(state, agent, words):
                await conn.execute(_SET_MAIL, (agent.n, shown, *mail[1:6]))
                if mail.untold is not None:
                    row = (agent.n, shown, mail.untold)
                    await conn.execute("INSERT OR REPLACE INTO untold VALUES (?, ?, ?)", row)


async def take_over(conn: aiosqlite.Connection, fold: Fold, agent: AgentRow, handover: Handover) -> None:
    """What an agent that came here watches, and what came for it since it was handed over; within a transaction, after
    its mailbox is as it was."""
    state = fold.state
    for name, wakes in dict(handover.watches).items():
        if (channel := state.channels.get(name)) is not None:
            await set_watch(conn, channel.n, agent.n, wakes)
            state.watchers.setdefault(channel.n, {})[agent.n] = wakes
    read = {(one.author, one.epoch): one.seq for one in handover.heads}
    for (author, epoch), log in list(state.logs.items()):
        await _deliver_later(conn, fold, agent, log, read.get((author, epoch), 0))


def _is_for(state: State, agent: AgentRow, words: Sequence[Any]) -> bool:
    """Whether a message (header, payload, key, direct) may be in the mailbox of this agent. Who read it on the old host
    is told by no rule of this one's (who watched, which group it was for): what counts is whether it is for all, or
    for this agent too. What was sealed and has lost its text is for nobody any more."""
    header, payload, key, direct = words
    me = state.node_at[agent.node]
    if payload is None:
        return not direct
    try:
        said = stored_said(header, payload, key, direct=bool(direct))
    except (ValueError, TypeError):  # readers show it as damaged
        return False
    if said.channel is not None:
        return may_get(state, me, said, agent.n)
    return any(one.agent == agent.id and is_here(state, me.key, one.node, one.agent) for one in said.to)


async def _deliver_later(
    conn: aiosqlite.Connection, fold: Fold, agent: AgentRow, log: LogRow, read: int
) -> None:
    """What stands in a log above what the old host had read of it."""
    state, after, end = fold.state, log.place(read), (log.l + 1) << SEQ_BITS
    while page := list(await conn.execute_fetchall(_LATER, (after, end, PAGE))):
        after = page[-1][0]
        for _, shown, header, payload, key, direct, author in page:
            try:
                said = stored_said(header, payload, key, direct=bool(direct))
            except (ValueError, TypeError):  # readers show it as damaged
                continue
            for why in _whys(state, fold, agent, author, said, shown):
                sql = "INSERT OR IGNORE INTO mailbox (agent, seq, why) VALUES (?, ?, ?)"
                await conn.execute(sql, (agent.n, shown, why))


def _whys(state: State, fold: Fold, agent: AgentRow, author: int, said: Said, seq: int) -> Iterator[str]:
    me = fold.node(fold.me)
    sender = state.agent_at.get(author)
    if sender is None or (sender.id == agent.id):
        return
    yield from (why for n, _, why in delivery(state, me, sender, said, seq) if n == agent.n)
    channel = state.channels.get(said.channel or "")
    if (
        channel is not None
        and agent.n in state.watchers.get(channel.n, ())
        and may_get(state, me, said, agent.n)
    ):
        yield WATCHED
