"""Editing what one has said, and what it said before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from maw.core.colony import Said
from maw.core.editing import MAX_EDITS, Edit, request_of_edit
from maw.core.entry import Kind, Position
from maw.core.message_ids import message_id
from maw.core.names import is_private, mentions
from maw.core.once import Asked, Marks
from maw.core.text import check_message
from maw.errors import Conflict, NotFound, Refused
from maw.node.authoring import Authoring
from maw.node.channels import Channels
from maw.node.presenting import Json, Presenter, gone_words, iso
from maw.node.rooms import Rooms
from maw.node.sealing import Sealing
from maw.node.store import Store
from maw.node.talking import Talking, check_credential
from maw.store import pages
from maw.store.editing import Edited, versions
from maw.store.fold import Fold
from maw.store.pages import Shown
from maw.store.schema import SEQ_BITS
from maw.store.state import AgentRow

SHOWN: Final = 500
"""Edits of one message that a history tells: other hosts' may be more than this one takes from its own agents."""


class Editing:
    def __init__(
        self,
        store: Store,
        authoring: Authoring,
        presenter: Presenter,
        talking: Talking,
        marks: Marks,
        may_say: Callable[[AgentRow, Said], None],
        charge: Callable[[AgentRow, Said], None],
        sealing: Sealing,
        channels: Channels,
        rooms: Rooms,
    ) -> None:
        """``may_say`` raises Refused when an agent may not say this now, ``charge`` TooMany when it has said too
        much."""
        self._store = store
        self.authoring = authoring
        self._presenter = presenter
        self._talking = talking
        self._marks = marks
        self._may_say = may_say
        self._charge = charge
        self._sealing = sealing
        self._channels = channels
        self._rooms = rooms

    async def edit(
        self, agent: AgentRow, ref: str, text: str, *, key: str | None, insist: bool = False
    ) -> Json:
        """Other words in place of what this agent said at ``ref``. Returns the message, once it is durable here.

        Raises BadInput, NotFound, Refused (another's, an operator's word, or one that was redacted), Conflict.
        """
        check_message(text)
        if not insist:
            check_credential(text)
        row = await self._talking.find(ref, agent.id)
        said = self._presenter.said(row)
        self._check(agent, row, said)
        self._may_say(agent, said._replace(text=text, mentions=mentions(text)))
        once = None if key is None else self._marks.mark(agent.id, key)
        edit = Edit(agent.id, self._presenter.id(row), text, mentions(text), once)
        asked = None if once is None or key is None else Asked(once, request_of_edit(edit), (key, agent.n))

        kind, content, content_key = self._worded(row, said, edit)

        def local(fold: Fold) -> None:
            self._charge(agent, said)
            fold.fresh_key = content_key

        await self.authoring.say(kind, content, once=asked, local=local, about=row.seq)
        fresh = await pages.at_seq(self._store.db, row.seq)
        assert fresh is not None
        return self._presenter.message(fresh)

    def _worded(self, row: Shown, said: Said, edit: Edit) -> tuple[Kind, Mapping[str, Any], bytes | None]:
        """What was sealed is edited so that the same hosts can read it; in a private channel those of them who are in
        it still."""
        if row.key is None:
            return Kind.EDIT, edit.content(), None
        if said.channel is not None:
            home = self._store.state.travels.home
            had = {(home(one.node, one.agent), one.agent) for one in said.to}
            members = self._rooms.members(self._store.state.channels[said.channel])
            to = tuple(one for one in members if (one.node, one.agent) in had)
            edit = replace(edit, channel=said.channel, to=to)
            return Kind.PRIVATE, *self._sealing.seal(Kind.EDIT, edit.content(), self._rooms.hosts(to))
        home = self._store.state.travels.home
        hosts = {home(to.node, to.agent) for to in said.to}
        return Kind.PRIVATE, *self._sealing.seal(Kind.EDIT, edit.content(), hosts)

    def _check(self, agent: AgentRow, row: Shown, said: Said) -> None:
        position = self._presenter.position(row)
        name = message_id(position)
        if position.author != self._store.me or row.agent != agent.n:
            raise Refused(
                f"message {name} is {self._presenter.message(row)['author']}'s: only who said it edits it",
                code="not_yours",
                hint="answer it instead: maw send --reply-to",
            )
        if row.gone is not None:
            raise NotFound(f"message {name}: {gone_words(self._presenter.gone(row))}", code="redacted")
        if said.word is not None:
            raise Refused(
                f"message {name} was signed by an operator, as it stands",
                code="signed",
                hint="say it anew, with the operator key",
            )
        if said.channel is not None and is_private(said.channel):
            room = self._store.state.channels[said.channel]
            if not self._rooms.is_in(room, agent):
                raise Refused(
                    f"message {name} stands in #{room.name}, and {agent.name} is in it no longer",
                    code="not_yours",
                    hint="to have it gone: maw redact",
                )
            self._channels.refuse_archived(room)
        if row.edit is not None and row.edit.times >= MAX_EDITS:
            raise Conflict(
                f"message {name} was edited {row.edit.times} times already",
                code="too_many_edits",
                hint="say it anew: maw post --reply-to",
            )

    async def history(self, ref: str, agent_key: bytes | None) -> list[Json]:
        """What a message says, first to last, for whoever may read it. NotFound."""
        row = await self._talking.find(ref, agent_key)
        first = self._presenter.said(row._replace(edit=None))
        found: list[Json] = [{"id": self._presenter.id(row), "text": first.text, "at": iso(row.said)}]
        if row.gone is not None or first.word is not None:
            return found
        for one in await versions(self._store.db, row.seq, SHOWN):
            with suppress(ValueError, TypeError):
                if self._presenter.as_for(row._replace(edit=Edited(*one[1:], 1)), agent_key).edit is not None:
                    found.append({"id": self._id(one.place), "text": one.read().text, "at": iso(one.at)})
        return found

    def _id(self, place: int) -> str:
        log = self._store.state.log_at[place >> SEQ_BITS]
        author = self._store.state.node_at[log.node].key
        return message_id(Position(author, log.epoch, place & ((1 << SEQ_BITS) - 1)))
