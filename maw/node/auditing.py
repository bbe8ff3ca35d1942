"""The signed history as whoever asks may have it: entry by entry, with payloads where he may read them.

What each entry is, and that nothing between two of them is missing, its header and signature prove by themselves; so
these are for everybody of this host, and a payload is left out with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final, NamedTuple

from maw.core.audit import NOT_ASKED, NOT_YOURS, Line, entry_line, statement_line
from maw.core.clock import wall_ms
from maw.core.colony import Said
from maw.core.editing import Edit
from maw.core.entry import Entry, Kind, Position, decode
from maw.core.identity import NodeId, key_text
from maw.core.names import parse_address
from maw.core.queries import Query
from maw.core.redaction import droppable
from maw.core.rooms import read_said
from maw.core.sealing import words_of
from maw.core.statement import colony_text, read_statement
from maw.core.trust import TrustBook
from maw.errors import LinkError, NotFound
from maw.node.directory import Directory
from maw.node.presenting import Json
from maw.node.store import Store
from maw.store.logs import entry_at
from maw.store.opened import key_at, keys_of
from maw.store.redacting import covering
from maw.store.schema import SEQ_BITS
from maw.store.state import AgentRow, LogRow

PAGE_BYTES: Final = 256 * 1024
WITHHELD: Final = "withheld here"
_NAMES: Final = frozenset((Kind.OPEN, Kind.CARD, Kind.AGENT, Kind.CHANNEL))
"""Who is who, and what there is: in every bundle."""
_ROWS: Final = f"""SELECT e.place, e.header, e.signature, e.payload, w.why, {key_at("e.place")} FROM entries e
    LEFT JOIN withheld w ON w.place = e.place WHERE e.place > ? AND e.place < ? ORDER BY e.place LIMIT ?"""  # noqa: S608


class AuditPage(NamedTuple):
    """``next_seq``: everything up to it was looked at; where it stays, there was no more."""

    lines: list[Line]
    next_seq: int


class Auditing:
    """``book`` gives the TrustBook of the moment, ``founding`` the founding statement's wire."""

    def __init__(
        self,
        me: NodeId,
        store: Store,
        directory: Directory,
        book: Callable[[], TrustBook],
        founding: Callable[[], bytes],
    ) -> None:
        self._me = me
        self._store = store
        self._directory = directory
        self._book = book
        self._founding = founding

    def head(self) -> Json:
        """What a bundle begins with: the Colony, all statements, and which logs there are, each with its last seq."""
        state = self._store.state
        found = read_statement(self._founding())
        wires = sorted(one.wire for one in self._book().statements().values() if one.id != found.id)
        return {
            "colony": colony_text(self._book().colony),
            "found": statement_line(found.wire)["statement"],
            "node": key_text(self._me),
            "statements": [statement_line(wire)["statement"] for wire in wires],
            "logs": [
                {
                    "author": key_text(author),
                    "host": self._directory.name_of(author),
                    "epoch": epoch,
                    "last": row.head.seq,
                }
                for (author, epoch), row in sorted(state.logs.items())
                if row.head.seq
            ],
        }

    async def page(
        self,
        agent: AgentRow | None,
        author: NodeId,
        epoch: int,
        *,
        after_seq: int,
        limit: int,
        query: Query | None,
        sparse: bool,
    ) -> AuditPage:
        """Entries of one log after ``after_seq``. ``query``: which messages are asked for, None all; ``sparse``:
        nothing of the others. NotFound: there is no such log."""
        if query is not None and query.channels:
            query = replace(query, channels=tuple(self._meant(one, agent) for one in query.channels))
        row = self._store.state.logs.get((author, epoch))
        if row is None:
            raise NotFound(f"no log of {key_text(author)} begins with epoch {epoch}", code="no_such_log")
        top = (row.l + 1) << SEQ_BITS
        found = await self._store.db.rows(_ROWS, (row.place(min(after_seq, row.head.seq)), top, limit))
        lines: list[Line] = []
        size, last = 0, after_seq
        for place, header, signature, payload, withheld, key in found:
            entry = decode(header, signature, payload)
            why = await self._why_not(agent, row, place, entry, key, withheld, query)
            last = entry.seq
            if why == NOT_ASKED and sparse:
                continue
            lines.append(entry_line(entry, why, key))
            size += len(entry.payload or b"") if why is None else 0
            if size >= PAGE_BYTES:
                return AuditPage(lines, last)
        return AuditPage(lines, last)  # not the head in memory: what it stands at may not be committed yet

    def _meant(self, channel: str, agent: AgentRow | None) -> str:
        """The channel that is called so, as messages have it; one that nobody knows here is asked for all the same."""
        with suppress(NotFound):
            return self._directory.channel(channel, None if agent is None else agent.id).name
        return channel

    async def _why_not(
        self,
        agent: AgentRow | None,
        row: LogRow,
        place: int,
        entry: Entry,
        key: bytes | None,
        withheld: str | None,
        query: Query | None,
    ) -> str | None:
        """Why this payload is left out; None when it goes along."""
        if entry.payload is None:
            async with self._store.db.reading() as conn:
                rule = await covering(conn, place)
            return "missing" if rule is None else str(rule[0])
        if withheld is not None:
            return WITHHELD
        if not droppable(entry.kind):
            return None if query is None or entry.kind in _NAMES else NOT_ASKED
        if entry.kind == Kind.SOUL:
            return None if query is None else NOT_ASKED
        said = await self._said(entry, key)
        if said is None or not self._may_read(agent, entry.author, said):
            return NOT_YOURS
        return None if query is None or self._is_asked(query, entry, said) else NOT_ASKED

    async def _said(self, entry: Entry, key: bytes | None) -> Said | None:
        """The message, or of an edit the one that it edits; None where that cannot be told, or it is
        sealed for others."""
        try:
            kind, content = words_of(entry, key)
            if kind != Kind.EDIT:
                return read_said(kind, content, sealed=entry.kind == Kind.PRIVATE)
            edit = Edit.read(content)
            edited = await self._edited(entry, edit)
            if edited is None:
                return None
            async with self._store.db.reading() as conn:
                keys = await keys_of(conn, self._store.state, [edited])
            kind, content = words_of(edited, keys.get(edited.id))
            said = read_said(kind, content, sealed=edited.kind == Kind.PRIVATE)  # raises for one that edits
            return said if edit.channel is None else said._replace(to=edit.to)
        except (ValueError, TypeError, LinkError):
            return None

    async def _edited(self, entry: Entry, edit: Edit) -> Entry | None:
        """What ``entry`` edits, if it is here whole. Raises ValueError."""
        edited = await entry_at(
            self._store.db, self._store.state, Position(entry.author, *edit.target(entry))
        )
        return None if edited is None or edited.payload is None else edited

    def _may_read(self, agent: AgentRow | None, author: NodeId, said: Said) -> bool:
        """As ``Presenter.may_read`` has it."""
        if said.channel is not None and not said.to:
            return True
        if agent is None:
            return False
        return (author == self._me and said.agent == agent.id) or any(
            to.node == self._me and to.agent == agent.id for to in said.to
        )

    def _is_asked(self, query: Query, entry: Entry, said: Said) -> bool:
        at = wall_ms(entry.hlc)
        return (
            (not query.channels or said.channel in query.channels)
            and (not query.authors or any(self._is_by(word, entry.author, said) for word in query.authors))
            and (query.since_ms is None or at >= query.since_ms)
            and (query.until_ms is None or at < query.until_ms)
        )

    def _is_by(self, word: str, author: NodeId, said: Said) -> bool:
        wanted = parse_address(word)
        if said.name != wanted.name:
            return False
        return wanted.host is None or author in {row.key for row in self._directory.find_hosts(wanted.host)}
