"""Stored rows as people and scripts see them: the message object of docs/api.md."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from maw.core.colony import Said
from maw.core.entry import Position, hash_payload
from maw.core.files import File
from maw.core.identity import NodeId, short_key
from maw.core.intents import NORMAL
from maw.core.message_ids import log_words, message_id
from maw.core.readability import SHORT, unreadable
from maw.core.redaction import RETENTION
from maw.core.rooms import is_member, stored_said
from maw.core.wishes import NOTHING, Wishes
from maw.node.authoring import wall_clock_ms
from maw.node.directory import Directory
from maw.node.likenesses import Likenesses
from maw.node.spoken import OperatorsWord, Spoken
from maw.store.editing import Edited
from maw.store.pages import Shown
from maw.store.schema import SEQ_BITS
from maw.store.state import AgentRow, State
from maw.store.travelling import ours

Json = dict[str, Any]
UNKNOWN: Final = "unknown"
"""How a speaker was known when the words that said so are gone."""
_LOW = (1 << SEQ_BITS) - 1
_EPOCH = datetime.fromtimestamp(0, UTC).replace(tzinfo=None)
_LAST_MS = 253402300799999
MAX_JUDGED: Final = 2_000
"""Some pages: 20,000 of them would be 3 MiB, and what is read again is mostly what is newest."""
_NOBODY = AgentRow(0, 0, bytes(16), "nobody", "agent", 0)
"""Whose a message is whose row is damaged."""


def iso(ms: int | None) -> str | None:
    """Milliseconds since 1970 as ISO 8601 in UTC; a time beyond the calendar as its last second."""
    if ms is None:
        return None
    second, rest = divmod(max(0, min(ms, _LAST_MS)), 1000)
    return f"{_second(second)}.{rest:03}Z"


@lru_cache(maxsize=1024)
def _second(second: int) -> str:
    """A page and a stream are mostly of few seconds, and a calendar costs more than all else of a message."""
    return (_EPOCH + timedelta(seconds=second)).isoformat(timespec="seconds")


def gone_words(gone: Json) -> str:
    """What stands in place of a text that was taken away."""
    if gone["why"] == RETENTION:
        days = gone["days"]
        return f"[expired: kept {days} day{'' if days == 1 else 's'}]" if days else "[expired]"
    reason = f": {gone['reason']}" if gone["reason"] else ""
    return f"[redacted by {gone['by']} at {gone['at']}{reason}]"


class Presenter:
    """Makes message objects. ``me``: this node; ``damaged`` is told the place of an entry that is not as written."""

    def __init__(
        self,
        me: NodeId,
        state: State,
        directory: Directory,
        word: OperatorsWord,
        likenesses: Likenesses,
        damaged: Callable[[int], None] = lambda place: None,
    ) -> None:
        self._damaged = damaged
        self._me = me
        self._word = word
        self._legible: dict[int | tuple[int, int], str | None] = {}
        self._likenesses = likenesses
        self._state = state
        self._directory = directory

    def position(self, row: Shown) -> Position:
        """Of a row that is damaged one at which nothing can be."""
        log = self._state.log_at.get(row.place >> SEQ_BITS)
        if log is None:
            return Position(self._me, 0, row.seq)
        return Position(self._state.node_at[log.node].key, log.epoch, row.place & _LOW)

    def id(self, row: Shown) -> str:
        log = self._state.log_at.get(row.place >> SEQ_BITS)
        if log is None:
            return message_id(self.position(row))
        return f"{log_words(self._state.node_at[log.node].key, log.epoch)}{row.place & _LOW}"

    def said(self, row: Shown) -> Said:
        """What the message says. One that is redacted, or damaged on this disk, says so: its page can be read."""
        if row.gone is not None:
            agent, channel = self._row_says(row)
            text = gone_words(self.gone(row))
            return Said(agent.id, agent.name, agent.role, UNKNOWN, text, (), channel=channel)
        try:
            _check(row)
            said = stored_said(row.header, row.payload, row.key, direct=bool(row.direct))
            self._check_row(row, said)
            return said if row.edit is None else _edited(said, row.edit)
        except Exception as error:  # whatever is wrong with one message, its page must come
            self._damaged(row.place)
            agent, channel = self._row_says(row)
            text = f"[maw: this message is damaged on this disk and cannot be shown ({error})]"
            return Said(agent.id, agent.name, agent.role, "uid", text, (), channel=channel)

    def _row_says(self, row: Shown) -> tuple[AgentRow, str | None]:
        """Whose it is and where, of a message whose words are not there."""
        agent = self._state.agent_at.get(row.agent, _NOBODY)
        channel = self._state.channel_at.get(row.channel) if row.channel is not None else None
        return agent, channel.name if channel else None

    def _check_row(self, row: Shown, said: Said) -> None:
        """What was made of the entry is what it says: a flipped bit puts nobody's words in another's mouth, and none
        into another channel. Raises ValueError, or KeyError for a number that nothing has."""
        state = self._state
        if row.shown is not None and row.shown != row.seq:
            raise ValueError("its entry is shown elsewhere")
        agent = state.agent_at[row.agent]
        author = state.log_at[row.place >> SEQ_BITS].node
        moved = state.node_at[author].key in state.former_me and state.node_at[agent.node].key == self._me
        if agent.id != said.agent or (agent.node != author and not moved):
            raise ValueError("its row names another author")
        if said.channel != (state.channel_at[row.channel].name if row.channel is not None else None):
            raise ValueError("its row names another channel")

    def gone(self, row: Shown) -> Json:
        """Who took the text of a message away, why and when. Only for rows that have lost it."""
        assert row.gone is not None
        return self.rule(self.position(row).author, *json.loads(row.gone)[:5])

    def rule(self, author: NodeId, why: str, by: str, reason: str | None, days: int | None, at: int) -> Json:
        """A rule that dropped words of ``author``'s, as people see it."""
        if why == RETENTION:
            return {"why": why, "by": None, "reason": None, "days": days, "at": iso(at)}
        host = self._directory.name_of(author)
        return {
            "why": why,
            "by": by or f"who administers {host}",
            "reason": reason,
            "days": None,
            "at": iso(at),
        }

    def spoken(self, row: Shown, said: Said) -> Spoken | None:
        """The operator whose word this is, if it is one's."""
        if said.word is None:
            return None
        return self._word.over(said, self.position(row).author, row.said, row.seq)

    def message(self, row: Shown) -> Json:
        """One message object."""
        return self.with_said(row, self.said(row))

    def with_said(self, row: Shown, said: Said) -> Json:
        log = self._state.log_at.get(row.place >> SEQ_BITS)
        host = self._directory.host_name(self._state.node_at[log.node]) if log else short_key(self._me)
        spoken = self.spoken(row, said)
        agent = self._state.agent_at.get(row.agent, _NOBODY)
        shown: Json = {
            "id": self.id(row),
            "seq": row.seq,
            "kind": "direct" if said.channel is None else "post",
            "channel": said.channel,
            "to": [f"{recipient.name}@{recipient.host}" for recipient in said.to],
            "author": f"{said.name}@{host}",
            "author_name": said.name,
            "host": host,
            "of": None if agent.profile.of is None else self._directory.owner_of(agent),
            "looks_like": None if agent.uid is not None else self._likenesses.of(agent),
            "role": said.role,
            "known_by": said.known_by if spoken is None else "operator key",
            "operator": None if spoken is None else spoken.operator,
            "order": spoken is not None and spoken.is_order,
            "intent": said.intent,
            "text": said.text,
            "mentions": list(said.mentions),
            "created_at": iso(row.said),
            "received_at": iso(row.received),
            "reply_to": row.reply,
            "clock_suspect": bool(row.suspect),
            "disputed": self._is_disputed(row),
        }
        if row.key is not None:
            shown["sealed"] = True
        if row.edit is not None and row.gone is None and said.word is None:
            shown |= {"edited_at": iso(row.edit.at), "edits": row.edit.times}
        if len(said.text) >= SHORT and row.gone is None and (why := self._unreadable(row, said.text)):
            shown["unreadable"] = why
        if (wishes := said.wishes()) != NOTHING:
            shown |= _wished(wishes, row)
        if said.files:
            shown["files"] = [{"n": n, **file_json(file)} for n, file in enumerate(said.files, 1)]
        if row.why is not None:
            shown |= {"why": row.why, "delivered_at": iso(row.delivered), "read_at": iso(row.read)}
        if row.gone is not None:
            shown["redacted"] = self.gone(row)
        return shown

    def _unreadable(self, row: Shown, text: str) -> str | None:
        """Judged once: to look at each character of each page would cost more than the page."""
        about = row.place if row.edit is None else (row.place, row.edit.times)
        if about not in self._legible:
            if len(self._legible) >= MAX_JUDGED:
                self._legible.clear()
            self._legible[about] = unreadable(text)
        return self._legible[about]

    def _is_disputed(self, row: Shown) -> bool:
        """Its author has said something else at this place too, and not yet which of the two counts."""
        log = self._state.log_at.get(row.place >> SEQ_BITS)
        return log is not None and bool(log.disputed) and row.place & _LOW >= log.disputed

    def may_read(self, row: Shown, said: Said, agent_key: bytes | None) -> bool:
        """Posts are for all; a direct message is for its author and those it was sent to."""
        if not row.direct:
            return True
        if agent_key is None:
            return False
        author = self._state.agent_at.get(row.agent, _NOBODY)
        if self._is_by(author, agent_key):
            return True
        if row.gone is not None:  # whom it was for went with the text; who of this host could read it is kept
            return any(self._state.agent_at.get(n, _NOBODY).id == agent_key for n in json.loads(row.gone)[5])
        keys = ours(self._state, self._me, agent_key)
        return any(to.agent == agent_key and to.node in keys for to in said.to)

    def _is_by(self, author: AgentRow, agent_key: bytes | None) -> bool:
        """Whether this agent of ours said it, here or where it lived before."""
        if author.id != agent_key or agent_key is None:
            return False
        if author.uid is not None:
            return True
        node = self._state.node_at.get(author.node)
        return node is not None and node.key in self._state.travels.former(self._me, agent_key)

    def as_for(self, row: Shown, agent_key: bytes | None) -> Shown:
        """The row as this agent reads it: of an edit in a private channel that is not for him, as he was sent away
        before it, he reads nothing."""
        if row.edit is None or not row.direct or row.channel is None or row.gone is not None:
            return row
        author = self._state.agent_at.get(row.agent, _NOBODY)
        if self._is_by(author, agent_key):
            return row
        try:
            to = row.edit.read().to
        except Exception:  # whoever reads the message is told that it is damaged
            return row
        is_for = agent_key is not None and is_member(to, ours(self._state, self._me, agent_key), agent_key)
        return row if is_for else row._replace(edit=None)

    def readable(self, rows: Sequence[Shown], agent_key: bytes | None) -> list[Json]:
        """The message objects of those rows that this agent may read."""
        found = []
        for stored in rows:
            row = self.as_for(stored, agent_key)
            said = self.said(row)
            if self.may_read(row, said, agent_key):
                found.append(self.with_said(row, said))
        return found


def file_json(file: File) -> Json:
    """What is told of a file: not what opens it."""
    return {"name": file.name, "size": file.size, "type": file.type, "hash": file.hash.hex()}


def _edited(said: Said, edit: Edited) -> Said:
    """With its author's last words. What an operator signed stays as it was signed. Raises ValueError when those are
    damaged."""
    if said.word is not None or edit.payload is None:
        return said
    last = edit.read()
    return said._replace(text=last.text, mentions=last.mentions)


def _wished(wishes: Wishes, row: Shown) -> Json:
    """Only what was wished for. By a clock that is not to be believed nothing has expired."""
    shown: Json = {}
    if wishes.prio != NORMAL:
        shown["priority"] = wishes.prio
    if wishes.expires is not None:
        over = not row.suspect and wishes.expires <= wall_clock_ms()
        shown |= {"expires_at": iso(wishes.expires), "expired": over}
    if wishes.due is not None:
        shown |= {"due_at": iso(wishes.due), "overdue": wishes.due <= wall_clock_ms()}
    if wishes.groups:
        shown["groups"] = list(wishes.groups)
    return shown


def _check(row: Shown) -> None:
    """The payload is the one its header tells the hash of. Looked for in the header's bytes: taking each header of a
    page apart would cost as much as the page. Raises ValueError."""
    if row.payload is None:
        raise ValueError("its entry is not there")
    if row.header is not None and hash_payload(row.payload) not in row.header:
        raise ValueError("its text is not what was written")
